//! The roles that can be assigned, in Konnect's shape.

pub mod http;

use policy::{EntityType, Role};
use serde_json::{Map, Value, json};

/// The roles by entity type, each under the key of its name.
fn table() -> Value {
    let of = |entity_type: EntityType| {
        let roles = Role::ALL.into_iter().filter(|role| role.entity_type() == entity_type);
        let role =
            |role: Role| (key(role.name()), json!({"name": role.name(), "description": role.description()}));
        let roles: Map<String, Value> = roles.map(role).collect();
        (key(entity_type.name()), json!({"name": entity_type.name(), "roles": roles}))
    };
    Value::Object(EntityType::ALL.into_iter().map(of).collect())
}

/// `Control Planes` as a key: `control_planes`.
fn key(name: &str) -> String {
    name.to_lowercase().replace(' ', "_")
}
