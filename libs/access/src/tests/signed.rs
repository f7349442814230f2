//! Signed tokens whose key is known, is not known yet, and never was.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use axum::http::{Method, StatusCode};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ids::PrincipalId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use policy::Verdict;
use replication::Vector;
use tokio::time::{sleep, timeout};

use super::{
    assert_not_yet,
    region::{Region, vector},
};
use crate::{Claims, ISSUER, Session, key_id, region_of_key};

/// A region's signing key.
pub struct Signer {
    id: String,
    private: EncodingKey,
    pub jwks: String,
}

impl Signer {
    fn of(region: &str) -> Self {
        let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("key");
        Self::new(region, private.as_ref())
    }

    /// The same key for the same seed.
    pub fn seeded(region: &str, seed: [u8; 32]) -> Self {
        // A private key of 32 bytes in PKCS #8 (RFC 8410).
        let start = hex::decode("302e020100300506032b657004220420").expect("digits");
        Self::new(region, &[&start[..], &seed].concat())
    }

    fn new(region: &str, private: &[u8]) -> Self {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private).expect("key pair");
        let public = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let id = key_id(&region.parse().expect("region"), &public[..16]);
        let jwks = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{id}","x":"{public}"}}]}}"#
        );
        Self { id, private: EncodingKey::from_ed_der(private), jwks }
    }

    pub fn bearer(&self, session: &Session, expires_at: i64, vector: Vector) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: session.principal,
            org: session.organization,
            kind: session.kind,
            sid: session.id,
            iat: 0,
            exp: expires_at,
            end: Some(session.ends_at),
            vector,
            lim: session.limits,
        };
        format!("Bearer {}", jsonwebtoken::encode(&header, &claims, &self.private).expect("signed"))
    }
}

