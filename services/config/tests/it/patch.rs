//! `PATCH` of entities: what is given replaces, null resets, and nothing that others write is lost.

use axum::http::{Method, StatusCode};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::entities::Plane;

const NOWHERE: &str = "0192d3a4-5b6c-7d8e-9f00-112233445566";

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_what_it_gives_by_id_and_by_name() {
    let plane = Plane::new().await;
    let body = json!({"name": "s", "host": "h", "port": 8080, "tags": ["a"]});
    let made = plane.post("services", body).await.expect(StatusCode::CREATED);
    let id = made["id"].as_str().expect("an id");

    let by_name = plane.patch("services/s", json!({"host": "other", "port": null})).await;
    assert_eq!(by_name.header("etag"), Some("\"2\""));
    let by_name = by_name.expect(StatusCode::OK);
    assert_eq!(
        (&by_name["host"], &by_name["port"], &by_name["tags"], &by_name["id"]),
        (&json!("other"), &json!(80), &json!(["a"]), &made["id"])
    );
    // The same again writes nothing.
    let again = plane.patch(&format!("services/{id}"), json!({"id": id, "host": "other"})).await;
    assert_eq!(again.header("etag"), Some("\"2\""));
    assert_eq!(plane.version().await, 2);
    let renamed = plane.patch("services/s", json!({"name": "t", "tags": null})).await.expect(StatusCode::OK);
    assert_eq!((&renamed["name"], &renamed["tags"]), (&json!("t"), &Value::Null));
    plane.patch("services/s", json!({})).await.problem(StatusCode::NOT_FOUND);
    plane.patch(&format!("services/{NOWHERE}"), json!({})).await.problem(StatusCode::NOT_FOUND);
    assert_eq!(plane.get("services/t").await.expect(StatusCode::OK), renamed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_keeps_the_rules_of_every_write() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CREATED);
    plane.post("services", json!({"name": "taken", "host": "h"})).await.expect(StatusCode::CREATED);
    let version = plane.version().await;
    for (body, status) in [
        (json!({"name": "taken"}), StatusCode::CONFLICT),
        (json!({"colour": "red"}), StatusCode::BAD_REQUEST),
        (json!({"host": null}), StatusCode::BAD_REQUEST),
        (json!({"id": NOWHERE}), StatusCode::BAD_REQUEST),
        (json!([]), StatusCode::BAD_REQUEST),
    ] {
        plane.patch("services/s", body).await.problem(status);
    }
    let route = plane.post("routes", json!({"paths": ["/"]})).await.expect(StatusCode::CREATED);
    let route = format!("routes/{}", route["id"].as_str().expect("an id"));
    let missing = plane.patch(&route, json!({"service": {"name": "nobody"}})).await;
    assert!(missing.problem(StatusCode::BAD_REQUEST).1.contains("no such service"));
    let version = (version + 1).to_string();
    assert_eq!(plane.version().await.to_string(), version);

    let patch = |tag: &str| {
        let call = plane.world.call(Method::PATCH, plane.at(&route)).header("if-match", tag);
        call.json(&json!({"tags": ["x"]})).send()
    };
    patch("\"1\"").await.problem(StatusCode::PRECONDITION_FAILED);
    patch("x").await.problem(StatusCode::BAD_REQUEST);
    patch(&format!("\"{version}\"")).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_a_credential_keeps_its_secret_and_its_place() {
    let plane = Plane::new().await;
    for name in ["alice", "bob"] {
        plane.post("consumers", json!({"username": name})).await.expect(StatusCode::CREATED);
    }
    let made = plane.post("consumers/alice/key-auth", json!({})).await.expect(StatusCode::CREATED);
    let id = made["id"].as_str().expect("an id");
    let changed = plane.patch(&format!("consumers/alice/key-auth/{id}"), json!({"tags": ["x"]})).await;
    let changed = changed.expect(StatusCode::OK);
    assert_eq!((&changed["key"], &changed["consumer"]), (&made["key"], &made["consumer"]));
    let flat = plane.patch(&format!("key-auths/{id}"), json!({"tags": null})).await.expect(StatusCode::OK);
    assert_eq!((&flat["key"], &flat["tags"]), (&made["key"], &Value::Null));
    let elsewhere = plane.patch(&format!("consumers/bob/key-auth/{id}"), json!({"tags": []})).await;
    elsewhere.problem(StatusCode::NOT_FOUND);
    plane.patch(&format!("consumers/carol/key-auth/{id}"), json!({})).await.problem(StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_at_the_same_time_are_all_kept() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "s", "host": "h"})).await.expect(StatusCode::CREATED);
    let fields = ["connect_timeout", "read_timeout", "write_timeout", "port", "retries"];
    let patches =
        fields.iter().enumerate().map(|(n, field)| plane.patch("services/s", json!({*field: n + 1})));
    for answer in join_all(patches).await {
        answer.expect(StatusCode::OK);
    }
    let after = plane.get("services/s").await.expect(StatusCode::OK);
    for (n, field) in fields.iter().enumerate() {
        assert_eq!(after[field], n + 1, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_stays_one_until_it_is_replaced() {
    let plane = Plane::new().await;
    let body = json!({"name": "s", "host": "h", "tags": [], "ca_certificates": []});
    for _ in 0..2 {
        let put = plane.put("services/s", body.clone()).await.expect(StatusCode::OK);
        assert_eq!((&put["tags"], &put["ca_certificates"]), (&json!([]), &json!([])));
    }
    assert_eq!(plane.version().await, 1);
    let patched = plane.patch("services/s", json!({"retries": 1})).await.expect(StatusCode::OK);
    assert_eq!(patched["tags"], json!([]));
    let exported =
        plane.world.call(Method::GET, format!("{}/declarative", plane.path)).send_for_text().await.1;
    let told = plane.world.call(Method::PUT, format!("{}/declarative?dry_run=true", plane.path));
    let told = told.text("application/yaml", exported.clone()).send().await.expect(StatusCode::OK);
    assert_eq!(told["changes"], json!([]), "{exported}");
    let put = plane.put("services/s", json!({"host": "h"})).await.expect(StatusCode::OK);
    assert_eq!(put["tags"], Value::Null);
}
