use serde_json::{Value, json};

use super::*;
use crate::Entity;
use crate::testing::{CONSUMER, SERVICE, read, refused};

fn termination(config: Value) -> Value {
    json!({"name": "request-termination", "config": config})
}

#[test]
fn defaults() {
    let expected = json!({
        "name": "key-auth", "instance_name": null, "enabled": true, "protocols": ["grpc", "grpcs", "http", "https"],
        "service": null, "route": null, "consumer": null, "consumer_group": null, "tags": null,
        "config": {
            "key_names": ["apikey"], "key_in_header": true, "key_in_query": true, "key_in_body": false,
            "body_max_bytes": 65_536,
            "hide_credentials": false, "run_on_preflight": true, "anonymous": null, "realm": null, "observe": false,
            "identity_realms": [{"scope": "cp", "id": null, "region": null}],
        },
    });
    assert_eq!(Value::Object(read(Kind::Plugin, json!({})).to_api()), expected);

    let api = read(Kind::Plugin, json!({"name": "request-termination"})).to_api();
    let expected = json!({
        "status_code": 503, "message": null, "body": null, "content_type": null, "echo": false, "trigger": null, "observe": false,
    });
    assert_eq!(api["config"], expected);
}

#[test]
fn other_plugins_are_refused_with_those_that_exist() {
    let (field, message) = refused(Kind::Plugin, json!({"name": "post-function", "config": {"access": []}}));
    assert_eq!(field, "name");
    assert!(message.contains("key-auth,") && message.contains("`post-function`"), "{message}");
    // The consumer rule is key-auth's own.
    assert_eq!(refused(Kind::Plugin, json!({"name": "jq", "consumer": {"id": CONSUMER}})).0, "name");
    assert_eq!(refused(Kind::Plugin, json!({"name": null})).0, "name");
    assert_eq!(refused(Kind::Plugin, json!({"name": 5})).0, "name");
}

#[test]
fn key_auth_settings() {
    for (config, field) in [
        (json!({"key_names": []}), "config.key_names"),
        (json!({"key_names": ["a b"]}), "config.key_names[0]"),
        (json!({"key_names": [""]}), "config.key_names[0]"),
        (json!({"body_max_bytes": 0}), "config.body_max_bytes"),
        (json!({"body_max_bytes": 9_000_000}), "config.body_max_bytes"),
        (json!({"anonymous": " alice"}), "config.anonymous"),
        (json!({"key_in_header": false, "key_in_query": false}), "config.key_in_header"),
        (json!({"realm": "a\"b"}), "config.realm"),
        (json!({"minute": 5}), "config.minute"),
    ] {
        assert_eq!(refused(Kind::Plugin, json!({ "config": config })).0, field);
    }
    read(Kind::Plugin, json!({"config": {"key_names": null, "anonymous": null, "key_in_body": false}}));
    let in_body =
        json!({"key_in_header": false, "key_in_query": false, "key_in_body": true, "anonymous": "alice"});
    read(Kind::Plugin, json!({"config": in_body}));
    read(Kind::Plugin, json!({"config": null}));
}

/// Settings of `mtls-auth`, with one authority.
fn mtls(mut config: Value) -> Value {
    config["ca_certificates"] = json!([SERVICE]);
    config
}

#[test]
fn a_group_of_certificates_is_the_common_name_unless_null_says_none() {
    for (given, shown) in [
        (json!({}), json!("CN")),
        (json!({"authenticated_group_by": "DN"}), json!("DN")),
        (json!({"authenticated_group_by": null}), Value::Null),
    ] {
        let plugin = read(Kind::Plugin, json!({"name": "mtls-auth", "config": mtls(given.clone())}));
        let stored = Entity::from_wire(Kind::Plugin, &plugin.to_wire().unwrap()).unwrap();
        for plugin in [plugin, stored] {
            assert_eq!(plugin.to_api()["config"]["authenticated_group_by"], shown, "{given}");
            let [reference] = plugin.references()[..] else { panic!("{:?}", plugin.references()) };
            assert_eq!((reference.kind, reference.on_delete), (Kind::CaCertificate, OnDelete::Restrict));
        }
    }
}

