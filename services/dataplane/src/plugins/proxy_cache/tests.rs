use gateway_model::PluginConfig;
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{self, Outcome, Request, get, request, settings};

fn cache(config: Value) -> ProxyCache {
    let mut config = config;
    config["strategy"] = json!("memory");
    let PluginConfig::ProxyCache(config) = settings("proxy-cache", config) else { panic!("a cache") };
    testing::compile(&config).unwrap()
}

const TEXT: (&str, &str) = ("content-type", "text/plain");

/// Asks, and lets the upstream answer if the cache does not. Returns `X-Cache-Status` and the body.
fn ask(cache: &ProxyCache, request: Request, answer: &[(&str, &str)], body: &str) -> (String, String) {
    let mut outcome = request.show(cache);
    if !outcome.passed() {
        let status = outcome.answer_header("x-cache-status").unwrap_or("none").to_owned();
        return (status, outcome.refused().1.to_owned());
    }
    let (_, headers, body) = outcome.answer(cache, 200, answer, body);
    let status = headers.get("x-cache-status").map_or("none", |status| status.to_str().unwrap());
    (status.to_owned(), String::from_utf8(body.to_vec()).unwrap())
}

fn statuses(cache: &ProxyCache, requests: Vec<Request>, answer: &[(&str, &str)]) -> Vec<String> {
    requests.into_iter().map(|request| ask(cache, request, answer, "body").0).collect()
}

#[test]
fn an_answer_is_given_again() {
    let cache = cache(json!({}));
    assert_eq!(ask(&cache, get("/a?x=1"), &[TEXT], "first"), ("Miss".to_owned(), "first".to_owned()));
    assert_eq!(ask(&cache, get("/a?x=1"), &[TEXT], "second"), ("Hit".to_owned(), "first".to_owned()));
    for other in [get("/b?x=1"), get("/a?x=2"), get("/a")] {
        assert_eq!(ask(&cache, other, &[TEXT], "second").0, "Miss");
    }
    // What HEAD is answered with is kept for nobody, and what GET was answered with is for HEAD too.
    let head = |target: &str| ask(&cache, request(Method::HEAD, target), &[TEXT], "").0;
    assert_eq!((head("/c"), head("/c"), head("/a?x=1")), ("Miss".into(), "Miss".into(), "Hit".into()));
    assert_eq!(ask(&cache, get("/c"), &[TEXT], "third"), ("Miss".to_owned(), "third".to_owned()));
    let hit = get("/a?x=1").show(&cache);
    assert!(hit.answer_header("age").is_some());
    let key = hit.answer_header("x-cache-key").unwrap().to_owned();
    assert!(cache.store.purge(&hex::decode(key).unwrap().try_into().unwrap()));
    assert_eq!(ask(&cache, get("/a?x=1"), &[TEXT], "second"), ("Miss".to_owned(), "second".to_owned()));
}

#[test]
fn what_is_not_kept() {
    let kept = |answer: &[(&str, &str)], sent: fn() -> Request| {
        let cache = cache(json!({}));
        ask(&cache, sent(), answer, "body");
        ask(&cache, sent(), answer, "body").0
    };
    let plain = || get("/");
    assert_eq!(kept(&[TEXT], plain), "Hit");
    assert_eq!(kept(&[("content-type", "text/plain; charset=utf-8")], plain), "Bypass");
    assert_eq!(kept(&[], plain), "Bypass");
    assert_eq!(kept(&[TEXT, ("set-cookie", "a=b")], plain), "Bypass");
    assert_eq!(kept(&[TEXT, ("vary", "*")], plain), "Bypass");
    assert_eq!(kept(&[TEXT], || request(Method::POST, "/")), "Bypass");
    assert_eq!(kept(&[TEXT], || get("/").header("range", "bytes=0-1")), "Bypass");
    assert_eq!(kept(&[TEXT], || get("/").body("x")), "Bypass");
    assert_eq!(kept(&[TEXT], || get("/").header("authorization", "Basic x")), "Bypass");
    let with_404 = cache(json!({"response_code": [404]}));
    assert_eq!(statuses(&with_404, vec![get("/"), get("/")], &[TEXT]), ["Bypass", "Bypass"]);
}

