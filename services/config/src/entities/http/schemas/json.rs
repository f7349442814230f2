//! A kind of entity as JSON Schema. decK fills in the defaults that it finds here, also those of objects within.

use gateway_model::Kind;
use serde_json::{Value, json};

/// The schema of the kind's body, with the default of every field that has one.
pub fn of_kind(kind: Kind) -> Value {
    // A schema is always JSON.
    let mut schema = serde_json::to_value(kind.schema()).unwrap_or_default();
    close_references(&mut schema);
    choose_settings(&mut schema);
    schema
}

/// Says which settings belong to which name, where an entity's `name` is one of a few words that choose them, as a vault's is. decK finds the
/// defaults of a vault's settings there, and gives up without.
fn choose_settings(schema: &mut Value) {
    let fields = &schema["properties"];
    let (Some(names), settings) = (fields["name"]["enum"].as_array(), &fields["config"]) else { return };
    if !settings["properties"].is_object() {
        return;
    }
    let chosen = |name: &Value| {
        let named = name.as_str().unwrap_or_default();
        json!({
            "if": {"properties": {"name": {"const": name}}},
            "then": {"properties": {"config": {"properties": {named: settings}}}},
        })
    };
    let choices: Vec<Value> = names.iter().map(chosen).collect();
    schema["allOf"] = choices.into();
}

/// Whether a schema is that of a reference: an object that has an id and nothing else.
pub fn is_reference(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|fields| fields.keys().eq(["id"]))
}

/// Says of each reference that it has no other fields. decK takes an object that does not say so for one with defaults, and would send a
/// reference to nothing.
fn close_references(schema: &mut Value) {
    if is_reference(schema) {
        schema["additionalProperties"] = false.into();
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close_references),
        Value::Array(list) => list.iter_mut().for_each(close_references),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
