//! `POST …/batch`: many writes in one transaction, all or nothing.

use access::Action;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{entities::Plane, world::Answer};

impl Plane {
    async fn batch(&self, operations: Value) -> Answer {
        self.world.post(format!("{}/batch", self.path), &json!({ "operations": operations })).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_any_kinds_are_one_version_and_see_each_other() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "old", "host": "h"})).await.expect(StatusCode::CREATED);
    let id = "0192d3a4-5b6c-7d8e-9f00-112233445566";
    let done = plane
        .batch(json!([
            {"op": "create", "kind": "service", "id": id, "body": {"name": "s", "host": "h"}},
            {"op": "put", "kind": "route", "name": "r", "body": {"paths": ["/"], "service": {"name": "s"}}},
            {"op": "put", "kind": "service", "id": id, "body": {"name": "renamed", "host": "h"}},
            {"op": "create", "kind": "consumer", "body": {"username": "ada"}},
            {"op": "create", "kind": "key_auth", "body": {"consumer": {"username": "ada"}, "key": "the-key"}},
            {"op": "delete", "kind": "service", "name": "old"},
            {"op": "delete", "kind": "service", "name": "never-there"},
        ]))
        .await;
    assert_eq!(done.header("etag"), Some("\"2\""));
    let done = done.expect(StatusCode::OK);
    let counts = ["version", "created", "updated", "deleted"].map(|field| done[field].as_u64());
    assert_eq!(counts, [Some(2), Some(4), Some(1), Some(1)], "{done}");
    assert_eq!((&done["results"][0]["id"], &done["results"][0]["kind"]), (&json!(id), &json!("service")));
    assert_eq!(done["results"][6], Value::Null);
    assert_eq!(plane.version().await, 2);
    let route = plane.get("routes/r").await.expect(StatusCode::OK);
    assert_eq!(route["service"]["id"], id);
    plane.get("services/renamed").await.expect(StatusCode::OK);
    plane.get("services/old").await.problem(StatusCode::NOT_FOUND);
    let audited = plane.world.audit().await;
    assert_eq!(audited.iter().filter(|(action, _)| action.starts_with("service.")).count(), 5, "{audited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_undoes_all_and_names_its_operation() {
    let plane = Plane::new().await;
    plane.post("services", json!({"name": "taken", "host": "h"})).await.expect(StatusCode::CREATED);
    let first = json!({"op": "create", "kind": "service", "body": {"name": "s", "host": "h"}});
    let change = json!({"op": "put", "kind": "service", "name": "taken", "body": {"host": "other"}});
    for (last, status, field) in [
        (
            json!({"op": "create", "kind": "service", "body": {"name": "taken", "host": "h"}}),
            StatusCode::CONFLICT,
            "operations[2].body.name",
        ),
        (
            json!({"op": "put", "kind": "route", "name": "r", "body": {"paths": ["/"], "service": {"name": "nobody"}}}),
            StatusCode::BAD_REQUEST,
            "operations[2].body.service",
        ),
        (
            json!({"op": "put", "kind": "service", "name": "x", "body": {"hots": "h"}}),
            StatusCode::BAD_REQUEST,
            "operations[2].body.hots",
        ),
        (json!({"op": "put", "kind": "nonsense", "body": {}}), StatusCode::BAD_REQUEST, "operations[2].kind"),
        (json!({"op": "put", "kind": "service"}), StatusCode::BAD_REQUEST, "operations[2].body"),
        (json!({"op": "delete", "kind": "service"}), StatusCode::BAD_REQUEST, "operations[2].id"),
        (
            json!({"op": "delete", "kind": "service", "name": "s", "body": {}}),
            StatusCode::BAD_REQUEST,
            "operations[2].body",
        ),
    ] {
        let refused = plane.batch(json!([first, change, last])).await.expect(status);
        let fields: Vec<_> = refused["invalid_parameters"].as_array().expect("a list").iter().collect();
        assert!(fields.iter().any(|error| error["field"] == field), "{last}: {refused}");
        assert!(
            refused["detail"].as_str().is_some_and(|detail| detail.contains("operations[2]")),
            "{refused}"
        );
    }
    assert_eq!(plane.version().await, 1, "nothing was written");
    plane.get("services/s").await.problem(StatusCode::NOT_FOUND);
    assert_eq!(plane.get("services/taken").await.expect(StatusCode::OK)["host"], "h");
    let many: Vec<Value> = (0..1001).map(|_| first.clone()).collect();
    for operations in [json!([]), json!(many), json!([{"op": "rename", "kind": "service"}]), json!({})] {
        let refused = plane.batch(operations).await.expect(StatusCode::BAD_REQUEST);
        assert_eq!(refused["invalid_parameters"][0]["field"], "operations", "{refused}");
    }
}

/// A refused request beside others in one transaction: the others are written, and of it nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_disturbs_nobody() {
    let plane = Plane::new().await;
    let service =
        |name: String| json!({"op": "create", "kind": "service", "body": {"name": name, "host": "h"}});
    let batches = (0..20).map(|n| {
        let second = if n % 2 == 0 { format!("b{n}") } else { format!("a{n}") };
        plane.batch(json!([service(format!("a{n}")), service(second)]))
    });
    let answers = futures::future::join_all(batches).await;
    for (n, answer) in answers.into_iter().enumerate() {
        answer.expect(if n % 2 == 0 { StatusCode::OK } else { StatusCode::CONFLICT });
    }
    let (all, known): (i64, Option<i64>) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM regional.entity WHERE NOT deleted),
                CASE WHEN entities_version = version THEN entities END
         FROM regional.control_plane",
    )
    .fetch_one(&plane.world.db)
    .await
    .expect("one control plane");
    assert_eq!((all, known), (20, Some(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_has_one_effect_and_needs_every_right() {
    let plane = Plane::new().await;
    let path = format!("{}/batch", plane.path);
    let body = json!({"operations": [
        {"op": "create", "kind": "service", "body": {"name": "s", "host": "h"}},
        {"op": "create", "kind": "consumer", "body": {"username": "ada"}},
    ]});
    let send =
        || plane.world.call(Method::POST, path.clone()).header("idempotency-key", "once").json(&body).send();
    let (first, again) = (send().await, send().await);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.expect(StatusCode::OK), again.expect(StatusCode::OK));
    plane.world.peers.deny(Action::entity("consumer", true).expect("an action"));
    plane.world.post(path.clone(), &body).await.problem(StatusCode::FORBIDDEN);
}
