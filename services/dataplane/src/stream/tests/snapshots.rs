//! Snapshots, and what comes of a digest that differs.

use super::*;

#[tokio::test]
async fn a_differing_digest_is_reported_and_mended_by_buckets() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&(1..=200).map(|id| service(id, 1)).collect::<Vec<_>>());
    stream.resync(&state).await;

    // Something that the node never heard of.
    state.commit(&[service(7, 2), service(900, 2)]);
    let entities = [service(1000, 3)];
    state.commit(&entities);
    let applied = stream.delta(1, &state, &entities).await;
    assert_eq!((applied.digest_matches, applied.error.as_str()), (false, ""));
    assert_eq!(applied.position.map(|position| position.version), Some(1), "nothing of it is applied");
    assert_eq!(node.applier.status().borrow().configuration.digest_matches, Some(false));

    let (pages, applied) = stream.resync(&state).await;
    assert!(applied.digest_matches && pages < 20, "{pages} pages travelled");
    assert_eq!(node.applier.store().position().expect("held").digest, state.digest());
    assert_eq!(node.applier.status().borrow().configuration.digest_matches, Some(true));

    // A delta that does not continue is refused with its reason, and the stream lives on.
    let applied = stream.delta(50, &State { version: 60, ..state.clone() }, &[]).await;
    assert!(!applied.digest_matches && applied.error.contains("does not continue"), "{applied:?}");
    assert!(stream.resync(&state).await.1.digest_matches);
}

#[tokio::test]
async fn a_snapshot_of_packed_pages_shows_how_far_it_has_come() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, hello) = plane.greeted().await;
    assert!(hello.unpacks && hello.last_error.is_empty(), "{hello:?}");
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&(1..=300).map(|id| service(id, 1)).collect::<Vec<_>>());
    let of_all = differing(&state.buckets(), &[]);
    let compare =
        wire::CompareBuckets { incarnation: 1, buckets: 256, reason: "test".to_owned(), base: state.version };
    stream.send(FromPlane::CompareBuckets(compare)).await;
    assert!(matches!(stream.next().await, FromNode::Buckets(_)));
    let (first, second) = of_all.split_at(of_all.len() / 2);
    for (begins, left) in [(first, second.len()), (second, 0)] {
        let page = state.entities.values().filter(|entity| begins.contains(&entity.bucket()));
        let (entities, packed) = Batch::pack(encode_batch(page.cloned())).fields(true);
        assert!(entities.is_empty() && !packed.is_empty());
        let (begins, left) = (begins.to_vec().into(), u32::try_from(left).expect("small"));
        stream.send(FromPlane::Page(wire::Page { begins, entities, packed, left })).await;
        assert_eq!(stream.next().await, FromNode::PageStaged(wire::PageStaged {}));
        let arrived = u32::try_from(of_all.len()).expect("small") - left;
        let shown = |status: &NodeStatus| {
            let snapshot = control_plane(status).snapshot.as_ref();
            snapshot.is_some_and(|shown| (shown.buckets, shown.buckets_of) == (arrived, arrived + left))
        };
        node.status("the progress", shown).await;
    }
    stream.send(FromPlane::SnapshotEnd(wire::SnapshotEnd { incarnation: 1, base: 1 })).await;
    assert!(stream.delta(1, &state, &[]).await.digest_matches);
    node.status("the end", |status| control_plane(status).snapshot.is_none()).await;
    // What cannot be unpacked breaks the protocol.
    let broken = wire::Delta { packed: Bytes::from_static(b"no frame"), ..state.delta(1, &[]) };
    stream.send(FromPlane::Delta(broken)).await;
    plane.greeted().await;
}

/// As gateways that know no other way. Nothing that it holds is left out.
#[tokio::test]
async fn a_gateway_in_full_mode_asks_for_all_of_it_each_time() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::new(&region, &[plane.address.to_string()], time::Duration::ZERO).await;
    node.mode = SyncMode::Full;
    node.run();
    let (mut stream, hello) = plane.greeted().await;
    assert!(hello.whole);
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&(1..=20).map(|id| service(id, 1)).collect::<Vec<_>>());
    let (pages, applied) = stream.resync(&state).await;
    assert!(applied.digest_matches && pages >= 256, "{pages} pages");
    state.commit(&[service(7, 2), tombstone(Kind::Service, 8, 2)]);
    let (pages, applied) = stream.resync(&state).await;
    assert!(applied.digest_matches && pages >= 256, "{pages} pages");
    assert_eq!(node.applier.store().position().expect("held").digest, state.digest());
}

#[tokio::test]
async fn resynchronisation_that_does_not_converge_ends_the_stream() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    stream.health().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    for _ in 0..4 {
        let lost = State { entities: BTreeMap::new(), ..state.clone() };
        let compare =
            wire::CompareBuckets { incarnation: 1, buckets: 256, ..wire::CompareBuckets::default() };
        stream.send(FromPlane::CompareBuckets(compare)).await;
        assert!(matches!(stream.next().await, FromNode::Buckets(_)));
        stream.send(FromPlane::SnapshotEnd(wire::SnapshotEnd { incarnation: 1, base: 1 })).await;
        // The digest is of more than was sent.
        let delta = wire::Delta { digest: state.digest().as_bytes().to_vec().into(), ..lost.delta(1, &[]) };
        stream.send(FromPlane::Delta(delta)).await;
        if let Ok(Ok(Some(message))) = timeout(DEADLINE, stream.from_node.message()).await
            && let Some(FromNode::Applied(applied)) = message.message
        {
            assert!(!applied.digest_matches);
        }
    }
    let status = node.status("given up", |status| {
        control_plane(status).last_error.as_ref().is_some_and(|error| error.contains("still differs"))
    });
    status.await;
    let (_, hello) = plane.greeted().await;
    assert!(hello.last_error.contains("still differs"), "{hello:?}");
    node.stop().await;
}
