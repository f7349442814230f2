//! Plugins that need nothing but the gateway itself.

use serde_json::{Value, json};

use super::{Case, World};

/// More than anybody sends.
const LIMIT: u64 = 1_000_000_000_000;

/// One plugin with its settings.
pub fn plugin(name: &str, config: Value) -> Value {
    json!({ "name": name, "config": config })
}

/// `plugin` alone, compared with nothing.
fn alone(name: &'static str, key: &'static str, plugin: Value) -> Case {
    Case::gateway(name, vec![plugin]).over("none", key)
}

/// The gateway without plugins, and with each of these.
pub fn all(world: &World) -> Vec<Case> {
    let key_auth = || plugin("key-auth", json!({}));
    let acl = || plugin("acl", json!({ "allow": ["everybody"] }));
    let rate_limiting = || plugin("rate-limiting", json!({ "minute": LIMIT, "policy": "local" }));
    let cors = || plugin("cors", json!({ "origins": ["https://example.com"] }));
    let prometheus = || plugin("prometheus", json!({}));
    let redis = json!({ "host": world.redis.address.ip(), "port": world.redis.address.port() });
    let mut cases = vec![
        Case::gateway("none", vec![]),
        alone("key_auth", "key_auth_cost_us", key_auth()),
        Case::gateway("acl", vec![key_auth(), acl()]).over("key_auth", "acl_cost_us"),
        alone("rate_limiting", "rate_limiting_cost_us", rate_limiting()),
        alone(
            "rate_limiting_redis",
            "rate_limiting_redis_cost_us",
            plugin("rate-limiting", json!({ "minute": LIMIT, "policy": "redis", "redis": redis })),
        ),
        alone(
            "response_ratelimiting",
            "response_ratelimiting_cost_us",
            plugin("response-ratelimiting", json!({ "limits": { "sms": { "minute": LIMIT } } })),
        ),
        alone("cors", "cors_cost_us", cors()),
        alone("prometheus", "prometheus_cost_us", prometheus()),
        Case::gateway("five_plugins", vec![key_auth(), acl(), rate_limiting(), cors(), prometheus()])
            .over("none", "five_plugins_cost_us"),
    ];
    cases.extend(small());
    cases.extend(elsewhere());
    cases.extend(transforming());
    cases
}

/// Plugins that look at a request, and little more.
fn small() -> [Case; 5] {
    [
        alone(
            "ip_restriction",
            "ip_restriction_cost_us",
            plugin("ip-restriction", json!({ "allow": ["127.0.0.0/8"] })),
        ),
        alone("bot_detection", "bot_detection_cost_us", plugin("bot-detection", json!({}))),
        alone("correlation_id", "correlation_id_cost_us", plugin("correlation-id", json!({}))),
        alone(
            "request_size_limiting",
            "request_size_limiting_cost_us",
            plugin("request-size-limiting", json!({})),
        ),
        // Nothing has the trigger.
        alone(
            "request_termination",
            "request_termination_cost_us",
            plugin("request-termination", json!({ "trigger": "x-closed" })),
        ),
    ]
}

/// Plugins that send half of the requests elsewhere: to the same upstream.
fn elsewhere() -> [Case; 2] {
    let splits = json!([{ "weight": 50, "service": "service-00001" }]);
    [
        alone(
            "canary",
            "canary_cost_us",
            plugin("canary", json!({ "percentage": 50.0, "hash": "none", "upstream_host": "127.0.0.1" })),
        ),
        alone(
            "traffic_split",
            "traffic_split_cost_us",
            plugin("traffic-split", json!({ "weight": 50, "hash": "none", "splits": splits })),
        ),
    ]
}

/// Plugins that change requests or answers, and the one that keeps answers.
fn transforming() -> [Case; 3] {
    let headers = json!({ "headers": ["x-added:1"] });
    let transformed = json!({ "add": headers, "remove": { "headers": ["x-gone"] } });
    let cache = plugin(
        "proxy-cache",
        json!({ "strategy": "memory", "content_type": ["text/plain"], "cache_ttl": 86_400 }),
    );
    [
        alone(
            "request_transformer",
            "request_transformer_cost_us",
            plugin("request-transformer", transformed.clone()),
        ),
        alone(
            "response_transformer",
            "response_transformer_cost_us",
            plugin("response-transformer", transformed),
        ),
        // What costs less than to ask the upstream is below zero.
        alone("proxy_cache_hit", "proxy_cache_hit_cost_us", cache),
    ]
}
