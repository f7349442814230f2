//! How a stream begins, ends and begins again.

use super::*;

#[tokio::test]
async fn readiness_does_not_flap_with_the_stream() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;
    let met = |status: &NodeStatus| status.readiness().conditions["stream"].met;
    let connected = node.connected().await;
    assert!(met(&connected) && connected.readiness().ready);

    // From here on every status that the gateway shows is looked at.
    let mut status = node.applier.status().subscribe();
    let always_ready = tokio::spawn(async move {
        let mut lost = false;
        loop {
            let shown = status.borrow_and_update().clone();
            assert!(shown.readiness().ready, "{shown:?}");
            lost |= !met(&shown);
            if lost && met(&shown) {
                return;
            }
            status.changed().await.expect("the gateway runs");
        }
    });
    drop(stream);
    let (_stream, _) = plane.greeted().await;
    within("the stream is lost and comes back", always_ready).await.expect("ready all the time");
    node.stop().await;
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_ends_the_stream() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let compare = |incarnation, buckets| {
        FromPlane::CompareBuckets(wire::CompareBuckets {
            incarnation,
            buckets,
            ..wire::CompareBuckets::default()
        })
    };
    let page = || FromPlane::Page(wire::Page { begins: Bytes::from_static(&[0]), ..wire::Page::default() });
    let end = |incarnation| FromPlane::SnapshotEnd(wire::SnapshotEnd { incarnation, base: 1 });
    let revocation = |seq, kind: &str, id: &'static [u8]| {
        let (kind, id) = (kind.to_owned(), Bytes::from_static(id));
        FromPlane::Revocation(wire::Revocation { seq, kind, id, incarnation: 1 })
    };
    let id: &[u8; 16] = &[7; 16];
    for (messages, reason) in [
        (vec![compare(1, 16)], "16 buckets"),
        (vec![compare(0, 256)], "incarnation 0"),
        (vec![page()], "before buckets were compared"),
        (vec![compare(1, 256), end(2)], "another incarnation"),
        (vec![compare(1, 256), end(1), page()], "after its end"),
        (vec![revocation(1, "route", id)], "route cannot be revoked"),
        (vec![revocation(0, "key_auth", id)], "sequence number 0"),
        (vec![revocation(1, "key_auth", b"short")], "16 bytes"),
    ] {
        let (stream, _) = plane.greeted().await;
        for message in messages {
            stream.send(message).await;
        }
        let shown = node.status(reason, |status| {
            control_plane(status).last_error.as_ref().is_some_and(|error| error.contains(reason))
        });
        shown.await;
    }
    // A kind that this build does not know may be revoked: it serves no entity of it.
    let (mut stream, _) = plane.greeted().await;
    stream.send(revocation(1, "jwt_secret", id)).await;
    assert_eq!(stream.next().await, FromNode::RevocationApplied(wire::RevocationApplied { seq: 1 }));
    node.stop().await;
}

#[tokio::test]
async fn dials_again_at_the_next_endpoint_and_serves_meanwhile() {
    let region = TestRegion::new();
    let mut first = plane(&region, region.server()).await;
    let mut second = plane(&region, region.server()).await;
    let closed = {
        let unused = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        unused.local_addr().expect("bound").to_string()
    };
    let endpoints = [closed, first.address.to_string(), format!("https://{}", second.address)];
    let mut node = Node::new(&region, &endpoints, time::Duration::ZERO).await;
    node.run();
    let (mut stream, _) = first.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;
    drop(stream);

    let (mut stream, hello) = second.greeted().await;
    let position = hello.position.expect("a position");
    assert_eq!(
        (position.incarnation, position.version, &position.digest[..]),
        (1, 1, &state.digest().as_bytes()[..])
    );
    assert_eq!(node.applier.live().load().counts().services, 1);
    assert!(stream.delta(1, &state, &[]).await.digest_matches, "an empty delta proves equality");
    // A message that is no delta at all ends the stream, and nothing else.
    let malformed = wire::Delta { entities: Bytes::from_static(b"\xff\xff"), ..state.delta(1, &[]) };
    stream.send(FromPlane::Delta(malformed)).await;
    let waiting = node.status("the error is shown", |status| {
        control_plane(status).last_error.as_ref().is_some_and(|error| error.contains("broke the protocol"))
    });
    waiting.await;
    let (_stream, hello) = first.greeted().await;
    assert_eq!(hello.position.map(|position| position.version), Some(1));
    node.stop().await;
}

#[tokio::test]
async fn a_stream_goes_through_a_proxy() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let proxy = TestProxy::to(plane.address).await;
    let endpoints = ["sync.of-another-network.test:7443".to_owned()];
    let mut node = Node::new(&region, &endpoints, time::Duration::ZERO).await;
    let way = format!("http://gw:secret@{}", proxy.address);
    node.proxy = Some(EgressProxy::try_from(way).expect("a proxy"));
    node.run();
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;
    let asked = proxy.asked().await;
    assert!(asked[0].starts_with("CONNECT sync.of-another-network.test:7443 HTTP/1.1"), "{asked:?}");
    // `gw:secret`.
    assert!(asked[0].contains("Basic Z3c6c2VjcmV0"), "{asked:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_refusal_is_paced_by_the_plane() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (stream, _) = plane.greeted().await;
    let refused = wire::Refused { reason: "too many snapshots at once".to_owned(), retry_after_seconds: 1 };
    stream.send(FromPlane::Refused(refused)).await;
    let refused_at = Instant::now();
    let status = node.status("refused", |status| control_plane(status).last_error.is_some()).await;
    let error = control_plane(&status).last_error.clone().expect("an error");
    assert!(error.contains("too many snapshots"), "{error}");
    plane.greeted().await;
    assert!(refused_at.elapsed() >= Duration::from_secs(1));
    node.stop().await;
}

#[tokio::test]
async fn a_certificate_past_two_thirds_of_its_life_is_renewed() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::new(&region, &[plane.address.to_string()], time::Duration::days(5)).await;
    node.run();
    let (mut stream, _) = plane.greeted().await;
    let FromNode::Renewal(renewal) = stream.next().await else { panic!("no renewal") };
    let life = time::Duration::days(7);
    let certificate_pem = region.sign(&renewal.csr_der, &region.identity, time::Duration::ZERO, life);
    let renewed = wire::Certificate { certificate_pem: certificate_pem.clone() };
    stream.send(FromPlane::Certificate(renewed)).await;

    let (mut second, _) = plane.greeted().await;
    assert_ne!(second.certificate, stream.certificate);
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).expect("PEM");
    assert_eq!(second.certificate, pem.contents, "the node comes back with the new one");
    second.health().await;
    assert!(matches!(second.next_of_all().await, FromNode::Heartbeat(_)), "and asks for no other");
    node.stop().await;
}

#[tokio::test]
async fn a_drain_takes_leave() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (stream, _) = plane.greeted().await;
    node.connected().await;
    node.drain.cancel();
    stream.left().await;
    node.stop().await;
}

#[tokio::test]
async fn a_plane_of_another_authority_learns_nothing() {
    let region = TestRegion::new();
    let stranger = TestRegion::new();
    let mut plane = plane(&region, stranger.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let status = node.status("the error is shown", |status| control_plane(status).last_error.is_some()).await;
    let error = control_plane(&status).last_error.clone().expect("an error");
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert!(plane.connections.try_recv().is_err());
    node.stop().await;
}
