//! What the control plane sends is served and acknowledged.

use super::*;

#[tokio::test]
async fn secrets_are_opened_with_the_key_that_the_control_plane_tells() {
    const KEY: [u8; 32] = [1; 32];
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    // A control plane of an earlier release.
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 4, ..State::default() };
    state.commit(&certificate(&KEY, 9));
    let (_, applied) = stream.resync(&state).await;
    let [held] = &applied.quarantined[..] else { panic!("{applied:?}") };
    assert!(held.kind == "certificate" && held.reason.contains("has no key"), "{}", held.reason);
    assert!(node.files.secrets_key().expect("readable").is_none());

    // Then it tells the key; what is held is served without another delta, and told with the next.
    let shown = |node: &Node| node.applier.live().load().certificate(Some("a.test")).is_some();
    let quarantined = |count| move |status: &NodeStatus| status.configuration.counts.quarantined == count;
    drop(stream);
    let (mut stream, hello) = plane.greeted_with(&KEY).await;
    assert_eq!(hello.quarantined.len(), 1);
    node.status("opened", quarantined(0)).await;
    assert!(shown(&node));
    assert_eq!(stream.delta(9, &state, &[]).await.quarantined, []);
    assert!(node.files.secrets_key().expect("readable") == Some(NodeKey::new(&KEY)));

    // One that tells none again changes nothing.
    drop(stream);
    let (stream, hello) = plane.greeted().await;
    assert_eq!(hello.quarantined, []);
    assert!(shown(&node));

    // Another key: what was sealed with the old one is not served, until the control plane sends it anew.
    drop(stream);
    let (mut stream, _) = plane.greeted_with(&[2; 32]).await;
    let status = node.status("sealed", quarantined(1)).await;
    assert!(status.configuration.quarantined[0].reason.contains("another key"), "{status:?}");
    let anew = certificate(&[2; 32], 10);
    state.commit(&anew);
    let applied = stream.delta(9, &state, &anew).await;
    assert_eq!((applied.digest_matches, applied.quarantined.len()), (true, 0));
    assert!(shown(&node) && node.files.secrets_key().expect("readable") == Some(NodeKey::new(&[2; 32])));

    // A key that is none ends the stream.
    drop(stream);
    let (_stream, _) = plane.greeted_with(b"short").await;
    let told = |status: &NodeStatus| {
        control_plane(status).last_error.as_ref().is_some_and(|error| error.contains("32 bytes"))
    };
    node.status("told", told).await;
    node.stop().await;
}

#[tokio::test]
async fn follows_from_nothing_to_deltas() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, hello) = plane.greeted().await;
    assert_eq!(hello.hostname, "host-1");
    assert_eq!(
        hello.position.as_ref().map(|position| (position.incarnation, position.version)),
        Some((0, 0))
    );
    assert!(hello.kinds.contains(&"route".to_owned()));
    let status = node.connected().await;
    assert_eq!(control_plane(&status).id, Some(region.identity.control_plane));
    assert!(!node.applier.status().borrow().readiness().ready);

    let mut state = State { incarnation: 4, ..State::default() };
    state.commit(&(1..=300).map(|id| service(id, 9)).collect::<Vec<_>>());
    let (pages, applied) = stream.resync(&state).await;
    assert_eq!((pages, applied.digest_matches, applied.error.as_str()), (300, true, ""));
    assert!(node.applier.status().borrow().readiness().ready);
    assert_eq!(node.applier.live().load().counts().services, 300);

    let entities = [service(1, 10), tombstone(Kind::Service, 2, 10)];
    state.commit(&entities);
    let applied = stream.delta(9, &state, &entities).await;
    assert!(applied.digest_matches && applied.derive_us > 0 && applied.commit_us > 0, "{applied:?}");
    let position = applied.position.expect("a position");
    assert_eq!((position.incarnation, position.version), (4, 10));
    assert_eq!(&position.digest[..], state.digest().as_bytes());
    assert_eq!(node.applier.live().load().counts().services, 299);

    // With nothing to say the node is heard of all the same.
    match stream.next_of_all().await {
        FromNode::Heartbeat(heartbeat) => assert_eq!(heartbeat.position, Some(position)),
        other => panic!("{other:?} in place of a heartbeat"),
    }
}

