//! The database is put back to an earlier copy: what nodes, clients and editors have seen of the lost history is not taken for something
//! of the new one.

use test_database::Database;

use super::*;

/// Streams that may be ended one after another because a new incarnation has just begun.
const ATTEMPTS_MAX: usize = 10;

impl Served {
    /// As by a copy of the server's files: to Postgres it is the database that it was.
    async fn restore_files(&self, copy: &Database) {
        self.world.database.restore(copy).await;
        self.world.execute("UPDATE regional.history SET identity = NULL").await;
    }

    async fn incarnation(&self) -> i64 {
        let row = sqlx::query_as("SELECT epoch FROM regional.control_plane").fetch_one(&self.world.db).await;
        let (epoch,): (i64,) = row.expect("a control plane");
        epoch
    }

    /// A stream of a node that says this of itself and its buckets, past its snapshot. One that is opened while a new incarnation begins is
    /// ended for that, and the node dials again.
    async fn resumed(&self, node: &Node, hello: wire::Hello, held: wire::Buckets) -> (Stream, Snapshot) {
        for _ in 0..ATTEMPTS_MAX {
            let mut stream = self.open(node, hello.clone()).await;
            let first = stream.next().await;
            assert!(matches!(first, FromPlane::Welcome(_) | FromPlane::Refused(_)), "{first:?}");
            if matches!(first, FromPlane::Welcome(_)) {
                match stream.snapshot_or_other(held.clone()).await {
                    Ok(snapshot) => return (stream, snapshot),
                    Err(other) => assert!(matches!(other, FromPlane::Refused(_)), "{other:?}"),
                }
            }
        }
        panic!("every stream was refused");
    }
}

fn buckets(rows: &[EntityState]) -> wire::Buckets {
    let mut sums = [Digest::default(); 256];
    rows.iter().for_each(|row| sums[usize::from(row.bucket())].add(&row.digest().expect("live")));
    wire::Buckets { digests: sync::buckets_to_bytes(&sums).into(), staged_at: Vec::new() }
}

/// Two nodes are connected when the database is put back, one of which holds what is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_ahead_of_the_database_ends_its_history() {
    let served = Served::new().await;
    served.consumer("kept").await;
    let (ahead, behind) = (served.enrol().await, served.enrol().await);
    let copy = served.world.database.copy().await;
    let mut stream = served.welcomed(&behind).await;
    let (kept, _) = stream.snapshot(&[]).await;
    served.consumer("lost").await;
    served.consumer("revoked").await;
    let revoked = format!("{}/core-entities/consumers/revoked", served.plane);
    served.world.delete(revoked).await.expect(StatusCode::NO_CONTENT);
    served.restore_files(&copy).await;

    let lost = EntityState { id: uuid::Uuid::from_u128(7), version: 2, ..kept[0].clone() };
    let holds = buckets(&[kept[0].clone(), lost.clone()]);
    let hello = wire::Hello { revocation_seq: 1, ..at(1, 4) };
    let (mut first, (compare, rows, base)) = served.resumed(&ahead, hello, holds).await;
    assert_eq!(compare.reason, "the node holds another incarnation");
    assert!(compare.incarnation > 1_700_000_000 && base > 1_700_000_000_000, "{compare:?} {base}");
    // Only what differs travels: the bucket of what is lost, which is empty here.
    assert!(rows.is_empty() || lost.bucket() == kept[0].bucket(), "{rows:?}");
    let end = first.delta().await;
    assert_eq!(
        (end.incarnation, end.version, &end.digest[..]),
        (compare.incarnation, base, &digest(&kept).as_bytes()[..])
    );
    first.applied(&end).await;

    // The other one begins the same incarnation, and holds all that there is.
    let (mut second, (compare, rows, _)) = served.resumed(&behind, at(1, 1), buckets(&kept)).await;
    assert_eq!((compare.incarnation, rows.len()), (end.incarnation, 0));
    let delta = second.delta().await;
    second.applied(&delta).await;

    // Revocations count anew: also the node that has seen a first one hears of the first one.
    served
        .world
        .delete(format!("{}/core-entities/consumers/kept", served.plane))
        .await
        .expect(StatusCode::NO_CONTENT);
    for stream in [&mut first, &mut second] {
        let revoked = stream.revoked().await;
        assert_eq!((revoked.seq, &revoked.id[..]), (1, &kept[0].id.as_bytes()[..]));
        let delta = stream.delta().await;
        assert_eq!(
            (delta.base, delta.version, delta.digest[..].iter().any(|byte| *byte > 0)),
            (base, base + 1, false)
        );
    }
}

