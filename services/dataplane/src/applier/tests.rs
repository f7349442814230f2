//! Changes through the applier: what is stored, what is served, and what is reported, in step.

use bytes::Bytes;
use gateway_model::Kind;
use ids::{ControlPlaneId, NodeId};
use serde_json::json;
use sync::Digest;
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::{
    status::Source,
    store::StoreOptions,
    test_region::{entity, tombstone},
};

struct Node {
    applier: Applier,
    folder: tempfile::TempDir,
}

async fn start(store: Store) -> Applier {
    let status =
        Status::new(NodeId::generate(), OffsetDateTime::UNIX_EPOCH, Source::Declarative(Default::default()));
    Applier::start(store, Live::default(), watch::channel(status).0, Groups::default(), Seams::system())
        .await
        .expect("starts")
}

fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, StoreOptions::default()).expect("opens")
}

fn incarnation(number: u64) -> Incarnation {
    Incarnation::new(number).expect("not 0")
}

/// A node that holds version 0 of incarnation 1, as after the first contact with an empty control plane.
async fn node() -> Node {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    store
        .commit(Commit {
            incarnation: incarnation(1),
            version: 0,
            entities: vec![],
            expected: None,
            settled: Settled::default(),
        })
        .await
        .expect("commits");
    Node { applier: start(store).await, folder }
}

async fn node_that_holds_nothing() -> (Applier, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    (start(open(folder.path())).await, folder)
}

fn service(id: u128, version: u64) -> EntityState {
    entity(Kind::Service, id, version, &json!({ "name": format!("service-{id}"), "host": "upstream.test" }))
}

fn route(id: u128, service: u128, version: u64) -> EntityState {
    let service = Uuid::from_u128(service);
    entity(Kind::Route, id, version, &json!({ "paths": [format!("/{id}")], "service": { "id": service } }))
}

fn digest(entities: &[&EntityState]) -> Digest {
    entities.iter().filter_map(|entity| entity.digest()).collect::<Vec<_>>().iter().collect()
}

fn delta(base: u64, version: u64, digest: Digest, entities: &[&EntityState]) -> Delta {
    let entities = entities.iter().map(|entity| (*entity).clone()).collect();
    Delta {
        incarnation: incarnation(1),
        base,
        version,
        digest,
        entities,
        settled: Settled::default(),
        committed_at: None,
    }
}

fn serves(applier: &Applier, path: &str) -> bool {
    let request = crate::router::Lookup::get("gateway.test", path);
    applier.live().load().find(&request).is_some()
}

#[tokio::test]
async fn a_change_is_stored_served_and_reported() {
    let node = node().await;
    let applier = &node.applier;
    assert!(!serves(applier, "/2"));
    let (a, b) = (service(1, 1), route(2, 1, 1));
    let applied = applier.delta(delta(0, 1, digest(&[&a, &b]), &[&a, &b])).await.expect("applies");
    assert_eq!((applied.position.version, applied.position.digest), (1, digest(&[&a, &b])));
    assert_eq!(applier.store().position(), Some(applied.position));
    assert!(serves(applier, "/2"));
    let status = applier.status().borrow().clone();
    assert_eq!((status.configuration.version, status.configuration.digest_matches), (1, Some(true)));
    assert_eq!((status.configuration.counts.services, status.configuration.counts.routes), (1, 1));
    assert!(status.readiness().ready);

    let gone = tombstone(Kind::Route, 2, 2);
    applier.delta(delta(1, 2, digest(&[&a]), &[&gone])).await.expect("applies");
    assert!(!serves(applier, "/2"));
}

#[tokio::test]
async fn a_differing_digest_applies_nothing() {
    let node = node().await;
    let applier = &node.applier;
    let a = service(1, 1);
    applier.delta(delta(0, 1, digest(&[&a]), &[&a])).await.expect("applies");
    let before = applier.store().position();
    let b = route(2, 1, 2);
    let error = applier.delta(delta(1, 2, Digest::default(), &[&b])).await.expect_err("differs");
    assert!(matches!(error, ApplyError::Store(StoreError::DigestDiffers { .. })), "{error}");
    assert_eq!(applier.store().position(), before);
    assert!(!serves(applier, "/2"));
    assert_eq!(applier.status().borrow().configuration.digest_matches, Some(false));

    // An empty delta that names another digest is how the plane finds a node that has drifted.
    let error = applier.delta(delta(1, 1, Digest::default(), &[])).await.expect_err("differs");
    assert!(matches!(error, ApplyError::Store(StoreError::DigestDiffers { .. })), "{error}");
    let before = before.expect("held");
    let applied = applier.delta(delta(1, 1, before.digest, &[])).await.expect("equal");
    assert_eq!((applied.position, applied.commit), (before, Duration::ZERO));
    assert_eq!(applier.status().borrow().configuration.digest_matches, Some(true));
}

