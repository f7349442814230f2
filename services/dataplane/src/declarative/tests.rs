//! Documents through the real applier and store, and over the admin port's route.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use gateway_model::Kind;
use ids::{ControlPlaneId, NodeId};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::balancing::Groups;
use crate::{
    seams::Seams,
    status::{Source, Status},
    store::StoreOptions,
    view::Live,
};

pub const SHOP: &str = "
_format_version: '3.0'
services:
  - name: orders
    url: http://127.0.0.1:9000/orders
    routes:
      - { name: orders, paths: [/orders] }
    plugins:
      - { name: key-auth }
consumers:
  - username: till
    keyauth_credentials: [{ key: till-key }]
";

pub async fn start() -> (Arc<Declarative>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = Store::open(folder.path(), StoreOptions::default()).expect("opens");
    let status =
        Status::new(NodeId::generate(), OffsetDateTime::UNIX_EPOCH, Source::Declarative(Default::default()));
    let applier =
        Applier::start(store, Live::default(), watch::channel(status).0, Groups::default(), Seams::system())
            .await
            .expect("starts");
    let secrets = Secrets::in_folder(folder.path(), &applier.seams().random).expect("a key");
    (Declarative::start(applier, secrets).await.expect("starts"), folder)
}

pub fn serves(declarative: &Declarative, path: &str) -> bool {
    let request = crate::router::Lookup::get("gateway.test", path);
    declarative.applier.live().load().find(&request).is_some()
}

fn ready(declarative: &Declarative) -> bool {
    declarative.applier.status().borrow().readiness().ready
}

#[tokio::test]
async fn a_document_is_the_whole_configuration() {
    let (declarative, _folder) = start().await;
    assert!(!ready(&declarative));
    let changed = declarative.apply(SHOP.to_owned()).await.expect("applies");
    assert_eq!(changed, Changed { version: 1, hash: changed.hash, created: 5, updated: 0, deleted: 0 });
    assert!(ready(&declarative) && serves(&declarative, "/orders"));
    let owner = declarative
        .applier
        .store()
        .identify(Kind::KeyAuth, &crate::store::Lookup::key("till-key"), 0)
        .expect("reads");
    assert_eq!(owner.and_then(|owner| owner.consumer.username).as_deref(), Some("till"));

    let again = declarative.apply(SHOP.to_owned()).await.expect("applies");
    assert_eq!(
        again,
        Changed { version: 1, hash: changed.hash, ..Changed::default() },
        "the same document changes nothing"
    );

    let moved = SHOP.replace("paths: [/orders]", "paths: [/v2/orders]").replace("till-key", "new-key");
    let changed = declarative.apply(moved).await.expect("applies");
    assert_eq!((changed.version, changed.updated), (2, 1));
    assert_eq!((changed.created, changed.deleted), (1, 1), "another key is another credential");
    assert!(serves(&declarative, "/v2/orders") && !serves(&declarative, "/orders"));

    let empty = declarative.apply("_format_version: '3.0'".to_owned()).await.expect("applies");
    assert_eq!((empty.version, empty.deleted), (3, 5));
    assert!(!serves(&declarative, "/v2/orders") && ready(&declarative));
}

#[tokio::test]
async fn an_empty_document_is_a_configuration_too() {
    let (declarative, _folder) = start().await;
    declarative.apply("_format_version: '3.0'".to_owned()).await.expect("applies");
    assert!(ready(&declarative));
}

#[tokio::test]
async fn a_bad_document_changes_nothing_and_says_where() {
    let (declarative, folder) = start().await;
    declarative.apply(SHOP.to_owned()).await.expect("applies");
    let before = declarative.applier.store().position();
    let wrong = [
        (SHOP.replace("paths: [/orders]", "paths: [orders]"), "services[0].routes[0].paths[0]"),
        (SHOP.replace("key-auth", "key-ath"), "services[0].plugins[0].name"),
        (SHOP.replace("services:", "services: ["), "line"),
    ];
    for (document, place) in wrong {
        let file = folder.path().join("wrong.yaml");
        std::fs::write(&file, document).expect("written");
        let error = declarative.apply_file(&file).await.expect_err("refused").to_string();
        assert!(error.contains(place), "{error}");
        assert_eq!(declarative.applier.store().position(), before);
    }
    assert!(serves(&declarative, "/orders"));
    let missing = declarative.apply_file(&folder.path().join("missing.yaml")).await;
    assert!(matches!(missing, Err(DeclarativeError::File(_))));
}

