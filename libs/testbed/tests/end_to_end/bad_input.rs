//! What is wrong with a request is said, with the place, and nothing is changed.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Answer, Api, ServiceName, api::text};

use crate::{
    fixtures::{ControlPlane, plain_file, send_text},
    harness::{run, shared, unique},
};

/// Largest body of an ordinary request, and of a document, in bytes.
const BODY_MAX: usize = 1024 * 1024;
const DOCUMENT_MAX: usize = 32 * 1024 * 1024;

/// The problem, once its status is right and its message says `said`.
fn require(answer: &Answer, status: u16, said: &str) -> anyhow::Result<Value> {
    let problem = answer.expect_problem(status)?;
    let message = text(&problem, "message")?;
    anyhow::ensure!(message.contains(said), "{said:?} is not in the message {message:?}");
    anyhow::ensure!(text(&problem, "type")?.starts_with("urn:landbridge:problem:"), "{problem}");
    Ok(problem)
}

/// Whether one of the problem's field errors is about `field`.
fn names_field(problem: &Value, field: &str) -> anyhow::Result<()> {
    let errors = problem["invalid_parameters"].as_array().cloned().unwrap_or_default();
    let found = errors.iter().any(|error| error["field"] == field && error["reason"].is_string());
    anyhow::ensure!(found, "no error for {field} in {problem}");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_json_body_is_said() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "json").await?;
        let before = on.contents().await?;
        let (identity, authz) = (region.api(ServiceName::Identity), region.api(ServiceName::Authz));
        let services = on.entity("services");
        let posts: [(&Api, &str); 4] = [
            (&identity, "/v3/system-accounts"),
            (&authz, "/v3/teams"),
            (&on.api, "/v2/control-planes"),
            (&on.api, &services),
        ];
        for (api, path) in posts {
            let post = async |body: &str| send_text(api, Method::POST, path, body.to_owned()).await;
            require(&post("{\n  \"name\": \"a\",,\n}").await?, 400, "line 2 column")
                .context(path.to_owned())?;
            require(&post("{\"name\": \"a\"").await?, 400, "line 1 column").context(path.to_owned())?;
            require(&post("{} {}").await?, 400, "line 1 column").context(path.to_owned())?;
            let unknown = post("{\"name\": \"a\", \"colour\": \"red\"}").await?.expect_problem(400)?;
            assert!(unknown["invalid_parameters"].to_string().contains("colour"), "{path}: {unknown}");
            names_field(&require(&post("{\"name\": 5}").await?, 400, "name")?, "name")
                .context(path.to_owned())?;
            for not_an_object in ["[]", "5", "\"a\"", "null", "true"] {
                post(not_an_object).await?.expect_problem(400).context(path.to_owned())?;
            }
            let xml = api.request(Method::POST, path).header("content-type", "text/xml").body("<a/>");
            let answer = api.send(xml).await?;
            assert!([400, 415].contains(&answer.status), "{path}: {answer:?}");
        }
        assert_eq!(on.contents().await?, before);
        Ok(())
    });
}

#[test]
fn what_is_wrong_with_an_entity_is_said_field_by_field() {
    run(async {
        let on = ControlPlane::create(shared().await?, "entity").await?;
        let post = async |path: &str, body: Value| on.api.post(&on.entity(path), &body).await;
        let nil = "00000000-0000-0000-0000-000000000000";
        let several = require(
            &post("services", json!({ "host": 5, "port": 99999, "retries": -1 })).await?,
            400,
            "host",
        )?;
        for field in ["host", "port", "retries"] {
            names_field(&several, field)?;
        }
        for (path, body, field) in [
            ("services", json!({ "name": "no host" }), "host"),
            ("routes", json!({ "paths": ["no-slash"] }), "paths[0]"),
            ("routes", json!({ "paths": ["~/(unclosed"] }), "paths[0]"),
            ("routes", json!({ "paths": ["/a"], "service": { "id": nil } }), "service"),
            ("routes", json!({ "paths": ["/a"], "service": { "name": "missing" } }), "service"),
            ("plugins", json!({ "name": "key-auth", "route": { "id": nil } }), "route"),
            ("key-auths", json!({ "key": "a", "consumer": { "id": nil } }), "consumer"),
        ] {
            names_field(&post(path, body.clone()).await?.expect_problem(400)?, field).context(body)?;
        }
        let unknown = require(&post("plugins", json!({ "name": "post-function" })).await?, 400, "key-auth")?;
        assert!(text(&unknown, "message")?.contains("request-termination"), "{unknown}");
        require(
            &post("plugins", json!({ "name": "key-auth", "config": { "colour": 1 } })).await?,
            400,
            "colour",
        )?;
        post("consumers/missing/key-auth", json!({})).await?.expect_problem(404)?;
        assert_eq!(on.version().await?, 0);

        // Duplicates.
        let named = json!({ "name": "same", "host": "a.example" });
        post("services", named.clone()).await?.expect(201)?;
        names_field(&require(&post("services", named.clone()).await?, 409, "name")?, "name")?;
        on.api.put(&on.entity("services/other"), &json!({ "host": "a.example" })).await?.expect(200)?;
        let other = on.api.get(&on.entity("services/other")).await?.expect(200)?;
        let rename = on.entity(&format!("services/{}", text(&other, "id")?));
        on.api.put(&rename, &named).await?.expect_problem(409)?;
        let in_use = json!({ "paths": ["/a"], "service": { "name": "same" } });
        post("routes", in_use).await?.expect(201)?;
        on.api.delete(&on.entity("services/same")).await?.expect_problem(400)?;
        Ok(())
    });
}