#[tokio::test]
async fn a_delta_continues_what_is_held_or_is_refused() {
    let node = node().await;
    let applier = &node.applier;
    let (a, b, c) = (service(1, 1), service(2, 2), service(3, 3));
    applier.delta(delta(0, 2, digest(&[&a, &b]), &[&a, &b])).await.expect("applies");
    // From an older base than need be: entities that are held already change nothing.
    applier.delta(delta(0, 3, digest(&[&a, &b, &c]), &[&a, &b, &c])).await.expect("applies");
    applier.delta(delta(1, 3, digest(&[&a, &b, &c]), &[&b, &c])).await.expect("repeats");

    let gap = applier.delta(delta(4, 5, Digest::default(), &[])).await;
    assert!(matches!(gap, Err(ApplyError::Gap { held: 3, base: 4, version: 5 })), "{gap:?}");
    let back = applier.delta(delta(0, 2, Digest::default(), &[])).await;
    assert!(matches!(back, Err(ApplyError::Gap { .. })), "{back:?}");
    let elsewhere = Delta { incarnation: incarnation(2), ..delta(3, 4, Digest::default(), &[]) };
    assert!(matches!(applier.delta(elsewhere).await, Err(ApplyError::Incarnation { .. })));
    let from_its_beginning = Delta { incarnation: incarnation(2), ..delta(0, 4, digest(&[&a]), &[&a]) };
    assert!(matches!(applier.delta(from_its_beginning).await, Err(ApplyError::Incarnation { .. })));
    let (other, _folder) = node_that_holds_nothing().await;
    let late = other.delta(delta(3, 4, digest(&[&a]), &[&a])).await;
    assert!(matches!(late, Err(ApplyError::NothingHeld { base: 3 })), "{late:?}");
    let begun = other
        .delta(Delta { incarnation: incarnation(5), ..delta(0, 1, digest(&[&a]), &[&a]) })
        .await
        .expect("begins");
    assert_eq!((begun.position.incarnation, begun.position.version), (incarnation(5), 1));
    let late = service(4, 9);
    let late = applier.delta(delta(3, 4, Digest::default(), &[&late])).await;
    assert!(matches!(late, Err(ApplyError::EntityVersion { entity: 9, version: 4 })), "{late:?}");
    assert_eq!(applier.store().position().map(|position| position.version), Some(3));
}

#[tokio::test]
async fn rows_that_are_not_newer_than_what_is_held_do_nothing() {
    let node = node().await;
    let applier = &node.applier;
    let (a, b) = (service(1, 1), service(2, 1));
    applier.delta(delta(0, 1, digest(&[&a, &b]), &[&a, &b])).await.expect("applies");
    let gone = tombstone(Kind::Service, 2, 2);
    applier.delta(delta(1, 2, digest(&[&a]), &[&gone])).await.expect("applies");
    // A delta from further back still carries the entity that was deleted since.
    let c = service(3, 3);
    applier.delta(delta(0, 3, digest(&[&a, &c]), &[&b, &c])).await.expect("the deleted entity stays away");
    assert_eq!(applier.live().load().counts().services, 2);
}

#[tokio::test]
async fn the_propagation_time_is_by_the_gateways_clock_and_never_negative() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clock = clock::Clock::manual(OffsetDateTime::UNIX_EPOCH + time::Duration::days(1));
    let status = Status::new(NodeId::generate(), clock.now(), Source::Declarative(Default::default()));
    let seams = Seams { clock, ..Seams::system() };
    let (store, status) = (open(folder.path()), watch::channel(status).0);
    let applier =
        Applier::start(store, Live::default(), status, Groups::default(), seams).await.expect("starts");
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(applier.propagation(at(86_398)), Some(Duration::from_secs(2)));
    assert_eq!(applier.propagation(at(86_401)), None, "the control plane's clock is ahead");
    assert_eq!(applier.propagation(None), None);
}

