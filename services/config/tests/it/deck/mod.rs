//! decK's loop, as decK 1.65.1 sent it: a file with every kind that decK knows is validated, synced, compared (no change), dumped and reset.
//! `exchanges.jsonl` was recorded between decK and the edge of a region: one exchange a line, in the order of the answers, without times
//! and hashes of passwords, and with `{plane}` for the control plane's id.

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::world::World;

#[derive(Deserialize)]
struct Exchange {
    method: String,
    path: String,
    body: Option<Value>,
    status: u16,
    /// What must be answered; `None` where only the status counts.
    answer: Option<Value>,
}

/// An answer as the recording has it: without times, and without the hash of a password, which differs by control plane.
fn as_recorded(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !["created_at", "updated_at", "password"].contains(&name.as_str()));
            fields.values_mut().for_each(as_recorded);
        }
        Value::Array(list) => list.iter_mut().for_each(as_recorded),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deck_is_answered_as_it_was_when_it_worked() {
    let world = World::new().await;
    let plane = world.plane("deck").await;
    let id = plane.rsplit('/').next().expect("an id").to_owned();
    let recorded = include_str!("exchanges.jsonl").replace("{plane}", &id);
    let (mut asked, mut wrong) = (0, Vec::new());
    for line in recorded.lines() {
        let Exchange { method, path, body, status, answer } =
            serde_json::from_str(line).expect("an exchange");
        let request = world.call(Method::from_bytes(method.as_bytes()).expect("a method"), path.as_str());
        let mut answered = match &body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        };
        asked += 1;
        as_recorded(&mut answered.body);
        let is_same = answer.as_ref().is_none_or(|answer| *answer == answered.body);
        if answered.status != StatusCode::from_u16(status).expect("a status") || !is_same {
            wrong.push(format!("{method} {path}: {} {}", answered.status, answered.body));
        }
    }
    assert!(asked > 200, "only {asked} exchanges are recorded");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
