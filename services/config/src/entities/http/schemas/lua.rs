//! A plugin as Kong's Admin API describes its own: a list of fields, each an object with one name. decK fills a plugin's settings up with
//! the defaults that it finds here: of a `record` that is required, and of one that the user gave.

use gateway_model::{Kind, Plugin};
use serde_json::{Map, Value, json};

use super::json::is_reference;

/// The plugin's fields, its settings in `config`; `None` for one that gateways do not execute.
pub fn of_plugin(name: &str) -> Option<Value> {
    let config = Plugin::config_schema(name)?;
    // Schemas are always JSON.
    let mut plugin = serde_json::to_value(Kind::Plugin.schema()).unwrap_or_default();
    plugin["properties"]["config"] = serde_json::to_value(config).unwrap_or_default();
    Some(json!({ "fields": fields(&plugin) }))
}

/// The properties of an object.
fn fields(object: &Value) -> Vec<Value> {
    let all = object["properties"].as_object().into_iter().flatten();
    all.map(|(name, schema)| json!({ name: field(name, schema) })).collect()
}

fn field(name: &str, schema: &Value) -> Value {
    let (shape, may_be_null) = without_null(schema);
    let mut field = if is_reference(shape) { reference(name) } else { typed(shape) };
    for (key, value) in [("default", &schema["default"]), ("description", &schema["description"])] {
        if !value.is_null() {
            field.insert(key.to_owned(), value.clone());
        }
    }
    if !may_be_null {
        field.insert("required".to_owned(), true.into());
    }
    field.into()
}

/// What a schema says of values that are not null, and whether it takes null too.
fn without_null(schema: &Value) -> (&Value, bool) {
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let mut others = alternatives.iter().filter(|one| !is_null(one));
        return match (others.next(), others.next()) {
            (Some(only), None) => (only, alternatives.len() > 1),
            _ => (schema, alternatives.iter().any(is_null)),
        };
    }
    let types = schema["type"].as_array();
    (schema, is_null(schema) || types.is_some_and(|types| types.contains(&"null".into())))
}

/// A reference is named as what it refers to.
fn reference(name: &str) -> Map<String, Value> {
    let mut field = Map::from_iter([("type".to_owned(), "foreign".into())]);
    if let Some(kind) = Kind::from_name(name) {
        field.insert("reference".to_owned(), kind.collection().into());
    }
    field
}

/// The type of a value, with what bounds it.
fn typed(schema: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    let name = match type_of(schema) {
        "object" if schema["properties"].is_object() => {
            out.insert("fields".to_owned(), fields(schema).into());
            "record"
        }
        "object" => {
            out.insert("keys".to_owned(), json!({ "type": "string" }));
            out.insert("values".to_owned(), typed(without_null(&schema["additionalProperties"]).0).into());
            "map"
        }
        "array" => {
            let items = &schema["items"];
            out.insert("elements".to_owned(), typed(without_null(items).0).into());
            bound(&mut out, "len_min", &schema["minItems"]);
            bound(&mut out, "len_max", &schema["maxItems"]);
            if items["enum"].is_array() { "set" } else { "array" }
        }
        name @ ("string" | "integer" | "number" | "boolean") => {
            bound(&mut out, "one_of", &schema["enum"]);
            bound(&mut out, "len_min", &schema["minLength"]);
            bound(&mut out, "len_max", &schema["maxLength"]);
            let (low, high) = (&schema["minimum"], &schema["maximum"]);
            if !low.is_null() && !high.is_null() {
                out.insert("between".to_owned(), json!([low, high]));
            }
            name
        }
        // A setting that can only be left out: of Kong's types any would do.
        "null" => "string",
        _ => "any",
    };
    out.insert("type".to_owned(), name.into());
    out
}

fn bound(out: &mut Map<String, Value>, name: &str, value: &Value) {
    if !value.is_null() {
        out.insert(name.to_owned(), value.clone());
    }
}

/// The type, if there is one besides null; else empty.
fn type_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(types) => {
            let mut names = types.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            match (names.next(), names.next()) {
                (Some(only), None) => only,
                _ => "",
            }
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_maps_lists_and_bounds_keep_their_defaults() {
        let schema = json!({"type": "object", "properties": {
            "names": {"type": "array", "items": {"type": "string"}, "default": ["apikey"], "minItems": 1},
            "words": {"type": ["array", "null"], "items": {"type": "string", "enum": ["a", "b"]}},
            "limit": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
            "redis": {"type": "object", "properties": {
                "host": {"type": ["string", "null"]},
                "pool": {"type": "object", "properties": {"size": {"type": "integer", "default": 256}}},
            }},
            "hidden": {"oneOf": [{"type": "object", "properties": {"x": {"type": "boolean", "default": true}}}, {"type": "null"}]},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "service": {"oneOf": [{"type": "object", "properties": {"id": {"type": "string"}}}, {"type": "null"}]},
        }});
        let all = fields(&schema);
        let found = |name: &str| {
            all.iter().find_map(|field| field.get(name)).unwrap_or_else(|| panic!("{name}")).clone()
        };
        assert_eq!(
            found("names"),
            json!({"type": "array", "elements": {"type": "string"}, "default": ["apikey"], "len_min": 1, "required": true})
        );
        assert_eq!(found("words")["type"], "set");
        assert!(found("words")["required"].is_null());
        assert_eq!(
            found("limit"),
            json!({"type": "integer", "between": [1, 9], "default": 5, "required": true})
        );
        let redis = found("redis");
        assert_eq!((&redis["type"], &redis["required"]), (&json!("record"), &json!(true)));
        assert_eq!(redis["fields"][0], json!({"host": {"type": "string"}}));
        assert_eq!(redis["fields"][1]["pool"]["fields"][0]["size"]["default"], 256);
        let hidden = found("hidden");
        assert_eq!((&hidden["type"], &hidden["required"]), (&json!("record"), &Value::Null));
        assert_eq!(hidden["fields"][0]["x"]["default"], true);
        assert_eq!(
            found("headers"),
            json!({"type": "map", "keys": {"type": "string"}, "values": {"type": "string"}, "required": true})
        );
        assert_eq!(found("service"), json!({"type": "foreign", "reference": "services"}));
    }

    #[test]
    fn every_supported_plugin_has_a_config_and_a_type_for_each_field() {
        for name in Plugin::supported() {
            let schema = of_plugin(name).expect(name);
            let all = schema["fields"].as_array().expect("fields");
            let field = |name: &str| all.iter().find_map(|field| field.get(name)).expect("a field");
            assert_eq!(field("protocols")["type"], "set", "{name}");
            assert!(field("protocols")["default"].is_array(), "{name}");
            assert_eq!(field("config")["type"], "record", "{name}");
            assert_eq!(field("config")["required"], true, "{name}");
            assert_eq!(field("consumer")["reference"], "consumers", "{name}");
            let text = schema.to_string();
            assert!(!text.contains(r#""type":"any""#), "{name}: a setting has no type: {text}");
        }
        assert_eq!(of_plugin("nobody"), None);
    }
}
