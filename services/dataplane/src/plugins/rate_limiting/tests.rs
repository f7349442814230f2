use std::rc::Rc;

use gateway_model::PluginConfig;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::plugins::{
    Identity, Tools,
    testing::{self, NOW, Outcome, Request, get, settings},
};

fn limiting(config: Value) -> RateLimiting {
    let PluginConfig::RateLimiting(config) = settings("rate-limiting", config) else {
        panic!("a limit was asked for")
    };
    testing::compile(&config).unwrap()
}

fn at(now: u64, request: Request) -> Request {
    Request { now, ..request }
}

fn of(consumer: u128, request: Request) -> Request {
    let mut identity = Identity::of_consumer(Uuid::from_u128(consumer));
    identity.credential = Some(Uuid::from_u128(consumer + 100));
    Request { consumer: Some(Rc::new(identity)), ..request }
}

fn told(outcome: &Outcome, name: &str) -> Option<String> {
    match &outcome.verdict {
        Verdict::Pass => {
            let prefix = format!("{name}: ");
            outcome.answered_with().iter().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
        }
        _ => outcome.answer_header(name).map(str::to_owned),
    }
}

#[test]
fn what_a_client_sees_is_as_in_kong() {
    // Second 20 of a minute, minute 0 of an hour.
    let (plugin, now) = (limiting(json!({"minute": 2, "hour": 3})), NOW + 20);
    for (pass, minute, hour, least, limit, reset) in [
        (true, "1", "2", "1", "2", "40"),
        (true, "0", "1", "0", "2", "40"),
        (false, "0", "1", "0", "2", "40"),
    ] {
        let outcome = at(now, get("/")).show(&plugin);
        assert_eq!(outcome.passed(), pass);
        for (name, value) in [
            ("x-ratelimit-limit-minute", "2"),
            ("x-ratelimit-remaining-minute", minute),
            ("x-ratelimit-limit-hour", "3"),
            ("x-ratelimit-remaining-hour", hour),
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", least),
            ("ratelimit-reset", reset),
        ] {
            assert_eq!(told(&outcome, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(told(&outcome, "retry-after").is_some(), !pass);
    }
    // In the next minute the hour is the narrower one, and its refusal is no use of the minute.
    let outcome = at(now + 60, get("/")).show(&plugin);
    assert_eq!((outcome.passed(), told(&outcome, "ratelimit-limit").as_deref()), (true, Some("3")));
    let outcome = at(now + 60, get("/")).show(&plugin);
    assert_eq!(outcome.refused(), (StatusCode::TOO_MANY_REQUESTS, "API rate limit exceeded"));
    assert_eq!(told(&outcome, "x-ratelimit-remaining-minute").as_deref(), Some("1"));
    assert_eq!(told(&outcome, "retry-after").as_deref(), Some("3520"));
}

#[test]
fn requests_are_told_apart_as_the_settings_say() {
    // Whether the second of two requests passes where one a minute may.
    let passes = |config: Value, first: Request, second: Request| {
        let plugin = limiting(config);
        assert!(first.show(&plugin).passed());
        second.show(&plugin).passed()
    };
    let by = |by: &str| json!({"minute": 1, "limit_by": by, "header_name": "x-who", "path": "/one"});
    let elsewhere = || get("/").from("198.51.100.7");
    for (limit_by, first, second, expected) in [
        ("consumer", of(1, get("/")), of(1, elsewhere()), false),
        ("consumer", of(1, get("/")), of(2, get("/")), true),
        ("consumer", get("/"), get("/"), false),
        ("consumer", get("/"), elsewhere(), true),
        ("credential", of(1, get("/")), of(1, elsewhere()), false),
        ("credential", of(1, get("/")), of(2, get("/")), true),
        ("ip", of(1, get("/")), of(2, get("/")), false),
        ("ip", of(1, get("/")), of(1, elsewhere()), true),
        ("ip", get("/").from("192.0.2.1"), get("/").from("2001:db8::1"), true),
        ("service", get("/"), elsewhere(), false),
        ("header", get("/").header("x-who", "a"), elsewhere().header("X-Who", "a"), false),
        ("header", get("/").header("x-who", "a"), get("/").header("x-who", "A"), true),
        ("header", get("/").header("x-who", "a"), get("/").header("x-who", &"a".repeat(60_000)), true),
        ("header", get("/").header("x-who", ""), elsewhere().header("x-who", ""), false),
        ("header", get("/"), get("/"), false),
        ("header", get("/").header("x-who", "192.0.2.1"), get("/"), true),
        ("path", get("/one"), get("/one?a=1").from("198.51.100.7"), false),
        ("path", get("/one"), get("/two"), true),
        ("path", get("/two"), get("/three"), false),
        ("path", get("/two"), elsewhere(), true),
    ] {
        assert_eq!(passes(by(limit_by), first, second), expected, "{limit_by}");
    }
}

#[test]
fn refusals_are_as_configured() {
    let plugin = limiting(
        json!({"hour": 1, "error_code": 503, "error_message": "later", "hide_client_headers": true}),
    );
    assert!(get("/").show(&plugin).answered_with().is_empty());
    let outcome = get("/").show(&plugin);
    assert_eq!(outcome.refused(), (StatusCode::SERVICE_UNAVAILABLE, "later"));
    assert_eq!((outcome.answer_header("retry-after"), outcome.effects.is_empty()), (None, true));
}

#[test]
fn limits_outlive_their_settings() {
    let tools = Tools::default();
    let compile = |config: Value| {
        let PluginConfig::RateLimiting(config) = settings("rate-limiting", config) else { panic!() };
        RateLimiting::new(
            &config,
            &Make { id: testing::PLUGIN, tools: &tools, authorities: crate::plugins::Authorities::NONE },
        )
        .unwrap()
    };
    for limit in 1..=100 {
        assert!(get("/").show(&compile(json!({ "hour": limit }))).passed(), "{limit}");
    }
    assert!(!get("/").show(&compile(json!({"hour": 100}))).passed());
    let PluginConfig::RateLimiting(config) = settings("rate-limiting", json!({"hour": 1})) else { panic!() };
    let other =
        Make { id: Uuid::from_u128(5), tools: &tools, authorities: crate::plugins::Authorities::NONE };
    assert!(get("/").show(&RateLimiting::new(&config, &other).unwrap()).passed());
}
