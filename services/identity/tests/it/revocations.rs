//! What the region's services are told of sessions that have ended.

use std::time::Duration;

use access::PrincipalKind;
use identity::operation::{Operation, TokenMinted};
use ids::{OrganizationId, PrincipalId, TokenId};
use replication::{Entry, NO_HASH, Position, Tip, Vector};
use serde_json::json;
use testbed::wait;

use crate::region::{Region, START};

const DEADLINE: Duration = Duration::from_secs(10);

/// The next entry of eu's log.
fn entry(tip: &mut Tip, organization: OrganizationId, operation: &Operation) -> Entry {
    let tagged = serde_json::to_value(operation).expect("JSON");
    let entry = Entry {
        id: uuid::Uuid::now_v7(),
        origin: "identity.eu".parse().expect("origin"),
        position: Position { epoch: 1, seq: tip.position.seq + 1 },
        prev_hash: tip.hash,
        deps: Vector::default(),
        organization,
        actor: None,
        authority: Vec::new(),
        kind: tagged["kind"].as_str().expect("a kind").to_owned(),
        body: tagged["body"].to_string(),
        at: clock::microseconds(START),
        traceparent: String::new(),
        signature: None,
    };
    *tip = entry.tip();
    entry
}

fn announced(region: &Region) -> Vec<String> {
    region.nats.published("landbridge.us.identity.session-revoked")
}

async fn until_announced(region: &Region, payload: &str) {
    let heard = wait::until("it is announced", DEADLINE, async || {
        let announced = announced(region);
        if announced.iter().any(|one| one == payload) { Ok(()) } else { Err(format!("{announced:?}")) }
    });
    heard.await.expect("announced");
}

/// Waits until more than `before` were announced, the last of them that any session may have ended.
async fn until_more(region: &Region, before: usize) {
    let heard = wait::until("it is announced", DEADLINE, async || {
        let announced = announced(region);
        let is_news = announced.len() > before && announced.last().is_some_and(String::is_empty);
        if is_news { Ok(()) } else { Err(format!("{announced:?}")) }
    });
    heard.await.expect("announced");
}

/// Waits until what is applied is announced: what was applied before the service had started is not. Rows that are made anew are
/// announced with an empty payload; answers how many times that was so.
async fn until_following(region: &Region) -> usize {
    let following = wait::until("revocations are followed", DEADLINE, async || {
        region.log.replica().rebuild(OrganizationId::generate()).await.expect("rebuilt");
        if announced(region).is_empty() { Err("nothing is announced".to_owned()) } else { Ok(()) }
    });
    following.await.expect("followed");
    // Those that are on their way.
    let mut before = 0;
    while before != announced(region).len() {
        before = announced(region).len();
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    before
}

#[tokio::test]
async fn what_another_region_revoked_is_announced_once_it_is_applied_here() {
    let region = Region::alone().await;
    let organization = OrganizationId::generate();
    let principal = PrincipalId::generate();
    let mut tip = Tip { position: Position { epoch: 1, seq: 0 }, hash: NO_HASH };
    let mut next = |operation| entry(&mut tip, organization, &operation);
    let minted = |id| {
        Operation::TokenMinted(TokenMinted {
            id,
            sha256: id.uuid().as_bytes().repeat(2).try_into().expect("32 bytes"),
            principal_id: principal,
            principal_kind: PrincipalKind::SystemAccount,
            name: "ci".to_owned(),
            name_print: None,
            expires_at: START,
            vector: Vector::default(),
            parent: None,
            replaces: None,
            session: false,
        })
    };
    let [one, two, three] = [(); 3].map(|()| TokenId::generate());
    let entries = [
        next(minted(one)),
        next(minted(two)),
        next(Operation::TokenRevoked { id: one, expires_at: 0 }),
        next(Operation::PrincipalRemoved { id: principal }),
        next(Operation::TokenRevoked { id: three, expires_at: 0 }),
    ];
    let replica = region.log.replica();
    let before = until_following(&region).await;
    // Before its turn already: that is what a revocation is for.
    replica.receive_early(&entries[4]).await.expect("received early");
    until_announced(&region, &three.to_string()).await;
    assert_eq!(announced(&region).len(), before + 1);
    replica.receive(&entries).await.expect("received");
    until_announced(&region, &one.to_string()).await;
    until_announced(&region, &two.to_string()).await;

    // Rows that are made anew: nobody can say which sessions ended by it.
    let before = announced(&region).len();
    replica.rebuild(organization).await.expect("rebuilt");
    until_more(&region, before).await;
}

/// What ended with another token is named for authz, also if the process that saw it end could not do so.
#[tokio::test]
async fn what_ended_with_another_token_is_named_in_the_end() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    owner.post("/v3/users/me/access-tokens", json!({"name": "child"})).await.expect(201);
    until_following(&region).await;
    region.sql("UPDATE replicated.token SET revoked_at = now() WHERE parent_id IS NOT NULL").await;
    assert!(!region.kinds().await.contains(&"token.revoked".to_owned()));
    // The log takes no writes for a while: it is tried again.
    region.database.restart().await;
    let named = wait::until("the child is named", DEADLINE, async || {
        let kinds = region.kinds().await;
        if kinds.contains(&"token.revoked".to_owned()) { Ok(()) } else { Err(format!("{kinds:?}")) }
    });
    named.await.expect("named");
}

/// After another start of its server a database may be a copy from the past.
#[tokio::test]
async fn a_database_that_may_be_a_copy_makes_everybody_forget_everything() {
    let region = Region::alone().await;
    let before = until_following(&region).await;
    region.database.restart().await;
    until_more(&region, before).await;
}
