use gateway_model::{Entity, Kind, PluginConfig};
use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{Outcome, compile, get, request, settings};

fn plugin(config: Value) -> RequestTransformer {
    let PluginConfig::RequestTransformer(config) = settings("request-transformer", config) else {
        panic!("a request-transformer was asked for")
    };
    compile(&config).unwrap()
}

fn list(outcome: &Outcome) -> Vec<String> {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut list: Vec<String> =
        outcome.headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    list.sort_unstable();
    list
}

fn body(outcome: &Outcome) -> Option<&str> {
    outcome.effects.wanted()?.body.as_ref().map(|body| std::str::from_utf8(body).unwrap())
}

#[test]
fn headers_are_changed_in_kongs_order() {
    let config = json!({
        "remove": { "headers": ["X-Gone"] },
        "rename": { "headers": ["x-old:X-New"] },
        "replace": { "headers": ["x-new:replaced", "x-absent:1", "Host:other.test"] },
        "add": { "headers": ["x-gone:again", "x-new:2", "x-a::$(headers.x_gone)-$(query_params.q)"] },
        "append": { "headers": ["x-kept:b", "x-host:$(headers.host)"] },
    });
    let asked = get("/p?q=b%20c").header("x-gone", "1").header("x-old", "1").header("x-kept", "a");
    let outcome = asked.show(&plugin(config));
    assert!(outcome.passed());
    assert_eq!(
        list(&outcome),
        ["x-a: 1-b c", "x-gone: again", "x-host: example.com", "x-kept: a", "x-kept: b", "x-new: replaced"]
    );
    assert_eq!(outcome.effects.wanted().unwrap().host.as_ref().unwrap(), "other.test");
}

#[test]
fn query_and_path_are_changed() {
    let config = json!({
        "remove": { "querystring": ["gone"] },
        "rename": { "querystring": ["old:new"] },
        "replace": { "querystring": ["new:x y", "absent:1"], "uri": "/v2/$(query_params.id)/ü?" },
        "add": { "querystring": ["gone:again", "new:2"] },
        "append": { "querystring": ["kept:$(headers.x_b)"] },
    });
    let asked = get("/p?gone=1&old=1&kept=a&id=4%2F2").header("x-b", "b");
    let outcome = asked.show(&plugin(config));
    assert_eq!(outcome.query.as_deref(), Some("new=x%20y&kept=a&id=4%2F2&gone=again&kept=b"));
    let wanted = outcome.effects.wanted().unwrap();
    assert_eq!(wanted.upstream_path.as_deref(), Some("/v2/4/2/%C3%BC%3F"));
    let untouched = get("/p?a=%41+b&&c").show(&plugin(json!({})));
    assert_eq!(untouched.query.as_deref(), Some("a=%41+b&&c"));
    assert!(untouched.effects.is_empty());
}

