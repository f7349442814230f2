//! Somebody who may write to the database, and has not the service's key, alters the log. Each time it is found and named.

use audit_log::{Filter, Retention, purge};
use replication::{Context, Signer};

use crate::world::World;

#[tokio::test]
async fn a_changed_entry_is_named() {
    for (column, value) in [
        ("target", "'thing X'"),
        ("actor_id", "NULL"),
        ("action", "'thing.get'"),
        ("at", "at + interval '1 microsecond'"),
        ("outcome", "'denied'"),
        ("count", "2"),
        ("request_id", "NULL"),
        ("route", "''"),
        ("problem", "''"),
    ] {
        let world = World::with_entries(6).await;
        world.execute(format!("UPDATE audit SET {column} = {value} WHERE seq = 3")).await;
        let (seq, what) = world.broken().await;
        assert!(seq == 3 && what.contains("was altered"), "{column}: {seq} {what}");
    }
}

#[tokio::test]
async fn a_removed_entry_is_named() {
    let world = World::with_entries(6).await;
    world.execute("DELETE FROM audit WHERE seq = 3").await;
    assert_eq!(
        world.broken().await,
        (3, "the entry is missing; the next one that is there is seq 4".to_owned())
    );
}

#[tokio::test]
async fn a_removed_beginning_is_named() {
    let world = World::with_entries(6).await;
    world.execute("DELETE FROM audit WHERE seq <= 2").await;
    assert_eq!(world.broken().await.0, 1);
    // As if it had been old.
    world
        .execute(
            "UPDATE audit_chain SET floor_seq = 2, floor_hash = (SELECT prev_hash FROM audit WHERE seq = 3)",
        )
        .await;
    let (seq, what) = world.broken().await;
    assert_eq!((seq, what.as_str()), (2, "the beginning of the chain is not signed"));
}

#[tokio::test]
async fn exchanged_entries_are_named() {
    let world = World::with_entries(6).await;
    world.execute("UPDATE audit SET seq = 100 WHERE seq = 3").await;
    world.execute("UPDATE audit SET seq = 3 WHERE seq = 4").await;
    world.execute("UPDATE audit SET seq = 4 WHERE seq = 100").await;
    let (seq, what) = world.broken().await;
    assert!(seq == 3 && what.contains("was altered"), "{seq} {what}");
}

#[tokio::test]
async fn a_cut_tail_is_named() {
    let world = World::with_entries(6).await;
    world.execute("DELETE FROM audit WHERE seq > 4").await;
    assert_eq!(world.broken().await, (5, "the entry is missing; the chain is signed up to seq 6".to_owned()));
    // The end is put back as well, to an entry that was signed itself.
    world
        .execute(
            "UPDATE audit_chain SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4),
                 signature = (SELECT signature FROM audit WHERE signature IS NOT NULL AND seq <= 4 LIMIT 1)",
        )
        .await;
    let (seq, what) = world.broken().await;
    assert_eq!((seq, what.as_str()), (4, "the signature of the end of the chain is wrong"));
    // Nor is it signed for when the next entry comes.
    world.write("thing 7").await;
    assert_eq!(world.link().await, 0, "a broken chain is not continued");
    assert!(world.linker.unlinked().await.expect("read") > 0.0, "which is shown");
    assert_eq!(world.broken().await.0, 4);
}

#[tokio::test]
async fn a_removed_end_is_named_and_not_made_anew() {
    let world = World::with_entries(6).await;
    world.execute("DELETE FROM audit_chain").await;
    assert_eq!(world.broken().await.0, 1);
    world.write("thing 7").await;
    assert_eq!(world.link().await, 0);
    assert_eq!(world.broken().await.0, 1);
}

/// Everything is made anew from the change on, with hashes that fit. Only the key is missing.
#[tokio::test]
async fn a_forged_chain_is_named_where_the_first_signature_is() {
    let world = World::with_entries(6).await;
    forge(&world, 2, None).await;
    let (seq, what) = world.broken().await;
    // The first pass ended with the fourth entry.
    assert_eq!((seq, what.as_str()), (4, "the signature of the entry is wrong"));
    world.execute("UPDATE audit SET signature = NULL").await;
    let (seq, what) = world.broken().await;
    assert_eq!((seq, what.as_str()), (6, "the signature of the end of the chain is wrong"));
}

#[tokio::test]
async fn a_forged_chain_that_is_signed_with_another_key_is_named() {
    let world = World::with_entries(6).await;
    let other = Signer::from_seed(&[8; 32]).expect("a key");
    forge(&world, 2, Some(&other)).await;
    world.execute("UPDATE audit SET signature = NULL").await;
    let (seq, what) = world.broken().await;
    assert_eq!(
        (seq, what.as_str()),
        (6, "the end of the chain is signed with a key that is not the service's")
    );
}

#[tokio::test]
async fn an_added_entry_is_named() {
    let world = World::with_entries(6).await;
    world
        .execute(
            "INSERT INTO audit (organization_id, action, target, seq, prev_hash, hash)
             SELECT $1, 'thing.put', 'forged', 7, hash, hash FROM audit WHERE seq = 6",
        )
        .await;
    let (seq, what) = world.broken().await;
    assert!(seq == 7 && what.contains("behind the end"), "{seq} {what}");
}

/// Old entries are signed for once more when they go. So they are looked at before.
#[tokio::test]
async fn an_altered_entry_does_not_vanish_with_age() {
    let world = World::with_entries(6).await;
    world.execute("UPDATE audit SET at = at - interval '40 days'").await;
    assert_eq!(purge(&world.linker, Retention { days: 30 }).await.expect("asked"), 0);
    assert_eq!(world.broken().await.0, 1);
}

/// Changes the entry `seq`, and makes hashes for it and all behind it. Signs the end with `signer`, if there is one.
async fn forge(world: &World, seq: u64, signer: Option<&Signer>) {
    let mut prev = None;
    for mut record in world.read(Filter { after: seq - 1, ..Filter::default() }).await {
        if record.seq == seq {
            record.target = "forged".to_owned();
        }
        record.prev_hash = prev.unwrap_or(record.prev_hash);
        record.hash = record.computed_hash();
        prev = Some(record.hash);
        sqlx::query("UPDATE audit SET target = $2, prev_hash = $3, hash = $4 WHERE seq = $1")
            .bind(record.seq.cast_signed())
            .bind(&record.target)
            .bind(record.prev_hash.to_vec())
            .bind(record.hash.to_vec())
            .execute(&world.db)
            .await
            .expect("forged");
        sqlx::query("UPDATE audit_chain SET hash = $1, signature = coalesce($2, signature)")
            .bind(record.hash.to_vec())
            .bind(signer.map(|signer| {
                let signature = record.chain.sign(signer, Context::AuditHead, record.seq, &record.hash);
                signature.as_bytes().to_vec()
            }))
            .execute(&world.db)
            .await
            .expect("forged");
    }
}
