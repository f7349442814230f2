//! Tokens that were changed at random (`libs/fuzzing`), from `tests/corpus`. Whatever a stranger sends, nothing panics, and nothing opens but
//! what was sealed or signed with the deployment's keys.

use std::collections::HashSet;

use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
};
use fuzzing::Corpus;
use ids::{OrganizationId, PrincipalId, TokenId};
use replication::{Position, Token, TokenKey};
use uuid::Uuid;

use super::{
    region::{KEY, Region, vector},
    signed::Signer,
};
use crate::{CONSISTENCY, OpaqueToken, PrincipalKind, Session, TokenFormat, TokenKind};

const TEXTS: usize = 20_000;
const REQUESTS: usize = 2_000;
/// What is put in at random places.
const WORDS: [&str; 24] = [
    "lbp_",
    "lbs_",
    "_us_",
    "_eu_",
    "_",
    ".",
    "..",
    "ey",
    "eyJ",
    "=",
    "-",
    "+",
    "/",
    ",",
    ", ",
    " ",
    "\0",
    "%00",
    "\u{e9}",
    "00000000",
    "ffffffff",
    "18446744073709551616",
    "A",
    "\t",
];

fn file(name: &str) -> String {
    [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", name].join("/")
}

fn key() -> TokenKey {
    TokenKey::from_hex(KEY).expect("a key")
}

fn session() -> Session {
    let id = Uuid::from_u128(7);
    Session {
        organization: OrganizationId::from_uuid(id),
        principal: PrincipalId::from_uuid(id),
        kind: PrincipalKind::SystemAccount,
        id: TokenId::from_uuid(id),
        issued_at: 0,
        expires_at: i64::MAX,
        ends_at: i64::MAX,
        vector: vector(&[("authz.us", 17)]),
        limits: crate::Limits::default(),
    }
}

fn signer() -> Signer {
    Signer::seeded("us", [7; 32])
}

/// What the deployment has sealed and signed. The corpus holds all of it.
fn minted() -> Vec<String> {
    let format = TokenFormat::new(&key());
    let mint = |kind, region: &str, epoch, seq, secret| {
        let position = Position { epoch, seq };
        format.mint(kind, &region.parse().expect("a region"), position, [secret; 24]).expose().to_owned()
    };
    let signed = signer().bearer(&session(), 4_000_000_000, vector(&[("authz.us", 17), ("authz.eu", 3)]));
    vec![
        mint(TokenKind::Personal, "us", 1, 1, 1),
        mint(TokenKind::System, "eu", 3, u64::MAX, 2),
        mint(TokenKind::Personal, "region-with-16-c", u32::MAX, 0, 3),
        signed.strip_prefix("Bearer ").expect("a bearer").to_owned(),
    ]
}

fn sealed() -> Vec<String> {
    let token = |id, entries: &[(&str, u64)]| {
        let organization = OrganizationId::from_uuid(Uuid::from_u128(id));
        Token { organization, vector: vector(entries) }.seal(&key())
    };
    vec![
        token(7, &[]),
        token(7, &[("authz.us", 17), ("identity.eu", u64::MAX)]),
        token(8, &[("authz.us", 1)]),
    ]
}

#[test]
fn nothing_has_the_form_of_a_token_but_what_was_minted() {
    let format = TokenFormat::new(&key());
    let minted: HashSet<String> = minted().into_iter().collect();
    let mut opened = HashSet::new();
    for case in Corpus::of_lines(file("bearers")).with_words(&WORDS).run(TEXTS) {
        let text = String::from_utf8_lossy(&case);
        let Some(token) = format.read(&text) else { continue };
        assert_eq!(token.expose(), text, "a token has one text");
        if token.is_sealed() {
            assert!(minted.contains(&*text), "made up: {text:?}");
            opened.insert(text.into_owned());
        } else {
            let secret = text.split('_').nth(3).and_then(|digits| hex::decode(digits).ok());
            let secret = secret.and_then(|secret| secret.try_into().ok()).expect("24 bytes");
            let again = OpaqueToken::plain(token.kind, &token.region, token.position.seq, secret);
            assert!(again.expose().eq_ignore_ascii_case(&text), "{text:?}");
        }
    }
    assert_eq!(opened.len(), 3, "the corpus holds what was minted");
}

#[test]
fn no_consistency_token_opens_but_what_was_sealed() {
    let sealed = sealed();
    let mut opened = HashSet::new();
    for case in Corpus::of_lines(file("consistency")).with_words(&WORDS).run(TEXTS) {
        let text = String::from_utf8_lossy(&case);
        for part in text.split(',').map(str::trim) {
            let Ok(token) = Token::open(part, &key()) else { continue };
            assert_eq!(token.seal(&key()), part, "a token has one text");
            assert!(sealed.iter().any(|sealed| sealed == part), "made up: {part:?}");
            opened.insert(part.to_owned());
        }
    }
    assert_eq!(opened.len(), sealed.len(), "the corpus holds what was sealed");
}

/// Both headers together, at the door.
#[tokio::test]
async fn nobody_comes_in_with_what_was_not_minted() {
    let region = Region::new();
    region.holds_keys(signer().jwks);
    region.knows_all_keys_of("us");
    let minted = minted();
    for token in minted.iter().filter(|token| !token.starts_with("ey")) {
        region.knows(&TokenFormat::new(&key()).read(token).expect("its form"), &session());
    }
    let mut consistency = Corpus::of_lines(file("consistency")).with_words(&WORDS).run(REQUESTS);
    let mut passed = 0;
    for case in Corpus::of_lines(file("bearers")).with_words(&WORDS).run(REQUESTS) {
        let Ok(bearer) = HeaderValue::from_bytes(&[b"Bearer ", &case[..]].concat()) else { continue };
        let mut request = Request::get("/own").header(header::AUTHORIZATION, bearer);
        if let Some(token) = consistency.next().and_then(|token| HeaderValue::from_bytes(&token).ok()) {
            request = request.header(CONSISTENCY, token);
        }
        // What a token names is waited for.
        region.applied(&vector(&[("authz.us", u64::MAX), ("identity.eu", u64::MAX)]));
        let answer = region.answer(request.body(Body::empty()).expect("a request")).await;
        let text = String::from_utf8_lossy(&case);
        match answer.status {
            StatusCode::OK => {
                assert!(minted.iter().any(|minted| minted == text.trim()), "made up: {text:?}");
                passed += 1;
            }
            StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST | StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other} {text:?}: {}", answer.body),
        }
    }
    assert!(passed > 0, "the corpus holds what was minted");
}
