use gateway_model::{Kind, PluginConfig};
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        authentication::AuthenticatedGroups,
        testing::{self, Known as Consumers, NOW, Outcome, get, settings},
    },
    *,
};

fn config(more: Value) -> Config {
    let mut all = json!({ "issuer": "http://127.0.0.1:1", "auth_methods": ["bearer"] });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    match settings("openid-connect", all) {
        PluginConfig::OpenidConnect(config) => config,
        other => panic!("{other:?}"),
    }
}

fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn claims_about_time_and_scopes_are_judged() {
    let demands = |more: Value| Demands::new(&config(more)).unwrap();
    let times = demands(json!({ "leeway": 5 }));
    for (value, expected) in [
        (json!({ "exp": NOW - 4, "nbf": NOW + 5 }), Ok(())),
        (json!({ "exp": NOW - 5 }), Err(claims::Fault::Time)),
        (json!({ "nbf": NOW + 6 }), Err(claims::Fault::Time)),
        (json!({ "exp": "tomorrow" }), Err(claims::Fault::Time)),
        (json!({}), Ok(())),
    ] {
        assert_eq!(times.judge(&claims(value.clone()), NOW), expected, "{value}");
    }
    let scopes = demands(json!({ "scopes_required": ["a b", "c"], "scopes_claim": ["x", "scp"] }));
    for (value, passes) in [
        (json!({ "x": { "scp": "b z a" } }), true),
        (json!({ "x": { "scp": ["c"] } }), true),
        (json!({ "x": { "scp": "a" } }), false),
        (json!({ "x": "c" }), false),
        (json!({ "scp": "c" }), false),
        (json!({}), false),
    ] {
        assert_eq!(scopes.judge(&claims(value.clone()), NOW).is_ok(), passes, "{value}");
    }
    let audience = demands(json!({ "audience_required": ["shop"] }));
    for (value, is_for_us) in [
        (json!({ "aud": "shop" }), true),
        (json!({ "aud": ["x", "shop"] }), true),
        (json!({ "aud": "shop2" }), false),
        (json!({}), false),
    ] {
        assert_eq!(audience.is_for_us(&claims(value.clone())), is_for_us, "{value}");
    }
}

/// What becomes of a request with these claims.
fn concluded(more: Value, value: Value) -> Outcome {
    #[derive(Debug)]
    struct Concluding(OpenidConnect, Value);

    impl Plugin for Concluding {
        fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
            self.0.0.conclude(exchange, Ok(Arc::new(claims(self.1.clone()))))
        }
    }

    let plugin = testing::compile::<OpenidConnect>(&config(more)).unwrap();
    let alice = json!({ "username": "alice", "custom_id": "42" });
    let known =
        Consumers::new(&[(Kind::Consumer, 1, alice), (Kind::Consumer, 9, json!({ "username": "nobody" }))]);
    get("/").header("authorization", "Bearer x").show_by(&known.identities, &Concluding(plugin, value))
}

#[test]
fn claims_say_who_the_consumer_is_and_in_which_groups() {
    let id = Uuid::from_u128(1).to_string();
    for (by, name) in [("username", "alice"), ("custom_id", "42"), ("id", id.as_str())] {
        let more =
            json!({ "consumer_claim": ["who", "name"], "consumer_by": [by], "hide_credentials": true });
        let outcome = concluded(more, json!({ "who": { "name": name } }));
        assert!(outcome.passed());
        assert_eq!(outcome.headers["x-consumer-username"], "alice");
        assert!(!outcome.headers.contains_key("authorization"));
    }
    // A number is a name too.
    let more = json!({ "consumer_claim": ["sub"] });
    assert!(concluded(more.clone(), json!({ "sub": 42 })).passed());
    for stranger in [json!({ "sub": "bob" }), json!({}), json!({ "sub": "" }), json!({ "sub": ["alice"] })] {
        assert_eq!(concluded(more.clone(), stranger).refused(), (StatusCode::FORBIDDEN, "Forbidden"));
    }
    let optional = json!({ "consumer_claim": ["sub"], "consumer_optional": true, "authenticated_groups_claim": ["g"],
                           "upstream_headers_claims": ["sub", "age", "none"], "upstream_headers_names": ["x-sub", "x-age", "x-none"] });
    let outcome = concluded(optional, json!({ "sub": "bob", "g": ["a", "b"], "age": 7 }));
    assert!(outcome.passed() && outcome.consumer.is_none());
    assert_eq!(
        (&outcome.headers["x-sub"], &outcome.headers["x-age"]),
        (&"bob".parse().unwrap(), &"7".parse().unwrap())
    );
    assert!(!outcome.headers.contains_key("x-none"));
    assert_eq!(outcome.effects.get::<AuthenticatedGroups>().unwrap().0, ["a", "b"]);
    let anonymous = json!({ "consumer_claim": ["sub"], "anonymous": "nobody" });
    assert!(concluded(anonymous, json!({ "sub": "bob" })).consumer.unwrap().is_anonymous);
}

#[test]
fn what_is_no_signed_token_is_refused_without_asking_the_provider() {
    let plugin = testing::compile::<OpenidConnect>(&config(json!({}))).unwrap();
    for token in ["x", "a.b", "a.b.c", "....", &"x".repeat(50_000)] {
        let outcome = get("/").header("authorization", &format!("Bearer {token}")).show(&plugin);
        assert_eq!(outcome.refused(), (StatusCode::UNAUTHORIZED, "Unauthorized"), "{token:.20}");
    }
    assert_eq!(get("/").show(&plugin).answer_header("www-authenticate"), Some("Bearer"));
}