/// A node can say anything; its control plane does not begin anew each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_has_one_comparison_at_most() {
    let served = Served::new().await;
    served.consumer("a").await;
    let node = served.enrol().await;
    let reason =
        async |hello: wire::Hello| served.resumed(&node, hello, wire::Buckets::default()).await.1.0.reason;
    let other = "the node holds another incarnation";
    let far = u64::MAX / 2;
    assert_eq!(reason(at(far, 1)).await, other);
    assert_eq!(served.incarnation().await, 1, "no incarnation begins in the far future");
    assert_eq!(reason(at(1, 9)).await, other);
    let begun = served.incarnation().await;
    assert!(begun > 1);
    for hello in [
        at(begun.cast_unsigned(), far),
        at(begun.cast_unsigned() + 9, 1),
        wire::Hello { revocation_seq: 9, ..at(begun.cast_unsigned(), far) },
    ] {
        reason(hello).await;
        assert_eq!(served.incarnation().await, begun, "it is younger than a minute");
    }
    // Older, it may be wrong again: by the count of revocations, for one.
    served.world.execute("UPDATE regional.control_plane SET epoch = epoch - 100").await;
    let known = wire::Hello { revocation_seq: 1, ..at(begun.cast_unsigned() - 100, 1) };
    assert_eq!(reason(known).await, other);
    assert!(served.incarnation().await >= begun);
}

/// A restore that Postgres can tell: of a dump, or to a point in time.
#[tokio::test(flavor = "multi_thread")]
async fn another_database_begins_a_new_incarnation_once() {
    let served = Served::new().await;
    served.consumer("kept").await;
    let node = served.enrol().await;
    // It is noted which database this is.
    served.welcomed(&node).await;
    let copy = served.world.database.copy().await;
    assert_eq!(served.incarnation().await, 1);
    let edit = async |condition: Option<&str>, custom_id: &str| {
        let path = format!("{}/core-entities/consumers/kept", served.plane);
        let call = served.world.call(Method::PUT, path);
        let call = condition.into_iter().fold(call, |call, tag| call.header("if-match", tag));
        call.json(&json!({ "custom_id": custom_id })).send().await
    };
    let lost = edit(None, "lost").await;
    let lost = lost.header("etag").expect("a version").to_owned();
    served.world.database.restore(&copy).await;

    let (_, (compare, _, _)) = served.resumed(&node, at(1, 1), wire::Buckets::default()).await;
    assert!(compare.incarnation > 1);
    served.welcomed(&node).await;
    assert_eq!(served.incarnation().await.cast_unsigned(), compare.incarnation, "once");
    // Who edits what was lost does not overwrite what was written instead.
    edit(None, "instead").await.expect(StatusCode::OK);
    edit(Some(&lost), "late").await.problem(StatusCode::PRECONDITION_FAILED);
}

/// The database is put back while a stream is open: this process knows what it has sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_open_meanwhile_ends_and_begins_anew() {
    let served = Served::new().await;
    let node = served.enrol().await;
    let mut stream = served.settled(&node).await;
    served.consumer("lost").await;
    let delta = stream.delta().await;
    stream.applied(&delta).await;
    served.world.execute("UPDATE regional.control_plane SET version = 1").await;
    served.world.execute("DELETE FROM regional.entity WHERE version > 1").await;
    let drain = CancellationToken::new();
    let looking = served.world.service.follow(drain.clone());
    let refused = async {
        let refused = stream.refused().await;
        drain.cancel();
        refused
    };
    let (looked, (reason, retry_after)) = tokio::join!(looking, refused);
    looked.expect("looked until told to stop");
    assert!(reason.contains("put back to an earlier copy") && retry_after == 0, "{reason}");
    assert!(stream.ends().await);
    assert!(served.incarnation().await > 1);
}
