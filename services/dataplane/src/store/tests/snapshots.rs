//! Staging a snapshot beside the serving generation, and the flip.

use sync::{bucket, buckets_from_bytes};

use super::*;
use crate::store::HeldBuckets;

fn entities(count: u128, version: u64) -> Vec<EntityState> {
    (0..count).map(|id| opaque(id, version, 20)).collect()
}

fn by_bucket(entities: &[EntityState]) -> BTreeMap<u8, Vec<EntityState>> {
    let mut buckets = BTreeMap::<u8, Vec<EntityState>>::new();
    for entity in entities {
        buckets.entry(entity.bucket()).or_default().push(entity.clone());
    }
    buckets
}

fn sum(entities: &[EntityState]) -> Digest {
    digest(&entities.iter().map(|entity| ((entity.kind.clone(), entity.id), entity.clone())).collect())
}

/// Brings `store` to `target` as the plane does: every differing bucket in pages of two entities, then a delta.
async fn resync(
    store: &Store,
    of: Incarnation,
    target: &[EntityState],
    delta: Commit,
) -> Result<Position, StoreError> {
    store.begin_staging(of, Some(delta.version)).await?;
    let mut ours = [Digest::default(); 256];
    for entity in target {
        ours[usize::from(entity.bucket())].add(&entity.digest().expect("live"));
    }
    let pages = by_bucket(target);
    for number in sync::differing(&ours, &store.buckets()?.digests) {
        let bucket = pages.get(&number).cloned().unwrap_or_default();
        let mut chunks = bucket.chunks(2);
        store.stage_page(of, vec![number], chunks.next().unwrap_or_default().to_vec()).await?;
        for chunk in chunks {
            store.stage_page(of, vec![], chunk.to_vec()).await?;
        }
    }
    store.copy_unchanged(of).await?;
    store.promote(delta).await
}

#[tokio::test]
async fn an_empty_node_takes_a_snapshot_and_the_delta_behind_it() {
    let folder = folder();
    let store = open(folder.path());
    let mut target = entities(700, 3);
    target.push(consumer(5000, 3));
    target.push(credential(5001, 5000, "k", 3));
    let news = opaque(0, 4, 99);
    let mut after = target.clone();
    after[0] = news.clone();
    let delta = Commit {
        incarnation: incarnation(9),
        version: 4,
        entities: vec![news],
        expected: Some(sum(&after)),
        settled: Settled::default(),
    };
    assert!(store.buckets().expect("reads").digests.is_empty(), "nothing of this incarnation is held");
    let position = resync(&store, incarnation(9), &target, delta).await.expect("flips");
    assert_eq!((position.incarnation, position.version), (incarnation(9), 4));
    assert_eq!(held(&store).len(), 702);
    assert!(is_consistent(&store));
    assert_eq!(owner(&store, "k"), Some(5000));

    drop(store);
    let store = open(folder.path());
    assert_eq!(store.position(), Some(position));
    assert_eq!(owner(&store, "k"), Some(5000));
}

#[tokio::test]
async fn unchanged_buckets_are_copied_and_foreign_entities_go() {
    let folder = folder();
    let store = open(folder.path());
    let mut mine = entities(300, 1);
    mine.extend([consumer(5000, 1), credential(5001, 5000, "k", 1)]);
    mine.push(opaque(9_999, 1, 5));
    store.commit(commit(1, mine.clone())).await.expect("commits");
    // The plane lacks one entity, has one otherwise and one more; the rest is the same.
    mine.pop();
    mine[7] = opaque(7, 2, 77);
    mine.push(opaque(8_888, 2, 5));
    let delta = Commit { expected: Some(sum(&mine)), ..commit(2, vec![]) };
    let travelled = sync::differing(&bucket_sums(&mine), &store.buckets().expect("reads").digests);
    assert!((1..=3).contains(&travelled.len()), "{travelled:?}");
    resync(&store, incarnation(1), &mine, delta).await.expect("flips");
    assert_eq!(held(&store).into_values().collect::<Vec<_>>(), sorted(&mine));
    assert!(is_consistent(&store));
    assert_eq!(owner(&store, "k"), Some(5000), "the index came along");
}

