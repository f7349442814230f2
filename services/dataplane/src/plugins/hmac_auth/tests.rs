use aws_lc_rs::hmac;
use gateway_model::PluginConfig;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::testing::{self, Known, NOW, Outcome, Request, get, request, settings},
    *,
};

fn plugin(config: Value) -> HmacAuth {
    match settings("hmac-auth", config) {
        PluginConfig::HmacAuth(config) => testing::compile(&config).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// alice signs with `secret`.
fn alice() -> Known {
    let consumer = json!({ "id": Uuid::from_u128(1) });
    let credential = json!({ "consumer": consumer, "username": "al\"ice", "secret": "secret" });
    let nobody = json!({ "username": "nobody" });
    let alice = json!({ "username": "alice" });
    Known::new(&[(Kind::Consumer, 1, alice), (Kind::Consumer, 9, nobody), (Kind::HmacAuth, 2, credential)])
}

fn date(seconds: i64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.saturating_add_signed(seconds)))
}

fn authorization(algorithm: &str, headers: &str, signed: &str) -> String {
    let with = match algorithm {
        "hmac-sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "hmac-sha384" => hmac::HMAC_SHA384,
        "hmac-sha512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let tag = hmac::sign(&hmac::Key::new(with, b"secret"), signed.as_bytes());
    let signature = BASE64_STANDARD.encode(tag);
    format!(
        r#"hmac username="al\"ice", algorithm="{algorithm}", headers="{headers}", signature="{signature}""#
    )
}

fn dated(request: Request, algorithm: &str) -> Request {
    let date = date(0);
    request
        .header("authorization", &authorization(algorithm, "date", &format!("date: {date}")))
        .header("date", &date)
}

fn refused(outcome: &Outcome) -> &str {
    let (status, message) = outcome.refused();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    message
}

#[test]
fn a_signed_request_passes_whatever_it_covers() {
    let (known, plain) = (alice(), plugin(json!({})));
    for algorithm in ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let outcome = dated(get("/"), algorithm).show_by(&known.identities, &plain);
        assert!(outcome.passed(), "{algorithm}");
        assert_eq!(outcome.headers["x-consumer-username"], "alice");
        assert_eq!(outcome.headers["x-credential-identifier"], "al\"ice");
    }
    let date = date(-299);
    for (covered, signed) in [
        ("x-date request-line", format!("x-date: {date}\nPOST /a%20b?c=d HTTP/1.1")),
        ("@request-target X-Date", format!("@request-target: post /a%20b?c=d\nX-Date: {date}")),
        ("host missing x-two", "host: example.com\nmissing:\nx-two: 1, 2".to_owned()),
    ] {
        let header = authorization("hmac-sha256", covered, &signed);
        let request = request(Method::POST, "/a%20b?c=d").header("x-date", &date).header("x-two", "1");
        let outcome =
            request.header("x-two", "2").header("authorization", &header).show_by(&known.identities, &plain);
        assert!(outcome.passed(), "{covered}");
    }
}

#[test]
fn what_is_not_signed_or_old_or_altered_is_refused() {
    let known = alice();
    let strict = plugin(
        json!({ "algorithms": ["hmac-sha256"], "enforce_headers": ["date", "@request-target"], "realm": "shop" }),
    );
    let now = date(0);
    let both = format!("date: {now}\n@request-target: get /x");
    let good = authorization("hmac-sha256", "date @request-target", &both);
    let shown = |authorization: &str, date: &str| {
        let request = get("/x").header("authorization", authorization).header("date", date);
        request.show_by(&known.identities, &strict)
    };
    assert!(shown(&good, &now).passed());
    let sha512 = authorization("hmac-sha512", "date @request-target", &both);
    let only_date = authorization("hmac-sha256", "date", &format!("date: {now}"));
    for (authorization, date, expected) in [
        (good.as_str(), date(301), NO_DATE),
        (&good, date(-301), NO_DATE),
        (&good, "yesterday".to_owned(), NO_DATE),
        (&good, date(1), NOT_SAME),
        (&good.replace("al\\\"ice", "bob"), now.clone(), NOT_VALID),
        (&good.replace("al\\\"ice", ""), now.clone(), NOT_VALID),
        (&sha512, now.clone(), NOT_VALID),
        (&only_date, now.clone(), NOT_VALID),
        (&good.replace("date @request-target", "@request-target date"), now.clone(), NOT_SAME),
        (&good.replace("signature=\"", "signature=\"x"), now.clone(), NOT_SAME),
        ("hmac x", now.clone(), NOT_VALID),
        ("Basic x", now.clone(), NOT_VALID),
        (&format!("hmac {}", "x=\"".repeat(10_000)), now.clone(), NOT_VALID),
    ] {
        let outcome = shown(authorization, &date);
        assert_eq!(refused(&outcome), expected, "{authorization:.200}");
        assert_eq!(outcome.answer_header("www-authenticate"), Some("hmac realm=\"shop\""));
    }
    let nothing = get("/x").show_by(&known.identities, &strict);
    assert_eq!(refused(&nothing), "Unauthorized");
    // Another target with the same signature, and two signatures.
    let other = get("/y").header("authorization", &good).header("date", &now);
    assert_eq!(refused(&other.show_by(&known.identities, &strict)), NOT_SAME);
    let two =
        get("/x").header("authorization", &good).header("authorization", &only_date).header("date", &now);
    assert_eq!(refused(&two.show_by(&known.identities, &strict)), NOT_VALID);
}

#[test]
fn a_body_is_what_its_digest_says() {
    let known = alice();
    let checking = plugin(json!({ "validate_request_body": true, "body_max_bytes": 16 }));
    let shown = |body: &'static str, digest: Option<&str>| {
        let request = dated(request(Method::POST, "/"), "hmac-sha256");
        let request = if body.is_empty() { request } else { request.body(body) };
        let request = digest.into_iter().fold(request, |request, digest| request.header("digest", digest));
        request.show_by(&known.identities, &checking)
    };
    let of = |body: &str| {
        format!("SHA-256={}", BASE64_STANDARD.encode(digest::digest(&digest::SHA256, body.as_bytes())))
    };
    assert!(shown("hello", Some(&of("hello"))).passed());
    assert!(shown("", Some(&of(""))).passed());
    assert!(shown("", None).passed());
    let long = "seventeen letters";
    for (body, digest) in [
        ("hello", None),
        ("hello", Some(of("Hello"))),
        ("hello", Some(of("hello").to_ascii_lowercase())),
        ("", Some(of("hello"))),
        (long, Some(of(long))),
    ] {
        assert_eq!(refused(&shown(body, digest.as_deref())), NOT_SAME, "{body}");
    }
}

#[test]
fn signatures_are_hidden_and_who_has_none_may_count_as_somebody() {
    let known = alice();
    let optional = plugin(json!({ "anonymous": "nobody", "hide_credentials": true }));
    let outcome = dated(get("/"), "hmac-sha256").show_by(&known.identities, &optional);
    assert!(outcome.passed() && !outcome.headers.contains_key("authorization"));
    assert!(!outcome.consumer.unwrap().is_anonymous);
    let outcome = get("/").header("authorization", "hmac x").show_by(&known.identities, &optional);
    assert!(outcome.passed() && !outcome.headers.contains_key("authorization"));
    assert_eq!(outcome.headers["x-anonymous-consumer"], "true");
}
