//! Two regions: what one has written and the other has not applied yet.

use std::time::Duration;

use access::{OpaqueToken, TokenKind};
use serde_json::json;
use testbed::wait;

use crate::region::{Region, Site, text};

const DEADLINE: Duration = Duration::from_secs(20);
const ME: &str = "/v3/organizations/me";
const TOKENS: &str = "/v3/users/me/access-tokens";

/// us and eu, which know each other. eu can call us, but does not answer.
async fn half_connected() -> ([Site; 2], Region, Region) {
    let sites = [Site::new("us"), Site::new("eu")];
    let us = Region::start(&sites[0], &[&sites[1]]).await;
    let eu = Region::start(&sites[1], &[&sites[0]]).await;
    us.listen(&sites[0], &[&sites[1]]).await;
    (sites, us, eu)
}

#[tokio::test]
async fn a_token_of_a_region_that_cannot_be_asked_is_503_and_never_401() {
    let (sites, us, eu) = half_connected().await;
    let (_, made) = us.owner().await;
    let owner = made.token.expect("a token");
    // A token of us is waited for in eu, and arrives.
    eu.client(&owner).get(ME).await.expect(200);

    let token = eu.client(&owner).post(TOKENS, json!({"name": "of eu"})).await.expect(201);
    let token = text(&token, "token").to_owned();
    assert!(token.starts_with("lbp_eu_"), "{token}");
    us.client(&token).get(ME).await.problem(503, "not-yet-replicated");
    let never = OpaqueToken::plain(TokenKind::Personal, &"eu".parse().expect("region"), 1_000_000, [9; 24]);
    us.client(never.expose()).get(ME).await.problem(503, "not-yet-replicated");
    let unknown_key = signed_by("eu.unknown");
    us.client(&unknown_key).get(ME).await.problem(503, "not-yet-replicated");

    eu.listen(&sites[1], &[&sites[0]]).await;
    let known = wait::until("eu's token is known in us", DEADLINE, async || {
        let answer = us.client(&token).get(ME).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    known.await.expect("known");
    // eu itself says now that it never wrote so far, and that it has no such key.
    us.client(never.expose()).get(ME).await.problem(401, "unauthenticated");
    us.client(&unknown_key).get(ME).await.problem(401, "unauthenticated");

    // Revoked in us, it ends in eu.
    let listed = wait::until("its name has come home", DEADLINE, async || {
        let listed = us.client(&owner).get(TOKENS).await.expect(200);
        let made_in_eu =
            listed["data"].as_array().expect("tokens").iter().find(|token| token["name"] == "of eu");
        made_in_eu.map(|token| text(token, "id").to_owned()).ok_or(listed.to_string())
    });
    let id = listed.await.expect("listed");
    // eu has sent it, and keeps nothing of it; what it asks is answered at home.
    let sent = wait::until("nothing is left to be sent", DEADLINE, async || {
        match eu.count("SELECT count(*) FROM regional.token_name_underway").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    });
    sent.await.expect("sent");
    assert_eq!(eu.count("SELECT count(*) FROM resident.token_name").await, 0);
    assert_eq!(eu.count("SELECT count(*) FROM replicated.token WHERE name <> ''").await, 0);
    assert_eq!(eu.count("SELECT count(*) FROM log_operation WHERE body LIKE '%of eu%'").await, 0);
    let of_eu = eu.client(&owner).get(TOKENS).await.expect(200);
    assert!(
        of_eu["data"].as_array().expect("tokens").iter().any(|token| token["name"] == "of eu"),
        "{of_eu}"
    );
    us.client(&owner).delete(&format!("{TOKENS}/{id}")).await.expect(204);
    let ended = wait::until("the token has ended in eu", DEADLINE, async || {
        let answer = eu.client(&token).get(ME).await;
        if answer.status == 401 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    ended.await.expect("ended");
    let announced = wait::until("that is announced", DEADLINE, async || {
        let announced = eu.nats.published("landbridge.eu.identity.session-revoked");
        if announced.contains(&id) { Ok(()) } else { Err(format!("{announced:?}")) }
    });
    announced.await.expect("announced");
}

/// A signed token whose signature nobody will get to see: its key is unknown.
fn signed_by(key_id: &str) -> String {
    let header = jsonwebtoken::Header { kid: Some(key_id.to_owned()), ..Default::default() };
    let secret = jsonwebtoken::EncodingKey::from_secret(b"secret");
    jsonwebtoken::encode(&header, &json!({"exp": 1}), &secret).expect("a token")
}

#[tokio::test]
async fn a_key_signs_once_the_other_region_has_it_and_is_verified_there() {
    let sites = [Site::new("us"), Site::new("eu")];
    let us = Region::start(&sites[0], &[&sites[1]]).await;
    let (owner, made) = us.owner().await;
    let detail = owner.post("/v1/token", json!({})).await.problem(503, "unavailable");
    assert!(detail.contains("key"), "{detail}");

    let eu = Region::start(&sites[1], &[&sites[0]]).await;
    us.listen(&sites[0], &[&sites[1]]).await;
    eu.listen(&sites[1], &[&sites[0]]).await;
    let signed = wait::until("the key signs", DEADLINE, async || {
        let answer = owner.post("/v1/token", json!({})).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body.to_string()) }
    });
    let signed = signed.await.expect("signed");
    let shown = eu.client(text(&signed, "access_token")).get(ME).await.expect(200);
    assert_eq!(shown["id"], json!(made.organization_id));
}

#[tokio::test]
async fn accounts_are_written_at_home_and_their_tokens_anywhere() {
    let (sites, us, eu) = half_connected().await;
    eu.listen(&sites[1], &[&sites[0]]).await;
    let (_, made) = us.owner().await;
    let owner = made.token.expect("a token");
    let answer = eu.client(&owner).post("/v3/system-accounts", json!({"name": "ci"})).await;
    assert!(us.kinds().await.contains(&"system_account.put".to_owned()), "us is its home");
    // What comes after the answer sees the account, in eu too.
    let client = eu.client(&owner).after(&answer);
    let path = format!("/v3/system-accounts/{}", text(&answer.expect(201), "id"));
    let token = client.post(&format!("{path}/access-tokens"), json!({"name": "ci"})).await.expect(201);
    assert!(text(&token, "token").starts_with("lbs_eu_"), "{token}");
    client.get(&path).await.expect(200);
    client.get("/v3/users/me").await.expect(200);
    client.delete(&path).await.expect(204);
}
