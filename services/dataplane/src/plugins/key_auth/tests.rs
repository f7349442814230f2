use gateway_model::PluginConfig;
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        CONSUMER_ID, CONSUMER_USERNAME,
        testing::{self, Known, Outcome, request, settings},
    },
    *,
};

/// The only consumer has the key `secret`.
fn known() -> Known {
    let key = json!({ "key": "secret", "consumer": { "id": Uuid::from_u128(2) } });
    Known::new(&[
        (Kind::Consumer, 2, json!({ "username": "caf\u{e9}" })),
        (Kind::Consumer, 3, json!({ "username": "nobody" })),
        (Kind::KeyAuth, 1, key),
    ])
}

/// What key-auth makes of a request.
fn run(config: Config, method: Method, headers: &[(&str, &str)], query: Option<&str>) -> Outcome {
    let target = query.map_or_else(|| "/".to_owned(), |query| format!("/?{query}"));
    let all = headers.iter().fold(request(method, &target), |all, (name, value)| all.header(name, value));
    all.show_by(&known().identities, &testing::compile::<KeyAuth>(&config).unwrap())
}

fn post(config: &Config, kind: &str, body: &str) -> Outcome {
    let all = request(Method::POST, "/").header("content-type", kind).body(body.to_owned());
    all.show_by(&known().identities, &testing::compile::<KeyAuth>(config).unwrap())
}

#[test]
fn arguments_are_removed_by_decoded_name() {
    let names = ["apikey".to_owned()];
    assert_eq!(without_arguments("a=1&apikey=s&b=%20", &names), "a=1&b=%20");
    assert_eq!(without_arguments("%61pikey=s&apikey", &names), "");
    assert_eq!(without_arguments("xapikey=s", &names), "xapikey=s");
}

#[test]
fn a_key_may_stand_in_the_body() {
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let config = Config { key_in_body: true, hide_credentials: true, body_max_bytes: 64, ..config() };
    for (kind, body, left) in [
        (form, "a=1&apikey=secret", "a=1"),
        ("application/json", r#"{"apikey":"secret","b":[2]}"#, r#"{"b":[2]}"#),
        ("Application/JSON", r#" {"apikey": "secret"} "#, "{}"),
    ] {
        let outcome = post(&config, kind, body);
        assert!(outcome.passed(), "{body}");
        assert_eq!(outcome.effects.wanted().unwrap().body.as_deref(), Some(left.as_bytes()));
    }
    let long = format!("a={}&apikey=secret", "x".repeat(64));
    for (kind, body, expected) in [
        (form, "a=1", "No API key found in request"),
        (form, "apikey=a&apikey=b", "Duplicate API key found"),
        (form, "apikey=wrong", "Unauthorized"),
        (form, &long, "No API key found in request"),
        ("text/plain", "apikey=secret", "No API key found in request"),
        ("application/json", "apikey=secret", "No API key found in request"),
        ("application/json", r#"{"apikey":["secret"]}"#, "No API key found in request"),
        ("application/json", r#"["apikey"]"#, "No API key found in request"),
    ] {
        assert_eq!(post(&config, kind, body).refused().1, expected, "{body}");
    }
    assert!(!post(&Config { key_in_body: false, ..config }, form, "apikey=secret").passed());
}

#[test]
fn a_key_may_stand_in_a_part_of_the_body() {
    let kind = "multipart/form-data; charset=utf-8; boundary=\"a b\"";
    let config = Config { key_in_body: true, hide_credentials: true, body_max_bytes: 1024, ..config() };
    let part = |disposition: &str, content: &str| {
        format!("--a b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    };
    let body = |parts: &[String]| format!("{}--a b--\r\n", parts.concat());
    let (key, other) = (part("name=\"apikey\"", "secret"), part("name=\"b\"", "1\r\n2"));
    let file = "--a b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.bin\"\r\ncontent-type: x/y\r\n\r\n\r\n--a\r\n".to_owned();
    let parts = [file.clone(), key.clone(), other.clone()];
    let outcome = post(&config, kind, &format!("preamble\r\n{}", body(&parts)));
    assert!(outcome.passed());
    let left = outcome.effects.wanted().unwrap().body.clone().unwrap();
    assert_eq!(std::str::from_utf8(&left).unwrap(), body(&[file.clone(), other.clone()]));
    let twice = body(&[key.clone(), part("name=apikey", "another")]);
    let as_file = body(&[part("name=\"apikey\"; filename=\"k\"", "secret")]);
    let (cut, long) = (key.clone(), body(&[part("name=x", &"x".repeat(1024)), key]));
    for (body, expected) in [
        (twice.as_str(), "Duplicate API key found"),
        (as_file.as_str(), "No API key found in request"),
        (cut.as_str(), "No API key found in request"),
        (long.as_str(), "No API key found in request"),
        (body(&[part("name=apikey", "wrong")]).as_str(), "Unauthorized"),
        (body(&[other]).as_str(), "No API key found in request"),
        ("", "No API key found in request"),
        ("--a b--\r\n", "No API key found in request"),
    ] {
        assert_eq!(post(&config, kind, body).refused().1, expected, "{body}");
    }
    let unbounded = post(&config, "multipart/form-data", &body(&[file]));
    assert_eq!(unbounded.refused().1, "No API key found in request");
}

#[test]
fn who_shows_no_known_key_may_count_as_somebody_and_a_wrong_key_stays_here() {
    let optional = Config { anonymous: Some("nobody".to_owned()), hide_credentials: true, ..config() };
    for headers in [&[][..], &[("apikey", "wrong")], &[("apikey", "secret"), ("apikey", "x")]] {
        let outcome = run(optional.clone(), Method::GET, headers, None);
        assert!(outcome.passed());
        assert_eq!(outcome.headers[CONSUMER_USERNAME], "nobody");
        assert_eq!(outcome.headers["x-anonymous-consumer"], "true");
        assert!(!outcome.headers.contains_key("apikey"));
        assert!(!outcome.headers.contains_key("x-credential-identifier"));
    }
    let outcome = run(optional, Method::GET, &[("apikey", "secret")], None);
    assert!(!outcome.consumer.unwrap().is_anonymous);
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
