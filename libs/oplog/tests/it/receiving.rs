//! Entries of other regions: in order, twice, early, out of order, forked and unreadable.

use ids::OrganizationId;
use oplog::ReceiveError;
use replication::Entry;

use crate::things::{Region, put, removed};

struct World {
    us: Region,
    eu: Region,
    organization: OrganizationId,
    /// Of us: two things, of which the first goes.
    entries: Vec<Entry>,
}

async fn world() -> World {
    let (us, eu) = (Region::start("us").await, Region::start("eu").await);
    let organization = OrganizationId::generate();
    us.write(organization, vec![put("a"), put("b"), removed("a")]).await;
    let entries = us.entries().await;
    World { us, eu, organization, entries }
}

impl World {
    async fn assert_equal(&self) {
        let digests = [&self.us, &self.eu].map(|region| region.replica().digest(self.organization));
        let [us, eu] = digests;
        assert_eq!(us.await.expect("digest"), eu.await.expect("digest"));
        assert_eq!(self.eu.names(self.organization).await, ["b"]);
    }
}

#[tokio::test]
async fn entries_are_applied_in_order_and_twice_is_once() {
    let world = world().await;
    let eu = world.eu.replica();
    eu.receive(&world.entries[..2]).await.expect("received");
    assert_eq!(world.eu.names(world.organization).await, ["a", "b"]);
    eu.receive(&world.entries).await.expect("received");
    eu.receive(&world.entries).await.expect("received again");
    world.assert_equal().await;
    assert_eq!(eu.entries(world.us.log.origin(), 1, 1).await.expect("entries"), world.entries[1..2]);
    let applied = eu.watch_applied().borrow().clone();
    assert_eq!(applied, world.us.replica().read_state().await.expect("state").vector());
    assert_eq!(eu.organizations(None, 10).await.expect("organizations"), [world.organization]);
    assert!(eu.organizations(Some(world.organization), 10).await.expect("organizations").is_empty());
}

#[tokio::test]
async fn a_gap_a_fork_and_a_missing_dependency_are_refused_as_a_whole() {
    let world = world().await;
    let (eu, entries) = (world.eu.replica(), &world.entries);
    let refused = eu.receive(&entries[1..]).await.expect_err("a gap");
    assert!(matches!(refused, ReceiveError::OutOfOrder { seq: 2, held: 0, .. }), "{refused:?}");

    eu.receive(&entries[..2]).await.expect("received");
    let fork = Entry { at: 7, ..entries[1].clone() };
    let refused = eu.receive(&[fork]).await.expect_err("another entry at the same place");
    assert!(matches!(refused, ReceiveError::OutOfOrder { seq: 2, held: 2, .. }), "{refused:?}");
    let beside = Entry { prev_hash: [7; 32], ..entries[2].clone() };
    eu.receive(&[beside]).await.expect_err("it follows another entry");
    let earlier_epoch =
        Entry { position: replication::Position { epoch: 0, ..entries[2].position }, ..entries[2].clone() };
    eu.receive(&[earlier_epoch]).await.expect_err("an epoch never falls");
    let unmet = Entry {
        deps: [("authz.ap".parse().expect("origin"), entries[0].position)].into_iter().collect(),
        ..entries[2].clone()
    };
    eu.receive(&[unmet]).await.expect_err("what its writer had seen is not here");
    assert_eq!(world.eu.names(world.organization).await, ["a", "b"], "nothing of a refused batch stays");
    eu.receive(&entries[2..]).await.expect("received");
    world.assert_equal().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_nothing_of_its_batch_stays() {
    let world = world().await;
    let mut entries = world.entries.clone();
    entries[1].kind = "thing.cloned".to_owned();
    entries[2].prev_hash = entries[1].hash();
    let refused = world.eu.replica().receive(&entries).await.expect_err("unreadable");
    let ReceiveError::Unreadable { origin, seq, kind, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((origin, seq, kind.as_str()), (world.us.log.origin().clone(), 2, "thing.cloned"));
    assert!(world.eu.names(world.organization).await.is_empty());
    assert!(!world.eu.replica().is_revocation(&entries[1]), "what cannot be read revokes nothing");
}

#[tokio::test]
async fn a_revocation_denies_before_its_turn_and_its_turn_still_comes() {
    let world = world().await;
    let (eu, entries) = (world.eu.replica(), &world.entries);
    assert_eq!(entries.iter().filter(|entry| eu.is_revocation(entry)).count(), 1);
    eu.receive(&entries[..1]).await.expect("received");
    eu.receive_early(&entries[2]).await.expect("denied");
    assert!(world.eu.names(world.organization).await.is_empty());
    let applied = eu.read_state().await.expect("state").vector();
    assert_eq!(applied.get(world.us.log.origin()), Some(entries[0].position), "it is still to come");
    eu.receive(entries).await.expect("received");
    world.assert_equal().await;
    eu.receive_early(&entries[2]).await.expect("nothing to do any more");
    world.assert_equal().await;
}

#[tokio::test]
async fn rows_are_made_anew_from_the_log() {
    let world = world().await;
    let eu = world.eu.replica();
    eu.receive(&world.entries).await.expect("received");
    let lose =
        "DELETE FROM thing; DELETE FROM removed_thing; INSERT INTO thing VALUES ('x', gen_random_uuid())";
    sqlx::raw_sql(lose).execute(&world.eu.database.pool()).await.expect("lost");
    eu.rebuild(world.organization).await.expect("rebuilt");
    world.assert_equal().await;
}

#[tokio::test]
async fn a_log_goes_back_to_where_its_other_branch_begins() {
    let world = world().await;
    let (eu, entries) = (world.eu.replica(), &world.entries);
    let other = OrganizationId::generate();
    world.us.write(other, vec![put("elsewhere")]).await;
    eu.receive(&world.us.entries().await).await.expect("received");
    eu.cut_back(world.us.log.origin(), 2).await.expect("cut back");
    assert_eq!(world.eu.names(world.organization).await, ["a", "b"], "the third entry never was");
    assert!(world.eu.names(other).await.is_empty());
    let state = eu.read_state().await.expect("state");
    assert_eq!(state.tips.get(world.us.log.origin()), Some(&entries[1].tip()));
    assert_eq!(eu.organization_vector(world.organization).await.expect("vector"), state.vector());
    assert_eq!(*eu.watch_applied().borrow(), state.vector(), "back as well");

    eu.receive(&world.us.entries().await).await.expect("received again");
    world.assert_equal().await;
    eu.cut_back(world.us.log.origin(), 0).await.expect("cut back to the start");
    assert!(world.eu.names(world.organization).await.is_empty());
    eu.receive(&world.us.entries().await).await.expect("received again");
    world.assert_equal().await;
}

#[tokio::test]
async fn one_replica_at_a_time_holds_the_lease() {
    let us = Region::start("us").await;
    let mut lease = us.replica().try_lease().await.expect("asked").expect("free");
    assert!(us.replica().try_lease().await.expect("asked").is_none(), "taken");
    assert!(lease.is_held().await);
    us.database.restart().await;
    assert!(!lease.is_held().await, "its connection is gone");
    drop(lease);
    assert!(us.replica().try_lease().await.expect("asked").is_some());
}