#[tokio::test]
async fn more_than_one_transaction_of_unchanged_buckets_is_copied() {
    let folder = folder();
    let store = open(folder.path());
    let mine = entities(2 * sync::limits::PAGE_ENTITIES_MAX as u128 + 500, 1);
    let before = store.commit(commit(1, mine)).await.expect("commits");
    store.begin_staging(incarnation(1), Some(1)).await.expect("staging");
    store.copy_unchanged(incarnation(1)).await.expect("copied");
    let after =
        store.promote(Commit { expected: Some(before.digest), ..commit(1, vec![]) }).await.expect("flips");
    assert_eq!(after, before);
    assert!(is_consistent(&store));
}

fn bucket_sums(entities: &[EntityState]) -> [Digest; 256] {
    let mut sums = [Digest::default(); 256];
    entities
        .iter()
        .for_each(|entity| sums[usize::from(entity.bucket())].add(&entity.digest().expect("live")));
    sums
}

fn sorted(entities: &[EntityState]) -> Vec<EntityState> {
    entities
        .iter()
        .map(|entity| ((entity.kind.clone(), entity.id), entity.clone()))
        .collect::<Model>()
        .into_values()
        .collect()
}

#[tokio::test]
async fn readers_see_the_old_generation_until_the_flip_and_after_a_crash_before_it() {
    let folder = folder();
    let store = open(folder.path());
    let old = vec![consumer(1, 1), credential(2, 1, "old", 1)];
    store.commit(commit(1, old)).await.expect("commits");
    let before = (store.position(), held(&store));

    store.begin_staging(incarnation(2), Some(1)).await.expect("staging");
    for (number, page) in by_bucket(&entities(50, 1)) {
        store.stage_page(incarnation(2), vec![number], page).await.expect("staged");
        assert_eq!((store.position(), owner(&store, "old")), (before.0, Some(1)));
    }
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.position(), held(&store)), before);
}

#[tokio::test]
async fn a_wrong_digest_stops_the_flip_and_a_second_attempt_sends_only_what_differs() {
    let folder = folder();
    let store = open(folder.path());
    let target = entities(400, 1);
    let wrong = Commit {
        incarnation: incarnation(2),
        version: 1,
        entities: vec![],
        expected: Some(Digest::default()),
        settled: Settled::default(),
    };
    let error = resync(&store, incarnation(2), &target, wrong).await.expect_err("refused");
    assert!(matches!(error, StoreError::DigestDiffers { .. }), "{error}");
    assert_eq!((store.position(), held(&store).len()), (None, 0));

    let held = store.buckets().expect("reads");
    let differing = sync::differing(&bucket_sums(&target), &held.digests);
    assert_eq!(differing, [0_u8; 0], "what is staged stays staged");
    assert_eq!(held.staged_at, [0_u64; 0], "but nobody vouches for it: digests decide");
    let right = Commit {
        incarnation: incarnation(2),
        version: 1,
        entities: vec![],
        expected: Some(sum(&target)),
        settled: Settled::default(),
    };
    resync(&store, incarnation(2), &target, right).await.expect("flips");
    assert_eq!(super::held(&store).len(), 400);
}

/// The stream is lost, or the process ends: the next stream is told what is staged, and as of when.
#[tokio::test]
async fn a_snapshot_cut_off_halfway_goes_on_where_it_stopped() {
    for restart in [false, true] {
        let folder = folder();
        let mut store = open(folder.path());
        let target = entities(600, 1);
        store.begin_staging(incarnation(2), Some(7)).await.expect("staging");
        let pages = by_bucket(&target);
        let half = pages.len() / 2;
        for (number, page) in pages.iter().take(half) {
            store.stage_page(incarnation(2), vec![*number], page.clone()).await.expect("staged");
        }
        if restart {
            drop(store);
            store = open(folder.path());
        }
        store.begin_staging(incarnation(2), Some(9)).await.expect("staging");
        let held = store.buckets().expect("reads");
        assert!(buckets_from_bytes(&held.digests).is_some());
        let missing = sync::differing(&bucket_sums(&target), &held.digests);
        assert_eq!(missing, pages.keys().copied().skip(half).collect::<Vec<_>>());
        // Nobody knows whether the last bucket would have gone on.
        let whole: Vec<u8> = pages.keys().copied().take(half - 1).collect();
        let told = (0..=255).zip(&held.staged_at).filter(|(_, at)| **at == 7).map(|(number, _)| number);
        assert_eq!(told.collect::<Vec<_>>(), whole);
        // The versions of another incarnation are others: what is staged stays, and its digests decide.
        store.begin_staging(incarnation(3), Some(9)).await.expect("staging");
        let digests = held.digests;
        assert_eq!(store.buckets().expect("reads"), HeldBuckets { digests, staged_at: vec![] });
    }
}

