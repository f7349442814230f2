use std::collections::HashMap;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Secret;
use crate::testing::{any_json, hashed, joining, only, smallest};

const NAMESPACE: Uuid = Uuid::from_u128(7);
const SHOP: &str = include_str!("../../../../infra/examples/shop.yaml");

fn nothing_exists(_: Kind, _: &UniqueKey) -> Option<Uuid> {
    None
}

fn entities(text: &str) -> Result<Vec<(Uuid, Entity)>, Invalid> {
    parse(text)?.entities(NAMESPACE, &nothing_exists)
}

fn file(body: &str) -> String {
    format!("_format_version: \"3.0\"\n{body}")
}

/// The single error of a document.
#[track_caller]
fn refused(body: &str) -> (String, String) {
    match entities(&file(body)) {
        Ok(entities) => panic!("accepted: {entities:?}"),
        Err(invalid) => only(invalid),
    }
}

fn keys_of(entities: &[(Uuid, Entity)]) -> HashMap<(Kind, UniqueKey), Uuid> {
    entities
        .iter()
        .flat_map(|(id, entity)| entity.unique_keys().into_iter().map(|key| ((entity.kind(), key), *id)))
        .collect()
}

#[test]
fn the_shop_is_valid() {
    let entities = entities(SHOP).unwrap();
    let count = |kind| entities.iter().filter(|(_, entity)| entity.kind() == kind).count();
    assert_eq!(count(Kind::Service), 21);
    assert_eq!(count(Kind::Route), 54);
    assert_eq!(count(Kind::Consumer), 10);
    assert_eq!(count(Kind::KeyAuth), 11);
    assert_eq!(count(Kind::Plugin), 21);
    assert_eq!(SHOP.matches("http://127.0.0.1:9000/").count(), count(Kind::Service));
    assert!(entities.iter().all(|(_, entity)| entity.to_wire().is_ok()));
}

#[test]
fn parents_come_before_children_and_references_are_ids() {
    let mut seen = Vec::new();
    for (id, entity) in entities(SHOP).unwrap() {
        for reference in entity.references() {
            let target = reference.target.id().unwrap();
            assert!(seen.contains(&(reference.kind, target)), "{entity:?}");
        }
        seen.push((entity.kind(), id));
    }
}

#[test]
fn nesting_and_references_mean_the_same() {
    let nested = file(
        "services:
- name: s
  host: a
  routes: [{name: r, paths: [/a], plugins: [{name: key-auth}]}]
consumers: [{username: c, keyauth_credentials: [{key: k}], plugins: [{name: request-termination}]}]",
    );
    let flat = file(
        "services: [{name: s, host: a}]
routes: [{name: r, paths: [/a], service: s}]
consumers: [{username: c}]
keyauth_credentials: [{key: k, consumer: {username: c}}]
plugins: [{name: key-auth, route: {name: r}}, {name: request-termination, consumer: c}]",
    );
    let sorted = |text: &str| {
        let mut entities = entities(text).unwrap();
        entities.sort_by_key(|(id, _)| *id);
        entities
    };
    assert_eq!(sorted(&nested), sorted(&flat));
    assert_eq!(sorted(&nested).len(), 6);
}

#[test]
fn json_is_yaml() {
    let text =
        r#"{"_format_version": "3.0", "services": [{"host": "a", "routes": [{"paths": ["/\u00e9"]}]}]}"#;
    let (field, message) = only(entities(text).unwrap_err());
    assert_eq!(field, "services[0].routes[0].paths[0]");
    assert!(message.contains("(line 1, column 77)"), "{message}");
}

#[test]
fn harmless_parts_are_accepted() {
    let text = file(
        "_transform: true
_workspace: default
_konnect: {control_plane_name: x}
_info: null
_comment: hello
_ignore: [1]
upstreams: []
vaults: null
services: null
consumers: [{username: a, groups: [], acls: null, _comment: b, created_at: 5}]",
    );
    assert_eq!(entities(&text).unwrap().len(), 1);
    assert!(entities("_format_version: \"3.0\"").unwrap().is_empty());
}