#[tokio::test]
async fn what_cannot_be_served_is_held_reported_and_stops_nothing_else() {
    let node = node().await;
    let applier = &node.applier;
    let (a, b) = (service(1, 1), route(2, 1, 1));
    let future = EntityState { body: Bytes::from_static(b"{\"from\":\"the future\"}"), ..service(3, 1) };
    let unknown = EntityState { kind: "galaxy".into(), ..service(4, 1) };
    let entities = [&a, &b, &future, &unknown];
    applier.delta(delta(0, 1, digest(&entities), &entities)).await.expect("applies");
    assert!(serves(applier, "/2"));
    let status = applier.status().borrow().clone();
    let quarantined: Vec<_> =
        status.configuration.quarantined.iter().map(|entity| entity.kind.as_str()).collect();
    assert_eq!(quarantined, ["galaxy", "service"]);

    // A restart rebuilds the same from the store alone.
    drop(node.applier);
    let store = open(node.folder.path());
    let again = start(store).await;
    assert!(serves(&again, "/2"));
    assert_eq!(again.status().borrow().configuration, {
        let mut configuration = status.configuration;
        configuration.digest_matches = None;
        configuration
    });
    assert!(
        again.status().borrow().readiness().ready,
        "a configuration verified in an earlier run is served"
    );
}

#[tokio::test]
async fn a_snapshot_takes_over_with_its_delta() {
    let node = node().await;
    let applier = &node.applier;
    let (old, route_a) = (service(1, 1), route(2, 1, 1));
    applier.delta(delta(0, 1, digest(&[&old, &route_a]), &[&old, &route_a])).await.expect("applies");
    let (new, route_b, late) = (service(7, 5), route(8, 7, 5), route(9, 7, 6));
    let store = applier.store();
    store.begin_staging(incarnation(2), Some(5)).await.expect("staging");
    // What the control plane does not have differs too: its buckets come without entities.
    for entity in [&old, &route_a] {
        store.stage_page(incarnation(2), vec![entity.bucket()], vec![]).await.expect("staged");
    }
    for entity in [&new, &route_b] {
        store.stage_page(incarnation(2), vec![entity.bucket()], vec![entity.clone()]).await.expect("staged");
    }
    let last = |digest| Delta { incarnation: incarnation(2), ..delta(5, 6, digest, &[&late]) };
    let wrong = applier.snapshot(last(Digest::default())).await;
    assert!(matches!(wrong, Err(ApplyError::Store(StoreError::DigestDiffers { .. }))), "{wrong:?}");
    assert!(serves(applier, "/2") && !serves(applier, "/8"));

    let applied = applier.snapshot(last(digest(&[&new, &route_b, &late]))).await.expect("applies");
    assert_eq!((applied.position.incarnation, applied.position.version), (incarnation(2), 6));
    assert!(!serves(applier, "/2") && serves(applier, "/8") && serves(applier, "/9"));
}

#[tokio::test]
async fn another_control_plane_takes_the_old_configuration_out_of_service() {
    let node = node().await;
    let applier = &node.applier;
    applier.bind(Owner::ControlPlane(ControlPlaneId::generate()), None).await.expect("bound");
    let (a, b) = (service(1, 1), route(2, 1, 1));
    applier.delta(delta(0, 1, digest(&[&a, &b]), &[&a, &b])).await.expect("applies");
    applier.bind(Owner::ControlPlane(ControlPlaneId::generate()), None).await.expect("bound");
    assert!(!serves(applier, "/2") && !applier.status().borrow().readiness().ready);
    let key = applier.store().identify(Kind::KeyAuth, &crate::store::Lookup::key("any"), 0).expect("reads");
    assert_eq!(key, None);
}

#[tokio::test]
async fn work_goes_on_when_nobody_waits_for_it() {
    let node = node().await;
    let applier = &node.applier;
    let (a, b) = (service(1, 1), route(2, 1, 1));
    let mut work = Box::pin(applier.delta(delta(0, 1, digest(&[&a, &b]), &[&a, &b])));
    assert!(futures::poll!(&mut work).is_pending());
    drop(work);
    let mut status = applier.status().subscribe();
    let served = status.wait_for(|status| status.configuration.version == 1);
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("in time").expect("served");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !serves(applier, "/2") {
        assert!(Instant::now() < deadline, "committed, and not served");
        tokio::task::yield_now().await;
    }
}
