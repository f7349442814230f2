//! What can be read of an entity that this build does not understand. So that what depends on it is not served, and
//! everything else is.

use gateway_model::{Entity, Kind, Route};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::scope::Scope;

/// The fields that say which requests a route is for.
const MATCHING: [&str; 7] = ["hosts", "paths", "methods", "headers", "snis", "protocols", "regex_priority"];

/// The scope that a plugin blocks; `None` if the plugin is disabled. A field that cannot be read counts as absent, which makes
/// the scope wider. A body that is not JSON blocks everything.
pub fn plugin_scope(body: &[u8]) -> Option<Scope> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Some(Scope::default()) };
    if body.get("enabled") == Some(&Value::Bool(false)) {
        return None;
    }
    let target = |field: &str| body.get(field)?.get("id")?.as_str()?.parse::<Uuid>().ok();
    Some(Scope {
        service: target("service"),
        route: target("route"),
        consumer: target("consumer"),
        group: target("consumer_group"),
    })
}

/// The requests that a route is for which cannot be read, to answer them 503. Otherwise a broader route, perhaps one without
/// authentication, would serve them. `None` if not even that can be read.
pub fn route(body: &[u8]) -> Option<Route> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return None };
    let known: Map<String, Value> =
        body.into_iter().filter(|(name, _)| MATCHING.contains(&name.as_str())).collect();
    match Entity::from_wire(Kind::Route, Value::Object(known).to_string().as_bytes()) {
        Ok(Entity::Route(route)) => Some(route),
        _ => None,
    }
}