#[tokio::test]
async fn a_control_planes_configuration_is_dropped() {
    let (declarative, _folder) = start().await;
    declarative.apply(SHOP.to_owned()).await.expect("applies");
    declarative.applier.bind(Owner::ControlPlane(ControlPlaneId::generate()), None).await.expect("bound");
    assert!(!serves(&declarative, "/orders"));
}

const TOKEN: &str = "a-token-of-tests-only";

/// What a POST of `document` with `headers` is answered.
async fn post(
    declarative: &Arc<Declarative>,
    file: &http::TokenFile,
    headers: &[(&str, &str)],
    document: String,
) -> (StatusCode, serde_json::Value) {
    let mut request = Request::post("/config");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(document)).expect("request");
    let router = http::router(Arc::clone(declarative), file.clone());
    let response = router.oneshot(request).await.expect("answers");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn documents_come_over_http() {
    let (declarative, folder) = start().await;
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).expect("written");
    let file = http::TokenFile::open(&path).expect("a token");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/yaml; charset=utf-8")];
    let (status, body) = post(&declarative, &file, &headers, SHOP.to_owned()).await;
    assert_eq!((status, &body["created"], &body["version"]), (StatusCode::OK, &json!(5), &json!(1)));
    let authorized = ("authorization", bearer.as_str());
    let encoded: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("config", SHOP).finish();
    let parts = format!("--x\r\nContent-Disposition: form-data; name=\"config\"\r\n\r\n{SHOP}\r\n--x--\r\n");
    for (declared, document) in [
        ("application/json", json!({ "config": SHOP }).to_string()),
        ("application/x-www-form-urlencoded", encoded),
        ("multipart/form-data; boundary=x", parts),
    ] {
        let (status, body) =
            post(&declarative, &file, &[authorized, ("content-type", declared)], document).await;
        assert_eq!((status, &body["version"]), (StatusCode::OK, &json!(1)), "{declared}: {body}");
    }
    let (status, body) = post(&declarative, &file, &headers, SHOP.replace("key-auth", "key-ath")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["fields"][0]["field"], "services[0].plugins[0].name");
    assert!(body["message"].as_str().is_some_and(|message| message.contains("key-auth")), "{body}");
}

