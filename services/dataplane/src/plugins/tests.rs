use std::rc::Rc;

use gateway_model::{Consumer, key_hash, plugin::key_auth::Config};
use http::Method;
use serde_json::json;

use super::{
    key_auth::KeyAuth,
    request_termination::RequestTermination,
    testing::{self, Outcome, get, request, settings},
    *,
};
use crate::store::KeyOwner;

fn identity(username: &str) -> Identity {
    let gateway_model::Entity::Consumer(consumer) =
        gateway_model::Entity::from_api(gateway_model::Kind::Consumer, &json!({ "username": username }))
            .unwrap()
    else {
        panic!("a consumer was asked for")
    };
    let _: &Consumer = &consumer;
    let (credential_id, consumer_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    Identity::of_key(&KeyOwner { credential_id, consumer_id, consumer, expires_at: None })
}

/// What key-auth makes of a request; the only known key is `secret`.
fn run(config: Config, method: Method, headers: &[(&str, &str)], query: Option<&str>) -> Outcome {
    let target = query.map_or_else(|| "/".to_owned(), |query| format!("/?{query}"));
    let all = headers.iter().fold(request(method, &target), |all, (name, value)| all.header(name, value));
    all.show(&OneKey(testing::compile(&config).unwrap()))
}

/// key-auth, where `secret` is the only key.
#[derive(Debug)]
struct OneKey(KeyAuth);

impl Plugin for OneKey {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let known = key_hash("secret");
        self.0.judge(exchange, |hash| Ok((*hash == known).then(|| Rc::new(identity("caf\u{e9}")))))
    }
}

fn config() -> Config {
    match settings("key-auth", json!({})) {
        PluginConfig::KeyAuth(config) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_known_key_passes_from_header_or_query() {
    let outcome = run(config(), Method::GET, &[("apikey", "secret")], None);
    assert!(matches!(outcome.verdict, Verdict::Pass));
    assert_eq!(outcome.consumer.unwrap().consumer, Uuid::from_u128(2));
    assert_eq!(outcome.headers[&CONSUMER_ID], Uuid::from_u128(2).to_string().as_str());
    assert_eq!(outcome.headers[&CONSUMER_USERNAME].as_bytes(), "caf\u{e9}".as_bytes());
    assert_eq!(outcome.headers["apikey"], "secret");

    let outcome = run(config(), Method::GET, &[], Some("a=1&apikey=%73ecret"));
    assert!(matches!(outcome.verdict, Verdict::Pass));
    assert_eq!(outcome.query.as_deref(), Some("a=1&apikey=%73ecret"));
}

#[test]
fn anything_else_is_refused_with_a_challenge() {
    for (headers, query, expected) in [
        (vec![], None, "No API key found in request"),
        (vec![("apikey", "")], None, "No API key found in request"),
        (vec![("apikey", "wrong")], None, "Unauthorized"),
        (vec![("apikey", "secret"), ("apikey", "other")], None, "Duplicate API key found"),
        (vec![], Some("apikey=secret&apikey=other"), "Duplicate API key found"),
        (vec![], Some("APIKEY=secret"), "No API key found in request"),
        (vec![("apikey", "wrong")], Some("apikey=secret"), "Unauthorized"),
    ] {
        let realm = Some("shop".to_owned());
        let outcome = run(Config { realm, ..config() }, Method::GET, &headers, query);
        assert_eq!(outcome.refused(), (StatusCode::UNAUTHORIZED, expected), "{headers:?} {query:?}");
        assert_eq!(outcome.answer_header("www-authenticate"), Some("Key realm=\"shop\""));
        assert!(outcome.consumer.is_none() && outcome.headers.get(CONSUMER_ID).is_none());
    }
}

#[test]
fn keys_are_hidden_where_asked() {
    let hide = Config { hide_credentials: true, ..config() };
    let outcome = run(hide.clone(), Method::GET, &[("apikey", "secret")], Some("apikey=secret&b=2"));
    assert!(outcome.headers.get("apikey").is_none());
    assert_eq!(outcome.query.as_deref(), Some("b=2"));
    assert_eq!(run(hide, Method::GET, &[], Some("apikey=secret")).query, None);
}

#[test]
fn only_the_configured_places_count() {
    let header_only = Config { key_in_query: false, ..config() };
    assert!(run(header_only, Method::GET, &[], Some("apikey=secret")).consumer.is_none());
    let query_only = Config { key_in_header: false, ..config() };
    assert!(run(query_only, Method::GET, &[("apikey", "secret")], None).consumer.is_none());
    let names = Config { key_names: vec!["k1".to_owned(), "k2".to_owned()], ..config() };
    assert!(run(names, Method::GET, &[("k2", "secret")], None).consumer.is_some());
}

#[test]
fn preflight_passes_where_asked() {
    let skip = Config { run_on_preflight: false, ..config() };
    assert!(matches!(run(skip.clone(), Method::OPTIONS, &[], None).verdict, Verdict::Pass));
    assert!(matches!(run(skip, Method::GET, &[], None).verdict, Verdict::Answer(_)));
    assert!(matches!(run(config(), Method::OPTIONS, &[], None).verdict, Verdict::Answer(_)));
}

fn termination(config: serde_json::Value) -> Result<RequestTermination, NotExecutable> {
    let PluginConfig::RequestTermination(config) = settings("request-termination", config) else {
        panic!("a termination was asked for")
    };
    testing::compile(&config)
}

#[test]
fn termination_answers_with_message_or_body() {
    let outcome = get("/").show(&termination(json!({})).unwrap());
    assert_eq!(outcome.refused(), (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"));
    let config = json!({ "status_code": 418, "body": "<p>", "content_type": "text/html" });
    let outcome = get("/").show(&termination(config).unwrap());
    assert_eq!(outcome.refused(), (StatusCode::IM_A_TEAPOT, "<p>"));
    assert_eq!(outcome.answer_header("content-type"), Some("text/html"));
    let interim = gateway_model::plugin::request_termination::Config {
        status_code: 101,
        message: None,
        body: None,
        content_type: None,
        echo: false,
        trigger: None,
        observe: false,
    };
    assert!(testing::compile::<RequestTermination>(&interim).is_err());
}

#[test]
fn termination_answers_only_what_has_the_trigger() {
    let plugin = termination(json!({ "trigger": "X-Closed" })).unwrap();
    assert!(get("/?x-closed=1").show(&plugin).passed(), "the case of arguments matters");
    assert!(!get("/?X-Closed").show(&plugin).passed());
    assert!(!get("/").header("x-closed", "").show(&plugin).passed());
}

#[test]
fn termination_shows_the_request() {
    let plugin = termination(json!({ "echo": true, "status_code": 200 })).unwrap();
    let sent =
        request(Method::POST, "/a?b=1&b=2&c=3").header("x-a", "1").header("x-a", "2").body("{\"d\":4}");
    let outcome = sent.show(&plugin);
    let (status, body) = outcome.refused();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((status, &body["message"]), (StatusCode::OK, &json!("OK")));
    let expected = json!({
        "scheme": "http", "host": "example.com", "port": 80, "method": "POST", "path": "/a",
        "headers": {"x-a": ["1", "2"]}, "query": {"b": ["1", "2"], "c": "3"},
        "body": {"d": 4}, "raw_body": "{\"d\":4}",
    });
    assert_eq!(body["request"], expected);
    assert_eq!(body["matched_route"]["name"], "route");
    assert_eq!(body["matched_service"]["name"], "service");
}
