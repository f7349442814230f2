//! Whose stream speaks for a node, and what a node says of itself.

use super::*;

/// A node tells what it serves. What the control plane has beside that is an issue, until the node tells otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_does_not_serve_is_shown() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let shown = async || {
        let item = served.world.get(format!("{}/nodes/{}", served.plane, node.id)).await;
        item.expect(StatusCode::OK)["item"].clone()
    };
    assert_eq!(shown().await["compatibility_status"]["state"], "COMPATIBILITY_STATE_UNKNOWN");
    served.consumer("a").await;
    let tells = |kinds: &[&str]| wire::Hello {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        plugins: vec!["key-auth".to_owned()],
        model_version: 2,
        ..wire::Hello::default()
    };
    for (kinds, state, issues) in [
        (["service"].as_slice(), "COMPATIBILITY_STATE_INCOMPATIBLE", 1),
        (&["service", "consumer"], "COMPATIBILITY_STATE_FULLY_COMPATIBLE", 0),
    ] {
        let mut stream = served.open(&node, tells(kinds)).await;
        assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
        let node = shown().await;
        assert_eq!(
            (&node["compatibility_status"]["state"], &node["plugins"]),
            (&json!(state), &json!(["key-auth"]))
        );
        let listed = node["compatibility_status"]["issues"].as_array().expect("a list");
        assert_eq!(listed.len(), issues, "{node}");
        assert!(listed.iter().all(|issue| issue["kind"] == "consumer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_speaks_for_a_node_and_a_removed_node_is_cut_off() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut first = served.welcomed(&node).await;
    first.delta().await;
    let mut second = served.welcomed(&node).await;
    // At once: the first has said nothing.
    let (reason, _) = first.refused().await;
    assert_eq!(reason, "the node was removed, or it has opened another stream");
    assert!(first.ends().await);
    // The stream that ended later than its successor began did not mark the node as gone.
    assert_eq!(served.node(&node).await["state"], "connected");

    let delta = second.delta().await;
    second.applied(&delta).await;
    within("the acknowledgement is noted", async { while served.node(&node).await["in_sync"] != true {} })
        .await;
    served.world.delete(format!("{}/nodes/{}", served.plane, node.id)).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(second.refused().await, ("the node was removed".to_owned(), 300));
    let mut back = served.open(&node, wire::Hello::default()).await;
    assert!(back.refused().await.0.starts_with("the node was removed"), "its certificate opens nothing");
}

/// A stream at another replica takes the seat in the database: the one here learns of it when it is next heard of.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_at_another_replica_ends_the_one_here_at_its_next_heartbeat() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut here = served.welcomed(&node).await;
    here.delta().await;
    served.world.execute("UPDATE regional.node SET session_id = gen_random_uuid()").await;
    here.send(FromNode::Heartbeat(wire::Heartbeat::default())).await;
    assert_eq!(here.refused().await.0, "the node was removed, or it has opened another stream");
    assert!(here.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_breaks_the_protocol_is_told() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let elsewhere = wire::Hello { control_plane_id: "another".to_owned(), ..wire::Hello::default() };
    let mut stream = served.open(&node, elsewhere).await;
    assert!(stream.refused().await.0.contains("another control plane"));

    let bad_id = wire::Quarantined { id: vec![1, 2].into(), ..wire::Quarantined::default() };
    let unreadable = wire::Hello { quarantined: vec![bad_id], ..wire::Hello::default() };
    let mut stream = served.open(&node, unreadable).await;
    assert_eq!(stream.refused().await.0, "the id of an entity is 2 bytes long, not 16");

    for (message, reason) in [
        (FromNode::Hello(wire::Hello::default()), "Hello may be sent only once, as the first message"),
        (FromNode::PageStaged(wire::PageStaged {}), "the node replied to a message that was not sent"),
        (
            FromNode::Applied(wire::Applied { digest_matches: true, ..wire::Applied::default() }),
            "an acknowledgement names no position",
        ),
    ] {
        let mut stream = served.welcomed(&node).await;
        stream.delta().await;
        stream.send(message).await;
        assert_eq!(stream.refused().await.0, reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_node_is_small_also_when_it_is_unpacked() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let hello =
        wire::Hello { hostname: "x".repeat(limits::NODE_MESSAGE_BYTES_MAX), ..wire::Hello::default() };
    let mut stream = served.open(&node, hello).await;
    assert!(stream.ends().await, "nothing is answered");
    served.welcomed(&node).await;
}

/// A node that ends its stream for a reason of its own, such as a full disk, says so with the next one.
#[tokio::test(flavor = "multi_thread")]
async fn why_a_node_ended_its_last_stream_is_shown() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let hello =
        |last_error: &str| wire::Hello { last_error: last_error.to_owned(), ..wire::Hello::default() };
    for (told, shown) in [("no space\nleft", "no space\u{fffd}left"), ("", "no space\u{fffd}left")] {
        let mut stream = served.open(&node, hello(told)).await;
        assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
        assert_eq!(served.node(&node).await["last_error"], shown);
        let delta = stream.delta().await;
        if told.is_empty() {
            stream.applied(&delta).await;
            let ended = async { while served.node(&node).await["last_error"] != "" {} };
            within("what was applied ends the error", ended).await;
        }
    }
}

/// An organization is deleted: its control planes go, and the streams of their nodes end.
#[tokio::test(flavor = "multi_thread")]
async fn the_control_planes_of_a_deleted_organization_go_with_their_streams() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    stream.delta().await;
    let other = ids::OrganizationId::generate();
    served.world.service.delete_control_planes_of(other).await.expect("nothing to do");
    served.world.get(served.plane.clone()).await.expect(StatusCode::OK);
    for _ in 0..2 {
        let organization = served.world.peers.organization();
        served.world.service.delete_control_planes_of(organization).await.expect("deleted");
    }
    served.world.get(served.plane.clone()).await.problem(StatusCode::NOT_FOUND);
    assert!(stream.ends().await);
    let audited = "SELECT count(*) FROM audit WHERE action = 'control-plane.purge'";
    let (audited,): (i64,) = sqlx::query_as(audited).fetch_one(&served.world.db).await.expect("read");
    assert_eq!(audited, 1);
}