#[test]
fn a_consumers_answers_are_its_own() {
    let consumer = |id: u128, credentials: &str| {
        let identity = crate::plugins::Identity::of_consumer(Uuid::from_u128(id));
        let request = get("/").header("authorization", credentials);
        Request { consumer: Some(std::rc::Rc::new(identity)), ..request }
    };
    let cache = cache(json!({}));
    let sent = vec![consumer(1, "a"), consumer(1, "b"), consumer(2, "a"), get("/")];
    assert_eq!(statuses(&cache, sent, &[TEXT]), ["Miss", "Hit", "Miss", "Miss"]);
}

#[test]
fn headers_and_arguments_tell_answers_apart_as_configured() {
    let encoding = |encoding: &str| get("/").header("accept-encoding", encoding);
    let sent = || vec![encoding("gzip"), encoding("br"), encoding("gzip"), get("/")];
    assert_eq!(statuses(&cache(json!({})), sent(), &[TEXT]), ["Miss", "Miss", "Hit", "Miss"]);
    let by_language = cache(json!({"vary_headers": ["Accept-Language"]}));
    assert_eq!(statuses(&by_language, sent(), &[TEXT]), ["Miss", "Hit", "Hit", "Hit"]);
    // The upstream knows better.
    let varies = [TEXT, ("vary", "Accept-Encoding")];
    assert_eq!(statuses(&by_language.emptied(), sent(), &varies), ["Miss", "Miss", "Hit", "Miss"]);

    let targets = || ["/?a=1&b=2", "/?b=2&a=1", "/?a=1&b=3", "/?a=2"].map(get).into_iter().collect();
    assert_eq!(statuses(&cache(json!({})), targets(), &[TEXT]), ["Miss", "Hit", "Miss", "Miss"]);
    let by_a = cache(json!({"vary_query_params": ["a"]}));
    assert_eq!(statuses(&by_a, targets(), &[TEXT]), ["Miss", "Hit", "Hit", "Miss"]);
    let paths = || vec![get("/Path"), get("/path")];
    assert_eq!(statuses(&cache(json!({})), paths(), &[TEXT]), ["Miss", "Miss"]);
    assert_eq!(statuses(&cache(json!({"ignore_uri_case": true})), paths(), &[TEXT]), ["Miss", "Hit"]);
}

#[test]
fn cache_control_decides_where_it_is_asked_to() {
    let twice = |control: &'static str, second: fn() -> Request| {
        let cache = cache(json!({"cache_control": true}));
        let answer = [TEXT, ("cache-control", control)];
        statuses(&cache, vec![get("/"), second()], &answer)[1].clone()
    };
    let plain = || get("/");
    assert_eq!(twice("max-age=60", plain), "Hit");
    assert_eq!(twice("public, s-maxage=60, max-age=0", plain), "Hit");
    assert_eq!(twice("max-age=0", plain), "Bypass");
    assert_eq!(twice("private, max-age=60", plain), "Bypass");
    assert_eq!(twice("no-store", plain), "Bypass");
    assert_eq!(twice("no-cache", plain), "Bypass");
    assert_eq!(twice("public", plain), "Bypass", "for how long, nobody says");
    assert_eq!(twice("max-age=60", || get("/").header("cache-control", "no-cache")), "Bypass");
    assert_eq!(twice("max-age=60", || get("/").header("cache-control", "no-store")), "Bypass");
    assert_eq!(twice("max-age=60", || get("/").header("cache-control", "min-fresh=120")), "Refresh");
    let only = get("/never").header("cache-control", "only-if-cached");
    assert_eq!(only.show(&cache(json!({"cache_control": true}))).refused().0, StatusCode::GATEWAY_TIMEOUT);
    // Without it, neither side has a say.
    let deaf = cache(json!({}));
    let answer = [TEXT, ("cache-control", "max-age=0")];
    let sent = vec![get("/"), get("/").header("cache-control", "no-cache")];
    assert_eq!(statuses(&deaf, sent, &answer), ["Miss", "Hit"]);
}