#[test]
fn settings_of_plugins_that_authenticate() {
    for (name, config, field) in [
        ("basic-auth", json!({"realm": "a\"b"}), "realm"),
        ("basic-auth", json!({"anonymous": ""}), "anonymous"),
        ("jwt", json!({"claims_to_verify": ["iat"]}), "claims_to_verify[0]"),
        ("jwt", json!({"maximum_expiration": 60}), "claims_to_verify"),
        ("jwt", json!({"maximum_expiration": 31_536_001}), "maximum_expiration"),
        ("jwt", json!({"header_names": [], "uri_param_names": []}), "header_names"),
        ("jwt", json!({"key_claim_name": ""}), "key_claim_name"),
        ("hmac-auth", json!({"clock_skew": 0}), "clock_skew"),
        ("hmac-auth", json!({"algorithms": ["hmac-md5"]}), "algorithms[0]"),
        ("hmac-auth", json!({"algorithms": []}), "algorithms"),
        ("hmac-auth", json!({"enforce_headers": ["a b"]}), "enforce_headers[0]"),
        ("oauth2", json!({"enable_password_grant": true}), "enable_password_grant"),
        ("oauth2", json!({"global_credentials": false}), "global_credentials"),
        ("oauth2", json!({"provision_key": "k"}), "provision_key"),
        ("oauth2", json!({"mandatory_scope": true}), "scopes"),
        ("oauth2", json!({"scopes": ["a b"]}), "scopes[0]"),
        ("openid-connect", json!({"auth_methods": ["bearer"]}), "issuer"),
        ("openid-connect", json!({"issuer": "id.example.com", "auth_methods": ["bearer"]}), "issuer"),
        ("openid-connect", json!({"issuer": "https://a", "auth_methods": ["password"]}), "auth_methods[0]"),
        ("openid-connect", json!({"issuer": "https://a", "auth_methods": ["introspection"]}), "client_id"),
        ("openid-connect", json!({"issuer": "https://a", "auth_methods": ["session"]}), "session_secret"),
        (
            "openid-connect",
            json!({"issuer": "https://a", "auth_methods": ["bearer"], "upstream_headers_claims": ["a"]}),
            "upstream_headers_names",
        ),
        ("oauth2-introspection", json!({"authorization_value": "Basic x"}), "introspection_url"),
        ("oauth2-introspection", json!({"introspection_url": "https://a"}), "authorization_value"),
        ("acl", json!({}), "allow"),
        ("mtls-auth", json!({}), "ca_certificates"),
        ("mtls-auth", json!({"ca_certificates": []}), "ca_certificates"),
        ("mtls-auth", json!({"ca_certificates": ["root"]}), "ca_certificates[0]"),
        ("mtls-auth", mtls(json!({"consumer_by": ["id"]})), "consumer_by[0]"),
        ("mtls-auth", mtls(json!({"authenticated_group_by": "OU"})), "authenticated_group_by"),
        ("mtls-auth", mtls(json!({"revocation_check_mode": "STRICT"})), "revocation_check_mode"),
        ("mtls-auth", mtls(json!({"revocation_check_mode": "IGNORE_CA_ERROR"})), "revocation_check_mode"),
        ("mtls-auth", mtls(json!({"http_proxy_host": "proxy"})), "http_proxy_host"),
        ("mtls-auth", mtls(json!({"cert_cache_ttl": 1})), "cert_cache_ttl"),
        ("acl", json!({"allow": ["a"], "deny": ["b"]}), "deny"),
        ("acl", json!({"allow": ["a\nb"]}), "allow[0]"),
    ] {
        let body = json!({"name": name, "config": config});
        assert_eq!(refused(Kind::Plugin, body).0, format!("config.{field}"), "{name} {config}");
    }
    for (name, config) in [
        (
            "jwt",
            json!({"header_names": [], "uri_param_names": ["jwt"], "claims_to_verify": ["exp"], "maximum_expiration": 60}),
        ),
        ("hmac-auth", json!({"enforce_headers": ["date", "@request-target", "request-line"]})),
        ("acl", json!({"deny": ["a", "/staff", "CN=staff,O=Shop"]})),
        ("mtls-auth", mtls(json!({"consumer_by": [], "authenticated_group_by": null}))),
        (
            "mtls-auth",
            mtls(json!({"revocation_check_mode": "SKIP", "http_timeout": 30_000, "cache_ttl": 60})),
        ),
    ] {
        let entity = read(Kind::Plugin, json!({"name": name, "config": config}));
        let again = Entity::from_wire(Kind::Plugin, &entity.to_wire().unwrap()).unwrap();
        assert_eq!(again, entity, "{name}");
    }
    let shown =
        read(Kind::Plugin, json!({"name": "jwt", "config": {"header_names": [], "cookie_names": ["c"]}}))
            .to_api();
    assert_eq!(
        (&shown["config"]["header_names"], &shown["config"]["uri_param_names"]),
        (&json!([]), &json!(["jwt"]))
    );
}

