use base64::{Engine as _, prelude::*};
use gateway_model::PluginConfig;
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::testing::{self, Known, NOW, Outcome, get, request, settings},
    *,
};

fn plugin(config: Value) -> Jwt {
    match settings("jwt", config) {
        PluginConfig::Jwt(config) => testing::compile(&config).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn credential(id: u128, body: &Value) -> (Kind, u128, Value) {
    let mut body = body.clone();
    body["consumer"] = json!({ "id": Uuid::from_u128(1) });
    (Kind::Jwt, id, body)
}

/// alice has the credential `shop`, whose secret is `secret`.
fn alice() -> Known {
    let alice = json!({ "username": "alice" });
    let nobody = json!({ "username": "nobody" });
    let shop = credential(2, &json!({ "key": "shop", "secret": "secret" }));
    Known::new(&[(Kind::Consumer, 1, alice), (Kind::Consumer, 9, nobody), shop])
}

fn signed(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(b"secret")).unwrap()
}

fn shop() -> String {
    signed(&json!({ "iss": "shop" }))
}

fn bearer(known: &Known, plugin: &Jwt, token: &str) -> Outcome {
    get("/").header("authorization", &format!("Bearer {token}")).show_by(&known.identities, plugin)
}

fn refused(outcome: &Outcome) -> String {
    let (status, message) = outcome.refused();
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{message}");
    message.to_owned()
}

#[test]
fn a_signed_token_passes_wherever_it_stands() {
    let (known, token) = (alice(), shop());
    let all = plugin(json!({ "cookie_names": ["session"], "header_names": ["authorization", "x-token"] }));
    for request in [
        get("/").header("authorization", &format!("Bearer {token}")),
        get("/").header("authorization", &format!("bearer   {token}")),
        get("/").header("x-token", &format!("Bearer {token}")),
        get(&format!("/?a=b&jwt={token}")),
        get("/").header("cookie", &format!("a=b; session={token}; c=d")),
        // The same one twice is one.
        get(&format!("/?jwt={token}")).header("authorization", &format!("Bearer {token}")),
    ] {
        let outcome = request.show_by(&known.identities, &all);
        assert!(outcome.passed());
        assert_eq!(outcome.consumer.unwrap().consumer, Uuid::from_u128(1));
        assert_eq!(outcome.headers["x-consumer-username"], "alice");
        assert_eq!(outcome.headers["x-credential-identifier"], "shop");
        assert!(!outcome.headers.contains_key("x-anonymous-consumer"));
    }
    for request in [
        get("/").header("authorization", &token),
        get("/").header("authorization", &format!("Basic {token}")),
        get("/").header("cookie", &format!("Session={token}")),
        get(&format!("/?JWT={token}")),
        get("/?jwt="),
        get("/"),
    ] {
        let outcome = request.show_by(&known.identities, &all);
        assert_eq!(refused(&outcome), "Unauthorized");
        assert_eq!(outcome.answer_header("www-authenticate"), Some("Bearer"));
    }
    let two = get(&format!("/?jwt={token}")).header("authorization", "Bearer x");
    assert_eq!(refused(&two.show_by(&known.identities, &all)), "Multiple tokens provided");
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let (known, plain) = (alice(), plugin(json!({ "realm": "shop" })));
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let raw = |header: &str, claims: &str| format!("{}.{}.{}", part(header), part(claims), part("x"));
    let good = shop();
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let with_key = |key: &[u8]| {
        encode(&Header::default(), &json!({ "iss": "shop" }), &EncodingKey::from_secret(key)).unwrap()
    };
    let hs512 = encode(
        &Header::new(Algorithm::HS512),
        &json!({ "iss": "shop" }),
        &EncodingKey::from_secret(b"secret"),
    );
    for (token, expected) in [
        ("a".to_owned(), "Bad token; invalid JSON"),
        ("a.b".to_owned(), "Bad token; invalid JSON"),
        (format!("{good}.x"), "Bad token; invalid JSON"),
        ("....".to_owned(), "Bad token; invalid JSON"),
        (raw("no json", "{}"), "Bad token; invalid JSON"),
        (raw(r#"{"alg":"HS256"}"#, "[]"), "Bad token; invalid claims"),
        (raw(r#"{"alg":"HS256"}"#, r#"{"iss":"shop"} x"#), "Bad token; invalid claims"),
        (raw(r#"{"alg":"HS256"}"#, r#"{"iss":"shop","iss":"other"}"#), "Bad token; invalid claims"),
        (raw(r#"{"typ":"JWT"}"#, "{}"), "Bad token; invalid alg"),
        (raw(r#"{"alg":"none"}"#, "{}"), "Bad token; invalid alg"),
        (raw(r#"{"alg":"hs256"}"#, "{}"), "Bad token; invalid alg"),
        (
            raw(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}"),
            "Bad token; extensions are not supported",
        ),
        (format!("{unsigned}.!"), "Bad token; invalid signature"),
        (format!("{unsigned}."), "Invalid signature"),
        (format!("{unsigned}.{}", part("short")), "Invalid signature"),
        (format!("{unsigned}A.{signature}"), "Bad token; invalid claims"),
        (signed(&json!({})), "No mandatory 'iss' in claims"),
        (signed(&json!({ "iss": 5 })), "No mandatory 'iss' in claims"),
        (signed(&json!({ "iss": "" })), "Invalid 'iss' in claims"),
        (signed(&json!({ "iss": "Shop" })), "No credentials found for given 'iss'"),
        (signed(&json!({ "iss": "x".repeat(100_000) })), "No credentials found for given 'iss'"),
        (with_key(b"Secret"), "Invalid signature"),
        (with_key(b""), "Invalid signature"),
        (hs512.unwrap(), "Invalid algorithm"),
    ] {
        let outcome = bearer(&known, &plain, &token);
        assert_eq!(refused(&outcome), expected, "{token:.80}");
        let challenge = r#"Bearer realm="shop", error="invalid_token""#;
        assert_eq!(outcome.answer_header("www-authenticate"), Some(challenge));
        assert!(outcome.consumer.is_none());
    }
}

#[test]
fn claims_about_time_are_checked_where_asked() {
    let known = alice();
    let both = plugin(json!({ "claims_to_verify": ["exp", "nbf"], "maximum_expiration": 600 }));
    let token = |exp: Value, nbf: Value| signed(&json!({ "iss": "shop", "exp": exp, "nbf": nbf }));
    let times = |seconds: i64| json!(NOW.cast_signed() + seconds);
    for (exp, nbf, expected) in [
        (times(600), times(0), json!(null)),
        (json!(1_800_000_000.5), times(-5), json!(null)),
        (times(0), times(0), json!({ "exp": "token expired" })),
        (times(-1), times(1), json!({ "exp": "token expired", "nbf": "token not valid yet" })),
        (times(601), times(0), json!({ "exp": "exceeds maximum allowed expiration" })),
        (json!("1900000000"), json!(null), json!({ "exp": "must be a number", "nbf": "must be a number" })),
        (json!(1e300), times(0), json!({ "exp": "exceeds maximum allowed expiration" })),
    ] {
        let outcome = bearer(&known, &both, &token(exp, nbf));
        if expected.is_null() {
            assert!(outcome.passed());
        } else {
            assert_eq!(refused(&outcome).parse::<Value>().unwrap(), expected);
        }
    }
    // Nobody asked.
    assert!(bearer(&known, &plugin(json!({})), &token(times(-9), times(9))).passed());
}

#[test]
fn every_algorithm_is_verified_with_its_own_kind_of_key() {
    let mut entities = vec![(Kind::Consumer, 1, json!({ "username": "alice" }))];
    let mut tokens = Vec::new();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let rsa_key = || EncodingKey::from_rsa_pem(rsa.serialize_pem().as_bytes()).unwrap();
    let ec_key = |pair: &KeyPair| EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let all = [
        ("RS256", &rsa, rsa_key()),
        ("RS384", &rsa, rsa_key()),
        ("RS512", &rsa, rsa_key()),
        ("PS256", &rsa, rsa_key()),
        ("PS384", &rsa, rsa_key()),
        ("PS512", &rsa, rsa_key()),
        ("ES256", &p256, ec_key(&p256)),
        ("ES384", &p384, ec_key(&p384)),
        ("EdDSA", &ed, EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).unwrap()),
    ];
    for (number, (name, pair, key)) in (2..).zip(all) {
        let body =
            json!({ "key": name, "secret": "s", "algorithm": name, "rsa_public_key": pair.public_key_pem() });
        entities.push(credential(number, &body));
        let algorithm = serde_json::from_value(json!(name)).unwrap();
        tokens.push((name, encode(&Header::new(algorithm), &json!({ "iss": name }), &key).unwrap()));
    }
    for name in ["HS256", "HS384", "HS512"] {
        let number = 20 + entities.len() as u128;
        entities.push(credential(number, &json!({ "key": name, "secret": "s", "algorithm": name })));
        let algorithm = serde_json::from_value(json!(name)).unwrap();
        let key = EncodingKey::from_secret(b"s");
        tokens.push((name, encode(&Header::new(algorithm), &json!({ "iss": name }), &key).unwrap()));
    }
    let (known, plain) = (Known::new(&entities), plugin(json!({})));
    for (name, token) in &tokens {
        assert!(bearer(&known, &plain, token).passed(), "{name}");
        let (message, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 64]));
        assert_eq!(refused(&bearer(&known, &plain, &forged)), "Invalid signature", "{name}");
    }
    // The public key is no secret: signed with it, a token is still none of this algorithm.
    let confused = EncodingKey::from_secret(rsa.public_key_pem().as_bytes());
    let token = encode(&Header::new(Algorithm::HS256), &json!({ "iss": "RS256" }), &confused).unwrap();
    assert_eq!(refused(&bearer(&known, &plain, &token)), "Invalid algorithm");
}

#[test]
fn a_key_may_stand_in_the_header_and_a_secret_may_be_base64() {
    let secret = credential(3, &json!({ "key": "k-1", "secret": "c2VjcmV0_-8" }));
    let known = Known::new(&[(Kind::Consumer, 1, json!({ "username": "alice" })), secret]);
    let by_kid = plugin(json!({ "key_claim_name": "kid", "secret_is_base64": true }));
    let header = Header { kid: Some("k-1".to_owned()), ..Header::default() };
    let key = BASE64_URL_SAFE_NO_PAD.decode("c2VjcmV0_-8").unwrap();
    let token = encode(&header, &json!({}), &EncodingKey::from_secret(&key)).unwrap();
    assert!(bearer(&known, &by_kid, &token).passed());
    let plain = plugin(json!({ "key_claim_name": "kid" }));
    assert_eq!(refused(&bearer(&known, &plain, &token)), "Invalid signature");
}

#[test]
fn what_shows_no_right_token_may_count_as_somebody() {
    let known = alice();
    let optional = plugin(json!({ "anonymous": "nobody" }));
    for outcome in [get("/").show_by(&known.identities, &optional), bearer(&known, &optional, "wrong")] {
        assert!(outcome.passed() && outcome.consumer.unwrap().is_anonymous);
        assert_eq!(outcome.headers["x-anonymous-consumer"], "true");
        assert_eq!(outcome.headers["x-consumer-username"], "nobody");
    }
    assert!(!bearer(&known, &optional, &shop()).consumer.unwrap().is_anonymous);
    let missing = plugin(json!({ "anonymous": "somebody" }));
    let outcome = get("/").show_by(&known.identities, &missing);
    let message = "anonymous consumer somebody is configured but doesn't exist";
    assert_eq!(outcome.refused(), (StatusCode::INTERNAL_SERVER_ERROR, message));
    // Of two ways to authenticate one is enough, in either order.
    let by_cookie = plugin(
        json!({ "anonymous": "nobody", "header_names": [], "uri_param_names": [], "cookie_names": ["c"] }),
    );
    for order in [[&by_cookie as &dyn Plugin, &optional], [&optional, &by_cookie]] {
        let request = get("/").header("authorization", &format!("Bearer {}", shop()));
        let outcome = request.show_in_turn(&known.identities, &order);
        assert_eq!(outcome.headers["x-consumer-username"], "alice");
        assert!(!outcome.headers.contains_key("x-anonymous-consumer"));
    }
    let skip = plugin(json!({ "run_on_preflight": false }));
    assert!(request(Method::OPTIONS, "/").show_by(&known.identities, &skip).passed());
    assert!(!request(Method::OPTIONS, "/").show_by(&known.identities, &plugin(json!({}))).passed());
}
