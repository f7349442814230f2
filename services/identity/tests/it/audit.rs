//! What identity tells its audit log besides its writes: sign-ons, and tokens that have ended.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::region::{Region, text};

const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until the query counts one row.
async fn until_one(region: &Region, query: &'static str) {
    let deadline = Instant::now() + DEADLINE;
    while region.count(query).await != 1 {
        assert!(Instant::now() < deadline, "not in the audit log: {query}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_a_token_is_an_entry_of_a_chain() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    owner.post("/v1/token", json!({})).await.expect(200);
    until_one(
        &region,
        "SELECT count(*) FROM audit WHERE action = 'token.exchange' AND type = 'authentication' AND outcome = 'allowed'
         AND actor_kind = 'user' AND actor_id IS NOT NULL AND session_id::text = target
         AND method = 'POST' AND route = '/v1/token' AND seq IS NOT NULL",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_is_an_entry_of_its_organization() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let made = owner.post("/v3/users/me/access-tokens", json!({ "name": "ends" })).await.expect(201);
    let path = format!("/v3/users/me/access-tokens/{}", text(&made, "id"));
    owner.delete(&path).await.expect(204);
    let ended = owner.with(text(&made, "token"));
    for _ in 0..5 {
        ended.get("/v3/users/me").await.problem(401, "unauthenticated");
    }
    until_one(
        &region,
        "SELECT count(*) FROM (SELECT sum(count) AS times FROM audit
             WHERE action = 'authenticate' AND outcome = 'failed' AND problem = 'unauthenticated'
               AND route LIKE '/v3/users/%' AND seq IS NOT NULL) AS all_of_them WHERE times >= 5",
    )
    .await;
    // A token that nobody knows is nobody's.
    owner.with("lbp_us_garbage").get("/v3/users/me").await.problem(401, "unauthenticated");
    let of_others = "SELECT count(*) FROM audit AS a WHERE NOT EXISTS
        (SELECT FROM replicated.organization AS o WHERE o.id = a.organization_id) AND actor_id IS NOT NULL";
    assert_eq!(region.count(of_others).await, 0);
}
