use serde_json::{Value, json};

use super::*;
use crate::testing::{SERVICE, read, refused};

fn service(fields: Value) -> Service {
    match read(Kind::Service, fields) {
        Entity::Service(service) => service,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let expected = json!({
        "name": null, "protocol": "http", "host": "orders.internal", "port": 80, "path": null, "retries": 5,
        "connect_timeout": 60000, "write_timeout": 60000, "read_timeout": 60000, "enabled": true, "tls_verify": null,
        "tls_verify_depth": null, "client_certificate": null, "ca_certificates": null, "tags": null,
    });
    assert_eq!(Value::Object(read(Kind::Service, json!({})).to_api()), expected);
    assert_eq!(service(json!({"protocol": "https"})).port, 443);
}

#[test]
fn url_sets_four_fields() {
    for (url, protocol, host, port, path) in [
        ("http://a.example", Protocol::Http, "a.example", 80, None),
        ("http://a.example/", Protocol::Http, "a.example", 80, None),
        ("https://a.example/v1", Protocol::Https, "a.example", 443, Some("/v1")),
        ("https://a.example:8443/v1/", Protocol::Https, "a.example", 8443, Some("/v1/")),
        ("http://127.0.0.1:9000/orders", Protocol::Http, "127.0.0.1", 9000, Some("/orders")),
        ("http://[::1]:9000", Protocol::Http, "::1", 9000, None),
        ("grpc://a.example", Protocol::Grpc, "a.example", 80, None),
        ("grpcs://a.example:50051", Protocol::Grpcs, "a.example", 50051, None),
        ("ws://a.example/chat", Protocol::Ws, "a.example", 80, Some("/chat")),
        ("wss://a.example/", Protocol::Wss, "a.example", 443, None),
    ] {
        let read = service(json!({"url": url, "host": null}));
        assert_eq!(
            (read.protocol, read.host.as_str(), read.port, read.path.as_deref()),
            (protocol, host, port, path)
        );
    }
}

#[test]
fn what_stands_beside_a_url_agrees_with_it() {
    let (field, message) = refused(Kind::Service, json!({"url": "http://a.example"}));
    assert_eq!(field, "host");
    assert!(message.contains("must agree with `url`"), "{message}");
    for (fields, field) in [
        (json!({"host": "b.example"}), "host"),
        (json!({"protocol": "https"}), "protocol"),
        (json!({"port": 81}), "port"),
        (json!({"path": "/v2"}), "path"),
    ] {
        let mut body = json!({"host": null, "url": "http://a.example/v1"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(refused(Kind::Service, body).0, field);
    }
    let agreeing = json!({"url": "http://a.example:81/v1", "host": "a.example", "protocol": "http", "port": 81, "path": "/v1"});
    assert_eq!(service(agreeing).authority(), "a.example:81");
    for url in [
        "",
        "a.example",
        "ftp://a.example",
        "http://",
        "http://u:p@a.example",
        "http://a?b",
        "http://a#b",
        "http://a:0",
    ] {
        assert_eq!(refused(Kind::Service, json!({"host": null, "url": url})).0, "url", "{url}");
    }
}

#[test]
fn hosts() {
    for host in ["a", "a.b-c.example", "under_score.internal", "127.0.0.1", "::1", "2001:db8::1"] {
        assert_eq!(service(json!({"host": host})).host, host);
    }
    for host in
        ["", "a b", "http://a", "a/b", "a:80", "[::1]", "-a", "a..b", "ä.example", &"a".repeat(64), "a\n"]
    {
        assert_eq!(refused(Kind::Service, json!({"host": host})).0, "host", "{host:?}");
    }
    let (field, message) = refused(Kind::Service, json!({"host": null}));
    assert_eq!(field, "host");
    assert!(message.contains("is required"), "{message}");
}

#[test]
fn authority_brackets_ipv6() {
    assert_eq!(service(json!({"host": "::1", "port": 81})).authority(), "[::1]:81");
    assert_eq!(service(json!({})).authority(), "orders.internal:80");
}

#[test]
fn bounds_and_vocabulary() {
    for (fields, field) in [
        (json!({"protocol": "tls_passthrough"}), "protocol"),
        (json!({"protocol": "gopher"}), "protocol"),
        (json!({"protocol": "HTTP"}), "protocol"),
        (json!({"port": 0}), "port"),
        (json!({"retries": 32768}), "retries"),
        (json!({"connect_timeout": 0}), "connect_timeout"),
        (json!({"read_timeout": 2_147_483_647_u32}), "read_timeout"),
        (json!({"write_timeout": 1e3}), "write_timeout"),
        (json!({"path": "v1"}), "path"),
        (json!({"path": "/a?b"}), "path"),
        (json!({"path": "/ä"}), "path"),
        (json!({"tls_verify": 1}), "tls_verify"),
    ] {
        assert_eq!(refused(Kind::Service, fields).0, field);
    }
    assert!(refused(Kind::Service, json!({"protocol": "tcp"})).1.contains("`http`, `https`"));
    for (protocol, port) in
        [("http", 80), ("grpc", 80), ("ws", 80), ("https", 443), ("grpcs", 443), ("wss", 443)]
    {
        let read = service(json!({ "protocol": protocol }));
        assert_eq!((read.protocol.as_str(), read.port), (protocol, port));
    }
    assert_eq!(service(json!({"read_timeout": 2_147_483_646_u32})).read_timeout, 2_147_483_646);
}

#[test]
fn certificates_are_referred_to() {
    for (fields, field) in [
        (json!({"client_certificate": {"id": "x"}}), "client_certificate"),
        (json!({"ca_certificates": ["x"]}), "ca_certificates[0]"),
        (json!({"tls_verify_depth": 65}), "tls_verify_depth"),
        (json!({"tls_sans": {"dnsnames": ["a"]}}), "tls_sans"),
    ] {
        assert_eq!(refused(Kind::Service, fields).0, field);
    }
    let entity =
        read(Kind::Service, json!({"ca_certificates": [SERVICE], "client_certificate": {"id": SERVICE}}));
    let references: Vec<_> =
        entity.references().iter().map(|reference| (reference.field, reference.on_delete)).collect();
    assert_eq!(
        references,
        [("client_certificate", OnDelete::Restrict), ("ca_certificates", OnDelete::Restrict)]
    );
    service(json!({"ca_certificates": []}));
}
