//! Snapshots: whose turn it is, and how they go on after a cut.

use super::*;

/// A node that opens streams and reads none of them has one, and a turn for a snapshot is not lost with those that ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_the_middle_of_a_snapshot_ends_when_the_next_one_opens() {
    let served = Served::new().await;
    served.consumer("first").await;
    let node = served.enrol().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = served.welcomed(&node).await;
        assert!(matches!(stream.next().await, FromPlane::CompareBuckets(_)));
        stream.send(FromNode::Buckets(wire::Buckets::default())).await;
        streams.push(stream);
    }
    let mut last = streams.pop().expect("twenty");
    for mut stream in streams {
        while let Ok(Some(message)) = within("the end", stream.inbound.message()).await {
            assert!(
                matches!(message.message, Some(FromPlane::Page(_) | FromPlane::Refused(_))),
                "{message:?}"
            );
        }
    }
    assert!(matches!(last.next().await, FromPlane::Page(_)));
}

/// More nodes than snapshots are sent at a time, which ask for one and then say nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn silent_nodes_take_nobodys_turn() {
    let served = Served::new().await;
    served.consumer("first").await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        let node = served.enrol().await;
        silent.push((served.welcomed(&node).await, node));
    }
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    stream.snapshot(&[]).await;
    assert_eq!(stream.delta().await.version, 1);
}

/// The configuration changes while the node is cut off, in a bucket that the node has staged.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_on_where_the_node_was_cut_off() {
    let served = Served::new().await;
    for at in 0..12 {
        served.consumer(&format!("consumer-{at}")).await;
    }
    let node = served.enrol().await;
    let mut stream = served.welcomed(&node).await;
    let (_, rows, base) = stream.snapshot_of(wire::Buckets::default()).await;
    assert_eq!((rows.len(), base), (12, 12));
    drop(stream);

    let (kept, lost) = (&rows[0], &rows[11]);
    let delete = |row: &EntityState| format!("{}/core-entities/consumers/{}", served.plane, row.id);
    served.world.delete(delete(kept)).await.expect(StatusCode::NO_CONTENT);
    // The node has staged everything, but for the bucket of the last entity.
    let mut sums = [Digest::default(); 256];
    let staged = rows.iter().filter(|row| row.bucket() != lost.bucket());
    staged.clone().for_each(|row| sums[usize::from(row.bucket())].add(&row.digest().expect("live")));
    let mut staged_at = vec![12; 256];
    staged_at[usize::from(lost.bucket())] = 0;
    let held = wire::Buckets { digests: sync::buckets_to_bytes(&sums).into(), staged_at };
    let mut stream = served.welcomed(&node).await;
    let revoked = stream.revoked().await;
    assert_eq!(revoked.id[..], kept.id.as_bytes()[..]);
    let (_, sent, base) = stream.snapshot_of(held.clone()).await;
    assert!(sent.contains(lost) && sent.iter().all(|row| row.bucket() == lost.bucket()), "{sent:?}");
    let end = stream.delta().await;
    assert_eq!((base, end.base, end.version), (12, 12, 13));
    let all: Vec<EntityState> = staged.chain(&sent).filter(|row| row.id != kept.id).cloned().collect();
    assert_eq!(end.digest[..], digest(&all).as_bytes()[..]);
    assert!(decode_batch(end.entities).expect("rows").iter().all(|row| row.deleted && row.id == kept.id));

    // What was deleted since then is forgotten: no delta tells of it, so its bucket is sent again.
    served.world.execute("UPDATE regional.control_plane SET floor = 13").await;
    served.consumer("news").await;
    let mut stream = served.welcomed(&node).await;
    stream.revoked().await;
    let (_, sent, base) = stream.snapshot_of(held).await;
    assert_eq!(base, 14);
    assert!(sent.contains(lost) && sent.len() >= 2, "{sent:?}");
    assert!(sent.iter().all(|row| row.id != kept.id));
}
