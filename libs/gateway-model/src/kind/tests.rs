use serde_json::{Value, json};

use super::*;
use crate::testing::{read, smallest};
use crate::{Secret, Treatment};

#[test]
fn names_are_distinct_and_found() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
        assert_eq!(Kind::from_collection(kind.collection()), Some(kind));
        assert_eq!(read(kind, json!({})).kind(), kind);
    }
    assert_eq!(Kind::from_name("galaxy"), None);
    assert_eq!(Kind::from_collection("service"), None);
}

/// An entity with every unique field of its kind.
fn with_all_keys(kind: Kind) -> Entity {
    Entity::from_api(kind, &kind.example()).unwrap()
}

#[test]
fn the_table_lists_the_unique_fields_of_each_kind() {
    for kind in Kind::ALL {
        let listed: Vec<&str> = kind.row().unique.iter().map(|unique| unique.field).collect();
        let entity = with_all_keys(kind);
        let keys = entity.unique_keys();
        assert_eq!(keys.iter().map(|key| key.field).collect::<Vec<_>>(), listed, "{kind:?}");
        // The name that stands for the id is one of them, and leads to the entity.
        assert_eq!(entity.name().is_some(), kind.name_field().is_some(), "{kind:?}");
        if let Some(name) = entity.name() {
            assert!(keys.contains(&kind.name_key(name).unwrap()), "{kind:?}");
        }
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
    let expected = [
        Kind::Consumer,
        Kind::KeyAuth,
        Kind::BasicAuth,
        Kind::HmacAuth,
        Kind::Jwt,
        Kind::MtlsAuth,
        Kind::Acl,
        Kind::Oauth2Token,
        Kind::ConsumerGroupMember,
    ];
    assert_eq!(granting, expected);
    for kind in Kind::ALL {
        let mut entity = with_all_keys(kind);
        let hashed = entity.secrets_mut().into_iter().filter(|secret| secret.treatment == Treatment::Hash);
        assert!(hashed.count() <= 1, "{kind:?}: one column holds it");
        assert!(entity.secrets_mut().iter().all(|secret| matches!(secret.secret, Secret::Plain(_))));
    }
}

/// The order of kinds is that of dependency: resolution and cascades rely on it.
#[test]
fn kinds_refer_to_earlier_kinds_only() {
    let plugin = read(Kind::Plugin, json!({"name": "request-termination", "consumer_group": {"name": "g"}}));
    for entity in Kind::ALL.map(with_all_keys).into_iter().chain([plugin]) {
        assert!(entity.references().iter().all(|reference| reference.kind < entity.kind()), "{entity:?}");
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
            if given.get(&name).is_none()
                && !["config", "cert_digest", "healthchecks"].contains(&name.as_str())
            {
                assert_eq!(*default, value, "{kind:?}.{name}");
            }
        }
    }
    for name in crate::Plugin::supported() {
        let schema = serde_json::to_value(crate::Plugin::config_schema(name)).unwrap();
        let smallest = crate::Plugin::smallest_config(name).unwrap();
        let api = read(Kind::Plugin, json!({ "name": name, "config": smallest })).to_api();
        let given = |field: &str| smallest.get(field).is_some();
        // A record within has its defaults in its own fields.
        let is_record = |field: &str| schema["properties"][field]["properties"].is_object();
        let fields = api["config"].as_object().unwrap().iter();
        for (field, value) in fields.filter(|(field, _)| !given(field) && !is_record(field)) {
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
