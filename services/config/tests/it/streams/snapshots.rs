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
    // Digests of a moment ago are shared, and from there no delta begins any more: the next snapshot reads them anew.
    stream.snapshot_of(held.clone()).await;
    assert!(stream.refused().await.0.starts_with("the snapshot could not be completed"));
    let mut stream = served.welcomed(&node).await;
    stream.revoked().await;
    let (_, sent, base) = stream.snapshot_of(held).await;
    assert_eq!(base, 14);
    assert!(sent.contains(lost) && sent.len() >= 2, "{sent:?}");
    assert!(sent.iter().all(|row| row.id != kept.id));
}

/// It is compared with digests that have the change, so that the delta at the end carries nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_changes_whole_is_sent_everything_with_each() {
    let served = Served::new().await;
    served.consumer("first").await;
    let node = served.enrol().await;
    let mut stream = served.open(&node, wire::Hello { whole: true, ..at(1, 1) }).await;
    assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
    for version in 1..=3 {
        let (rows, reason) = stream.snapshot(&[]).await;
        assert_eq!((rows.len() as u64, reason.contains("whole")), (version, true), "{reason}");
        let delta = stream.delta().await;
        assert_eq!((delta.base, delta.version, delta.entities.is_empty()), (version, version, true));
        stream.applied(&delta).await;
        served.consumer(&format!("after-{version}")).await;
    }
}

/// Pages are packed once for all nodes that unpack; the others get them as they are. How far it has come is shown.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_packed_and_their_progress_is_shown() {
    let served = Served::new().await;
    let entities = format!("{}/core-entities/services", served.plane);
    for number in 0..40 {
        let service = json!({ "name": format!("s{number}"), "host": "h" });
        served.world.post(&entities, &service).await.expect(StatusCode::CREATED);
        let body = json!({ "name": "request-termination", "config": { "body": "x".repeat(60_000) } });
        served.world.post(format!("{entities}/s{number}/plugins"), &body).await.expect(StatusCode::CREATED);
    }
    let node = served.enrol().await;
    for unpacks in [true, false] {
        let mut stream = served.open(&node, wire::Hello { unpacks, ..wire::Hello::default() }).await;
        assert!(matches!(stream.next().await, FromPlane::Welcome(_)));
        assert!(matches!(stream.next().await, FromPlane::CompareBuckets(_)));
        stream.send(FromNode::Buckets(wire::Buckets::default())).await;
        let (mut rows, mut left, mut shown_of) = (Vec::new(), u32::MAX, 0);
        while let FromPlane::Page(page) = stream.next().await {
            assert_eq!((page.entities.is_empty(), page.packed.is_empty()), (unpacks, !unpacks));
            assert!(page.left < left || page.begins.is_empty(), "{} after {left}", page.left);
            let shown = served.node(&node).await["snapshot"].clone();
            if left == u32::MAX {
                assert!(shown.is_null(), "{shown}");
            } else {
                shown_of = shown["buckets_of"].as_u64().unwrap_or_default();
                assert!((1..shown_of).contains(&shown["buckets"].as_u64().unwrap_or_default()), "{shown}");
            }
            left = page.left;
            rows.extend(
                decode_batch(sync::unpacked(page.entities, &page.packed).expect("packed")).expect("rows"),
            );
            stream.send(FromNode::PageStaged(wire::PageStaged {})).await;
        }
        assert_eq!((rows.len(), left), (80, 0));
        let buckets: std::collections::BTreeSet<u8> = rows.iter().map(EntityState::bucket).collect();
        assert_eq!(shown_of, buckets.len() as u64);
        assert!(served.node(&node).await["snapshot"].is_null());
        assert_eq!(stream.delta().await.digest[..], digest(&rows).as_bytes()[..]);
    }
}
