//! How much a stranger, a caller and an organization may ask, at the real API.

use std::{num::NonZeroU32, time::Duration};

use access::{OpaqueToken, Rates, TokenFormat, TokenKey, TokenKind};
use axum::http::{Method, StatusCode};
use futures::future::join_all;
use replication::Position;
use serde_json::json;
use tokio::time::timeout;

use crate::region::{Answer, Client, Region, text};

const ME: &str = "/v3/organizations/me";
const OWN: &str = "/v3/users/me/access-tokens";
/// Where an attacker is, and so is a bystander.
const NAT: &str = "198.51.100.7";

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// An address may show 20 tokens that open nothing, and then one a second.
fn strict() -> Rates {
    Rates { unknown_tokens: number(1), unknown_tokens_burst: number(20), ..Rates::default() }
}

/// A text that has the form of earlier releases, which anybody can make up.
fn made_up(number: u64) -> String {
    let mut secret = [0; 24];
    secret[..8].copy_from_slice(&number.to_le_bytes());
    OpaqueToken::plain(TokenKind::Personal, &"us".parse().expect("region"), number, secret)
        .expose()
        .to_owned()
}

/// A text in today's form, sealed with a key that an attacker has.
fn forged(number: u64) -> String {
    let format = TokenFormat::new(&TokenKey::from_hex(&"cd".repeat(32)).expect("a key"));
    let mut secret = [0; 24];
    secret[..8].copy_from_slice(&number.to_le_bytes());
    let position = Position { epoch: 1, seq: number };
    format.mint(TokenKind::Personal, &"us".parse().expect("region"), position, secret).expose().to_owned()
}

/// A JWT that names a key which nobody has.
fn signed_by(key: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key}).to_string();
    format!("{}.e30.c2ln", BASE64_URL_SAFE_NO_PAD.encode(header))
}

fn too_many(answer: Answer) -> u64 {
    let after = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    answer.problem(429, "too-many-requests");
    after
}