#[test]
fn faults_have_a_path_and_a_position() {
    for (body, field, position, part) in [
        ("filter_chains: [{name: u}]", "filter_chains", "line 2, column 16", "not supported"),
        ("_info: {nonsense: [a]}", "_info", "line 2, column 8", "not supported"),
        ("_info: [a]", "_info", "line 2, column 8", "must be a mapping"),
        ("_info: {select_tags: a}", "_info.select_tags", "line 2, column 22", "must be a list"),
        ("_info: {select_tags: [a, 5]}", "_info.select_tags[1]", "line 2, column 26", "in quotes"),
        ("_info: {select_tags: [\"a,b\"]}", "_info.select_tags[0]", "line 2, column 23", "must"),
        (
            "_info: {defaults: {servce: {}}}",
            "_info.defaults",
            "line 2, column 19",
            "none of ca_certificate, certificate",
        ),
        (
            "_info: {defaults: {service: 5}}",
            "_info.defaults.service",
            "line 2, column 29",
            "must be a mapping",
        ),
        ("_transform: 5", "_transform", "line 2, column 13", "`true` or `false`"),
        ("_plugin_configs: 5", "_plugin_configs", "line 2, column 18", "must be a mapping"),
        (
            "plugins:\n- {name: key-auth, _config: x}",
            "plugins[0]._config",
            "line 3, column 29",
            "_plugin_configs",
        ),
        ("servces: []", "servces", "line 2, column 10", "routes, services, snis"),
        ("services: {host: a}", "services", "line 2, column 11", "must be a list"),
        ("services: [5]", "services[0]", "line 2, column 12", "must be a mapping"),
        ("services:\n- hots: a\n  host: b", "services[0].hots", "line 3, column 9", "not a known field"),
        ("services:\n- name: a", "services[0].host", "line 3, column 3", "is required"),
        (
            "services:\n- host: a\n  routes:\n  - paths: [a]",
            "services[0].routes[0].paths[0]",
            "line 5, column 13",
            "start with",
        ),
        (
            "services:\n- host: a\n  routes:\n  - paths: [/a]\n    service: b",
            "services[0].routes[0].service",
            "line 6",
            "left out",
        ),
        (
            "services:\n- host: a\n  plugins: [{name: jq}]",
            "services[0].plugins[0].name",
            "line 4, column 20",
            "key-auth",
        ),
        ("services:\n- {host: a, id: 7}", "services[0].id", "line 3, column 17", "UUID"),
        ("routes:\n- {paths: [/a], service: b}", "routes[0].service", "line 3, column 26", "does not have"),
        (
            "routes:\n- {paths: [/a], service: 0192d3a4-5b6c-7d8e-9f00-112233445566}",
            "routes[0].service",
            "line 3",
            "does not have",
        ),
        (
            "consumers:\n- username: a\n  groups: [{name: b}]",
            "consumers[0].groups[0].consumer_group",
            "line 4",
            "does not have",
        ),
        (
            "consumers:\n- username: a\n  keyauth_credentials: [{}]",
            "consumers[0].keyauth_credentials[0].key",
            "line 4",
            "cannot have it drawn",
        ),
        (
            "consumers:\n- username: a\n  jwt_secrets: [{key: a, algorithm: HS256, rsa_public_key: \"-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEhUliVhcLfiTLWx/SLG0vX0WCB8p\\nVTAWlRiJsqIOC4lCoyoYv1V4w0Byduhvp0dAios2kTc1LdKPOOTVS/mvPw==\\n-----END PUBLIC KEY-----\"}]",
            "consumers[0].jwt_secrets[0].secret",
            "line 4",
            "cannot have it drawn",
        ),
        (
            "consumers:\n- username: a\n  plugins: [{name: key-auth}]",
            "consumers[0].plugins[0].consumer",
            "line 4",
            "left out",
        ),
        ("services:\n- {name: 5, host: a}", "services[0].name", "line 3, column 10", "quotes"),
    ] {
        let (at, message) = refused(body);
        assert_eq!(at, field, "{body}");
        assert!(message.contains(position) && message.contains(part), "{body}: {message}");
    }
}

#[test]
fn versions_are_told_in_quotes() {
    for text in [
        "services: []",
        "_format_version: \"0.1\"",
        "_format_version: \"3\"",
        "_format_version: 3.0",
        "_format_version: null",
        "[]",
        "5",
        "null",
        "{}",
        "",
    ] {
        let (_, message) = only(entities(text).unwrap_err());
        assert!(message.contains("3.0") || text.is_empty(), "{text}: {message}");
    }
    let (_, message) = only(entities("_format_version: 1.1").unwrap_err());
    assert!(message.contains("must be one of \"1.1\", \"2.1\", \"3.0\", in quotes"), "{message}");
}

fn paths(version: &str, path: &str) -> Vec<String> {
    let text =
        format!("_format_version: \"{version}\"\nservices: [{{host: a, routes: [{{paths: ['{path}']}}]}}]");
    let entities = entities(&text).unwrap();
    let route = entities.into_iter().find_map(|(_, entity)| match entity {
        Entity::Route(route) => Some(route),
        _ => None,
    });
    route.unwrap().paths
}

#[test]
fn paths_of_earlier_versions_are_expressions_by_their_characters() {
    for version in ["1.1", "2.1"] {
        assert_eq!(paths(version, "/orders/\\d+"), ["~/orders/\\d+"]);
        assert_eq!(paths(version, "/%7eorders//x"), ["/~orders/x"]);
        assert_eq!(paths(version, "~/orders/\\d+"), ["~/orders/\\d+"]);
    }
    assert_eq!(paths("3.0", "/orders+"), ["/orders+"], "no expression without a mark");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let text = format!("\u{feff}{}", file("services: [{name: s}]"));
    let (field, message) = only(entities(&text).unwrap_err());
    assert_eq!(field, "services[0].host");
    assert!(message.contains("(line 2, column 12)"), "{message}");
    assert_eq!(entities("\u{feff}{\"_format_version\": \"3.0\"}").unwrap(), []);
}

