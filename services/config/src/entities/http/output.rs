//! Answers of `/core-entities`.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    entities::{
        committer::{Counts, Outcome, Rendered, Shown, Together},
        difference::{Action, Change},
        known::EntityId,
    },
    imports::ImportResult,
};

/// An entity as the API shows it: its fields, its id and its times (Unix seconds).
pub fn show(shown: &Shown) -> Value {
    let mut fields = shown.entity.to_api();
    fields.insert("id".to_owned(), json!(shown.id.id));
    fields.insert("created_at".to_owned(), json!(shown.created_at.unix_timestamp()));
    fields.insert("updated_at".to_owned(), json!(shown.updated_at.unix_timestamp()));
    Value::Object(fields)
}

/// One entity, with its version as `ETag`.
pub fn entity(status: StatusCode, shown: &Shown) -> Response {
    with_etag(status, show(shown).to_string(), shown.version)
}

/// One entity with more beside its fields.
pub fn with_more(status: StatusCode, shown: &Shown, more: Map<String, Value>) -> Response {
    let mut fields = show(shown);
    if let Value::Object(fields) = &mut fields {
        fields.extend(more);
    }
    with_etag(status, fields.to_string(), shown.version)
}

/// The answer to a committed write. `status` is that of an entity.
pub fn outcome(status: StatusCode, outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Stands(shown) => entity(status, shown),
        Outcome::Gone => StatusCode::NO_CONTENT.into_response(),
        Outcome::Together(done) => with_etag(StatusCode::OK, together(done).to_string(), done.version),
        Outcome::Applied(counts) => {
            let Counts { version, created, updated, deleted, dry_run, changes, import } = counts;
            let mut answer = json!({
                "import_id": import, "version": version, "created": created, "updated": updated, "deleted": deleted,
                "dry_run": dry_run,
            });
            if *dry_run {
                let omitted = (created + updated + deleted).saturating_sub(changes.len());
                answer["changes"] = changes.iter().map(change).collect();
                answer["changes_omitted"] = omitted.into();
            }
            with_etag(StatusCode::OK, answer.to_string(), *version)
        }
    }
}

fn change(change: &Change) -> Value {
    let Change { id, name, action, fields } = change;
    let mut shown = json!({"action": action.as_str(), "kind": id.kind.name(), "id": id.id, "name": name});
    if *action == Action::Update {
        shown["fields"] = json!(fields);
    }
    shown
}

/// The answer to a `POST` as it is kept for its idempotency key.
pub fn kept(outcome: &Outcome) -> Rendered {
    let (status, etag, body) = match outcome {
        Outcome::Stands(shown) => (StatusCode::CREATED, Some(etag(shown.version)), show(shown).to_string()),
        Outcome::Together(done) => (StatusCode::OK, Some(etag(done.version)), together(done).to_string()),
        // A `POST` leaves nothing else.
        Outcome::Gone | Outcome::Applied(_) => (StatusCode::CREATED, None, String::new()),
    };
    Rendered { status, etag, body }
}

fn together(done: &Together) -> Value {
    let Together { version, created, updated, deleted, subjects, import } = done;
    let result = |subject: &Option<EntityId>| match subject {
        Some(EntityId { kind, id }) => json!({"kind": kind.name(), "id": id}),
        None => Value::Null,
    };
    let results: Vec<Value> = subjects.iter().map(result).collect();
    json!({
        "import_id": import, "version": version, "created": created, "updated": updated, "deleted": deleted, "results": results,
    })
}

/// The answer to an import that was committed before: what it came to.
pub fn committed(import: Uuid, result: ImportResult) -> Response {
    let ImportResult { version, created, updated, deleted } = result;
    let answer = json!({
        "import_id": import, "version": version, "created": created, "updated": updated, "deleted": deleted,
        "dry_run": false,
    });
    with_etag(StatusCode::OK, answer.to_string(), version)
}

/// What an import came to, by the outcome of its write.
pub fn result(outcome: &Outcome) -> ImportResult {
    match outcome {
        Outcome::Applied(Counts { version, created, updated, deleted, .. })
        | Outcome::Together(Together { version, created, updated, deleted, .. }) => {
            ImportResult { version: *version, created: *created, updated: *updated, deleted: *deleted }
        }
        // A write of one entity is no import.
        Outcome::Stands(shown) => ImportResult { version: shown.version, created: 0, updated: 0, deleted: 0 },
        Outcome::Gone => ImportResult { version: 0, created: 0, updated: 0, deleted: 0 },
    }
}

/// A version as the header `ETag` has it.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

fn with_etag(status: StatusCode, body: String, version: u64) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
    if let Ok(etag) = HeaderValue::from_str(&etag(version)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
