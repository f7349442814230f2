use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::FIELD_ERRORS_MAX;
use crate::testing::{
    CONSUMER, SERVICE, any_json, at_rest, hashed, only, read, read_back, refused, smallest, with,
};

/// One entity of each kind with every field off its default.
fn fullest() -> Vec<Entity> {
    let key_auth = json!({"name": "key-auth", "instance_name": "keys", "enabled": false, "protocols": ["https"],
           "service": {"id": SERVICE}, "consumer": null, "route": null, "tags": ["t"],
           "config": {"key_names": ["x-key"], "key_in_header": false, "hide_credentials": true,
                      "run_on_preflight": false, "realm": "shop"}});
    let examples = Kind::ALL.map(|kind| Entity::from_api(kind, &kind.example()).unwrap());
    let mut entities = examples.to_vec();
    entities.push(Entity::from_api(Kind::Plugin, &key_auth).unwrap());
    entities.iter().map(hashed).collect()
}

fn every_entity() -> Vec<Entity> {
    let smallest = Kind::ALL.map(|kind| read(kind, json!({})));
    fullest().into_iter().chain(smallest.iter().map(hashed)).collect()
}

#[test]
fn api_form_round_trips() {
    for entity in every_entity() {
        let api = Value::Object(entity.to_api());
        assert_eq!(Entity::from_api(entity.kind(), &api), Ok(entity), "{api}");
    }
}

#[test]
fn wire_form_round_trips() {
    for entity in every_entity() {
        let entity = at_rest(&entity);
        assert_eq!(read_back(&entity), entity);
        // What a node holds writes the same bytes again.
        let wire = entity.to_wire().unwrap();
        assert_eq!(Entity::from_wire(entity.kind(), &wire).unwrap().to_wire().unwrap(), wire);
    }
}

/// The example of a kind uses all that the kind has: a field that it leaves at its default is tested nowhere.
#[test]
fn examples_leave_no_field_at_its_default() {
    // What only one alternative of several can have.
    const ALTERNATIVES: [&str; 16] = [
        "url",
        "hash_on_cookie",
        "hash_on_cookie_path",
        "hash_on_query_arg",
        "hash_fallback_header",
        "hash_fallback_query_arg",
        "hash_on_uri_capture",
        "hash_fallback_uri_capture",
        "client_certificate",
        "ca_certificates",
        "use_srv_name",
        "cert_alt",
        "key_alt",
        "rsa_public_key",
        "pem",
        "consumer_group",
    ];
    for kind in Kind::ALL {
        let example = kind.example();
        let schema = serde_json::to_value(kind.schema()).unwrap();
        for (name, property) in schema["properties"].as_object().unwrap() {
            let fixed = property["enum"].as_array().is_some_and(|values| values.len() == 1);
            let is_told = example.get(name).is_some_and(|value| *value != property["default"]);
            let derived = name == "cert_digest" || name == "name" && kind == Kind::Vault;
            assert!(is_told || fixed || derived || ALTERNATIVES.contains(&name.as_str()), "{kind:?}.{name}");
        }
    }
}