#[test]
fn what_the_document_says_of_all_entities_holds_where_they_say_nothing() {
    let text = file(
        "_info:
  defaults:
    service: {protocol: http, port: 8080, retries: 1}
    route: {strip_path: false}
    plugin: {config: {message: m, status_code: 418}}
services:
- {name: bare, host: a, routes: [{name: kept, paths: [/a], strip_path: true}, {name: changed, paths: [/b]}]}
- {name: own, host: a, port: 1, retries: 0}
- {name: by-url, url: 'https://b.example/x'}
plugins: [{name: request-termination, config: {status_code: 404}}]",
    );
    let entities = entities(&text).unwrap();
    let shown = |name: &str| {
        let found = entities.iter().find(|(_, entity)| entity.name() == Some(name));
        Value::Object(found.unwrap().1.to_api())
    };
    let picked = |name: &str, fields: [&str; 3]| fields.map(|field| shown(name)[field].to_string());
    assert_eq!(picked("bare", ["protocol", "port", "retries"]), ["\"http\"", "8080", "1"]);
    assert_eq!(picked("own", ["protocol", "port", "retries"]), ["\"http\"", "1", "0"]);
    assert_eq!(picked("by-url", ["protocol", "port", "retries"]), ["\"https\"", "443", "1"]);
    assert_eq!(
        (&shown("kept")["strip_path"], &shown("changed")["strip_path"]),
        (&true.into(), &false.into())
    );
    let plugin = entities.iter().find(|(_, entity)| entity.kind() == Kind::Plugin).unwrap().1.to_api();
    assert_eq!((&plugin["config"]["status_code"], &plugin["config"]["message"]), (&404.into(), &"m".into()));
}

#[test]
fn plugins_may_share_their_settings() {
    let text = file(
        "_plugin_configs: {shared: {status_code: 410, message: gone}}
services:
- {name: a, host: a, plugins: [{name: request-termination, _config: shared}]}
- {name: b, host: a, plugins: [{name: request-termination, _config: shared, config: {message: away}}]}",
    );
    let messages: Vec<_> = entities(&text)
        .unwrap()
        .into_iter()
        .filter(|(_, entity)| entity.kind() == Kind::Plugin)
        .map(|(_, entity)| {
            (entity.to_api()["config"]["status_code"].clone(), entity.to_api()["config"]["message"].clone())
        })
        .collect();
    assert_eq!(messages, [(410.into(), "gone".into()), (410.into(), "away".into())]);
}

const TAGGED: &str = "_info: {select_tags: [team-a, prod]}
services: [{name: s, host: a, tags: [prod, x], routes: [{name: r, paths: [/a]}]}]
routes: [{name: other, paths: [/b], service: elsewhere}]
consumers: [{username: c, keyauth_credentials: [{key: k}]}]";

#[test]
fn a_document_gives_its_tags_to_all_its_entities_and_may_refer_to_others() {
    let document = parse(&file(TAGGED)).unwrap();
    assert_eq!(document.select_tags(), ["team-a", "prod"]);
    let elsewhere = Uuid::from_u128(99);
    let existing = |kind: Kind, key: &UniqueKey| {
        (kind == Kind::Service && key.value == "elsewhere").then_some(elsewhere)
    };
    let stays = |kind: Kind, id: Uuid| kind == Kind::Service && id == elsewhere;
    let resolved = std::cell::Cell::new(0);
    let count = || resolved.set(resolved.get() + 1);
    let entities = document.entities_beside(NAMESPACE, &existing, &stays, &count).unwrap();
    assert_eq!((entities.len(), resolved.get()), (5, 5));
    for (_, entity) in &entities {
        let tags = entity.to_api()["tags"].clone();
        let has = |tag: &str| tags.as_array().unwrap().contains(&tag.into());
        assert!(has("team-a") && has("prod"), "{entity:?}");
        assert_eq!(has("x"), entity.name() == Some("s"), "{entity:?}");
    }
    assert!(entities.iter().any(|(_, entity)| {
        entity.references().iter().any(|reference| reference.target.id() == Some(elsewhere))
    }));
    let (field, _) = only(document.entities(NAMESPACE, &existing).unwrap_err());
    assert_eq!(field, "routes[0].service", "a document that owns everything refers to nothing else");
}

#[test]
fn a_document_takes_nothing_over_that_it_does_not_own() {
    let held = Uuid::from_u128(5);
    let stays = |kind: Kind, id: Uuid| kind == Kind::Service && id == held;
    let existing = |_: Kind, key: &UniqueKey| (key.value == "taken").then_some(held);
    for (service, at) in [
        ("{name: taken, host: a}".to_owned(), "services[0].name"),
        (format!("{{name: free, id: {held}, host: a}}"), "services[0].id"),
    ] {
        let text = file(&format!("_info: {{select_tags: [t]}}\nservices: [{service}]"));
        let document = parse(&text).unwrap();
        let (field, message) =
            only(document.entities_beside(NAMESPACE, &existing, &stays, &|| ()).unwrap_err());
        assert_eq!(field, at);
        assert!(message.contains("has not all of `_info.select_tags`"), "{message}");
    }
}