#[test]
fn a_body_over_the_limit_is_413() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "large").await?;
        let posts = [
            (region.api(ServiceName::Identity), "/v3/system-accounts".to_owned()),
            (region.api(ServiceName::Authz), "/v3/teams".to_owned()),
            (on.api.clone(), "/v2/control-planes".to_owned()),
            (on.api.clone(), on.entity("services")),
        ];
        for (api, path) in &posts {
            for size in [BODY_MAX + 1, 3 * BODY_MAX] {
                let body = format!("{{\"name\": \"{}\"}}", "a".repeat(size));
                let plain = send_text(api, Method::POST, path, body.clone()).await?;
                plain.expect_problem(413).with_context(|| format!("{path} {size}"))?;
                let once = api.request(Method::POST, path).header("idempotency-key", unique("large"));
                let once = api.send(once.header("content-type", "application/json").body(body)).await?;
                once.expect_problem(413).with_context(|| format!("{path} {size} with a key"))?;
            }
            let fits = format!("{{\"name\": \"{}\"}}", "a".repeat(BODY_MAX - 20));
            send_text(api, Method::POST, path, fits).await?.expect_problem(400)?;
        }
        let document = |comment: usize| format!("_format_version: \"3.0\"\n#{}\n", "x".repeat(comment));
        on.api.put_yaml(&on.path("declarative"), &document(DOCUMENT_MAX)).await?.expect_problem(413)?;
        on.api.put_yaml(&on.path("declarative"), &document(2 * BODY_MAX)).await?.expect(200)?;
        Ok(())
    });
}

#[test]
fn wrong_paging_is_400() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "paging").await?;
        let cursored =
            ["page[size]=0", "page[size]=101", "page[size]=abc", "page[size]=-1", "page[after]=garbage!"];
        let numbered =
            ["page[number]=0", "page[number]=abc", "page[size]=101", "page[size]=0", "page[number]=10001"];
        let offset = ["size=0", "size=abc", "size=1001", "offset=garbage!", "offset=AA", "tags=a/b,c"];
        for (service, path, queries) in [
            (ServiceName::Identity, "/v3/system-accounts".to_owned(), &cursored[..]),
            (ServiceName::Identity, "/v3/users".to_owned(), &cursored[..]),
            (ServiceName::Identity, "/v3/users/me/access-tokens".to_owned(), &cursored[..]),
            (ServiceName::Authz, "/v3/teams".to_owned(), &cursored[..]),
            (ServiceName::Config, on.path("nodes"), &cursored[..]),
            (ServiceName::Config, on.path("enrolment-tokens"), &cursored[..]),
            (ServiceName::Config, "/v2/control-planes".to_owned(), &numbered[..]),
            (ServiceName::Config, on.entity("routes"), &offset[..]),
            (
                ServiceName::Config,
                on.path("propagation"),
                &["version=x", "wait=5", "wait=31s", "version=-1"][..],
            ),
        ] {
            for query in queries {
                let answer = region.api(service).get(&format!("{path}?{query}")).await?;
                let problem = answer.expect_problem(400).with_context(|| format!("{path}?{query}"))?;
                assert_eq!(problem["type"], "urn:landbridge:problem:invalid-parameter", "{path}?{query}");
            }
        }
        Ok(())
    });
}