#[test]
fn bodies_are_changed_that_are_json_or_forms() {
    let config = json!({
        "remove": { "body": ["gone"] },
        "rename": { "body": ["old:new"] },
        "replace": { "body": ["new:r"] },
        "add": { "body": ["more:$(headers.x_b)"] },
        "append": { "body": ["list:b"] },
    });
    let show = |content_type: &str, body: &str| {
        let asked = request(Method::POST, "/").header("content-type", content_type).header("x-b", "h");
        let asked = if body.is_empty() { asked } else { asked.body(body.to_owned()) };
        asked.show(&plugin(config.clone()))
    };
    let json = "application/json; charset=utf-8";
    let outcome = show(json, r#"{"gone":1,"old":2,"n":1.10,"list":["a"]}"#);
    assert_eq!(body(&outcome), Some(r#"{"list":["a","b"],"more":"h","n":1.10,"new":"r"}"#));
    assert_eq!(body(&show(json, "")), Some(r#"{"list":["b"],"more":"h"}"#));
    assert_eq!(body(&show(json, "[1]")), None);
    assert_eq!(body(&show(json, "{")), None);
    let form = "application/x-www-form-urlencoded";
    assert_eq!(body(&show(form, "gone=1&old=a+b&list=a")), Some("new=r&list=a&more=h&list=b"));
    assert_eq!(body(&show("text/plain", r#"{"gone":1}"#)), None);
    assert_eq!(body(&show("multipart/form-data; boundary=x", "gone=1")), None);
    let large = show(json, &format!("{{\"gone\":\"{}\"}}", "x".repeat(BODY_MAX)));
    assert_eq!(large.refused().0, StatusCode::PAYLOAD_TOO_LARGE);
    let many = show(form, &"a&".repeat(20_000));
    assert_eq!(many.refused().0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn the_form_of_a_request_that_becomes_a_get_joins_its_query() {
    let asked = || request(Method::POST, "/?a=1").header("content-type", "application/x-www-form-urlencoded");
    let outcome = asked().body("a=2&b=%26").show(&plugin(json!({ "http_method": "GET" })));
    assert_eq!((outcome.method, outcome.query.as_deref()), (Method::GET, Some("a=1&a=2&b=%26")));
    let outcome = asked().body("a=2").show(&plugin(json!({ "http_method": "PATCH" })));
    assert_eq!((outcome.method, outcome.query.as_deref()), (Method::PATCH, Some("a=1")));
}

#[test]
fn what_no_header_can_hold_is_refused_and_changes_nothing() {
    let config = json!({ "remove": { "headers": ["x-a"] }, "add": { "headers": ["x-b:$(query_params.q)"] } });
    let outcome = get("/?q=a%0d%0ahost:%20evil").header("x-a", "1").show(&plugin(config));
    assert_eq!(outcome.refused().0, StatusCode::BAD_REQUEST);
    assert_eq!(list(&outcome), ["x-a: 1"]);
    let outcome = get("/?p=x").show(&plugin(json!({ "replace": { "uri": "$(query_params.p)" } })));
    assert_eq!(outcome.refused().0, StatusCode::BAD_REQUEST);
}

#[test]
fn templates_name_the_groups_that_they_read() {
    let config =
        json!({ "replace": { "uri": "/$(uri_captures.id)", "headers": ["x-a:$(uri_captures['n'])"] } });
    assert_eq!(plugin(config).captures(), ["n", "id"]);
}

#[test]
fn settings_that_cannot_be_done_are_refused_with_their_field() {
    for (config, field) in [
        (json!({ "add": { "headers": ["x-a"] } }), "config.add.headers[0]"),
        (json!({ "add": { "headers": ["x-a:1", "Content-Length:5"] } }), "config.add.headers[1]"),
        (json!({ "append": { "headers": ["transfer_encoding:chunked"] } }), "config.append.headers[0]"),
        (json!({ "replace": { "headers": ["Connection:close"] } }), "config.replace.headers[0]"),
        (json!({ "add": { "headers": ["host:a"] } }), "config.add.headers[0]"),
        (json!({ "rename": { "headers": ["x-a:host"] } }), "config.rename.headers[0]"),
        (json!({ "rename": { "headers": ["x-a:X-Consumer-Id"] } }), "config.rename.headers[0]"),
        (json!({ "rename": { "headers": ["x-a:$(headers.b)"] } }), "config.rename.headers[0]"),
        (json!({ "add": { "headers": ["X_Credential_Identifier:1"] } }), "config.add.headers[0]"),
        (json!({ "add": { "headers": ["x-a:ü"] } }), "config.add.headers[0]"),
        (json!({ "add": { "body": ["a:$(os.exit())"] } }), "config.add.body[0]"),
        (json!({ "replace": { "uri": "relative" } }), "config.replace.uri"),
        (json!({ "replace": { "uri": "/$(kong.request)" } }), "config.replace.uri"),
        (json!({ "http_method": "get" }), "config.http_method"),
    ] {
        let body = json!({ "name": "request-transformer", "config": config });
        let invalid = Entity::from_api(Kind::Plugin, &body).unwrap_err();
        let fields: Vec<&str> = invalid.fields.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [field], "{config}");
    }
}
