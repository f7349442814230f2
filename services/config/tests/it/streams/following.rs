//! A node follows its control plane: from nothing, by deltas, and after it was away.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_get_the_key_of_their_own_control_planes_secrets() {
    let served = Served::new().await;
    let body = Kind::Certificate.example();
    let path = format!("{}/core-entities/certificates", served.plane);
    served.world.post(path, &body).await.expect(StatusCode::CREATED);
    let key = async |node: &Node| {
        let mut stream = served.open(node, wire::Hello::default()).await;
        let FromPlane::Welcome(welcome) = stream.next().await else { panic!("no welcome") };
        assert!(!format!("{welcome:?}").contains("secrets_key"), "it is never shown");
        let key: [u8; 32] = welcome.secrets_key[..].try_into().expect("32 bytes");
        (NodeKey::new(&key), stream)
    };
    let (own, mut stream) = key(&served.enrol().await).await;
    let (rows, _) = stream.snapshot(&[]).await;
    let row = rows.iter().find(|row| row.kind == "certificate").expect("the certificate");
    let sealed = || Entity::from_wire(Kind::Certificate, &row.body).expect("readable");
    let mut opened = sealed();
    own.open(row.id, &mut opened).expect("sealed for this control plane");
    assert_eq!(opened.to_api()["key"], body["key"]);

    let other = served.world.plane("other").await;
    let (other, _stream) = key(&served.enrol_in(&other).await).await;
    assert!(other != own && other.open(row.id, &mut sealed()).is_err());
    let (again, _stream) = key(&served.enrol().await).await;
    assert!(again == own, "of all nodes of a control plane");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_from_buckets_and_follows_by_deltas() {
    let served = Served::new().await;
    served.consumer("a").await;
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    let (rows, reason) = stream.snapshot(&[]).await;
    assert_eq!((rows.len(), reason.as_str()), (1, "the node holds nothing yet"));
    let end = stream.delta().await;
    assert_eq!((end.base, end.version), (1, 1));
    assert_eq!(end.digest[..], digest(&rows).as_bytes()[..], "of all that was sent");
    stream.applied(&end).await;

    served.consumer("b").await;
    let delta = stream.delta().await;
    assert_eq!((delta.base, delta.version), (1, 2));
    let changed = decode_batch(delta.entities.clone()).expect("rows");
    assert_eq!(changed.len(), 1);
    let all: Vec<EntityState> = rows.into_iter().chain(changed).collect();
    assert_eq!(delta.digest[..], digest(&all).as_bytes()[..]);
    stream.applied(&delta).await;
    // Propagation says so once the acknowledgement is in its row.
    let path = format!("{}/propagation?version=2&wait=30s", served.plane);
    let live = served.world.get(path).await.expect(StatusCode::OK);
    assert_eq!((&live["nodes"], &live["applied"]), (&json!(1), &json!(1)));
    let shown = served.node(&node).await;
    assert_eq!((&shown["state"], &shown["in_sync"]), (&json!("connected"), &json!(true)));
    let expected =
        served.world.get(format!("{}/expected-config-hash", served.plane)).await.expect(StatusCode::OK);
    assert_eq!(shown["config_hash"], expected["expected_hash"]);
    assert_eq!((&shown["versions_behind"], &shown["type"]), (&json!(0), &json!("landbridge")));
    assert_eq!(shown["lag_seconds"], json!(0.0));
    assert_eq!(served.world.service.lag_of_nodes().await.expect("read"), (0.0, 0));
    served.consumer("more").await;
    let behind = served.node(&node).await;
    assert_eq!((&behind["versions_behind"], &behind["in_sync"]), (&json!(1), &json!(false)));
    let hour = "UPDATE regional.entity SET updated_at = now() - interval '1 hour' WHERE version = 3";
    served.world.execute(hour).await;
    let lag = served.node(&node).await["lag_seconds"].as_f64().expect("a number");
    assert!((3600.0..3700.0).contains(&lag), "since the change that it does not hold: {lag}");
    let (seconds, nodes) = served.world.service.lag_of_nodes().await.expect("read");
    assert!(seconds >= lag && nodes == 1, "{seconds} {nodes}");
    assert!(behind["last_ping"].as_i64() >= shown["created_at"].as_i64(), "{behind}");
    let delta = stream.delta().await;
    stream.applied(&delta).await;

    stream.send(FromNode::Leaving(wire::Leaving {})).await;
    assert!(within("the end", stream.inbound.message()).await.expect("no error").is_none());
    assert_eq!(served.node(&node).await["state"], "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_returns_goes_on_from_where_it_is() {
    let served = Served::new().await;
    served.consumer("a").await;
    served.consumer("b").await;
    let node = served.enrol().await;
    let mut stream = served.open(&node, at(1, 1)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    let delta = stream.delta().await;
    assert_eq!(
        (delta.base, delta.version, decode_batch(delta.entities.clone()).expect("rows").len()),
        (1, 2, 1)
    );
    // It does not get there: buckets are compared, thrice, and then it is sent away for a while.
    let failed = FromNode::Applied(wire::Applied {
        position: Some(Position { incarnation: 1, version: 1, digest: Vec::new().into() }),
        digest_matches: false,
        ..wire::Applied::default()
    });
    for _ in 0..3 {
        stream.send(failed.clone()).await;
        let (rows, reason) = stream.snapshot(&[]).await;
        assert_eq!((rows.len(), reason.as_str()), (2, "the node did not reach the version that it was sent"));
        stream.delta().await;
    }
    stream.send(failed).await;
    assert_eq!(stream.refused().await, ("the node cannot be brought to the newest version".to_owned(), 5));
}

/// Tombstones at or below the floor are forgotten: a delta from below would leave deleted entities behind.
#[tokio::test(flavor = "multi_thread")]
async fn no_delta_starts_below_the_floor() {
    let served = Served::new().await;
    served.consumer("a").await;
    served.consumer("b").await;
    served.world.execute("UPDATE regional.control_plane SET floor = 2").await;
    let node = served.enrol().await;
    let mut stream = served.open(&node, at(1, 1)).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    assert_eq!(stream.snapshot(&[]).await.1, "no delta is kept that begins at the node's version");
}

/// A node that holds nothing is up to date with a control plane that has nothing. Its first entities come as buckets.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_control_plane_is_held_whole() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    let empty = stream.delta().await;
    assert_eq!((empty.base, empty.version, empty.entities.len()), (0, 0, 0));
    stream.applied(&empty).await;
    served.consumer("a").await;
    assert_eq!(stream.snapshot(&[]).await.0.len(), 1);
}

/// What another replica commits arrives without NATS too.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_replica_is_found_by_looking() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.settled(&node).await;
    served.world.execute("UPDATE regional.control_plane SET version = 2").await;
    let drain = tokio_util::sync::CancellationToken::new();
    let looking = served.world.service.follow(drain.clone());
    let found = async {
        assert_eq!(stream.delta().await.version, 2);
        drain.cancel();
    };
    let (looked, ()) = tokio::join!(looking, found);
    looked.expect("looked until told to stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_sends_every_node_away_and_lets_it_come_back_at_once() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    stream.delta().await;
    served.world.drain.cancel();
    assert_eq!(stream.refused().await, ("the control plane restarts".to_owned(), 0));
}