#[test]
fn whoever_knows_the_answer_is_told_that_it_has_not_changed() {
    let cache = cache(json!({}));
    let (tag, date) = (("etag", "\"v1\""), ("last-modified", "Sat, 01 Aug 2026 00:00:00 GMT"));
    ask(&cache, get("/"), &[TEXT, tag, date], "body");
    for (header, value, status) in [
        ("if-none-match", "\"v1\"", 304),
        ("if-none-match", "W/\"v1\", \"v0\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"v0\"", 200),
        ("if-modified-since", "Sat, 01 Aug 2026 00:00:00 GMT", 304),
        ("if-modified-since", "Fri, 31 Jul 2026 00:00:00 GMT", 200),
        ("if-modified-since", "once upon a time", 200),
    ] {
        let outcome: Outcome = get("/").header(header, value).show(&cache);
        let (found, body) = outcome.refused();
        assert_eq!((found.as_u16(), body.is_empty()), (status, status == 304), "{header}: {value}");
    }
}

#[test]
fn what_breaks_off_or_is_too_long_is_not_kept() {
    let cache = cache(json!({}));
    let mut outcome = get("/").show(&cache);
    outcome.answer_in_part(&cache, &[TEXT], "half of");
    assert_eq!(ask(&cache, get("/"), &[TEXT], "whole").0, "Miss");
    let long = "x".repeat(BODY_BYTES_MAX as usize + 1);
    assert_eq!(ask(&cache, get("/long"), &[TEXT], &long).0, "Bypass");
    assert_eq!(ask(&cache, get("/long"), &[TEXT], "short").0, "Miss");
}

#[test]
fn the_memory_is_bounded() {
    let store = Store::new(1 << 20);
    let cache = ProxyCache { store: store.clone(), ..cache(json!({})) };
    let body = "x".repeat(100_000);
    for number in 0..100 {
        ask(&cache, get(&format!("/{number}")), &[TEXT], &body);
    }
    assert!(store.settled_bytes() <= 1 << 20, "{store:?}");
}

/// Whether an answer to `GET` of each target is still kept, after a request that the upstream answers so.
fn kept_after(change: Request, status: u16, answer: &[(&str, &str)], targets: [&str; 4]) -> [bool; 4] {
    let cache = cache(json!({}));
    for target in targets {
        ask(&cache, get(target), &[TEXT], "body");
    }
    let mut outcome = change.show(&cache);
    assert!(outcome.passed());
    outcome.answer(&cache, status, answer, "");
    targets.map(|target| ask(&cache, get(target), &[TEXT], "body").0 == "Hit")
}

#[test]
fn what_is_changed_is_forgotten() {
    let targets = ["/a", "/a?x=1", "/b", "/a/b"];
    for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
        let change = |target| request(method.parse().unwrap(), target);
        for status in [200, 201, 204, 303] {
            assert_eq!(kept_after(change("/a?y=2"), status, &[], targets), [false, false, true, true]);
        }
        // It was not done.
        for status in [400, 404, 500, 503] {
            assert_eq!(kept_after(change("/a"), status, &[], targets), [true; 4], "{method} {status}");
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(kept_after(request(method.parse().unwrap(), "/a?z=3"), 200, &[], targets), [true; 4]);
    }
}

#[test]
fn what_an_answer_names_of_the_same_origin_is_forgotten() {
    let targets = ["/a/b", "/c", "/a/c%20d", "/x"];
    let after = |name, value| kept_after(request(Method::POST, "/x"), 201, &[(name, value)], targets);
    assert_eq!(after("location", "/a/b"), [false, true, true, false]);
    assert_eq!(after("content-location", "a/b?new#part"), [false, true, true, false]);
    assert_eq!(after("location", "/a/../%63"), [true, false, true, false]);
    assert_eq!(after("location", "/a/c%20d"), [true, true, false, false]);
    for other in [
        "http://elsewhere.example/c",
        "//elsewhere.example/c",
        "https://a.example/c",
        "http://a.example:81/c",
        "::",
        "mailto:c",
    ] {
        assert_eq!(after("location", other), [true, true, true, false], "{other}");
    }
}

#[test]
fn an_answer_from_before_the_change_is_not_kept() {
    let cache = cache(json!({}));
    let mut before = get("/a").show(&cache);
    request(Method::PUT, "/a").show(&cache).answer(&cache, 204, &[], "");
    before.answer(&cache, 200, &[TEXT], "old");
    assert_eq!(ask(&cache, get("/a"), &[TEXT], "new"), ("Miss".to_owned(), "new".to_owned()));
}