#[test]
fn request_termination_settings() {
    for (config, field) in [
        (json!({"status_code": 199}), "config.status_code"),
        (json!({"status_code": 600}), "config.status_code"),
        (json!({"message": "a", "body": "b"}), "config.message"),
        (json!({"message": "a\nb"}), "config.message"),
        (json!({"content_type": "text/plain"}), "config.content_type"),
        (json!({"body": "a\u{0}"}), "config.body"),
        (json!({"body": "a", "content_type": "a\r\nb"}), "config.content_type"),
        (json!({"trigger": "a b"}), "config.trigger"),
    ] {
        assert_eq!(refused(Kind::Plugin, termination(config)).0, field);
    }
    read(
        Kind::Plugin,
        termination(json!({"body": "a\n\tb\r\n", "content_type": "text/plain", "echo": false})),
    );
}

#[test]
fn scope_is_unique_and_cascades() {
    let plugin = read(Kind::Plugin, json!({"service": {"id": SERVICE}, "instance_name": "keys"}));
    let expected = [
        UniqueKey { field: "scope", value: format!("key-auth:{SERVICE}:-:-") },
        UniqueKey { field: "instance_name", value: "keys".into() },
    ];
    assert_eq!(plugin.unique_keys(), expected);
    let all = json!({"name": "request-termination", "service": {"id": SERVICE}, "route": {"id": SERVICE}, "consumer": {"id": CONSUMER}});
    let plugin = read(Kind::Plugin, all);
    assert_eq!(
        plugin.references().iter().map(|r| r.field).collect::<Vec<_>>(),
        ["service", "route", "consumer"]
    );
    assert!(plugin.references().iter().all(|reference| reference.on_delete == OnDelete::Cascade));
    assert_eq!(plugin.unique_keys()[0].value, format!("request-termination:{SERVICE}:{SERVICE}:{CONSUMER}"));
}

#[test]
fn key_auth_has_no_consumer_scope() {
    assert_eq!(refused(Kind::Plugin, json!({"consumer": {"id": CONSUMER}})).0, "consumer");
}

#[test]
fn unsupported_fields_pass_only_when_they_say_nothing() {
    for (name, value) in [
        ("ordering", json!({"before": {"access": ["acl"]}})),
        ("partials", json!([{"id": CONSUMER}])),
        ("condition", json!("true")),
        ("consumer_group", json!({"id": CONSUMER})),
    ] {
        assert_eq!(refused(Kind::Plugin, json!({ name: value })).0, name);
        read(Kind::Plugin, json!({ name: null }));
    }
    assert_eq!(refused(Kind::Plugin, json!({"protocols": ["tcp"]})).0, "protocols[0]");
    assert_eq!(refused(Kind::Plugin, json!({"protocols": []})).0, "protocols");
}

#[test]
fn every_supported_plugin_has_a_schema() {
    for name in Plugin::supported() {
        let Some(RefOr::T(schema)) = Plugin::config_schema(name) else { panic!("{name}") };
        let schema = serde_json::to_value(schema).unwrap();
        let body = json!({ "name": name, "config": Plugin::smallest_config(name) });
        let Entity::Plugin(plugin) = read(Kind::Plugin, body) else { panic!("{name}") };
        assert_eq!(plugin.name(), name);
        assert!(schema["properties"].is_object(), "{schema}");
    }
    assert!(Plugin::config_schema("post-function").is_none());
}

fn limiting(config: Value) -> Value {
    json!({"name": "rate-limiting", "config": config})
}

