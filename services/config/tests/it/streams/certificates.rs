//! Certificates of nodes are renewed over the stream.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_over_the_stream() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    let delta = stream.delta().await;
    stream.applied(&delta).await;
    let before = served.node(&node).await["certificate_expires_at"].clone();
    served.world.clock.advance(time::Duration::days(1));
    let request = rcgen::CertificateParams::default().serialize_request(&node.key).expect("a request");
    stream.send(FromNode::Renewal(wire::Renewal { csr_der: request.der().to_vec().into() })).await;
    let FromPlane::Certificate(renewed) = stream.next().await else { panic!("no certificate") };
    assert!(renewed.certificate_pem.contains("BEGIN CERTIFICATE"));
    assert_ne!(served.node(&node).await["certificate_expires_at"], before);
    stream.send(FromNode::Renewal(wire::Renewal { csr_der: vec![1].into() })).await;
    assert_eq!(stream.refused().await.0, "the control plane cannot serve the stream now");
}

/// A renewal for `key`.
pub fn renewal(key: &KeyPair) -> FromNode {
    let request = rcgen::CertificateParams::default().serialize_request(key).expect("a request");
    FromNode::Renewal(wire::Renewal { csr_der: request.der().to_vec().into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_for_the_same_key_and_not_again_and_again() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let opened = async || {
        let mut stream = served.welcomed(&node).await;
        let delta = stream.delta().await;
        stream.applied(&delta).await;
        stream
    };
    served.world.clock.advance(time::Duration::days(1));
    let mut stream = opened().await;
    stream.send(renewal(&KeyPair::generate().expect("a key"))).await;
    assert!(stream.refused().await.0.starts_with("a certificate is renewed for the key that it is for"));

    let mut stream = opened().await;
    stream.send(renewal(&node.key)).await;
    assert!(matches!(stream.next().await, FromPlane::Certificate(_)));
    stream.send(renewal(&node.key)).await;
    assert!(stream.refused().await.0.starts_with("the certificate was renewed a moment ago"));
    served.world.clock.advance(time::Duration::minutes(1));
    let mut stream = opened().await;
    stream.send(renewal(&node.key)).await;
    assert!(matches!(stream.next().await, FromPlane::Certificate(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended_is_renewed_and_opens_nothing_else() {
    let served = Served::new().await;
    let life = time::Duration::try_from(limits::CERTIFICATE_LIFE).expect("a week") + time::Duration::hours(1);
    served.world.clock.advance(-life);
    let (node, removed) = (served.enrol().await, served.enrol().await);
    served.world.clock.advance(life);
    served.consumer("secret").await;

    let mut stream = served.open(&removed, wire::Hello::default()).await;
    stream.send(renewal(&KeyPair::generate().expect("a key"))).await;
    assert!(stream.refused().await.0.starts_with("a certificate is renewed for the key that it is for"));
    served
        .world
        .delete(format!("{}/nodes/{}", served.plane, removed.id))
        .await
        .expect(StatusCode::NO_CONTENT);
    let mut stream = served.open(&removed, wire::Hello::default()).await;
    assert!(stream.refused().await.0.starts_with("the node was removed"));

    let mut stream = served.open(&node, wire::Hello::default()).await;
    // Whatever else it says is not heard, and it is told nothing: the certificate is the first answer.
    stream.send(FromNode::Heartbeat(wire::Heartbeat::default())).await;
    stream.send(FromNode::Buckets(wire::Buckets::default())).await;
    stream.send(renewal(&node.key)).await;
    let renewed = match stream.next().await {
        FromPlane::Certificate(renewed) => renewed.certificate_pem,
        other => panic!("no certificate: {other:?}"),
    };
    let node = Node { certificate_pem: renewed, ..node };
    served.welcomed(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_opened_by_the_key_that_the_node_belongs_to() {
    let served = Served::new().await;
    let node = served.enrol().await;
    // As after an earlier release: the key is not known until the certificate is renewed.
    served.world.execute("UPDATE regional.node SET key_sha256 = NULL").await;
    served.world.clock.advance(time::Duration::days(1));
    let mut stream = served.welcomed(&node).await;
    let delta = stream.delta().await;
    stream.applied(&delta).await;
    stream.send(renewal(&node.key)).await;
    assert!(matches!(stream.next().await, FromPlane::Certificate(_)));
    served.welcomed(&node).await;

    served.world.execute("UPDATE regional.node SET key_sha256 = sha256('another')").await;
    let mut stream = served.open(&node, wire::Hello::default()).await;
    assert!(stream.refused().await.0.starts_with("the node was removed, has another key"));
}
