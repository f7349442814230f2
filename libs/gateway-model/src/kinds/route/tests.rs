use serde_json::{Value, json};

use super::*;
use crate::testing::{read, refused};
use crate::{Entity, Kind};

fn route(fields: Value) -> Route {
    match read(Kind::Route, fields) {
        Entity::Route(route) => route,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let expected = json!({
        "name": null, "protocols": ["http", "https"], "methods": null, "hosts": null, "paths": ["/orders"], "headers": null, "snis": null,
        "strip_path": true, "preserve_host": false, "regex_priority": 0, "https_redirect_status_code": 426,
        "path_handling": "v0", "request_buffering": true, "response_buffering": true, "service": null, "tags": null,
    });
    assert_eq!(Value::Object(read(Kind::Route, json!({})).to_api()), expected);
}

#[test]
fn needs_a_criterion() {
    for none in
        [json!({"paths": null}), json!({"paths": []}), json!({"paths": null, "hosts": [], "methods": null})]
    {
        let (field, message) = refused(Kind::Route, none);
        assert_eq!(field, "paths");
        assert!(message.contains("`methods`, `hosts`, `headers`, `paths`, `snis`"), "{message}");
    }
    route(json!({"paths": null, "hosts": ["a.example"]}));
    route(json!({"paths": [], "methods": ["GET"]}));
    // A bad entry is one error, not two.
    assert_eq!(refused(Kind::Route, json!({"paths": ["orders"]})).0, "paths[0]");
}

#[test]
fn paths() {
    for path in
        ["/", "/a", "/a/", "/a-b_c~d.e/%20x", "/a;b=1,(2)", "~/a", "~/[a-z]+$", "~/a|/b", "~/(?<id>\\d+)"]
    {
        assert_eq!(route(json!({"paths": [path]})).paths, [path]);
    }
    for path in [
        "",
        "a",
        "~a",
        "~^/a",
        "~",
        "/a b",
        "/a?b",
        "/a#b",
        "/[a-z]",
        "/a//b",
        "/a/../b",
        "/a/.",
        "/%zz",
        "/%4",
        "/%41",
        "/ä",
        "/a\n",
        "~/a\n",
        "~/a b",
        "~/ä",
        "~/(",
        "~/a)(b",
        "~/a(?=b)",
        "~/\\w{0,9999}",
        "~/((((a{0,99}){0,99}){0,99}){0,99})",
        &format!("/{}", "a".repeat(1024)),
    ] {
        assert_eq!(refused(Kind::Route, json!({"paths": [path]})).0, "paths[0]", "{path:?}");
    }
    assert!(refused(Kind::Route, json!({"paths": ["~/(a"]})).1.contains("unclosed group"));
    assert!(refused(Kind::Route, json!({"paths": ["~/\\w{0,9999}"]})).1.contains("steps to compile"));
}

#[test]
fn the_expressions_of_a_route_have_a_limit_together() {
    let paths =
        |pattern: &str| -> Vec<String> { (0..PATHS_MAX).map(|n| format!("~/{n}{pattern}")).collect() };
    let accepted = route(json!({"paths": paths("\\w{1,30}x1")}));
    assert!(accepted.path_cost() > 10_000 && accepted.path_cost() <= ROUTE_COST_MAX);
    let (field, message) = refused(Kind::Route, json!({"paths": paths("\\w{1,200}x1")}));
    assert!(field.starts_with("paths[") && message.contains("several routes"), "{field} {message}");
}

#[test]
fn patterns_are_told_apart() {
    let route =
        route(json!({"paths": ["/a", "~/b+"], "hosts": ["A.example", "*.B.example", "c.*:81", "[::1]:80"]}));
    let paths: Vec<PathPattern<'_>> = route.path_patterns().collect();
    assert_eq!(paths, [PathPattern::Prefix("/a"), PathPattern::Regex("/b+")]);
    assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), route.paths);
    let hosts: Vec<HostPattern> = route.host_patterns().collect();
    let expected = [
        HostPattern { name: HostName::Exact("a.example".into()), port: None },
        HostPattern { name: HostName::Leading("b.example".into()), port: None },
        HostPattern { name: HostName::Trailing("c".into()), port: Some(81) },
        HostPattern { name: HostName::Exact("[::1]".into()), port: Some(80) },
    ];
    assert_eq!(hosts, expected);
}

