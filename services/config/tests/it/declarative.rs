//! `/declarative`: what a document owns, what a dry run tells, and a document of what is there.

use access::Action;
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::{entities::Plane, world::Answer};

const SHOP: &str = "
services:
- {name: orders, host: orders.internal, tags: [a], routes: [{name: orders, paths: [/orders, '~/o/[0-9]+$'], plugins: [{name: key-auth}]}]}
- {name: stock, url: 'http://stock.internal:8080/v1'}
routes: [{name: closed, hosts: [closed.example], plugins: [{name: request-termination, config: {status_code: 410, message: 'yes'}}]}]
consumers: [{username: ada, custom_id: '1', keyauth_credentials: [{key: the-key-of-ada}], plugins: [{name: request-termination}]}]
plugins: [{name: request-termination, consumer: ada, route: orders, instance_name: both, enabled: false}]
";

/// The changes that a dry run tells, each as one line.
fn changes(told: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |change: &Value| {
        let fields = change["fields"].as_array().map(|fields| fields.iter().map(text).collect::<Vec<_>>());
        let fields = fields.map(|fields| format!(": {}", fields.join(", "))).unwrap_or_default();
        format!("{} {} {}{fields}", text(&change["action"]), text(&change["kind"]), text(&change["name"]))
    };
    let mut lines: Vec<_> = told["changes"].as_array().expect("changes").iter().map(line).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_change_and_no_values() {
    let plane = Plane::new().await;
    let told = plane.apply("?dry_run=true", SHOP).await.expect(StatusCode::OK);
    assert_eq!(
        (&told["created"], &told["version"], &told["changes_omitted"]),
        (&json!(10), &json!(0), &json!(0))
    );
    assert_eq!(changes(&told).iter().filter(|line| line.starts_with("create ")).count(), 10, "{told}");
    plane.apply("", SHOP).await.expect(StatusCode::OK);
    let changed = SHOP
        .replace("orders.internal", "orders.example")
        .replace("message: 'yes'", "message: gone, body: null")
        .replace("the-key-of-ada", "another-key-of-ada")
        .replace("- {name: stock, url: 'http://stock.internal:8080/v1'}\n", "");
    let told = plane.apply("?dry_run=true", &changed).await.expect(StatusCode::OK);
    assert_eq!(
        changes(&told),
        [
            "create key_auth -",
            "delete key_auth -",
            "delete service stock",
            "update plugin request-termination: config.message",
            "update service orders: host",
        ],
        "{told}"
    );
    assert!(!told.to_string().contains("key-of-ada"), "{told}");
    let again = plane.apply("?dry_run=true", SHOP).await.expect(StatusCode::OK);
    assert_eq!((&again["changes"], &again["changes_omitted"]), (&json!([]), &json!(0)));
    let many: String = (0..1001).map(|n| format!("- {{name: s{n}, host: h}}\n")).collect();
    let told = plane.apply("?dry_run=true", &format!("services:\n{many}")).await.expect(StatusCode::OK);
    let listed = told["changes"].as_array().expect("changes").len();
    let all = ["created", "updated", "deleted"].map(|field| told[field].as_u64().expect("a number"));
    assert_eq!((listed, &told["changes_omitted"]), (1000, &json!(all.iter().sum::<u64>() - 1000)));
}

fn tagged(body: &str) -> String {
    format!("_info: {{select_tags: [team-a, prod]}}\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_tags_owns_what_has_all_of_them() {
    let plane = Plane::new().await;
    let other = "services: [{name: theirs, host: h, tags: [team-b]}, {name: half, host: h, tags: [prod]}]
consumers: [{username: bob, tags: [team-b]}]";
    plane.apply("", other).await.expect(StatusCode::OK);
    let own = tagged(
        "services: [{name: ours, host: h, routes: [{name: r, paths: [/]}]}]
routes: [{name: on-theirs, paths: [/b], service: theirs}]
consumers: [{username: ada, keyauth_credentials: [{key: ada-1}]}]",
    );
    let done = plane.apply("", &own).await.expect(StatusCode::OK);
    assert_eq!(
        (&done["created"], &done["updated"], &done["deleted"]),
        (&json!(5), &json!(0), &json!(0)),
        "nobody else's is touched"
    );
    let ours = plane.get("services/ours").await.expect(StatusCode::OK);
    assert_eq!(ours["tags"], json!(["team-a", "prod"]));
    let again = plane.apply("?dry_run=true", &own).await.expect(StatusCode::OK);
    assert_eq!(again["changes"], json!([]));

    // What has lost a tag belongs to nobody any more, and is in the way.
    plane.patch("services/ours", json!({"tags": ["prod"]})).await.expect(StatusCode::OK);
    let refused = plane.apply("", &own).await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(refused["invalid_parameters"][0]["field"], "services[0].name", "{refused}");
    plane.patch("services/ours", json!({"tags": ["prod", "team-a"]})).await.expect(StatusCode::OK);

    // A service in use by a route that the document does not own stays; what belongs to a consumer goes with it.
    let id = plane.get("services/ours").await.expect(StatusCode::OK)["id"].clone();
    let foreign = json!({"name": "foreign", "paths": ["/f"], "service": {"id": id}});
    plane.post("routes", foreign).await.expect(StatusCode::CREATED);
    let fewer = tagged("consumers: [{username: ada}]");
    let (problem, _) = plane.apply("", &fewer).await.problem(StatusCode::BAD_REQUEST);
    assert_eq!(problem, "in-use");
    plane.delete("routes/foreign").await.expect(StatusCode::NO_CONTENT);
    plane.post("consumers/ada/key-auth", json!({"key": "added-by-hand"})).await.expect(StatusCode::CREATED);
    let told = plane.apply("?dry_run=true", &fewer).await.expect(StatusCode::OK);
    assert_eq!(
        changes(&told),
        ["delete key_auth -", "delete route on-theirs", "delete route r", "delete service ours"]
    );
    let gone = plane.apply("", &tagged("")).await.expect(StatusCode::OK);
    assert_eq!(gone["deleted"], 6, "with the credential that was added by hand");
    for name in ["services/theirs", "services/half", "consumers/bob"] {
        plane.get(name).await.expect(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_earlier_versions_are_applied() {
    let plane = Plane::new().await;
    for version in ["1.1", "2.1"] {
        let text = format!(
            "\u{feff}_format_version: '{version}'\n_transform: true\nservices: [{{name: s, host: h, routes: [{{name: r, paths: ['/o/\\d+$', /p]}}]}}]"
        );
        plane.put_document(&text).await.expect(StatusCode::OK);
        let route = plane.get("routes/r").await.expect(StatusCode::OK);
        assert_eq!(route["paths"], json!(["~/o/\\d+$", "/p"]));
    }
    assert_eq!(plane.version().await, 1, "both mean the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_a_document_that_changes_nothing() {
    let plane = Plane::new().await;
    plane.apply("", SHOP).await.expect(StatusCode::OK);
    let version = plane.version().await;
    for (accept, media_type) in [
        (None, "application/yaml"),
        (Some("*/*"), "application/yaml"),
        (Some("application/yaml"), "application/yaml"),
        (Some("application/json"), "application/json"),
        (Some("text/html, application/json;q=0.9, */*;q=0.1"), "application/json"),
    ] {
        let (headers, text) = plane.export("", accept).await;
        assert_eq!(headers["content-type"], media_type, "{accept:?}");
        assert!(text.contains("the-key-of-ada"), "{text}");
        let told = plane.put_document_dry(&text).await.expect(StatusCode::OK);
        assert_eq!(told["changes"], json!([]), "{text}");
        plane.put_document(&text).await.expect(StatusCode::OK);
        assert_eq!(plane.version().await, version);
    }
    // Into another control plane it makes the same, ids included.
    let (_, text) = plane.export("", None).await;
    let copy = format!("{}/declarative", plane.world.plane("copy").await);
    let made =
        plane.world.call(Method::PUT, copy.clone()).text("application/yaml", text.clone()).send().await;
    made.expect(StatusCode::OK);
    assert_eq!(plane.world.call(Method::GET, copy).send_for_text().await.1, text);

    let (_, tagged) = plane.export("?select_tags=a", None).await;
    assert!(tagged.contains("select_tags") && tagged.contains("orders.internal"), "{tagged}");
    // Not "ada": an id may have these letters in it.
    assert!(!tagged.contains("stock") && !tagged.contains("username"), "{tagged}");
    let told = plane.put_document_dry(&tagged).await.expect(StatusCode::OK);
    assert_eq!(told["changes"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_not_read_is_in_no_document_for_them() {
    let plane = Plane::new().await;
    plane.apply("", SHOP).await.expect(StatusCode::OK);
    plane.world.peers.deny(Action::entity("key_auth", false).expect("an action"));
    let (_, text) = plane.export("", None).await;
    assert!(!text.contains("the-key-of-ada"), "{text}");
    assert!(text.contains("without key-auths, which you may not read"), "{text}");
    plane.world.peers.deny(Action::CpRetrieve);
    plane.world.get(format!("{}/declarative", plane.path)).await.problem(StatusCode::FORBIDDEN);
}

impl Plane {
    async fn document(&self, query: &str, text: &str) -> Answer {
        let path = format!("{}/declarative{query}", self.path);
        self.world.call(Method::PUT, path).text("application/yaml", text).send().await
    }

    async fn put_document(&self, text: &str) -> Answer {
        self.document("", text).await
    }

    async fn put_document_dry(&self, text: &str) -> Answer {
        self.document("?dry_run=true", text).await
    }

    async fn export(&self, query: &str, accept: Option<&'static str>) -> (HeaderMap, String) {
        let call = self.world.call(Method::GET, format!("{}/declarative{query}", self.path));
        match accept {
            Some(accept) => call.header("accept", accept).send_for_text().await,
            None => call.send_for_text().await,
        }
    }
}

/// An export holds hashes, and says so: applied again it changes nothing, and a password that looks like a hash is one elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_an_export_stay_hashes() {
    let plane = Plane::new().await;
    let with = |password: &str| {
        format!(
            "consumers: [{{username: ada, basicauth_credentials: [{{username: ada, password: '{password}'}}]}}]"
        )
    };
    plane.apply("", &with("s3cret")).await.expect(StatusCode::OK);
    let (_, exported) = plane.export("", None).await;
    assert!(exported.contains("_transform: false\n") && exported.contains("$argon2id$"), "{exported}");
    plane.put_document(&exported).await.expect(StatusCode::OK);
    assert_eq!(plane.version().await, 1);
    let transformed = exported.replace("_transform: false\n", "");
    let told = plane.put_document_dry(&transformed).await.expect(StatusCode::OK);
    assert_eq!(changes(&told), ["update basic_auth -: password"], "the hash is a password there");
    let refused = plane.apply("", &format!("_transform: false\n{}", with("s3cret"))).await;
    let refused = refused.expect(StatusCode::BAD_REQUEST);
    let field = &refused["invalid_parameters"][0]["field"];
    assert_eq!(field, "consumers[0].basicauth_credentials[0].password");
    assert!(!plane.export("", None).await.1.contains("s3cret"));
    plane.apply("", "services: [{name: s, host: h}]").await.expect(StatusCode::OK);
    let (_, without) = plane.export("", None).await;
    assert!(!without.contains("_transform"), "decK refuses it, and there is nothing to say: {without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_may_say_which_configuration_it_was_made_for() {
    let plane = Plane::new().await;
    let path = format!("{}/declarative", plane.path);
    let (headers, text) = plane.export("", None).await;
    assert_eq!(headers["etag"], "\"0\"");
    let put = async |etag: &str, query: &str, text: &str| {
        let call = plane.world.call(Method::PUT, format!("{path}{query}")).header("if-match", etag);
        call.text("application/yaml", text).send().await
    };
    let one = "_format_version: '3.0'\nservices: [{name: s, host: h}]";
    let done = put("\"0\"", "", one).await;
    assert_eq!(done.header("etag"), Some("\"1\""));
    done.expect(StatusCode::OK);
    for query in ["", "?dry_run=true"] {
        let (problem, detail) = put("\"0\"", query, &text).await.problem(StatusCode::PRECONDITION_FAILED);
        assert_eq!(problem, "precondition-failed");
        assert!(detail.contains("the configuration has another version"), "{detail}");
    }
    assert_eq!(plane.version().await, 1);
    assert_eq!(plane.export("", None).await.0["etag"], "\"1\"");
    put("\"1\"", "", one).await.expect(StatusCode::OK);
    put("1", "", one).await.problem(StatusCode::BAD_REQUEST);
}

/// Files as people have them in public, of each format version: loaded, written back and applied again, each is the same configuration.
#[tokio::test(flavor = "multi_thread")]
async fn public_files_are_loaded_exported_and_applied_again() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../libs/gateway-model/tests/corpus/declarative");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.starts_with("public-") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).expect("text");
        let plane = Plane::new().await;
        let loaded = plane.put_document(&text).await;
        assert_eq!(loaded.status, StatusCode::OK, "{name}: {}", loaded.body);
        for accept in ["application/yaml", "application/json"] {
            let (_, exported) = plane.export("", Some(accept)).await;
            for document in [&exported, &text] {
                let told = plane.put_document_dry(document).await.expect(StatusCode::OK);
                assert_eq!(told["changes"], json!([]), "{name}: {document}");
            }
        }
    }
    assert_eq!(files, 8);
}

/// As in files of Kong's: what is checked with a public key has a secret that nobody uses. It is drawn once, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_used_may_be_left_out() {
    let plane = Plane::new().await;
    let key = "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEhUliVhcLfiTLWx/SLG0vX0WCB8p\\nVTAWlRiJsqIOC4lCoyoYv1V4w0Byduhvp0dAios2kTc1LdKPOOTVS/mvPw==\\n-----END PUBLIC KEY-----";
    let document = format!(
        "consumers:\n- username: till\n  jwt_secrets: [{{key: till, algorithm: ES256, rsa_public_key: \"{key}\"}}]\n"
    );
    let secret = async || plane.get("jwts").await.expect(StatusCode::OK)["data"][0]["secret"].clone();
    plane.apply("", &document).await.expect(StatusCode::OK);
    let drawn = secret().await;
    assert!(drawn.as_str().is_some_and(|drawn| drawn.len() >= 32), "{drawn}");
    let again = plane.apply("", &document).await.expect(StatusCode::OK);
    assert_eq!((&again["updated"], &again["created"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(secret().await, drawn);
    let symmetric = document.replace("ES256", "HS256");
    let refused = plane.apply("", &symmetric).await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(refused["invalid_parameters"][0]["field"], "consumers[0].jwt_secrets[0].secret");
}
