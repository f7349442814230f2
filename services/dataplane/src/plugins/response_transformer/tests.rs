use gateway_model::PluginConfig;
use http::HeaderMap;
use serde_json::json;

use super::*;
use crate::plugins::testing::{compile, get, settings};

fn plugin(config: Value) -> ResponseTransformer {
    let PluginConfig::ResponseTransformer(config) = settings("response-transformer", config) else {
        panic!("a response-transformer was asked for")
    };
    compile(&config).unwrap()
}

/// The headers and the body of an answer as the plugin leaves them.
fn answer(config: Value, headers: &[(&str, &str)], body: &str) -> (HeaderMap, String) {
    let plugin = plugin(config);
    let (_, headers, body) = get("/").show(&plugin).answer(&plugin, 200, headers, body);
    (headers, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn headers_are_changed_in_kongs_order() {
    let config = json!({
        "remove": { "headers": ["x-gone"] },
        "rename": { "headers": ["x-old:x-new"] },
        "replace": { "headers": ["x-new:replaced", "x-absent:1", "x-kept:"] },
        "add": { "headers": ["x-gone:again", "x-new:2", "x-more: spaced: out "] },
        "append": { "headers": ["x-kept:b", "x-first:c"] },
    });
    let before = [("x-gone", "1"), ("x-old", "1"), ("x-kept", "a")];
    let (headers, body) = answer(config, &before, "text");
    let mut list: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    list.sort_unstable();
    assert_eq!(
        list,
        ["x-first: c", "x-gone: again", "x-kept: a", "x-kept: b", "x-more: spaced: out", "x-new: replaced"]
    );
    assert_eq!(body, "text");
}

#[test]
fn json_is_changed_in_kongs_order_and_with_its_types() {
    let config = json!({
        "remove": { "json": ["gone"] },
        "rename": { "json": ["old:new"] },
        "replace": { "json": ["new:1", "absent:1", "t:x:y"], "json_types": ["number"] },
        "add": { "json": ["n:no number", "b:true", "c:TRUE", "s:5"], "json_types": ["number", "boolean", "boolean"] },
        "append": { "json": ["list:2", "list:two"], "json_types": ["number"] },
    });
    let body = r#"{"gone":0, "old":{"a":1}, "t":"u", "list":[1.50]}"#;
    let json = ("content-type", "application/json; charset=utf-8");
    let (_, changed) = answer(config.clone(), &[json], body);
    assert_eq!(changed, r#"{"b":true,"c":false,"list":[1.50,2,"two"],"new":1,"s":"5","t":"x:y"}"#);
    for (headers, same) in [
        (vec![], body),
        (vec![("content-type", "text/plain")], body),
        (vec![("content-type", "application/jsonp")], body),
        (vec![json, ("content-encoding", "gzip")], body),
        (vec![json], "[1]"),
        (vec![json], "{\"a\":"),
        (vec![json], ""),
    ] {
        assert_eq!(answer(config.clone(), &headers, same).1, same, "{headers:?} {same}");
    }
}

#[test]
fn a_body_that_grows_too_large_passes_whole() {
    let plugin = plugin(json!({ "remove": { "json": ["a"] } }));
    let mut filter = Filter { operations: plugin.body, body: Vec::new(), passes: false };
    let piece = Bytes::from(vec![b' '; BODY_MAX / 2]);
    let mut passed = 0;
    for _ in 0..3 {
        passed += filter.data(piece.clone()).len();
    }
    passed += filter.end().len();
    assert_eq!(passed, 3 * piece.len());
}

#[test]
fn upstreams_are_not_asked_for_encoded_bodies_where_bodies_are_changed() {
    let ask = |config| get("/").header("accept-encoding", "gzip").show(&plugin(config)).headers;
    assert!(ask(json!({ "add": { "json": ["a:1"] } })).is_empty());
    assert_eq!(ask(json!({ "add": { "headers": ["a:1"] } })).len(), 1);
}