const FAR_AWAY: i64 = 4_000_000_000;
/// Longest time that a token of two seconds is waited for.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[tokio::test]
async fn an_unknown_key_is_401_only_when_identity_is_sure() {
    let region = Region::new();
    let signer = Signer::of("eu");
    let bearer = signer.bearer(&region.session, FAR_AWAY, Vector::default());
    let ask = async || region.send_as(Some(&bearer), Method::GET, "/read", None).await;
    assert_not_yet(&ask().await);
    region.holds_keys(signer.jwks.clone());
    let answer = ask().await;
    assert_eq!(answer.status, StatusCode::OK, "what was not yet is not remembered: {}", answer.body);

    let forger = Signer::of("eu");
    let forged = forger.bearer(&region.session, FAR_AWAY, Vector::default());
    assert_not_yet(&region.send_as(Some(&forged), Method::GET, "/read", None).await);
    region.knows_all_keys_of("eu");
    let answer = region.send_as(Some(&forged), Method::GET, "/read", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // Under a key id that is known, with another key.
    let forged =
        Signer { id: signer.id.clone(), ..forger }.bearer(&region.session, FAR_AWAY, Vector::default());
    let answer = region.send_as(Some(&forged), Method::GET, "/read", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask().await.status, StatusCode::OK);
}

/// What has not the form of a key id is nobody's key. identity, which might not be able to look for it, is not asked.
#[tokio::test]
async fn a_key_id_that_names_no_key_is_401() {
    let region = Region::new();
    for id in [
        "",
        "eu",
        "\0",
        "eu.\0",
        "eu.a\u{0}b",
        "eu.a\nb",
        "eu.é",
        "eu.' OR 1=1",
        &format!("eu.{}", "x".repeat(2000)),
    ] {
        let signer = Signer { id: id.to_owned(), ..Signer::of("eu") };
        let bearer = signer.bearer(&region.session, FAR_AWAY, Vector::default());
        let answer = region.send_as(Some(&bearer), Method::GET, "/read", None).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{id:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_signed_token_carries_what_its_region_had_applied() {
    let region = Region::new();
    let signer = Signer::of("us");
    region.holds_keys(signer.jwks.clone());
    let minted_on = vector(&[("authz.us", 17), ("authz.eu", 3)]);
    let bearer = signer.bearer(&region.session, FAR_AWAY, minted_on.clone());
    let answer = region.send_as(Some(&bearer), Method::GET, "/read", None).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(region.asked_by().expect("a decision").vector, minted_on);
    assert_eq!(region.floor(), Vector::default(), "it bounds denials, not allows");
}

#[tokio::test]
async fn an_expired_one_and_an_ended_session_are_401() {
    let region = Region::new();
    let signer = Signer::of("us");
    region.holds_keys(signer.jwks.clone());
    let expired = signer.bearer(&region.session, 1, Vector::default());
    let answer = region.send_as(Some(&expired), Method::GET, "/read", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    let bearer = signer.bearer(&region.session, FAR_AWAY, Vector::default());
    let ask = async || region.send_as(Some(&bearer), Method::GET, "/own", None).await.status;
    assert_eq!(ask().await, StatusCode::OK);
    region.decides(Verdict::Unauthenticated);
    assert_eq!(ask().await, StatusCode::UNAUTHORIZED, "asked even where the endpoint decides nothing");
}

/// A signature is checked once; whether the token counts is found out each time.
#[tokio::test]
async fn a_token_that_was_seen_expires_and_goes_with_its_key() {
    let region = Region::new();
    let signer = Signer::of("us");
    region.holds_keys(signer.jwks.clone());
    let lasting = signer.bearer(&region.session, FAR_AWAY, Vector::default());
    let ask = async |bearer: &str| region.send_as(Some(bearer), Method::GET, "/read", None).await.status;
    assert_eq!(ask(&lasting).await, StatusCode::OK);
    let other = Session { principal: PrincipalId::generate(), ..region.session.clone() };
    assert_eq!(ask(&signer.bearer(&other, FAR_AWAY, Vector::default())).await, StatusCode::OK);
    assert_eq!(region.asked_by().expect("a decision").principal, other.principal);
    assert_eq!(ask(&lasting).await, StatusCode::OK);
    assert_eq!(
        region.asked_by().expect("a decision").principal,
        region.session.principal,
        "each has its own"
    );

    let soon = i64::try_from(jsonwebtoken::get_current_timestamp()).expect("a time") + 2;
    let brief = signer.bearer(&region.session, soon, Vector::default());
    // Asked more often than a caller may, the answer would be 429.
    let expired = async {
        while ask(&brief).await == StatusCode::OK {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(DEADLINE, expired).await.expect("it expires");
    assert_eq!(ask(&brief).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&lasting).await, StatusCode::OK);

    // The next question about a key finds that this one is gone.
    region.holds_keys(r#"{"keys":[]}"#.to_owned());
    region.knows_all_keys_of("us");
    let forged = Signer::of("us").bearer(&region.session, FAR_AWAY, Vector::default());
    assert_eq!(ask(&forged).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&lasting).await, StatusCode::UNAUTHORIZED);
}

#[test]
fn claims_are_compact_and_older_ones_are_read() {
    let region = Region::new();
    let session = &region.session;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: session.principal,
        org: session.organization,
        kind: session.kind,
        sid: session.id,
        iat: 1,
        exp: 2,
        end: None,
        vector: vector(&[("authz.us", 17)]),
        lim: crate::Limits::default(),
    };
    let text = serde_json::to_string(&claims).expect("JSON");
    assert!(text.ends_with(r#""vector":{"authz.us":[0,17]}}"#), "{text}");
    let read: Claims = serde_json::from_str(&text).expect("claims");
    assert_eq!(read.vector, claims.vector);
    let older = text.replace(r#","vector":{"authz.us":[0,17]}"#, "");
    let read: Claims = serde_json::from_str(&older).expect("claims of an older release");
    assert_eq!(read.vector, Vector::default());
}

#[test]
fn key_ids_name_their_region() {
    let region = "eu-west".parse().expect("region");
    assert_eq!(region_of_key(&key_id(&region, "a-Z_9")), Some(region));
    for bad in ["", "eu", "eu.", ".x", "EU.x", "eu.x.y", "eu.x y", &format!("eu.{}", "x".repeat(100))] {
        assert_eq!(region_of_key(bad), None, "{bad:?}");
    }
}
