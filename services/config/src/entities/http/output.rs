//! Answers of `/core-entities`.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    entities::{
        committer::{Outcome, Rendered, Shown, Together},
        known::EntityId,
    },
    imports::{ImportResult, http::Done},
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
        Outcome::Together(done) => {
            with_etag(StatusCode::OK, rendered(&BatchAnswer::from(done)), done.version)
        }
    }
}

/// What writes that were made together came to.
#[derive(Serialize, ToSchema)]
pub struct BatchAnswer {
    #[serde(flatten)]
    done: Done,
    /// The entity of each operation; null for a delete of one that was not there. Absent where the same import was committed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Option<BatchResult>>>,
}

/// An entity of an operation.
#[derive(Serialize, ToSchema)]
struct BatchResult {
    kind: &'static str,
    id: Uuid,
}

impl From<&Together> for BatchAnswer {
    fn from(done: &Together) -> Self {
        let Together { version, created, updated, deleted, ref subjects, import } = *done;
        let result = |EntityId { kind, id }: EntityId| BatchResult { kind: kind.name(), id };
        Self {
            done: Done { import_id: import, result: ImportResult { version, created, updated, deleted } },
            results: Some(subjects.iter().map(|subject| subject.map(result)).collect()),
        }
    }
}

/// Text and numbers, which are always JSON.
pub fn rendered(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The answer to a `POST` as it is kept for its idempotency key.
pub fn kept(outcome: &Outcome) -> Rendered {
    let (status, etag, body) = match outcome {
        Outcome::Stands(shown) => (StatusCode::CREATED, Some(etag(shown.version)), show(shown).to_string()),
        Outcome::Together(done) => {
            (StatusCode::OK, Some(etag(done.version)), rendered(&BatchAnswer::from(done)))
        }
        // A `POST` leaves nothing else.
        Outcome::Gone => (StatusCode::CREATED, None, String::new()),
    };
    Rendered { status, etag, body }
}

/// The answer to writes whose import was committed before.
pub fn made_before(import: Uuid, result: ImportResult) -> Response {
    let answer = BatchAnswer { done: Done { import_id: Some(import), result }, results: None };
    with_etag(StatusCode::OK, rendered(&answer), result.version)
}

/// What an import came to, by the outcome of its write.
pub fn result(outcome: &Outcome) -> ImportResult {
    match outcome {
        Outcome::Together(Together { version, created, updated, deleted, .. }) => {
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

pub fn with_etag(status: StatusCode, body: String, version: u64) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
    if let Ok(etag) = HeaderValue::from_str(&etag(version)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