#[test]
fn rate_limiting_settings() {
    for (config, field) in [
        (json!({}), "config.minute"),
        (json!({"second": null}), "config.minute"),
        (json!({"minute": 0}), "config.minute"),
        (json!({"minute": "5"}), "config.minute"),
        (json!({"minute": 10, "hour": 9}), "config.hour"),
        (json!({"minute": 1, "limit_by": "consumer-group"}), "config.limit_by"),
        (json!({"minute": 1, "limit_by": "header"}), "config.header_name"),
        (json!({"minute": 1, "limit_by": "path"}), "config.path"),
        (json!({"minute": 1, "limit_by": "path", "path": "a"}), "config.path"),
        (json!({"minute": 1, "policy": "redis"}), "config.redis.host"),
        (json!({"minute": 1, "redis_host": "a b"}), "config.redis_host"),
        (json!({"minute": 1, "redis_host": "a", "redis": {"host": "b"}}), "config.redis_host"),
        (json!({"minute": 1, "redis": {"port": 0}}), "config.redis.port"),
        (json!({"minute": 1, "redis": {"hots": "a"}}), "config.redis.hots"),
        (json!({"minute": 1, "sync_rate": 1}), "config.sync_rate"),
        (json!({"minute": 1, "policy": "redis", "redis_host": "a", "sync_rate": 0.01}), "config.sync_rate"),
        (json!({"minute": 1, "error_code": 0}), "config.error_code"),
        (json!({"minute": 1, "window_type": "rolling"}), "config.window_type"),
    ] {
        assert_eq!(refused(Kind::Plugin, limiting(config.clone())).0, field, "{config}");
    }
    let (field, message) = refused(Kind::Plugin, limiting(json!({"minute": 1, "policy": "cluster"})));
    assert!(field == "config.policy" && message.contains("`redis`"), "{message}");
}

#[test]
fn older_names_of_redis_settings_mean_the_same() {
    let older = json!({
        "minute": 1, "policy": "redis", "redis_host": "counts", "redis_port": 6380, "redis_timeout": 100, "redis_password": "secret",
        "redis_username": "gateway", "redis_database": 3, "redis_ssl": true, "redis_ssl_verify": true, "redis_server_name": "counts.example",
    });
    let newer = json!({
        "minute": 1, "policy": "redis", "redis": {
            "host": "counts", "port": 6380, "timeout": 100, "password": "secret", "username": "gateway", "database": 3, "ssl": true,
            "ssl_verify": true, "server_name": "counts.example",
        },
    });
    let (older, newer) = (read(Kind::Plugin, limiting(older)), read(Kind::Plugin, limiting(newer.clone())));
    assert_eq!(older, newer);
    let shown = newer.to_api();
    assert_eq!(shown["config"]["redis"]["password"], "secret");
    assert!(shown["config"].get("redis_host").is_none());
    // Both at once, as clients show what they read, and an empty password, as Kong writes it.
    let both =
        json!({"minute": 1, "redis_host": "counts", "redis_password": "", "redis": {"host": "counts"}});
    read(Kind::Plugin, limiting(both));
}

#[test]
fn response_ratelimiting_settings() {
    let limiting = |config: Value| json!({"name": "response-ratelimiting", "config": config});
    for (config, field) in [
        (json!({}), "config.limits"),
        (json!({"limits": {}}), "config.limits"),
        (json!({"limits": []}), "config.limits"),
        (json!({"limits": {"sms": 5}}), "config.limits.sms"),
        (json!({"limits": {"sms": {}}}), "config.limits.sms.minute"),
        (json!({"limits": {"sms": {"minute": 2, "day": 1}}}), "config.limits.sms.day"),
        (json!({"limits": {"sms": {"day": 1, "fortnight": 2}}}), "config.limits.sms.fortnight"),
        (json!({"limits": {"s ms": {"minute": 2}}}), "config.limits.s ms"),
        (json!({"limits": {"sms": {"minute": 2}}, "limit_by": "path"}), "config.limit_by"),
        (json!({"limits": {"sms": {"minute": 2}}, "header_name": "a b"}), "config.header_name"),
    ] {
        assert_eq!(refused(Kind::Plugin, limiting(config.clone())).0, field, "{config}");
    }
    let read = read(
        Kind::Plugin,
        limiting(json!({"limits": {"sms": {"minute": 2}, "video": {"hour": 9, "day": 9}}})),
    );
    assert_eq!(read.to_api()["config"]["limits"]["video"]["day"], 9);
}
