use serde_json::{Value, json};

use super::*;
use crate::testing::{read, smallest};

#[test]
fn names_are_distinct_and_found() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
        assert_eq!(Kind::from_collection(kind.collection()), Some(kind));
        assert_eq!(read(kind, json!({})).kind(), kind);
    }
    assert_eq!(Kind::from_name("upstream"), None);
    assert_eq!(Kind::from_collection("service"), None);
}

/// The order of kinds is that of dependency: resolution and cascades rely on it.
#[test]
fn kinds_refer_to_earlier_kinds_only() {
    let all = json!({"name": "request-termination", "service": {"name": "s"}, "route": {"name": "r"}, "consumer": {"username": "c"}});
    let route = json!({"service": {"name": "s"}});
    for entity in [read(Kind::Plugin, all), read(Kind::Route, route), read(Kind::KeyAuth, json!({}))] {
        assert!(!entity.references().is_empty());
        assert!(entity.references().iter().all(|reference| reference.kind < entity.kind()));
    }
    for kind in Kind::ALL {
        assert!(kind.children().iter().all(|child| child.kind > kind));
    }
}

fn schema_of(kind: Kind) -> Value {
    serde_json::to_value(kind.schema()).unwrap()
}

#[test]
fn schemas_are_self_contained_and_described() {
    for kind in Kind::ALL {
        let schema = schema_of(kind);
        assert!(!schema.to_string().contains("$ref"), "{schema}");
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{kind:?}.{name}: {property}");
        }
    }
}

/// Clients fill their own side from the schema's defaults: another default there is a difference that never goes away.
#[test]
fn schema_defaults_are_those_of_the_reader() {
    for kind in Kind::ALL {
        let schema = schema_of(kind);
        let properties = schema["properties"].as_object().unwrap();
        let given = smallest(kind);
        for (name, value) in read(kind, json!({})).to_api() {
            let default = properties.get(&name).map_or(&Value::Null, |property| &property["default"]);
            if given.get(&name).is_none() && name != "config" {
                assert_eq!(*default, value, "{kind:?}.{name}");
            }
        }
    }
    for name in crate::Plugin::supported() {
        let schema = serde_json::to_value(crate::Plugin::config_schema(name)).unwrap();
        let api = read(Kind::Plugin, json!({ "name": name })).to_api();
        for (field, value) in api["config"].as_object().unwrap() {
            let default =
                schema["properties"].get(field).map_or(&Value::Null, |property| &property["default"]);
            assert_eq!(default, value, "{name}.{field}");
        }
    }
}

#[test]
fn required_fields_are_those_of_the_reader() {
    for kind in Kind::ALL {
        for name in schema_of(kind)["required"].as_array().into_iter().flatten() {
            let mut body = smallest(kind);
            body.as_object_mut().unwrap().remove(name.as_str().unwrap());
            assert!(Entity::from_api(kind, &body).is_err(), "{kind:?}.{name}");
        }
    }
}