#[tokio::test]
async fn what_is_staged_goes_once_it_is_not_needed_or_cannot_be_trusted() {
    let folder = folder();
    let store = open(folder.path());
    let stage = async |store: &Store| {
        store.begin_staging(incarnation(1), Some(2)).await.expect("staging");
        store.stage_page(incarnation(1), vec![0, 1], vec![]).await.expect("staged");
        assert_eq!(store.buckets().expect("reads").staged_at[0], 2);
    };
    // A delta has brought the node to the head after all.
    stage(&store).await;
    store.commit(commit(1, vec![consumer(1, 1)])).await.expect("commits");
    assert_eq!(store.buckets().expect("reads").staged_at, [0_u64; 0]);
    // What is staged is damaged.
    stage(&store).await;
    let damage = |shared: &Shared| {
        shared.environment.write(|txn| {
            let spare = shared.databases.spare(txn)?;
            let mut digests = spare.bucket_digests(txn)?;
            digests[0] = opaque(1, 1, 1).digest().expect("live");
            spare.put_bucket_digests(txn, &digests)
        })
    };
    store.writer.run(damage).await.expect("damaged");
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.buckets().expect("reads").staged_at, [0_u64; 0]);
    let page = store.stage_page(incarnation(1), vec![0], vec![]).await;
    assert!(matches!(page, Err(StoreError::NotStaging(_))), "{page:?}");
    assert_eq!(held(&store).len(), 1);
}

#[tokio::test]
async fn a_page_with_a_foreign_row_is_refused() {
    let folder = folder();
    let store = open(folder.path());
    store.begin_staging(incarnation(2), Some(1)).await.expect("staging");
    let entity = opaque(1, 1, 5);
    let elsewhere = bucket(&entity.kind, entity.id).wrapping_add(1);
    let refused = store.stage_page(incarnation(2), vec![elsewhere], vec![entity]).await;
    assert!(matches!(refused, Err(StoreError::ForeignEntity { .. })));
}

#[tokio::test]
async fn a_flip_ends_the_denials_that_it_settles_and_keeps_the_others() {
    let folder = folder();
    let store = open(folder.path());
    let mine = vec![consumer(1, 1), credential(2, 1, "a", 1), credential(3, 1, "b", 1)];
    store.commit(commit(1, mine.clone())).await.expect("commits");
    let deny = |seq, id| Revocation {
        place: Place { incarnation: 1, seq },
        kind: "key_auth".into(),
        id: Uuid::from_u128(id),
    };
    for revocation in [deny(1, 2), deny(2, 3)] {
        store.deny(&revocation);
        store.store_revocations(vec![revocation]).await.expect("kept");
    }
    store.begin_staging(incarnation(1), Some(1)).await.expect("staging");
    // Revoked while the snapshot travels, and not part of it yet: its denial must outlast the flip.
    store.deny(&deny(3, 4));
    // Of the snapshot's entities, 2 is revoked and not deleted yet; 3 was deleted and made again.
    let target = mine.clone();
    let settled = Settled { seq: 2, undone: vec![1] };
    let delta = Commit { expected: Some(sum(&target)), settled, ..commit(2, vec![]) };
    resync(&store, incarnation(1), &target, delta).await.expect("flips");
    let mut denied = store.shared.denied.all();
    denied.sort();
    let name = |id| ("key_auth".to_owned(), Uuid::from_u128(id));
    assert_eq!(denied, [name(2), name(4)]);
    assert_eq!((owner(&store, "a"), owner(&store, "b")), (None, Some(1)));
    assert_eq!(store.revocation_seq(), 2, "the same incarnation goes on counting");

    let delta = Commit { incarnation: incarnation(2), expected: Some(sum(&target)), ..commit(1, vec![]) };
    resync(&store, incarnation(2), &target, delta).await.expect("flips");
    assert_eq!(store.shared.denied.all(), [name(2)], "4 is not there");
    assert_eq!(store.revocation_seq(), 0, "another incarnation counts from the start");
    assert_eq!(owner(&store, "a"), None, "what is denied stays denied");

    drop(store);
    let store = open(folder.path());
    assert_eq!(store.shared.denied.all(), [name(2)]);
    assert_eq!(store.revocation_seq(), 0);
}
