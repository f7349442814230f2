//! Pinned certificates: whose streams they open, and for how long.

use rcgen::{CertificateParams, SanType};
use tonic::Code;
use uuid::Uuid;

use super::{certificates::renewal, *};
use crate::pins::{certificate, id_of, path};

/// A gateway with a certificate of its own.
struct Own {
    node: Node,
    /// As the API has it.
    id: String,
}

async fn pinned_with(served: &Served, plane: &str, say: impl FnOnce(&mut CertificateParams)) -> Own {
    let key = KeyPair::generate().expect("a key");
    let certificate_pem = certificate(&served.world, &key, say);
    // At the replica whose streams are served: the other one's certificates are known here a moment later.
    let body = json!({"cert": certificate_pem, "title": "fleet"});
    let made = served.world.call(Method::POST, path(plane)).json(&body).to(0).send().await;
    let made = made.expect(StatusCode::CREATED);
    let ca_pem = made["gateway"]["ca"].as_str().expect("a CA").to_owned();
    let id = made["item"]["id"].as_str().expect("an id").to_owned();
    Own { node: Node { id: NodeId::generate(), key, certificate_pem, ca_pem }, id }
}

async fn pinned(served: &Served) -> Own {
    pinned_with(served, &served.plane, |_| ()).await
}

