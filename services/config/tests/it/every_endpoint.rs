//! What all endpoints have in common, for each that the OpenAPI document lists, over a real database.

use access::Action;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

/// Lists of what one may see.
const OPEN_TO_MEMBERS: [&str; 2] = ["GET /v2/control-planes", "GET /konnect-api/api/runtime_groups"];

/// An endpoint of the document, with a path in which the control plane `plane` is.
struct Operation {
    name: String,
    method: Method,
    path: String,
    is_public: bool,
    has_body: bool,
}

async fn operations(world: &World, plane: &str) -> Vec<Operation> {
    let document = world.get("/openapi.json").await.expect(StatusCode::OK);
    let id = plane.rsplit('/').next().expect("an id").to_owned();
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, methods)| {
        let filled = path.split('/').map(|part| match part {
            "{control_plane_id}" => id.clone(),
            part if part.starts_with('{') => Uuid::now_v7().to_string(),
            part => part.to_owned(),
        });
        let filled = filled.collect::<Vec<_>>().join("/");
        methods.as_object().expect("methods").iter().map(move |(method, operation)| Operation {
            name: format!("{} {path}", method.to_uppercase()),
            method: method.to_uppercase().parse().expect("a method"),
            path: filled.clone(),
            is_public: operation["x-protection"] == "public",
            has_body: operation.get("requestBody").is_some(),
        })
    });
    all.collect()
}

/// Sends everything that is not public, and looks at status and problem.
async fn check(world: &World, plane: &str, expected: impl Fn(&Operation, u16, &str) -> bool) {
    let mut asked = 0;
    for operation in operations(world, plane).await.into_iter().filter(|one| !one.is_public) {
        let call = world.call(operation.method.clone(), &operation.path);
        let call = if operation.has_body { call.json(&json!({})) } else { call };
        let answer = call.send().await;
        let problem =
            answer.body["type"].as_str().and_then(|name| name.rsplit(':').next()).unwrap_or_default();
        let status = answer.status.as_u16();
        assert!(expected(&operation, status, problem), "{}: {}", operation.name, answer.body);
        asked += 1;
    }
    assert!(asked > 60, "only {asked} endpoints");
}

#[tokio::test]
async fn nobody_passes_whose_session_has_ended() {
    let world = World::new().await;
    let plane = world.plane("kept").await;
    world.peers.end_session();
    check(&world, &plane, |operation, status, problem| {
        // A body that cannot be read may be found out first.
        (status, problem) == (401, "unauthenticated") || (operation.has_body && status == 400)
    })
    .await;
}

#[tokio::test]
async fn who_may_do_nothing_does_nothing() {
    let world = World::new().await;
    let plane = world.plane("kept").await;
    Action::ALL.into_iter().for_each(|action| world.peers.deny(action));
    *world.peers.visible.lock().expect("lock") = access::Visible::default();
    let rows = async || -> Value {
        let query = "SELECT to_jsonb(array_agg(c ORDER BY c)) FROM (SELECT version::text || name AS c FROM regional.control_plane) AS t";
        sqlx::query_scalar(query).fetch_one(&world.db).await.expect("rows")
    };
    let before = rows().await;
    check(&world, &plane, |operation, status, problem| {
        let is_open = OPEN_TO_MEMBERS.contains(&operation.name.as_str()) && status == 200;
        is_open
            || (status, problem) == (403, "forbidden")
            || (status, problem) == (404, "not-found")
            || (operation.has_body && matches!(status, 400 | 415))
    })
    .await;
    assert_eq!(rows().await, before);
}