#[tokio::test]
async fn what_is_in_service_is_shown_without_secrets() {
    let (declarative, folder) = start().await;
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).expect("written");
    let file = http::TokenFile::open(&path).expect("a token");
    let bearer = format!("Bearer {TOKEN}");
    let get = async |headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(Request::get("/config"), |request, (name, value)| request.header(*name, *value));
        let router = http::router(Arc::clone(&declarative), file.clone());
        let response = router.oneshot(request.body(Body::empty()).expect("request")).await.expect("answers");
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("body");
        (head, String::from_utf8(body.to_vec()).expect("text"))
    };
    let without_secrets = SHOP.replace("    keyauth_credentials: [{ key: till-key }]\n", "");
    let changed = declarative.apply(without_secrets).await.expect("applies");
    let (head, yaml) = get(&[("authorization", &bearer)]).await;
    assert_eq!(
        (head.status, head.headers["content-type"].as_bytes()),
        (StatusCode::OK, &b"application/yaml"[..])
    );
    assert_eq!(head.headers["etag"], format!("\"{}\"", changed.hash));
    // It means what is in service.
    let again = declarative.apply(yaml).await.expect("applies");
    assert_eq!(again, Changed { version: 1, hash: changed.hash, ..Changed::default() });
    let (head, json) = get(&[("authorization", &bearer), ("accept", "application/json")]).await;
    assert_eq!(head.headers["content-type"], "application/json");
    let shown: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(shown["services"][0]["routes"][0]["paths"], json!(["/orders"]));

    declarative.apply(SECRETS.to_owned()).await.expect("applies");
    let (_, yaml) = get(&[("authorization", &bearer)]).await;
    for secret in ["till-key", "open-sesame", "under-the-mat", "behind-the-clock"] {
        assert!(!yaml.contains(secret), "{secret} in {yaml}");
    }
    assert!(yaml.contains("Secrets are left out"), "{yaml}");
    for headers in [vec![], vec![("authorization", "Bearer wrong-token-of-tests")]] {
        assert_eq!(get(&headers).await.0.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn documents_need_the_token_and_a_declared_type() {
    let (declarative, folder) = start().await;
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).expect("written");
    let file = http::TokenFile::open(&path).expect("a token");
    let bearer = format!("bearer {TOKEN}");
    let yaml = ("content-type", "application/yaml");
    for (headers, status) in [
        (vec![yaml], 401),
        (vec![yaml, ("authorization", TOKEN)], 401),
        (vec![yaml, ("authorization", "Bearer")], 401),
        (vec![yaml, ("authorization", "Bearer ")], 401),
        (vec![yaml, ("authorization", "Bearer a-token-of-tests-onl")], 401),
        (vec![yaml, ("authorization", "Bearer a-token-of-tests-only2")], 401),
        (vec![yaml, ("authorization", "Basic a-token-of-tests-only")], 401),
        (vec![("authorization", &bearer)], 415),
        (vec![("authorization", &bearer), ("content-type", "text/plain")], 415),
        (vec![("authorization", &bearer), ("content-type", "text/plain; x=application/yaml")], 415),
        (vec![("authorization", &bearer), ("content-type", "multipart/form-data")], 415),
        (vec![("authorization", &bearer), ("content-type", "application/x-www-form-urlencoded")], 400),
    ] {
        assert_eq!(post(&declarative, &file, &headers, SHOP.to_owned()).await.0, status, "{headers:?}");
    }
    assert!(!serves(&declarative, "/orders"), "nothing was applied");

    // Replaced while the gateway runs.
    std::fs::write(&path, "another-token-of-tests\n").expect("written");
    let authorized = |token: &'static str| [yaml, ("authorization", token)];
    let old = post(&declarative, &file, &[yaml, ("authorization", &bearer)], SHOP.to_owned()).await;
    let new = authorized("Bearer another-token-of-tests");
    let new = post(&declarative, &file, &new, SHOP.to_owned()).await;
    assert_eq!((old.0, new.0), (StatusCode::UNAUTHORIZED, StatusCode::OK));

    for bad in ["", "short", "a token with spaces in it"] {
        std::fs::write(&path, bad).expect("written");
        assert!(http::TokenFile::open(&path).is_err(), "{bad:?}");
        assert_eq!(
            post(&declarative, &file, &authorized("Bearer "), SHOP.to_owned()).await.0,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
    assert!(http::TokenFile::open(&folder.path().join("missing")).is_err());
}

const SECRETS: &str = "
_format_version: '3.0'
consumers:
  - username: till
    keyauth_credentials: [{ key: till-key }]
    basicauth_credentials: [{ username: till, password: open-sesame }]
    hmacauth_credentials: [{ username: till, secret: under-the-mat }]
    jwt_secrets:
      - { key: till, secret: behind-the-clock }
      # Is not used, and left out in files as people have them.
      - key: till-of-another-issuer
        algorithm: ES256
        rsa_public_key: |
          -----BEGIN PUBLIC KEY-----
          MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEhUliVhcLfiTLWx/SLG0vX0WCB8p
          VTAWlRiJsqIOC4lCoyoYv1V4w0Byduhvp0dAios2kTc1LdKPOOTVS/mvPw==
          -----END PUBLIC KEY-----
";

#[tokio::test]
async fn a_document_with_secrets_is_stored_without_them_and_is_the_same_the_next_time() {
    let (declarative, folder) = start().await;
    let changed = declarative.apply(SECRETS.to_owned()).await.expect("applies");
    assert_eq!((changed.created, changed.updated), (6, 0));
    let mut stored = Vec::new();
    declarative.applier.store().scan(Scan::Serving, |entities| stored.extend(entities)).expect("reads");
    let stored: String =
        stored.iter().map(|entity| String::from_utf8_lossy(&entity.body).into_owned()).collect();
    for secret in ["till-key", "open-sesame", "under-the-mat", "behind-the-clock"] {
        assert!(!stored.contains(secret), "{secret} in {stored}");
    }
    let again = declarative.apply(SECRETS.to_owned()).await.expect("applies");
    assert_eq!(
        again,
        Changed { version: 1, hash: changed.hash, ..Changed::default() },
        "the same document changes nothing"
    );
    // Also with the key as another process reads it.
    let secrets = Secrets::in_folder(folder.path(), &random::Random::system()).expect("the key");
    let restarted = Declarative::start(declarative.applier.clone(), secrets).await.expect("starts");
    assert_eq!(restarted.apply(SECRETS.to_owned()).await.expect("applies"), again);
    let other = declarative.apply(SECRETS.replace("under-the-mat", "in-the-shed")).await.expect("applies");
    assert_eq!((other.updated, other.created, other.deleted), (1, 0, 0));
    assert_eq!(check(SECRETS), Ok(6));
}

/// Files as people have them, with every section that is common in public ones.
#[tokio::test]
async fn files_as_people_have_them_are_loaded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../libs/gateway-model/tests/corpus/declarative");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("public-")));
    assert!(files.len() >= 8, "{files:?}");
    let (declarative, _folder) = start().await;
    for file in files {
        let document = std::fs::read_to_string(&file).expect("text");
        let changed =
            declarative.apply(document.clone()).await.unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert!(changed.created > 0, "{file:?}");
        let again = declarative.apply(document).await.expect("applies");
        assert_eq!(
            again,
            Changed { version: changed.version, hash: changed.hash, ..Changed::default() },
            "{file:?}"
        );
    }
}

/// Nobody would order it: a gateway that held it would serve its names with no certificate, and say nothing.
#[tokio::test]
async fn an_acme_certificate_is_refused_with_its_place_and_nothing_changes() {
    let (declarative, _folder) = start().await;
    declarative.apply(SHOP.to_owned()).await.expect("valid");
    let ordered = "\nacme_certificates:\n  - domains: [shop.example]\n    account_email: ops@shop.example\n    tos_accepted: true\n";
    let with_order = format!("{SHOP}{ordered}");
    let refused = declarative.apply(with_order.clone()).await.expect_err("refused").to_string();
    assert!(refused.contains("acme_certificates[0]") && refused.contains("line "), "{refused}");
    assert!(refused.contains("under `certificates`"), "{refused}");
    assert!(check(&with_order).is_err());
    assert!(serves(&declarative, "/orders"));
}

#[tokio::test]
async fn a_plugin_that_is_not_executed_closes_what_it_is_for_and_nothing_else() {
    let (declarative, _folder) = start().await;
    let with_plugin = |name: &str| {
        SHOP.replace("- { name: orders, paths: [/orders] }", &format!("- {{ name: orders, paths: [/orders], plugins: [{{name: {name}, config: {{access: ['return']}}}}] }}\n      - {{ name: open, paths: [/open] }}"))
    };
    declarative.apply(with_plugin("post-function")).await.expect("is served in part");
    let view = declarative.applier.live().load();
    let outcome = |path: &str| {
        let request = crate::router::Lookup::get("gateway.test", path);
        view.find(&request).map(|found| matches!(found.served.outcome, crate::view::Outcome::Serve { .. }))
    };
    assert_eq!((outcome("/orders"), outcome("/open")), (Some(false), Some(true)));
    let reasons: Vec<String> = view.quarantined().into_iter().map(|held| held.reason).collect();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("post-function"), "{reasons:?}");
    // A name that no gateway has is a slip of the pen.
    assert!(matches!(
        declarative.apply(with_plugin("post-functoin")).await,
        Err(DeclarativeError::Invalid(_))
    ));
    // A control plane takes none: its users are told at once.
    assert!(gateway_model::declarative::parse(&with_plugin("post-function")).is_err());
}
