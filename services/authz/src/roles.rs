//! `GET /v3/roles`: the table of roles, in Konnect's shape.

use crate::Answer;
use access::{Action, Caller, Resource};
use axum::http::StatusCode;
use policy::{EntityType, Role};
use serde_json::{Map, Value, json};
use web::{Api, Endpoint, Json};

use crate::app::App;

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::get("/v3/roles", "The roles that can be assigned").answers::<Value>(StatusCode::OK),
        list,
    )
}

async fn list(caller: Caller) -> Answer<Json<Value>> {
    caller.may(Action::IamReadRoles, &Resource::Iam).await?;
    let mut entity_types = Map::new();
    for entity_type in EntityType::ALL {
        let roles: Map<String, Value> = Role::ALL
            .into_iter()
            .filter(|role| role.entity_type() == entity_type)
            .map(|role| (key(role.name()), json!({"name": role.name(), "description": role.description()})))
            .collect();
        entity_types.insert(key(entity_type.name()), json!({"name": entity_type.name(), "roles": roles}));
    }
    Ok(Json(Value::Object(entity_types)))
}

/// `Control Planes` as a key: `control_planes`.
fn key(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}
