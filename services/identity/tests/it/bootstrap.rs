//! The first organization.

use clock::Clock;
use identity::{SERVICE, bootstrap};
use oplog::Log;
use random::Random;
use replication::{Origin, Position};
use tokio_util::sync::CancellationToken;

use crate::region::{Region, START, applying, database, format, maker, signer};

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let region = Region::alone().await;
    let first = region.bootstrap("Acme").await;
    assert!(first.token.is_some());
    let entries = region.kinds().await;
    let made: Vec<_> = entries.iter().filter(|kind| *kind != "signing_key.put").collect();
    assert_eq!(made, ["organization.put", "principal.put", "token.minted"]);
    let second = region.bootstrap("Acme").await;
    assert_eq!((second.organization_id, second.owner_id), (first.organization_id, first.owner_id));
    assert_eq!(second.token, None, "it is shown when it is made, and not again");
    assert_eq!(region.count("SELECT count(*) FROM replicated.organization").await, 1);
    assert_eq!(region.count("SELECT count(*) FROM audit WHERE action = 'organization.bootstrap'").await, 1);

    let third = region.bootstrap("Other").await;
    assert_ne!(third.organization_id, first.organization_id);
}

/// It may run before the service's first start: a log that nobody ever wrote to lacks nothing.
#[tokio::test]
async fn it_needs_no_running_service() {
    let database = database().await;
    let clock = Clock::manual(START);
    let origin = Origin::new(SERVICE, &"us".parse().expect("region"));
    let (log, committer) = Log::open(database.pool(), origin, applying("us"), clock.clone(), signer());
    let stop = CancellationToken::new();
    let running = tokio::spawn(committer.run(stop.clone()));
    let maker = maker("us", &Random::seeded(1));
    let made = bootstrap::find_or_create(&log, &clock, &maker, "Acme", "ada@example.com").await;
    let token = format().read(&made.expect("an organization").token.expect("a token")).expect("its form");
    assert_eq!(token.position, Position { epoch: 1, seq: 3 }, "the third entry of the log");
    stop.cancel();
    running.await.expect("no panic").expect("ended");
}