/// Uses up what `client`'s address may try.
async fn exhaust(client: &Client<'_>) {
    for number in 0..20 {
        client.with(&made_up(number)).get(ME).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_crowd_of_made_up_tokens_is_told_to_wait_and_disturbs_nobody() {
    let region = Region::limited(strict()).await;
    let (owner, _) = region.owner().await;
    // A bystander at the same address, with a text of today, which was never shown before, and one with an earlier text, which was.
    let bystander = owner.at(NAT);
    let earlier = earlier_text(&region, &owner).await;
    region.client(&earlier).at("203.0.113.5").get(ME).await.expect(200);

    let attacker = region.stranger().at(NAT);
    let attempts = (0..1500).map(|number| {
        let client = attacker.with(&made_up(number));
        async move { client.get(ME).await }
    });
    let answers = join_all(attempts).await;
    let refused = answers.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED).count();
    // Those that were being looked up when the last one was charged come on top.
    assert!((20..=40).contains(&refused), "{refused} were looked up");
    for answer in answers.into_iter().filter(|answer| answer.status != StatusCode::UNAUTHORIZED) {
        assert!((1..=2).contains(&too_many(answer)));
    }

    bystander.get(ME).await.expect(200);
    region.client(&earlier).at(NAT).get(ME).await.expect(200);
    let made = bystander.post(OWN, json!({"name": "new"})).await.expect(201);
    region.client(text(&made, "token")).at(NAT).get(ME).await.expect(200);
    let jwt = bystander.post("/v1/token", json!({})).await.expect(200);
    region.client(text(&jwt, "access_token")).at(NAT).get(ME).await.expect(200);
    // Somebody elsewhere is told what is wrong.
    attacker.at("203.0.113.5").with(&made_up(1)).get(ME).await.problem(401, "unauthenticated");
}

/// A personal token as an earlier release would have made it.
async fn earlier_text(region: &Region, owner: &Client<'_>) -> String {
    let made = owner.post(OWN, json!({"name": "earlier"})).await.expect(201);
    let earlier = made_up(4711);
    let of = |text: &str| region.app.tokens.read(text).expect("its form").sha256().to_vec();
    sqlx::query("UPDATE replicated.token SET sha256 = $2 WHERE sha256 = $1")
        .bind(of(text(&made, "token")))
        .bind(of(&earlier))
        .execute(&region.database.pool())
        .await
        .expect("updated");
    earlier
}

#[tokio::test]
async fn an_address_that_is_not_heard_asks_for_nothing() {
    let region = Region::limited(strict()).await;
    region.owner().await;
    let attacker = region.stranger().at(NAT);
    exhaust(&attacker).await;
    for token in [made_up(99), forged(1), signed_by("us.unknown"), signed_by("eu.x"), "garbage".to_owned()] {
        too_many(attacker.with(&token).get(ME).await);
        too_many(attacker.with(&token).post("/v1/token", json!({})).await);
    }
    // Another address of the same network shares what is left, of IPv6.
    let attacker = region.stranger().at("2001:db8:1:2::1");
    exhaust(&attacker).await;
    too_many(attacker.at("2001:db8:1:2:ffff::9").with(&made_up(1)).get(ME).await);
    attacker.at("2001:db8:1:3::1").with(&made_up(1)).get(ME).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_is_not_sealed_by_this_deployment_never_reaches_the_database() {
    let region = Region::alone().await;
    region.owner().await;
    // Nothing gets a connection from now on; those that are in use are waited for in vain.
    let _ = timeout(Duration::from_millis(50), region.app.db.close()).await;
    for number in 0..100 {
        region.client(&forged(number)).get(ME).await.problem(401, "unauthenticated");
    }
    region.client(&made_up(1)).get(ME).await.problem(503, "unavailable");
}

#[tokio::test]
async fn few_strangers_use_the_database_at_once() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    // All turns are taken: a stranger waits, and somebody whose token is real does not.
    let taken = region.sessions.strangers.acquire_many(4).await.expect("turns");
    let stranger = region.client(&made_up(1));
    let stranger = stranger.get(ME);
    tokio::pin!(stranger);
    tokio::select! {
        biased;
        _ = &mut stranger => panic!("it went past"),
        answer = owner.get(ME) => drop(answer.expect(200)),
    }
    drop(taken);
    stranger.await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_caller_and_an_organization_have_their_share() {
    let rates = Rates {
        caller_requests: number(3),
        organization_requests: number(5),
        caller_kib: number(10),
        ..Rates::default()
    };
    let region = Region::limited(rates).await;
    let (owner, _) = region.owner().await;
    let made = owner.post("/v3/system-accounts", json!({"name": "ci"})).await.expect(201);
    let path = format!("/v3/system-accounts/{}/access-tokens", text(&made, "id"));
    let token = owner.post(&path, json!({"name": "ci"})).await.expect(201);
    let account = region.client(text(&token, "token"));

    let until_too_many = async |client: &Client<'_>| {
        for passed in 0..1000 {
            let answer = client.get(ME).await;
            if answer.status != StatusCode::OK {
                return (passed, too_many(answer));
            }
        }
        panic!("no limit");
    };
    assert!(until_too_many(&owner).await.1 >= 1);
    let (passed, _) = until_too_many(&account).await;
    assert!(passed > 0, "another caller has a share of its own, as far as the organization's goes");

    let other = region.bootstrap("Other").await;
    let other = region.client(other.token.as_deref().expect("a token"));
    other.get(ME).await.expect(200);
    let large = || format!("{{\"name\": \"{}\"}}", "x".repeat(150 * 1024));
    let send = async || other.send_text(Method::POST, OWN, "application/json", large()).await;
    send().await.problem(400, "invalid-body");
    assert!(too_many(send().await) >= 1, "before it is read");
    other.get(ME).await.expect(200);
}
