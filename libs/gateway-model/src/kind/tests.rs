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

/// Lists, endpoints and the reader of files go over `Kind::ALL`: a kind that is missing there would not exist for them.
#[test]
fn all_holds_every_kind() {
    // A new variant does not compile until it has a place here.
    let next = |kind: Option<Kind>| match kind {
        None => Some(Kind::Service),
        Some(Kind::Service) => Some(Kind::Route),
        Some(Kind::Route) => Some(Kind::Consumer),
        Some(Kind::Consumer) => Some(Kind::KeyAuth),
        Some(Kind::KeyAuth) => Some(Kind::Plugin),
        Some(Kind::Plugin) => None,
    };
    let kinds: Vec<Kind> = std::iter::successors(next(None), |kind| next(Some(*kind))).collect();
    assert_eq!(kinds, Kind::ALL);
}

/// An entity with every unique field of its kind.
fn with_all_keys(kind: Kind) -> Entity {
    match kind {
        Kind::Service => read(kind, json!({"name": "n"})),
        Kind::Route => read(kind, json!({"name": "n"})),
        Kind::Consumer => read(kind, json!({"username": "n", "custom_id": "c"})),
        Kind::KeyAuth => read(kind, json!({})),
        Kind::Plugin => read(kind, json!({"instance_name": "n"})),
    }
}

#[test]
fn the_table_lists_the_unique_fields_of_each_kind() {
    for kind in Kind::ALL {
        let listed: Vec<&str> = kind.row().unique.iter().map(|unique| unique.field).collect();
        let keys = with_all_keys(kind).unique_keys();
        assert_eq!(keys.iter().map(|key| key.field).collect::<Vec<_>>(), listed, "{kind:?}");
        // The name that stands for the id is one of them, and leads to the entity.
        let named = kind.name_key("n");
        assert_eq!(named.is_some(), kind.name_field().is_some());
        assert!(named.is_none_or(|named| keys.contains(&named)), "{kind:?}");
        assert_eq!(with_all_keys(kind).name(), kind.name_field().map(|_| "n"), "{kind:?}");
    }
    assert_eq!(Kind::Service.name_key("a\u{0}b"), None, "no entity can be called this");
}

#[test]
fn a_taken_key_is_named_unless_nobody_could_read_it() {
    let taken = |kind: Kind, field, value: &str| kind.taken(&UniqueKey { field, value: value.to_owned() });
    assert_eq!(taken(Kind::Consumer, "custom_id", "7"), "another consumer has this custom_id: `7`");
    assert_eq!(taken(Kind::Plugin, "instance_name", "a"), "another plugin has this instance_name: `a`");
    assert_eq!(taken(Kind::KeyAuth, "key", "hash"), "another credential has this key");
    let scope = taken(Kind::Plugin, "scope", "key-auth:-:-:-");
    assert_eq!(scope, "this plugin is configured there already; change that one");
}

/// Nodes deny these at once when they are deleted, ahead of any other change.
#[test]
fn credentials_and_whom_they_identify_grant_access() {
    let granting: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.grants_access()).collect();
    assert_eq!(granting, [Kind::Consumer, Kind::KeyAuth]);
    for kind in Kind::ALL {
        let mut entity = read(kind, json!({}));
        assert!(entity.secret().is_none() || kind.grants_access(), "{kind:?} has a secret");
        assert!(!entity.lacks_secret());
        assert_eq!(entity.set_secret("other".to_owned()).is_ok(), entity.secret().is_some());
    }
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
