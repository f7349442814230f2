use std::borrow::Cow;

use gateway_model::{Consumer, key_hash, plugin::key_auth::Config};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::*;
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

struct Outcome {
    verdict: Verdict,
    headers: HeaderMap,
    query: Option<String>,
    consumer: Option<Rc<Identity>>,
}

/// Runs key-auth on a request; the only known key is `secret`.
fn run(config: Config, method: Method, headers: &[(&str, &str)], query: Option<&str>) -> Outcome {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let mut query = query.map(Cow::Borrowed);
    let mut exchange =
        Exchange { method: &method, headers: &mut map, query: &mut query, consumer: None, now: 0 };
    let known = key_hash("secret");
    let find = |hash: &[u8; 32]| Ok((*hash == known).then(|| Rc::new(identity("caf\u{e9}"))));
    let verdict = KeyAuth::new(&config).unwrap().run(&mut exchange, find).unwrap();
    let consumer = exchange.consumer.take();
    Outcome { verdict, headers: map, query: query.map(Cow::into_owned), consumer }
}

/// The settings of a plugin that is configured so.
fn plugin(body: serde_json::Value) -> PluginConfig {
    let entity = gateway_model::Entity::from_api(gateway_model::Kind::Plugin, &body).unwrap();
    let gateway_model::Entity::Plugin(plugin) = entity else { panic!("a plugin was asked for") };
    plugin.config
}

fn config() -> Config {
    match plugin(json!({"name": "key-auth"})) {
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
        let Verdict::Answer(Answer::Message { status, message, header: Some((name, value)) }) =
            outcome.verdict
        else {
            panic!("{headers:?} {query:?} passed")
        };
        assert_eq!((status, message.as_str()), (StatusCode::UNAUTHORIZED, expected));
        assert_eq!((name, value.to_str().unwrap()), (header::WWW_AUTHENTICATE, "Key realm=\"shop\""));
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
    let body = json!({ "name": "request-termination", "config": config });
    let PluginConfig::RequestTermination(config) = plugin(body) else {
        panic!("a termination was asked for")
    };
    RequestTermination::new(&config)
}

#[test]
fn termination_answers_with_message_or_body() {
    let Verdict::Answer(Answer::Message { status, message, .. }) = termination(json!({})).unwrap().run()
    else {
        panic!("no message")
    };
    assert_eq!((status, message.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"));
    let config = json!({ "status_code": 418, "body": "<p>", "content_type": "text/html" });
    let Verdict::Answer(Answer::Full(response)) = termination(config).unwrap().run() else {
        panic!("no body")
    };
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html");
    let interim = gateway_model::plugin::request_termination::Config {
        status_code: 101,
        message: None,
        body: None,
        content_type: None,
        observe: false,
    };
    assert!(RequestTermination::new(&interim).is_err());
}