#[test]
fn hosts_and_methods() {
    for host in [
        "*", "*.", ".*", "*.*", "*.a.*", "a.*.b", "*a", "a:", "a:0", "a:65536", "a:x", "a:1:2", "a b",
        "http://a", "",
    ] {
        assert_eq!(refused(Kind::Route, json!({"hosts": [host]})).0, "hosts[0]", "{host:?}");
    }
    route(json!({"hosts": ["127.0.0.1", "[::1]", "a", "a:80", "*.a:8443"]}));
    for method in ["get", "", "GET POST", "G\n"] {
        assert_eq!(refused(Kind::Route, json!({"methods": [method]})).0, "methods[0]", "{method:?}");
    }
    let many: Vec<String> = (0..129).map(|n| format!("/{n}")).collect();
    assert!(refused(Kind::Route, json!({"paths": many})).1.contains("at most 128"));
}

#[test]
fn vocabulary() {
    for (fields, field) in [
        (json!({"protocols": []}), "protocols"),
        (json!({"protocols": "http"}), "protocols"),
        (json!({"protocols": ["http", "grpc"]}), "protocols"),
        (json!({"protocols": ["https", "wss"]}), "protocols"),
        (json!({"protocols": ["http", "tcp"]}), "protocols[1]"),
        (json!({"protocols": ["tls_passthrough"]}), "protocols[0]"),
        (json!({"protocols": ["gopher"]}), "protocols[0]"),
        (json!({"protocols": ["grpc"], "strip_path": true}), "strip_path"),
        (json!({"protocols": ["grpcs"], "methods": ["POST"]}), "methods"),
        (json!({"protocols": ["http", "http"]}), "protocols[1]"),
        (json!({"https_redirect_status_code": 300}), "https_redirect_status_code"),
        (json!({"regex_priority": -1}), "regex_priority"),
    ] {
        assert_eq!(refused(Kind::Route, fields).0, field);
    }
}

#[test]
fn paths_of_grpc_are_not_stripped() {
    for protocols in [json!(["grpc"]), json!(["grpc", "grpcs"]), json!(["grpcs"])] {
        let entity = read(Kind::Route, json!({"protocols": protocols}));
        assert_eq!(entity.to_api()["strip_path"], false);
        let wire = entity.to_wire().unwrap();
        let Ok(Entity::Route(back)) = Entity::from_wire(Kind::Route, &wire) else { panic!("{wire:?}") };
        assert!(!back.strip_path);
    }
    assert!(route(json!({"protocols": ["ws", "wss"]})).strip_path);
    let (_, message) = refused(Kind::Route, json!({"protocols": ["udp"]}));
    assert!(message.contains("`grpc`") && message.contains("not served"), "{message}");
}

#[test]
fn headers_and_server_names() {
    for (fields, field) in [
        (json!({"headers": {"x": []}}), "headers.x"),
        (json!({"headers": {"x": "y"}}), "headers.x"),
        (json!({"headers": {"x": ["a\nb"]}}), "headers.x[0]"),
        (json!({"headers": {"Host": ["a"]}}), "headers"),
        (json!({"headers": ["x"]}), "headers"),
        (json!({"snis": ["a"]}), "snis"),
        (json!({"snis": ["a"], "protocols": ["grpc", "grpcs"]}), "snis"),
        (json!({"snis": ["a b"], "protocols": ["https"]}), "snis[0]"),
    ] {
        assert_eq!(refused(Kind::Route, fields).0, field);
    }
    let matched =
        json!({"paths": null, "headers": {"x-a": ["1", "2"]}, "snis": ["*.a"], "protocols": ["https"]});
    assert_eq!(route(matched).headers["x-a"], ["1", "2"]);
}

#[test]
fn unsupported_fields_pass_only_when_they_say_nothing() {
    for (name, value) in [
        ("sources", json!([{"ip": "1.2.3.4"}])),
        ("destinations", json!([{"port": 1}])),
        ("expression", json!("http.path == \"/\"")),
        ("priority", json!(1)),
        ("path_handling", json!("v1")),
        ("request_buffering", json!(false)),
        ("response_buffering", json!(false)),
    ] {
        let (field, message) = refused(Kind::Route, json!({ name: value }));
        assert_eq!(field, name);
        assert!(message.starts_with("is not supported"), "{message}");
        route(json!({ name: null }));
    }
    route(json!({"headers": {}, "snis": [], "path_handling": "v0", "request_buffering": true}));
}