#[tokio::test]
async fn each_step_of_applying_a_delta_is_in_the_trace_of_its_write() {
    let trace = TestTrace::new(1);
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;

    let entities = [service(2, 2)];
    state.commit(&entities);
    let delta = wire::Delta { traceparent: trace.traceparent(true), ..state.delta(1, &entities) };
    stream.send(FromPlane::Delta(delta)).await;
    assert!(stream.applied().await.digest_matches);
    let apply = trace.span("apply delta").await;
    assert_eq!(apply.parent_span_id, trace.parent());
    for step in ["derive view", "commit to LMDB", "swap view", "acknowledge delta"] {
        let span = trace.span(step).await;
        assert_eq!(span.parent_span_id, apply.span_context.span_id(), "{step}");
    }
    assert_eq!(trace.spans().len(), 5, "{:?}", trace.spans());
    node.stop().await;
}

#[tokio::test]
async fn a_revocation_overtakes_the_delta_under_way() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, hello) = plane.greeted().await;
    assert_eq!(hello.revocation_seq, 0);
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&consumer_with_key("k", 1));
    stream.resync(&state).await;
    let store = node.applier.store().clone();
    let found = |store: &Store| {
        store.identify(Kind::KeyAuth, &crate::store::Lookup::key("k"), 0).expect("reads").is_some()
    };
    assert!(found(&store));

    let entities: Vec<EntityState> = (1000..4000).map(|id| service(id, 2)).collect();
    state.commit(&entities);
    let paused = node.applier.pause().await;
    stream.send(FromPlane::Delta(state.delta(1, &entities))).await;
    let id = Bytes::copy_from_slice(Uuid::from_u128(501).as_bytes());
    stream
        .send(FromPlane::Revocation(wire::Revocation {
            seq: 3,
            kind: "key_auth".to_owned(),
            id,
            incarnation: 1,
        }))
        .await;
    assert_eq!(stream.next().await, FromNode::RevocationApplied(wire::RevocationApplied { seq: 3 }));
    assert!(!found(&store), "denied before it is acknowledged");
    assert_eq!(
        store.revocation_seq(),
        3,
        "and stored: whoever kills the process now brings the key back for nobody"
    );
    drop(paused);
    assert!(stream.applied().await.digest_matches);

    node.stop().await;
    drop(store);
    let Node { folder, applier, files, .. } = node;
    drop(applier);
    let applier = start(folder.path()).await;
    assert!(!found(applier.store()), "and it survives a restart");
    let mut node = Node::of(folder, files, applier);
    node.run();
    let (mut stream, hello) = plane.greeted().await;
    assert_eq!(hello.revocation_seq, 3);
    assert_eq!(hello.position.map(|position| position.version), Some(2));
    let entities = [tombstone(Kind::KeyAuth, 501, 4)];
    state.commit(&entities);
    assert!(stream.delta(2, &state, &entities).await.digest_matches);
    node.stop().await;
}

#[tokio::test]
async fn quarantine_is_reported() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let _node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    let future = EntityState { body: Bytes::from_static(b"{\"from\":\"the future\"}"), ..service(2, 1) };
    state.commit(&[service(1, 1), future]);
    let (_, applied) = stream.resync(&state).await;
    assert!(applied.digest_matches, "what is not served is held all the same");
    let [quarantined] = &applied.quarantined[..] else { panic!("{applied:?}") };
    assert_eq!(
        (quarantined.kind.as_str(), &quarantined.id[..]),
        ("service", &Uuid::from_u128(2).as_bytes()[..])
    );
    assert!(!quarantined.reason.is_empty());
}