#[test]
fn duplicates_are_told_with_both_places() {
    for (body, field, part) in [
        ("services: [{name: a, host: x}, {name: a, host: y}]", "services[1].name", "services[0]"),
        (
            "services: [{host: x, routes: [{name: a, paths: [/a]}]}]\nroutes: [{name: a, paths: [/b]}]",
            "routes[0].name",
            "services[0].routes[0]",
        ),
        (
            "consumers: [{username: a, custom_id: x}, {username: b, custom_id: x}]",
            "consumers[1].custom_id",
            "consumers[0]",
        ),
        (
            "consumers: [{username: a, keyauth_credentials: [{key: k}]}, {username: b, keyauth_credentials: [{key: k}]}]",
            "consumers[1].keyauth_credentials[0].key",
            "consumers[0].keyauth",
        ),
        ("plugins: [{name: key-auth}, {name: key-auth}]", "plugins[1]", "same scope"),
        (
            "services: [{host: a, plugins: [{name: key-auth, instance_name: i}]}]\nplugins: [{name: key-auth, instance_name: i}]",
            "plugins[0].instance_name",
            "services[0].plugins[0]",
        ),
        (
            "services: [{host: a, id: 0192d3a4-5b6c-7d8e-9f00-112233445566}]\nconsumers: [{username: a, id: 0192d3a4-5b6c-7d8e-9f00-112233445566}]",
            "consumers[0].id",
            "earlier",
        ),
    ] {
        let (at, message) = refused(body);
        assert_eq!(at, field, "{body}");
        assert!(message.contains(part) && message.contains("(line "), "{body}: {message}");
    }
}

#[test]
fn ids_in_the_file_win_then_existing_ones_then_derived_ones() {
    let given = Uuid::from_u128(1);
    let held = Uuid::from_u128(2);
    let text = file(&format!(
        "services: [{{name: a, host: x, id: {given}}}, {{name: b, host: x}}, {{name: c, host: x}}]"
    ));
    let existing = |_: Kind, key: &UniqueKey| match key.value.as_str() {
        "a" | "b" => Some(held),
        _ => None,
    };
    let ids: Vec<Uuid> =
        parse(&text).unwrap().entities(NAMESPACE, &existing).unwrap().iter().map(|(id, _)| *id).collect();
    assert_eq!(ids[..2], [given, held]);
    assert_eq!(ids[2].get_version_num(), 5);
    let elsewhere = parse(&text).unwrap().entities(Uuid::from_u128(8), &existing).unwrap();
    assert_ne!(elsewhere[2].0, ids[2]);
}

/// An id that belongs to an earlier entity of the file is not given twice.
#[test]
fn ids_stay_distinct_when_keys_moved() {
    let one = Uuid::from_u128(1);
    let text = file("consumers: [{username: a, custom_id: '2'}, {username: b, custom_id: '1'}]");
    // Today one consumer has username a and custom id 1.
    let existing = |_: Kind, key: &UniqueKey| ["a", "1"].contains(&key.value.as_str()).then_some(one);
    let ids: Vec<Uuid> =
        parse(&text).unwrap().entities(NAMESPACE, &existing).unwrap().iter().map(|(id, _)| *id).collect();
    assert_eq!(ids[0], one);
    assert_ne!(ids[1], one);

    // The entity that got its id from the name `a` was renamed to `b` elsewhere.
    let derived = entities(&file("services: [{name: a, host: x}]")).unwrap()[0].0;
    let existing = |_: Kind, key: &UniqueKey| (key.value == "b").then_some(derived);
    for names in [["a", "b"], ["b", "a"]] {
        let text =
            file(&format!("services: [{{name: {}, host: x}}, {{name: {}, host: x}}]", names[0], names[1]));
        let entities = parse(&text).unwrap().entities(NAMESPACE, &existing).unwrap();
        assert_ne!(entities[0].0, entities[1].0);
        assert_eq!(entities[0].0, derived);
    }
}

#[test]
fn positions_are_found_in_large_files_only_for_the_first_fault() {
    let text = file(&format!("services:\n{}", "- {name: a b}\n".repeat(200_000)));
    let invalid = entities(&text).unwrap_err();
    let located = invalid.fields.iter().filter(|error| error.message.contains("(line ")).count();
    assert_eq!(located, 2, "8 MiB are walked at most: twice 2.8 MB");
    assert_eq!(invalid.omitted, 1000, "so much is wrong that the rest is not looked at");

    let (field, message) = only(
        entities(&format!("{}#{}", file("services: [{host: a b}]\n"), " ".repeat(9 << 20))).unwrap_err(),
    );
    assert_eq!(field, "services[0].host");
    assert!(message.contains("(line "), "the first is found in a file of any size: {message}");
}

#[test]
fn brackets_that_are_too_deep_are_refused_with_their_line() {
    let refusal = |depth: usize| {
        let text = format!("{}{}\n{}", "#\n".repeat(1100), "[".repeat(depth), "#\n".repeat(100));
        only(entities(&text).unwrap_err()).1
    };
    let message = refusal(128);
    assert!(message.contains("nested more than 127 levels deep (line 1101, column "), "{message}");
    assert!(!refusal(127).contains("levels deep"), "127 levels are read");
}

