//! Entries on their way to authz.

use std::time::Duration;

use identity::outbox;
use proto::authz::v1::authz_client::AuthzClient;
use serde_json::json;
use testbed::wait;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::region::{Region, text};

/// Longest time that a test waits for something to happen.
const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until authz has applied the whole log.
async fn until_applied(region: &Region) {
    let applied = wait::until("authz has applied the log", DEADLINE, async || {
        let (kinds, applied) = (region.kinds().await, region.authz.state().applied);
        match applied == kinds.len() as u64 {
            true => Ok(()),
            false => Err(format!("{applied} of {}", kinds.len())),
        }
    });
    applied.await.expect("applied");
}

/// Waits until this region's key is in the log, after which nothing is written that a test does not write.
async fn until_quiet(region: &Region) {
    let (owner, _) = region.owner().await;
    owner.post("/v1/token", json!({})).await.expect(200);
    until_applied(region).await;
}

#[tokio::test]
async fn authz_is_sent_every_entry_in_order_and_what_it_missed_when_it_is_back() {
    let region = Region::alone().await;
    until_quiet(&region).await;
    region.authz.state().takes_entries = false;
    region.bootstrap("Other").await;
    sleep(Duration::from_millis(300)).await;
    region.authz.state().takes_entries = true;
    until_applied(&region).await;
    let entries = region.authz.state().entries.clone();
    let kinds = region.kinds().await;
    let expected: Vec<_> = (1..).zip(kinds).collect();
    assert_eq!(entries, expected);
}

#[tokio::test]
async fn an_outbox_that_starts_asks_for_the_cursor_and_sends_what_follows() {
    let region = Region::alone().await;
    until_quiet(&region).await;
    let applied = region.authz.state().applied;
    let before = region.authz.state().calls.len();
    let (_outbox, sender) =
        outbox::start(region.log.replica().clone(), AuthzClient::new(region.authz.channel()));
    let stop = CancellationToken::new();
    let running = tokio::spawn(sender.run(stop.clone()));
    wait::until("it asks", DEADLINE, async || match region.authz.state().calls.get(before) {
        Some(call) => {
            assert_eq!(*call, (0, 0), "it sends nothing before it knows what authz has");
            Ok(())
        }
        None => Err("no call".to_owned()),
    })
    .await
    .expect("asked");
    region.bootstrap("Other").await;
    until_applied(&region).await;
    let calls = region.authz.state().calls[before + 1..].to_vec();
    assert!(!calls.is_empty() && calls.iter().all(|(first, _)| *first > applied), "{calls:?}");
    stop.cancel();
    running.await.expect("no panic").expect("ended");
}

/// authz's database is restored from a backup: it says that it has less than before, and is sent the rest again.
#[tokio::test]
async fn authz_that_lost_entries_is_sent_them_again() {
    let region = Region::alone().await;
    until_quiet(&region).await;
    {
        let mut state = region.authz.state();
        state.applied = 1;
        state.entries.truncate(1);
    }
    region.bootstrap("Other").await;
    until_applied(&region).await;
    let received = region.authz.state().entries.len();
    assert_eq!(received, region.kinds().await.len());
}

/// authz that answers and applies nothing is not asked again and again without a pause.
#[tokio::test]
async fn authz_that_applies_nothing_is_tried_now_and_then() {
    let region = Region::alone().await;
    until_quiet(&region).await;
    let before = {
        let mut state = region.authz.state();
        state.ignores_entries = true;
        state.calls.len()
    };
    region.bootstrap("Other").await;
    sleep(Duration::from_secs(1)).await;
    let calls = region.authz.state().calls.len() - before;
    assert!((1..=20).contains(&calls), "{calls} calls in a second");
    region.authz.state().ignores_entries = false;
    until_applied(&region).await;
}

#[tokio::test]
async fn the_answer_to_a_write_covers_what_authz_made_of_it() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let token = owner.post("/v3/users/me/access-tokens", json!({"name": "ci"})).await.expect(201);
    let answer = owner.delete(&format!("/v3/users/me/access-tokens/{}", text(&token, "id"))).await;
    let sealed = answer.headers["landbridge-consistency"].to_str().expect("text").to_owned();
    answer.expect(204);
    let key = access::TokenKey::from_hex(&"ab".repeat(32)).expect("a key");
    let vector = replication::Token::open(&sealed, &key).expect("a consistency token").vector;
    let written = region.kinds().await.len() as u64;
    let at = |origin: &str| vector.get(&origin.parse().expect("origin")).map(|position| position.seq);
    assert!(at("authz.us") >= Some(100), "{vector:?}");
    assert!(at("identity.us").is_some_and(|seq| seq <= written && seq > 0), "{vector:?}");
}