#[test]
fn defaults_are_not_on_the_wire() {
    let wire = |kind| String::from_utf8(read(kind, json!({})).to_wire().unwrap()).unwrap();
    assert_eq!(wire(Kind::Service), r#"{"host":"orders.internal","port":80}"#);
    assert_eq!(wire(Kind::Route), r#"{"paths":["/orders"]}"#);
    assert_eq!(wire(Kind::Consumer), r#"{"username":"alice"}"#);
    assert_eq!(wire(Kind::Plugin), r#"{"name":"key-auth"}"#);
}

/// The port that an `https` service gets by itself is a default too; another one is written.
#[test]
fn wire_form_keeps_ports_apart() {
    for (fields, port) in [
        (json!({"protocol": "https"}), 443),
        (json!({"protocol": "https", "port": 80}), 80),
        (json!({"port": 443}), 443),
    ] {
        let wire = read(Kind::Service, fields).to_wire().unwrap();
        let Entity::Service(service) = Entity::from_wire(Kind::Service, &wire).unwrap() else {
            panic!("service")
        };
        assert_eq!(service.port, port);
    }
}

#[test]
fn wire_names_are_sorted() {
    for entity in fullest() {
        let wire = at_rest(&entity).to_wire().unwrap();
        let names = |value: &Value| -> Vec<String> {
            value.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect()
        };
        let value: Value = serde_json::from_slice(&wire).unwrap();
        let mut sorted = names(&value);
        sorted.sort();
        let text = String::from_utf8(wire).unwrap();
        let mut at = 0;
        for name in sorted {
            let found = text[at..]
                .find(&format!("\"{name}\":"))
                .unwrap_or_else(|| panic!("{name} in order in {text}"));
            at += found;
        }
    }
}

#[test]
fn secrets_stay_off_the_wire_and_out_of_debug_output() {
    for kind in Kind::ALL {
        let mut entity = Entity::from_api(kind, &kind.example()).unwrap();
        let debug = format!("{entity:?} {:?}", entity.unique_keys());
        let wire = String::from_utf8(at_rest(&entity).to_wire().unwrap()).unwrap();
        for SecretMut { field, treatment, secret } in entity.secrets_mut() {
            if let (Secret::Plain(text), true) = (&*secret, treatment != Treatment::Keep) {
                let escaped = json!(text).to_string();
                let escaped = escaped.trim_matches('"');
                assert!(
                    !wire.contains(escaped) && !debug.contains(escaped),
                    "{kind:?}.{field}: {wire} {debug}"
                );
            }
        }
    }
}

#[test]
fn a_secret_that_is_not_ready_has_no_wire_form() {
    for kind in Kind::ALL {
        let entity = Entity::from_api(kind, &kind.example()).unwrap();
        let waits = entity.clone().secrets_mut().iter().any(|secret| {
            matches!(secret.treatment, Treatment::Seal | Treatment::Withhold | Treatment::Password)
        });
        assert_eq!(entity.to_wire().is_err(), waits, "{kind:?}");
    }
}

#[test]
fn a_foreign_secret_is_refused() {
    let wire = read(Kind::KeyAuth, json!({})).to_wire().unwrap();
    for secret in ["other", ""] {
        assert!(Entity::from_wire(Kind::KeyAuth, &wire).unwrap().join_hashed(secret).is_err());
    }
    assert!(read(Kind::Service, json!({})).join_hashed("x").is_err());
}

/// What a body leaves open stays as it is; only a new time to live begins anew.
#[test]
fn a_body_inherits_what_it_leaves_open() {
    let stored = {
        let mut stored = read(Kind::KeyAuth, json!({"key": "k", "ttl": 60}));
        stored.inherit(None, 1000);
        stored
    };
    assert_eq!(stored.expires_at(), Some(1060));
    let inherit = |fields| {
        let mut entity = read(Kind::KeyAuth, fields);
        entity.inherit(Some(&stored), 2000);
        entity
    };
    assert_eq!(inherit(json!({"key": null, "ttl": 60})), stored);
    assert_eq!(inherit(json!({"key": "k", "ttl": 61})).expires_at(), Some(2061));
    assert_eq!(inherit(json!({"key": "k", "ttl": null})).expires_at(), None);
    assert_ne!(inherit(json!({"key": "other", "ttl": 60})), stored);
}

/// For handlers that add what the URL says, such as the consumer of a credential, before they read the entity.
#[test]
fn a_body_can_be_completed_before_it_is_read() {
    let mut body = parse_body(br#"{"key": "k"}"#).unwrap();
    assert!(Entity::from_api(Kind::KeyAuth, &body).is_err());
    body["consumer"] = json!({"username": "alice"});
    assert!(Entity::from_api(Kind::KeyAuth, &body).is_ok());
    assert_eq!(body_id(&body), Ok(None));
    assert!(body_id(&json!({"id": 5})).is_err());
}

/// A node must not half understand: what it does not know makes it quarantine the entity.
#[test]
fn the_wire_is_read_strictly() {
    for (kind, wire, field) in [
        (Kind::Service, r#"{"host":"a","brand_new":1}"#, "brand_new"),
        (Kind::Service, r#"{"host":"a","id":"x"}"#, "id"),
        (Kind::Consumer, r#"{"username":"a","created_at":1}"#, "created_at"),
        (Kind::Plugin, r#"{"name":"key-auth","config":{"brand_new":true}}"#, "config.brand_new"),
        (Kind::Plugin, r#"{"name":"brand-new"}"#, "name"),
        (Kind::Route, r#"{"paths":["/a"],"service":{"name":"orders"}}"#, "service"),
        (Kind::KeyAuth, r#"{"consumer":{"id":"0192d3a4-5b6c-7d8e-9f00-112233445566"}}"#, "key_hash"),
    ] {
        assert_eq!(only(Entity::from_wire(kind, wire.as_bytes()).unwrap_err()).0, field, "{wire}");
    }
}

#[test]
fn an_entity_with_a_name_for_a_target_has_no_wire_form() {
    let mut route = read(Kind::Route, json!({"service": {"name": "orders"}}));
    assert_eq!(route.to_wire(), Err(NotReady::Unresolved { field: "service" }));
    assert_eq!(route.to_api()["service"], json!({"name": "orders"}));
    for reference in route.references_mut() {
        *reference.target = crate::Target::Id(SERVICE.parse().unwrap());
    }
    assert!(route.to_wire().is_ok());
}

#[test]
fn unknown_fields_are_refused_with_those_that_exist() {
    for kind in Kind::ALL {
        let (field, message) = refused(kind, json!({"colour": "red"}));
        assert_eq!(field, "colour");
        assert!(message.contains("tags"), "{message}");
        assert!(!message.contains("created_at"), "{message}");
    }
}

#[test]
fn bookkeeping_fields_are_accepted_and_ignored() {
    for kind in Kind::ALL {
        let fields = json!({"id": CONSUMER, "created_at": 1_700_000_000, "updated_at": 1_700_000_001});
        assert_eq!(read(kind, fields), read(kind, json!({})));
    }
}

#[test]
fn null_means_absent() {
    for kind in Kind::ALL {
        let schema = serde_json::to_value(kind.schema()).unwrap();
        let set = smallest(kind);
        let nulls =
            schema["properties"].as_object().unwrap().keys().filter(|name| set.get(name.as_str()).is_none());
        let nulls: Map<String, Value> = nulls.map(|name| (name.clone(), Value::Null)).collect();
        assert_eq!(read(kind, Value::Object(nulls)), read(kind, json!({})));
    }
}

/// What the API shows fits the schema that it publishes: null only where the schema says so.
#[test]
fn null_is_shown_only_where_the_schema_says_so() {
    let mut wrong = BTreeSet::new();
    for entity in every_entity() {
        let schema = serde_json::to_value(entity.kind().schema()).unwrap();
        for (name, _) in entity.to_api().iter().filter(|(_, value)| value.is_null()) {
            let property = &schema["properties"][name];
            let of_types = property["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
            let of_forms =
                property["oneOf"].as_array().is_some_and(|forms| forms.contains(&json!({"type": "null"})));
            if !of_types && !of_forms && property["type"] != "null" {
                wrong.insert(format!("{:?}.{name}: {property}", entity.kind()));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// A new name keeps the rule for all names; one that is stored already is read as it is.
#[test]
fn a_new_name_is_one_that_a_url_can_carry() {
    for (kind, field) in [
        (Kind::Service, "name"),
        (Kind::Route, "name"),
        (Kind::Consumer, "username"),
        (Kind::Plugin, "instance_name"),
    ] {
        for name in [".", ".."] {
            assert_eq!(refused(kind, json!({ field: name })).0, field);
            let stored = with(kind, json!({ field: name })).to_string();
            let read = Entity::from_wire(kind, stored.as_bytes()).unwrap();
            assert_eq!(read.to_api()[field], json!(name), "{stored}");
        }
    }
    assert_eq!(refused(Kind::Consumer, json!({"username": "a/../b"})).0, "username");
    assert_eq!(refused(Kind::Consumer, json!({"custom_id": "a\u{200e}b"})).0, "custom_id");
    read(Kind::Consumer, json!({"custom_id": ".."}));
}

#[test]
fn a_name_is_unique_in_every_encoding() {
    let consumer = |username: &str| read(Kind::Consumer, json!({ "username": username }));
    let (composed, decomposed) = (consumer("caf\u{e9}"), consumer("cafe\u{301}"));
    assert_eq!(composed.unique_keys(), decomposed.unique_keys());
    assert_eq!(Kind::Consumer.name_key("cafe\u{301}").as_ref(), composed.unique_keys().first());
    assert_eq!(decomposed.to_api()["username"], "cafe\u{301}", "shown as it was given");
}

/// Kong's clients send both.
#[test]
fn a_reference_may_repeat_the_name_beside_the_id() {
    let both = read(Kind::Route, json!({"paths": ["/"], "service": {"id": SERVICE, "name": "x"}}));
    assert_eq!(both, read(Kind::Route, json!({"paths": ["/"], "service": {"id": SERVICE}})));
}

#[test]
fn wrong_types_are_named() {
    for (kind, fields, field, part) in [
        (Kind::Service, json!({"host": 5}), "host", "put it in quotes"),
        (Kind::Service, json!({"retries": "5"}), "retries", "not `5`"),
        (Kind::Service, json!({"retries": 5.5}), "retries", "not 5.5"),
        (Kind::Service, json!({"retries": -1}), "retries", "from 0 to 32767"),
        (Kind::Service, json!({"port": 65536}), "port", "from 1 to 65535"),
        (Kind::Service, json!({"enabled": "yes"}), "enabled", "true or false"),
        (Kind::Service, json!({"tags": "a,b"}), "tags", "list of texts"),
        (Kind::Service, json!({"tags": ["a", 1]}), "tags[1]", "put it in quotes"),
        (Kind::Route, json!({"service": "orders"}), "service", "{\"id\""),
        (Kind::Route, json!({"service": {"id": "orders"}}), "service", "not a UUID"),
        (Kind::Route, json!({"service": {"id": SERVICE, "host": "x"}}), "service", "or {\"name\""),
        (Kind::Plugin, json!({"config": []}), "config", "must be an object"),
        (
            Kind::Plugin,
            json!({"consumer": {"name": "x"}, "name": "request-termination"}),
            "consumer",
            "username",
        ),
    ] {
        let (at, message) = refused(kind, fields);
        assert_eq!(at, field);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_bounded() {
    let body = json!({"host": "a b", "port": 0, "retries": -1, "colour": 1});
    let invalid = Entity::from_api(Kind::Service, &body).unwrap_err();
    let fields: Vec<&str> = invalid.fields.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["host", "port", "retries", "colour"]);

    let many: Map<String, Value> = (0..100).map(|n| (format!("field{n}"), json!(1))).collect();
    let invalid = Entity::from_api(Kind::Service, &with(Kind::Service, Value::Object(many))).unwrap_err();
    assert_eq!((invalid.fields.len(), invalid.omitted), (FIELD_ERRORS_MAX, 100 - FIELD_ERRORS_MAX));
    assert!(invalid.to_string().ends_with("and 68 more"));
}

#[test]
fn tags_are_bounded() {
    let many: Vec<String> = (0..33).map(|n| n.to_string()).collect();
    assert_eq!(refused(Kind::Consumer, json!({"tags": many})).0, "tags");
    for tag in ["", "a,b", "a/b", " a", "a\u{0}", &"x".repeat(129)] {
        assert_eq!(refused(Kind::Consumer, json!({"tags": ["ok", tag]})).0, "tags[1]", "{tag:?}");
    }
    assert_eq!(refused(Kind::Consumer, json!({"tags": ["a", "a"]})).0, "tags[1]");
    assert_eq!(read(Kind::Consumer, json!({"tags": ["b", "a"]})).to_api()["tags"], json!(["b", "a"]));
}

#[test]
fn bytes_give_the_id_and_syntax_errors_their_position() {
    let body = format!(r#"{{"id": "{CONSUMER}", "username": "alice"}}"#);
    let (id, entity) = Entity::from_api_bytes(Kind::Consumer, body.as_bytes()).unwrap();
    assert_eq!((id.unwrap().to_string().as_str(), entity.name()), (CONSUMER, Some("alice")));
    assert_eq!(Entity::from_api_bytes(Kind::Consumer, br#"{"username":"a","id":null}"#).unwrap().0, None);

    let error = |body: &[u8]| only(Entity::from_api_bytes(Kind::Consumer, body).unwrap_err());
    let (field, message) = error(b"{\n  \"username\": alice\n}");
    assert_eq!(field, "");
    assert!(message.contains("line 2 column"), "{message}");
    let (_, message) = error(b"{\"username\": \"a\",\n \"username\": \"b\"}");
    assert!(message.contains("`username` occurs twice") && message.contains("line 2"), "{message}");
    for (body, part) in [
        (b"".as_slice(), "EOF"),
        (b"[]", "must be a JSON object"),
        (b"{} x", "trailing characters"),
        (b"\xff", "line 1"),
        (br#"{"username":"a","id":"7"}"#, "must be a UUID"),
        (br#"{"username":"\u0000"}"#, "control characters"),
    ] {
        let (_, message) = error(body);
        assert!(message.contains(part), "{message}");
    }
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert!(error(&deep).1.contains("recursion limit"));
}

#[test]
fn names_keys_and_references_by_kind() {
    let route = read(Kind::Route, json!({"name": "r", "service": {"id": SERVICE}}));
    assert_eq!(route.name(), Some("r"));
    assert_eq!(route.unique_keys(), [UniqueKey { field: "name", value: "r".into() }]);
    let reference = route.references()[0];
    assert_eq!((reference.field, reference.kind), ("service", Kind::Service));
    assert_eq!(reference.on_delete, crate::OnDelete::Restrict);

    let consumer = read(Kind::Consumer, json!({"custom_id": "7"}));
    let fields: Vec<&str> = consumer.unique_keys().iter().map(|key| key.field).collect();
    assert_eq!((consumer.name(), fields), (Some("alice"), vec!["username", "custom_id"]));

    let key = read(Kind::KeyAuth, json!({}));
    assert_eq!((key.name(), key.references()[0].on_delete), (None, crate::OnDelete::Cascade));
    assert_eq!(key.unique_keys()[0].value, crate::key_hash_hex(&crate::key_hash("s3cret")));

    assert!(read(Kind::Service, json!({})).unique_keys().is_empty());
}

#[test]
fn a_name_never_looks_like_an_id() {
    assert_eq!(refused(Kind::Service, json!({"name": CONSUMER})).0, "name");
    assert_eq!(refused(Kind::Route, json!({"name": CONSUMER})).0, "name");
    assert_eq!(refused(Kind::Consumer, json!({"username": CONSUMER})).0, "username");
    for name in ["", "a b", "a/b", "a\n", &"x".repeat(129)] {
        assert_eq!(refused(Kind::Service, json!({"name": name})).0, "name", "{name:?}");
    }
    read(Kind::Service, json!({"name": "Größe_1.2-3~x"}));
    let without = Entity::from_api(Kind::Consumer, &json!({})).unwrap_err();
    assert_eq!(only(without).0, "username");
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(body in any_json()) {
        for kind in Kind::ALL {
            match Entity::from_api(kind, &body) {
                Err(invalid) => prop_assert!(!invalid.is_empty()),
                Ok(entity) => {
                    let entity = hashed(&entity);
                    prop_assert_eq!(Entity::from_api(kind, &Value::Object(entity.to_api())), Ok(entity.clone()));
                    let resolved = !entity.references().iter().any(|reference| reference.target.id().is_none());
                    let drawn = !entity.clone().secrets_mut().iter().any(|secret| *secret.secret == Secret::Missing);
                    if resolved && drawn {
                        let entity = at_rest(&entity);
                        prop_assert_eq!(read_back(&entity), entity);
                    }
                }
            }
        }
    }

    #[test]
    fn one_field_of_any_json_is_read_or_refused(kind in prop::sample::select(Kind::ALL.to_vec()), value in any_json(), pick in any::<prop::sample::Index>()) {
        let schema = serde_json::to_value(kind.schema()).unwrap();
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let body = with(kind, json!({ pick.get(&names).as_str(): value }));
        if let Ok(entity) = Entity::from_api(kind, &body) {
            let entity = hashed(&entity);
            prop_assert_eq!(Entity::from_api(kind, &Value::Object(entity.to_api())), Ok(entity));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in Kind::ALL {
            prop_assert!(Entity::from_api_bytes(kind, &body).is_err());
            prop_assert!(Entity::from_wire(kind, &body).is_err());
        }
    }

    /// Equal entities have equal bytes, whatever order the body's fields came in.
    #[test]
    fn wire_bytes_do_not_depend_on_field_order(shuffled in Just(fullest()).prop_flat_map(prop::sample::select).prop_flat_map(|entity| {
        let fields: Vec<(String, Value)> = entity.to_api().into_iter().collect();
        (Just(entity), Just(fields).prop_shuffle())
    })) {
        let (entity, fields) = shuffled;
        let text: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let (_, again) = Entity::from_api_bytes(entity.kind(), format!("{{{}}}", text.join(",")).as_bytes()).unwrap();
        prop_assert_eq!(at_rest(&again).to_wire().unwrap(), at_rest(&entity).to_wire().unwrap());
    }
}

#[test]
fn an_empty_list_is_no_value_of_a_field_that_is_no_list() {
    let body = |failover: Value| with(Kind::UpstreamTarget, json!({ "failover": failover }));
    assert!(Entity::from_api(Kind::UpstreamTarget, &body(json!(false))).is_ok());
    for refused in [json!([]), json!(true)] {
        let error = Entity::from_api(Kind::UpstreamTarget, &body(refused)).unwrap_err();
        assert!(error.to_string().contains("failover"), "{error}");
    }
}

/// Terraform sends empty lists, and finds a difference for ever where it is shown null.
#[test]
fn an_empty_list_is_shown_as_it_was_given() {
    let empty = |kind: Kind, name: &str| {
        let mut body = smallest(kind);
        body[name] = json!([]);
        // Of a password, the hash is shown.
        let entity = hashed(&read(kind, body));
        assert_eq!(entity.to_api()[name], json!([]), "{kind:?}.{name}");
        assert_eq!(Entity::from_api(kind, &Value::Object(entity.to_api())).unwrap(), entity);
        let absent = read(kind, smallest(kind));
        assert!(absent.to_api().get(name).is_none_or(Value::is_null), "{kind:?}.{name}");
        assert_ne!(entity, absent);
        if let Ok(wire) = entity.to_wire() {
            assert_eq!(Entity::from_wire(kind, &wire).unwrap().to_wire().unwrap(), wire);
            assert!(String::from_utf8(wire).unwrap().contains(&format!("\"{name}\":[]")));
        }
    };
    for kind in Kind::ALL {
        empty(kind, "tags");
    }
    for name in ["methods", "hosts", "snis", "sources", "destinations"] {
        empty(Kind::Route, name);
    }
    empty(Kind::Service, "ca_certificates");
}