#[test]
fn a_document_may_be_as_large_as_its_limit() {
    let refusal = |bytes: usize| only(entities(&"[".repeat(bytes)).unwrap_err()).1;
    assert!(refusal(DOCUMENT_BYTES_MAX).contains("levels deep"), "its size is allowed");
    assert!(refusal(DOCUMENT_BYTES_MAX + 1).contains("larger than"));
}

/// Each must be refused soon, and by an error that says where or what.
#[test]
fn hostile_documents_are_refused_quickly() {
    let bomb: String =
        (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect();
    let long = "x".repeat(1_000_000);
    let cases = [
        ("alias bomb", format!("a0: &a0 [x]\n{bomb}")),
        ("alias of a long text", format!("a: &a {long}\nb: [{}]", vec!["*a"; 100_000].join(","))),
        ("alias of itself", "a: &a [*a]".to_owned()),
        ("merge of itself", "a: &a {<<: *a}".to_owned()),
        ("deep flow", "[".repeat(2_000_000)),
        ("deep flow, closed", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("deep block", "- ".repeat(500_000)),
        ("deep mapping", "{a: ".repeat(200_000)),
        ("deep keys", "? ".repeat(200_000)),
        ("many anchors", (0..100_000).map(|n| format!("- &a{n} x\n")).collect()),
        ("nul", "services: \u{0}".to_owned()),
        ("nul in a name", file("services: [{host: \"a\\0\"}]")),
        (
            "huge number",
            file("services: [{host: a, port: 123456789012345678901234567890123456789012345678901234567890}]"),
        ),
        ("huge exponent", file("services: [{host: a, port: 1e999999999}]")),
        ("infinite", file("services: [{host: a, port: .inf}]")),
        ("tag", file("services: !!python/object:os.system [a]")),
        ("tagged text", file("services: [{host: !secret a}]")),
        ("complex key", file("? [a, b]\n: c")),
        ("two documents", format!("{}---\na: b", file(""))),
        ("unknown alias", "a: *b".to_owned()),
        ("unfinished", "services: [{host: a".to_owned()),
        ("tab", "services:\n\t- host: a".to_owned()),
        ("same name twice", file("services: []\nservices: []")),
        ("too large", format!("# {}", " ".repeat(DOCUMENT_BYTES_MAX))),
    ];
    for (case, text) in cases {
        let start = Instant::now();
        let invalid = entities(&text).map(|entities| entities.len()).unwrap_err();
        let (took, message) = (start.elapsed(), invalid.to_string());
        assert!(took.as_secs() < 10, "{case}: {took:?}");
        assert!(message.len() < 1000, "{case}: {message}");
        println!("{case}: {took:?}: {message}");
    }
}

/// A configuration made of names from a small set: references and duplicates occur often.
fn any_document() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d", "e", "f"]);
    let service = (prop::option::of(name()), 0..3_usize).prop_map(|(name, routes)| match name {
        Some(name) => {
            format!("{{name: {name}, host: h, routes: [{}]}}", vec!["{paths: [/x]}"; routes].join(","))
        }
        None => format!("{{host: h, plugins: [{}]}}", vec!["{name: key-auth}"; routes].join(",")),
    });
    let route = (name(), prop::option::of(name())).prop_map(|(name, service)| match service {
        Some(service) => format!("{{name: {name}, paths: [/a], service: {service}}}"),
        None => format!("{{name: {name}, hosts: [a.example], plugins: [{{name: request-termination}}]}}"),
    });
    let consumer = (name(), prop::option::of(name()), name()).prop_map(|(username, custom_id, key)| {
        let custom_id = custom_id.map_or_else(|| "null".to_owned(), |id| id.to_owned());
        format!("{{username: {username}, custom_id: {custom_id}, keyauth_credentials: [{{key: {key}}}]}}")
    });
    let list =
        |entry: BoxedStrategy<String>| prop::collection::vec(entry, 0..4).prop_map(|all| all.join(", "));
    (list(service.boxed()), list(route.boxed()), list(consumer.boxed())).prop_map(
        |(services, routes, consumers)| {
            file(&format!("services: [{services}]\nroutes: [{routes}]\nconsumers: [{consumers}]"))
        },
    )
}

/// Files as people have them in public, with every section that is common there.
#[test]
fn public_files_are_read_and_written_as_they_would_be_read() {
    let count = |entities: &[(Uuid, Entity)], kind| {
        entities.iter().filter(|(_, entity)| entity.kind() == kind).count()
    };
    for (text, counts) in [
        (
            include_str!("../../tests/corpus/declarative/public-1.1.yaml"),
            vec![
                (Kind::Service, 2),
                (Kind::Route, 2),
                (Kind::Consumer, 2),
                (Kind::KeyAuth, 2),
                (Kind::Plugin, 3),
            ],
        ),
        (
            include_str!("../../tests/corpus/declarative/public-2.1.yaml"),
            vec![
                (Kind::Upstream, 1),
                (Kind::UpstreamTarget, 3),
                (Kind::Certificate, 1),
                (Kind::Sni, 2),
                (Kind::CaCertificate, 1),
                (Kind::BasicAuth, 2),
                (Kind::HmacAuth, 1),
                (Kind::Jwt, 2),
                (Kind::Acl, 3),
            ],
        ),
        (
            include_str!("../../tests/corpus/declarative/public-3.0.yaml"),
            vec![
                (Kind::ConsumerGroup, 2),
                (Kind::ConsumerGroupMember, 3),
                (Kind::Vault, 1),
                (Kind::KeySet, 1),
                (Kind::Key, 1),
                (Kind::Plugin, 4),
            ],
        ),
    ] {
        let document = parse(text).unwrap_or_else(|invalid| panic!("{invalid}"));
        let mut held =
            document.entities(NAMESPACE, &nothing_exists).unwrap_or_else(|invalid| panic!("{invalid}"));
        for (kind, number) in counts {
            assert_eq!(count(&held, kind), number, "{kind:?}");
        }
        // Of a password, a document shows the hash.
        for (_, entity) in &mut held {
            *entity = hashed(entity);
        }
        let written = write::to_yaml(&write::document(&held, "", document.select_tags()));
        let again = parse(&written).unwrap_or_else(|invalid| panic!("{invalid}: {written}"));
        let mut read = again.entities(Uuid::max(), &joining(&held)).unwrap();
        for entities in [&mut held, &mut read] {
            entities.sort_by_key(|(id, entity)| (entity.kind(), *id));
        }
        assert_eq!(read, held, "{written}");
    }
}

#[test]
fn the_shop_is_written_as_it_would_be_read() {
    let entities = entities(SHOP).unwrap();
    let document = write::document(&entities, "of the shop", &[]);
    assert_eq!(document["services"].as_array().unwrap().len(), 21);
    assert_eq!(
        document["consumers"][0]["keyauth_credentials"].as_array().unwrap().len(),
        1,
        "below its consumer"
    );
    assert!(document.get("keyauth_credentials").is_none());
    assert!(write::to_yaml(&document).contains("_comment: of the shop\n"));
}

#[test]
fn what_is_written_owns_what_it_was_written_of() {
    let tags = ["team-a".to_owned(), "prod".to_owned()];
    let held =
        entities(&file("_info: {select_tags: [team-a, prod, x]}\nservices: [{name: s, host: a}]")).unwrap();
    let written = parse(&write::to_yaml(&write::document(&held, "", &tags))).unwrap();
    assert_eq!(written.select_tags(), tags);
    assert!(owns(written.select_tags(), &held[0].1));
    assert_eq!(written.entities(NAMESPACE, &nothing_exists).unwrap(), held);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A document that was written of entities makes the same entities, whether as YAML or as JSON.
    #[test]
    fn reading_what_was_written_changes_nothing(text in any_document()) {
        if let Ok(mut held) = parse(&text).unwrap().entities(NAMESPACE, &nothing_exists) {
            let document = write::document(&held, "", &[]);
            held.sort_by_key(|(id, entity)| (entity.kind(), *id));
            for text in [write::to_yaml(&document), Value::Object(document.clone()).to_string()] {
                let mut read = parse(&text).unwrap().entities(Uuid::max(), &joining(&held)).unwrap();
                read.sort_by_key(|(id, entity)| (entity.kind(), *id));
                prop_assert_eq!(&read, &held, "{}", text);
            }
        }
    }

    /// Applying the same file twice changes nothing.
    #[test]
    fn applying_twice_changes_nothing(text in any_document()) {
        let document = parse(&text).unwrap();
        if let Ok(first) = document.entities(NAMESPACE, &nothing_exists) {
            let keys = keys_of(&first);
            let existing = |kind: Kind, key: &UniqueKey| keys.get(&(kind, key.clone())).copied();
            let second = document.entities(NAMESPACE, &existing).unwrap();
            let bytes = |all: &[(Uuid, Entity)]| -> Vec<(Uuid, Vec<u8>)> {
                all.iter().map(|(id, entity)| (*id, entity.to_wire().unwrap())).collect()
            };
            prop_assert_eq!(bytes(&first), bytes(&second));
            let ids: std::collections::HashSet<Uuid> = first.iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(ids.len(), first.len());
            prop_assert_eq!(keys.len(), first.iter().map(|(_, entity)| entity.unique_keys().len()).sum::<usize>());
        }
    }

    /// Whatever the control plane holds: ids stay distinct, and the file's entities are all there.
    #[test]
    fn ids_are_distinct_whatever_exists(text in any_document(), held in prop::collection::hash_map("[a-f]", 0..4_u128, 0..6)) {
        let existing = |_: Kind, key: &UniqueKey| held.get(&key.value).map(|id| Uuid::from_u128(*id));
        if let Ok(entities) = parse(&text).unwrap().entities(NAMESPACE, &existing) {
            let ids: std::collections::HashSet<Uuid> = entities.iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(ids.len(), entities.len());
        }
    }

    #[test]
    fn any_tree_is_read_or_refused(tree in any_json()) {
        let mut tree = tree;
        if let Value::Object(map) = &mut tree {
            map.insert("_format_version".to_owned(), "3.0".into());
        }
        if let Err(invalid) = entities(&tree.to_string()) {
            prop_assert!(!invalid.is_empty());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}&*<>:,?!|\"'a-c0-3 \n\t-]{0,60}") {
        prop_assert!(entities(&text).is_err());
    }
}

#[test]
fn aliases_stand_for_the_last_anchor_of_their_name() {
    let text = file(
        "services: [{name: one, host: &h a}, {name: two, host: *h}, {name: three, host: &h b}, {name: four, host: *h}]",
    );
    let hosts: Vec<_> =
        entities(&text).unwrap().iter().map(|(_, entity)| entity.to_api()["host"].clone()).collect();
    assert_eq!(hosts, ["a", "a", "b", "b"]);
    let message = file(
        "services: [{name: one, host: a, plugins: [{name: request-termination, config: {body: 'a &copy; b &copy; *c'}}]}]",
    );
    assert_eq!(entities(&message).unwrap().len(), 2);
}

#[test]
fn the_expressions_of_a_document_have_a_limit_together() {
    let route = |n: usize| {
        let paths: Vec<String> = (0..128).map(|path| format!("\"~/{n}/{path}\\\\w{{1,30}}x1\"")).collect();
        format!("- {{name: r{n}, paths: [{}]}}\n", paths.join(", "))
    };
    let document = |count: usize| file(&format!("routes:\n{}", (0..count).map(route).collect::<String>()));
    assert!(entities(&document(60)).is_ok());
    let (field, message) = only(entities(&document(300)).unwrap_err());
    assert!(field.starts_with("routes[") && field.ends_with("].paths"), "{field}");
    assert!(message.contains("2000000 are allowed"), "{message}");
}

#[test]
fn a_document_of_nothing_but_marks_is_refused_soon() {
    for mark in ["-\n", "- ", "? ", "a,", "[],", "{},", "\"\":0,"] {
        let text = file(&format!("services: [{}]\n", mark.repeat(50_000)));
        let start = Instant::now();
        let message = entities(&text).unwrap_err().to_string();
        assert!(start.elapsed().as_secs() < 10, "{mark}: {:?}", start.elapsed());
        assert!(message.len() < 10_000, "{mark}: {message}");
    }
}

/// decK writes memberships below consumers, people also below groups.
#[test]
fn memberships_are_named_from_either_side() {
    let text = file(
        "consumer_groups: [{name: gold, consumers: [{username: bob}]}, {name: silver}]
consumers: [{username: alice, groups: [{name: gold}, silver]}, {username: bob, groups: []}]",
    );
    let entities = entities(&text).unwrap();
    let members = entities.iter().filter(|(_, entity)| entity.kind() == Kind::ConsumerGroupMember);
    assert_eq!(members.count(), 3);
    let twice = "consumer_groups: [{name: gold, consumers: [{username: bob}]}]\nconsumers: [{username: bob, groups: [{name: gold}]}]";
    assert!(refused(twice).1.contains("repeats"));
}

/// The form that decK and Kong read, whose entries have no ids of their own.
#[test]
fn memberships_are_written_below_consumers() {
    let text = file(
        "consumer_groups: [{name: gold, consumers: [{username: bob}]}, {name: silver}]
consumers: [{username: alice, groups: [{name: gold, tags: [paid]}, silver]}, {username: bob}, {custom_id: '7', groups: [gold]}]",
    );
    let held = entities(&text).unwrap();
    let document = write::document(&held, "", &[]);
    assert!(document.get("consumer_group_members").is_none(), "{document:?}");
    let consumers = document["consumers"].as_array().unwrap();
    let of = |field: &str, value: &str| {
        let mut fitting = consumers.iter().filter(|consumer| consumer[field] == value);
        fitting.next().unwrap()["groups"].clone()
    };
    assert_eq!(of("username", "alice"), json!([{"name": "gold", "tags": ["paid"]}, {"name": "silver"}]));
    assert_eq!(of("username", "bob"), json!([{"name": "gold"}]));
    assert_eq!(of("custom_id", "7"), json!([{"name": "gold"}]), "whose consumer has no name");

    // What is there is found again by what it joins.
    let read = parse(&write::to_yaml(&document)).unwrap();
    let mut read = read.entities(Uuid::max(), &joining(&held)).unwrap();
    let mut sorted = held.clone();
    for entities in [&mut read, &mut sorted] {
        entities.sort_by_key(|(id, entity)| (entity.kind(), *id));
    }
    assert_eq!(read, sorted);

    // Without the group, its id stands for it; without the consumer, the membership stands alone.
    let without =
        |kind: Kind| -> Vec<_> { held.iter().filter(|(_, entity)| entity.kind() != kind).cloned().collect() };
    let document = write::document(&without(Kind::ConsumerGroup), "", &[]);
    let groups = document["consumers"].as_array().unwrap().iter().flat_map(|one| one["groups"].as_array());
    assert!(groups.flatten().all(|group| group["id"].is_string() && group.get("name").is_none()));
    let document = write::document(&without(Kind::Consumer), "", &[]);
    assert_eq!(document["consumer_group_members"].as_array().unwrap().len(), 4);
}

/// `_transform: false` says that what would be transformed on the way in has been: a password is a hash then, and only then.
#[test]
fn passwords_are_hashes_where_the_document_says_so() {
    let argon = "$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaA";
    let kong = "0123456789abcdef0123456789ABCDEF01234567";
    let read = |transform: &str, password: &str| {
        let text = file(&format!(
            "{transform}\nconsumers: [{{username: a, basicauth_credentials: [{{username: a, password: '{password}'}}]}}]"
        ));
        let secret = |mut held: Vec<(Uuid, Entity)>| held[1].1.secrets_mut()[0].secret.clone();
        entities(&text).map(secret)
    };
    for transform in ["", "_transform: true", "_transform: null"] {
        for password in [argon, kong, "in clear"] {
            assert_eq!(read(transform, password), Ok(Secret::Plain(password.to_owned())), "{transform}");
        }
    }
    let stored = format!("$kong-sha1${}", kong.to_ascii_lowercase());
    for (given, stored) in [(argon, argon), (kong, &stored), (&stored, &stored)] {
        for transform in ["_transform: false", "_info: {skip_hash_for_basic_auth: true}"] {
            assert_eq!(read(transform, given), Ok(Secret::AtRest(stored.to_owned())));
        }
    }
    let (field, message) = only(read("_transform: false", "in clear").unwrap_err());
    assert_eq!(field, "consumers[0].basicauth_credentials[0].password");
    assert!(message.contains("must be a password's hash"), "{message}");
    assert!(!message.contains("in clear"), "{message}");
}

#[test]
fn entities_are_counted_before_they_are_read() {
    let unchecked = Unchecked::read(SHOP).unwrap();
    let (expected, read) = (unchecked.outline().entities, std::cell::Cell::new(0));
    let document = unchecked.check(&|| read.set(read.get() + 1)).unwrap();
    assert_eq!((document.len(), read.get()), (expected, expected));
    let wrong = file("services: [1, {name: s, routes: x}]\nconsumers: {}\nplugins: null");
    assert_eq!(Unchecked::read(&wrong).unwrap().outline().entities, 2);
}

/// decK checks the type of what is there, and null has none. It compares lists as a whole.
#[test]
fn nothing_is_written_that_is_null_but_within_lists() {
    fn nulls(value: &Value) -> usize {
        match value {
            Value::Null => 1,
            Value::Object(fields) => fields.values().map(nulls).sum(),
            _ => 0,
        }
    }
    let held: Vec<(Uuid, Entity)> = Kind::ALL
        .map(|kind| (Uuid::from_u128(1), hashed(&Entity::from_api(kind, &smallest(kind)).unwrap())))
        .to_vec();
    let document = write::document(&held, "", &[]);
    for entity in document.values().flat_map(|list| list.as_array().into_iter().flatten()) {
        assert_eq!(nulls(entity), 0, "{entity}");
    }
    let text = file("plugins: [{name: key-auth, config: {identity_realms: [{scope: cp}]}}]");
    let document = write::document(&entities(&text).unwrap(), "", &[]);
    let realms = &document["plugins"][0]["config"]["identity_realms"];
    assert_eq!(*realms, json!([{"scope": "cp", "id": null, "region": null}]));
}

/// decK reads references of plugins as texts only, no keys below their sets, and of plugins below groups only some fields.
#[test]
fn references_are_written_as_people_write_them() {
    let held = entities(&file(
        "services: [{name: s, host: h}]
certificates: []
consumers: [{username: ada}, {custom_id: '7'}]
consumer_groups: [{name: gold, plugins: [{name: request-termination}]}]
plugins: [{name: request-termination, service: s, consumer: ada}, {name: request-termination, service: {name: s}, consumer_group: gold}]
key_sets: [{name: issuers, keys: [{name: k, kid: '1', jwk: '{\"kty\":\"oct\",\"kid\":\"1\",\"k\":\"AAAA\"}'}]}]",
    ))
    .unwrap();
    let document = write::document(&held, "", &[]);
    assert_eq!(document["keys"][0]["set"], json!({"name": "issuers"}));
    assert!(document["key_sets"][0].get("keys").is_none());
    assert!(document["consumer_groups"][0].get("plugins").is_none());
    let plugins = document["plugins"].as_array().unwrap();
    let scopes =
        |field: &str| -> Vec<_> { plugins.iter().filter_map(|plugin| plugin[field].as_str()).collect() };
    assert_eq!((scopes("service"), scopes("consumer")), (vec!["s", "s"], vec!["ada"]));
    assert_eq!(scopes("consumer_group"), ["gold", "gold"]);

    // Without what they refer to, its id stands there.
    let of = |kind: Kind| held.iter().find(|(_, entity)| entity.kind() == kind).unwrap().0.to_string();
    let plugins: Vec<_> = held.iter().filter(|(_, entity)| entity.kind() == Kind::Plugin).cloned().collect();
    let document = write::document(&plugins, "", &[]);
    let mut services = document["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["service"]);
    assert!(services.any(|service| *service == of(Kind::Service)), "{document:?}");
}
