//! The cache on the admin port: what is kept under a name, and how it is forgotten. Paths and statuses are Kong's.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::store::{Key, Store, Stored};

/// `DELETE /proxy-cache`, and `GET` and `DELETE` of `/proxy-cache/{key}` and `/proxy-cache/{plugin}/caches/{key}`.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/proxy-cache", delete(purge_all))
        .route("/proxy-cache/{key}", get(show).delete(purge))
        .route("/proxy-cache/{plugin}/caches/{key}", get(show_of).delete(purge_of))
        .with_state(store)
}

async fn purge_all(State(store): State<Store>) -> StatusCode {
    store.purge_all();
    StatusCode::NO_CONTENT
}

async fn show(State(store): State<Store>, Path(key): Path<String>) -> Response {
    shown(&store, None, &key)
}

async fn show_of(State(store): State<Store>, Path((plugin, key)): Path<(Uuid, String)>) -> Response {
    shown(&store, Some(plugin), &key)
}

async fn purge(State(store): State<Store>, Path(key): Path<String>) -> Response {
    purged(&store, None, &key)
}

async fn purge_of(State(store): State<Store>, Path((plugin, key)): Path<(Uuid, String)>) -> Response {
    purged(&store, Some(plugin), &key)
}

fn shown(store: &Store, plugin: Option<Uuid>, key: &str) -> Response {
    let Some(key) = read(key) else { return not_found() };
    let variants = store.get(&key);
    let of_plugin = |stored: &Stored| plugin.is_none_or(|plugin| plugin == stored.plugin);
    match variants.as_deref().into_iter().flatten().find(|stored| of_plugin(stored)) {
        None => not_found(),
        Some(stored) => {
            let headers: serde_json::Map<_, _> = stored
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
                .collect();
            let shown = json!({
                "status": stored.status.as_u16(),
                "headers": headers,
                "body_len": stored.body.len(),
                "timestamp": OffsetDateTime::from(stored.at).unix_timestamp(),
                "ttl": stored.policy.time_to_live(stored.at).as_secs(),
                "plugin": stored.plugin,
            });
            Json(shown).into_response()
        }
    }
}

fn purged(store: &Store, plugin: Option<Uuid>, key: &str) -> Response {
    let Some(key) = read(key) else { return not_found() };
    let is_held = store.get(&key).is_some_and(|variants| {
        variants.iter().any(|stored| plugin.is_none_or(|plugin| plugin == stored.plugin))
    });
    match is_held && store.purge(&key) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => not_found(),
    }
}

/// The key that `X-Cache-Key` shows.
fn read(key: &str) -> Option<Key> {
    hex::decode(key).ok()?.try_into().ok()
}

fn not_found() -> Response {
    let message = "no answer is kept under this key; X-Cache-Key of an answer has it";
    (StatusCode::NOT_FOUND, Json(json!({ "message": message }))).into_response()
}