/// Documents that must change nothing, and what the answer says.
const BAD_DOCUMENTS: [(&str, &str); 12] = [
    ("_format_version: \"3.0\"\nservices: [\n", "line"),
    ("_format_version: \"3.0\"\nservices:\n\t- name: a\n", "line 3"),
    ("{\"_format_version\": \"3.0\",, }", "line 1"),
    ("", "_format_version"),
    ("services: []\n", "_format_version"),
    ("_format_version: \"9.9\"\n", "3.0"),
    ("_format_version: \"3.0\"\nfilter_chains: [{name: u}]\n", "filter_chains"),
    ("_format_version: \"3.0\"\nservices:\n- name: a\n  host: a.example\n  colour: red\n", "colour"),
    ("_format_version: \"3.0\"\nservices:\n- name: a\n  host: 5\n", "services[0].host"),
    (
        "_format_version: \"3.0\"\nservices:\n- {name: a, host: a.example}\n- {name: a, host: b.example}\n",
        "services[1]",
    ),
    (
        "_format_version: \"3.0\"\nroutes:\n- name: r\n  paths: [/r]\n  service: {name: missing}\n",
        "routes[0].service",
    ),
    ("_format_version: \"3.0\"\nplugins:\n- name: post-function\n", "request-termination"),
];

#[test]
fn a_bad_document_changes_nothing_and_says_where() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "document").await?;
        let version = on.apply(&plain_file(region)).await?;
        let before = on.contents().await?;
        for (document, said) in BAD_DOCUMENTS {
            for query in ["", "?dry_run=true"] {
                let answer = on.api.put_yaml(&on.path(&format!("declarative{query}")), document).await?;
                require(&answer, 400, said).with_context(|| document.to_owned())?;
            }
        }
        // Good entities before the bad one are not kept either.
        let half = plain_file(region) + "plugins:\n- name: no-such-plugin\n";
        on.api.put_yaml(&on.path("declarative"), &half).await?.expect_problem(400)?;
        let deep = format!("_format_version: \"3.0\"\nservices: {}{}\n", "[".repeat(5000), "]".repeat(5000));
        on.api.put_yaml(&on.path("declarative"), &deep).await?.expect_problem(400)?;
        let aliases: String = (1..12)
            .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")))
            .collect();
        let bomb = format!("a0: &a0 [x]\n{aliases}_format_version: \"3.0\"\n");
        on.api.put_yaml(&on.path("declarative"), &bomb).await?.expect_problem(400)?;
        let latin1 = on.api.request(Method::PUT, &on.path("declarative")).body(vec![b'_', 0xe9, b'\n']);
        on.api.send(latin1).await?.expect_problem(400)?;
        on.api
            .put_yaml(&on.path("declarative?dry_run=perhaps"), &plain_file(region))
            .await?
            .expect_problem(400)?;
        assert_eq!((on.version().await?, on.contents().await?), (version, before));
        Ok(())
    });
}

#[test]
fn an_enrolment_that_is_not_right_is_refused() {
    run(async {
        let on = ControlPlane::create(shared().await?, "enrol").await?;
        let token = on.api.post(&on.path("enrolment-tokens"), &json!({})).await?.expect(201)?;
        let token = text(&token, "token")?.to_owned();
        let csr =
            rcgen::CertificateParams::default().serialize_request(&rcgen::KeyPair::generate()?)?.pem()?;
        let anonymous = on.api.anonymous();
        let good = json!({
            "token": token, "node_id": uuid::Uuid::now_v7(), "hostname": "h", "csr_pem": csr
        });
        let with = |member: &str, value: Value| {
            let mut body = good.clone();
            body[member] = value;
            body
        };
        let enrol = async |body: &Value| anonymous.post("/v1/nodes/enrol", body).await;
        for (body, status) in [
            (with("token", json!("lbe_AAAA")), 401),
            (with("token", json!("garbage")), 401),
            (with("token", json!(token.get(..token.len() - 1))), 401),
            (with("node_id", json!("x")), 400),
            (
                with(
                    "csr_pem",
                    json!("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
                ),
                400,
            ),
            (with("csr_pem", json!("")), 400),
            (with("hostname", json!("\0")), 400),
            (with("hostname", json!("h".repeat(5000))), 400),
            (with("colour", json!("red")), 400),
        ] {
            enrol(&body).await?.expect_problem(status).with_context(|| body.to_string())?;
        }
        // None of these used the token up; one node does.
        enrol(&good).await?.expect(200)?;
        enrol(&good).await?.expect(200)?;
        enrol(&with("node_id", json!(uuid::Uuid::now_v7()))).await?.expect_problem(401)?;
        for wrong in [
            json!({ "ttl_seconds": 0 }),
            json!({ "uses": 0 }),
            json!({ "uses": -1 }),
            json!({ "ttl_seconds": 1e9 }),
        ] {
            on.api.post(&on.path("enrolment-tokens"), &wrong).await?.expect_problem(400)?;
        }
        Ok(())
    });
}