/// What a gateway says that calls itself `node` and is set to follow `plane`.
fn hello(plane: &str, node: NodeId) -> wire::Hello {
    wire::Hello {
        control_plane_id: id_of(plane),
        node_id: node.as_bytes().to_vec().into(),
        hostname: "gw-own".to_owned(),
        ..wire::Hello::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_no_gateway_could_use_is_refused_and_there_are_so_many() {
    let served = Served::new().await;
    let world = &served.world;
    let key = KeyPair::generate().expect("a key");
    let ended = certificate(world, &key, |params| params.not_after = world.clock.now());
    let of_the_region = served.enrol().await.certificate_pem;
    for (pem, reason) in [
        ("nothing".to_owned(), "exactly one certificate"),
        (ended, "it ended at"),
        (of_the_region, "was issued by this region's CA"),
        (key.serialize_pem(), "stays with the gateways"),
    ] {
        let refused = world.post(path(&served.plane), &json!({ "cert": pem })).await;
        let refused = refused.expect(StatusCode::BAD_REQUEST);
        assert_eq!(refused["invalid_parameters"][0]["field"], "cert", "{refused}");
        let said = refused["invalid_parameters"][0]["reason"].as_str().expect("a reason");
        assert!(said.contains(reason), "{said}");
    }
    let pins = futures::future::join_all((0..36).map(async |_| {
        let key = KeyPair::generate().expect("a key");
        let pem = certificate(world, &key, |_| ());
        world.post(path(&served.plane), &json!({ "cert": pem })).await.status
    }));
    let pins = pins.await;
    let count = |status| pins.iter().filter(|found| **found == status).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::FORBIDDEN)), (32, 4), "also at the same time");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_a_pinned_certificate_are_nodes_of_its_control_plane_and_of_no_other() {
    let served = Served::new().await;
    let other = served.world.plane("other").await;
    let Own { node, id } = pinned(&served).await;
    let mut streams = Vec::new();
    for number in 0..2 {
        let node = Node { id: NodeId::generate(), ..node.clone() };
        let mut stream = served.open(&node, hello(&served.plane, node.id)).await;
        assert!(matches!(stream.next().await, FromPlane::Welcome(_)), "{number}");
        let shown = served.node(&node).await;
        assert_eq!((&shown["state"], &shown["hostname"]), (&json!("connected"), &json!("gw-own")));
        assert_eq!(shown["pinned_certificate_id"], json!(id));
        streams.push((stream, node));
    }
    // The same id again is the same node.
    let (mut first, again) = streams.remove(0);
    let mut newer = served.open(&again, hello(&served.plane, again.id)).await;
    assert!(matches!(newer.next().await, FromPlane::Welcome(_)));
    while !matches!(first.next().await, FromPlane::Refused(_)) {}

    for (hello, reason) in [
        (hello(&other, node.id), "pinned to another control plane"),
        (
            wire::Hello { control_plane_id: String::new(), ..hello(&served.plane, node.id) },
            "another control plane",
        ),
        (
            wire::Hello { node_id: vec![1].into(), ..hello(&served.plane, node.id) },
            "16 bytes, and this one has 1",
        ),
    ] {
        let mut stream = served.open(&node, hello).await;
        let (said, _) = stream.refused().await;
        assert!(said.contains(reason), "{said}");
    }
    let mut stream = served.open(&node, hello(&served.plane, node.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    stream.delta().await;
    stream.send(renewal(&node.key)).await;
    assert!(stream.refused().await.0.starts_with("a pinned certificate is not renewed"));
}

/// A certificate says who its node is only if the region's CA has signed it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_pinned_certificate_says_does_not_count() {
    let served = Served::new().await;
    let (victim, other) = (served.enrol().await, served.world.plane("other").await);
    let uri =
        format!("spiffe://landbridge/region/us/control-plane/{}/node/{}", id_of(&served.plane), victim.id);
    let say = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().expect("a URI"))];
    };
    let Own { node, id } = pinned_with(&served, &other, say).await;
    let mut stream = served.open(&node, hello(&served.plane, victim.id)).await;
    assert!(stream.refused().await.0.contains("pinned to another control plane"));
    let mut stream = served.open(&node, hello(&other, victim.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)), "an id of its own choice, elsewhere");

    // Nor once it is not pinned any more, on a connection that was made before.
    let mut client = served.dial(&node).await;
    served.world.delete(format!("{}/{id}", path(&other))).await.expect(StatusCode::NO_CONTENT);
    let (outbound, messages) = tokio::sync::mpsc::channel(1);
    let first = wire::node_message::Message::Hello(hello(&served.plane, victim.id));
    outbound.send(wire::NodeMessage { message: Some(first) }).await.expect("open");
    let refused = client.follow(tokio_stream::wrappers::ReceiverStream::new(messages));
    let refused = within("an answer", refused).await.expect_err("no stream");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");

    // In its own control plane, an enrolled node's id is not to be had either.
    let own = pinned(&served).await.node;
    let mut stream = served.open(&own, hello(&served.plane, victim.id)).await;
    assert!(stream.refused().await.0.contains("has the id of a node that enrolled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_certificate_ends_its_streams_at_once_and_a_new_one_lets_the_same_nodes_back_in() {
    let served = Served::new().await;
    let Own { node, id } = pinned(&served).await;
    let mut enrolled = served.settled(&served.enrol().await).await;
    let mut stream = served.open(&node, hello(&served.plane, node.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    stream.snapshot(&[]).await;
    let delta = stream.delta().await;
    stream.applied(&delta).await;
    within("the acknowledgement is noted", async { while served.node(&node).await["in_sync"] != true {} })
        .await;
    served.world.delete(format!("{}/{id}", path(&served.plane))).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(stream.refused().await, ("the node was removed".to_owned(), 300));
    served.world.get(format!("{}/nodes/{}", served.plane, node.id)).await.problem(StatusCode::NOT_FOUND);

    let next = pinned(&served).await.node;
    let mut again = served.open(&next, hello(&served.plane, node.id)).await;
    assert!(matches!(again.next().await, FromPlane::Welcome(_)), "the same node, with the next certificate");
    // Nodes that enrolled are not concerned.
    served.consumer("second").await;
    enrolled.delta().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_kept_out_and_others_with_its_certificate_are_not() {
    let served = Served::new().await;
    let Own { node, .. } = pinned(&served).await;
    let other = Node { id: NodeId::generate(), ..node.clone() };
    let mut stream = served.open(&node, hello(&served.plane, node.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    stream.delta().await;
    served.world.delete(format!("{}/nodes/{}", served.plane, node.id)).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(stream.refused().await, ("the node was removed".to_owned(), 300));
    let mut back = served.open(&node, hello(&served.plane, node.id)).await;
    assert!(back.refused().await.0.contains("this node was removed"));
    let mut stream = served.open(&other, hello(&served.plane, other.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));

    // Rows of nodes that are not listed any more go, but not that one.
    served
        .world
        .execute("UPDATE regional.node SET created_at = '2000-01-01', last_seen_at = '2000-01-01'")
        .await;
    served
        .world
        .execute("UPDATE regional.node SET removed_at = '2000-01-01' WHERE removed_at IS NOT NULL")
        .await;
    served.world.service.sweep_nodes().await.expect("swept");
    let left: Vec<(Uuid,)> =
        sqlx::query_as("SELECT id FROM regional.node").fetch_all(&served.world.db).await.expect("rows");
    assert_eq!(left, [(node.id.uuid(),)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_certificate_counts_from_its_beginning_to_its_end() {
    let served = Served::new().await;
    let now = served.world.clock.now();
    let minute = time::Duration::minutes(1);
    let early = pinned_with(&served, &served.plane, |params| params.not_before = now + minute).await.node;
    let mut stream = served.open(&early, hello(&served.plane, early.id)).await;
    assert!(stream.refused().await.0.starts_with("the pinned certificate counts from"));

    let ends_at = now + 3 * time::Duration::SECOND;
    let short = pinned_with(&served, &served.plane, |params| params.not_after = ends_at).await.node;
    let mut stream = served.open(&short, hello(&served.plane, short.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    stream.delta().await;
    served.world.clock.advance(minute);
    assert!(stream.refused().await.0.starts_with("the pinned certificate has ended"), "also an open stream");
    let mut stream = served.open(&short, hello(&served.plane, short.id)).await;
    assert_eq!(
        stream.refused().await,
        (
            "the pinned certificate has ended; pin a new one to the control plane, and give it to the gateway"
                .to_owned(),
            300
        )
    );
    let mut stream = served.open(&early, hello(&served.plane, early.id)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)), "by now");
}

/// A certificate that is not pinned ends the handshake; one that another replica has pinned is known after a look.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_has_pinned_opens_no_connection() {
    let served = Served::new().await;
    let ca_pem = pinned(&served).await.node.ca_pem;
    let key = KeyPair::generate().expect("a key");
    let certificate_pem = certificate(&served.world, &key, |_| ());
    let node = Node { id: NodeId::generate(), key, certificate_pem, ca_pem };
    let follow = async || {
        let mut client = served.dial(&node).await;
        let (outbound, messages) = tokio::sync::mpsc::channel(1);
        let first = wire::node_message::Message::Hello(hello(&served.plane, node.id));
        outbound.send(wire::NodeMessage { message: Some(first) }).await.expect("open");
        let opened = client.follow(tokio_stream::wrappers::ReceiverStream::new(messages));
        within("an answer", opened).await.map(|opened| (opened, outbound))
    };
    let refused = follow().await.expect_err("no stream");
    assert_ne!(refused.code(), Code::PermissionDenied, "the connection ends before: {refused}");
    let body = json!({ "cert": node.certificate_pem });
    let second = served.world.call(Method::POST, path(&served.plane)).json(&body).to(1).send().await;
    second.expect(StatusCode::CREATED);
    within("known here too", async { while follow().await.is_err() {} }).await;
}
