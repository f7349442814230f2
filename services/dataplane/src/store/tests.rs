//! The store against a model, across restarts, kills, growth and snapshots.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use gateway_model::{Kind, key_hash};
use proptest::{prelude::*, test_runner::Config};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::test_region::{entity, tombstone};

mod crash;
mod full_disk;
mod resumption;
mod snapshots;

pub(super) type Model = BTreeMap<(String, Uuid), EntityState>;

fn open(folder: &Path) -> Store {
    // Small, so that the tests grow it.
    Store::open(folder, StoreOptions { map_bytes: 1 << 20, map_bytes_max: 1 << 30 }).expect("opens")
}

fn incarnation(number: u64) -> Incarnation {
    Incarnation::new(number).expect("not 0")
}

fn position(store: &Store) -> Position {
    store.position().expect("a configuration is held")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary folder")
}

fn held(store: &Store) -> Model {
    let mut model = Model::new();
    store
        .scan(Scan::Serving, |entities| {
            model.extend(entities.into_iter().map(|entity| ((entity.kind.clone(), entity.id), entity)))
        })
        .expect("reads");
    model
}

fn digest(model: &Model) -> Digest {
    model.values().filter_map(EntityState::digest).collect::<Vec<_>>().iter().collect()
}

/// What is kept must be what a fresh count finds, in total and in each bucket.
fn is_consistent(store: &Store) -> bool {
    let recounted = store.shared.environment.read(|txn| {
        let serving = store.shared.databases.serving(txn)?;
        Ok((serving.recount(txn)?, serving.bucket_digests(txn)?))
    });
    let (found, kept) = recounted.expect("reads");
    found == kept
        && found.iter().collect::<Digest>()
            == store.position().map(|position| position.digest).unwrap_or_default()
}

fn commit(version: u64, entities: Vec<EntityState>) -> Commit {
    Commit { incarnation: incarnation(1), version, entities, expected: None, settled: Settled::default() }
}

/// An entity that no build understands, as large as asked for.
fn opaque(id: u128, version: u64, bytes: usize) -> EntityState {
    let body = format!("\"{}\"", "x".repeat(bytes)).into();
    EntityState { kind: "unheard_of".into(), id: Uuid::from_u128(id), version, body, deleted: false }
}

fn consumer(id: u128, version: u64) -> EntityState {
    entity(Kind::Consumer, id, version, &json!({ "username": format!("consumer-{id}") }))
}

fn credential(id: u128, consumer: u128, key: &str, version: u64) -> EntityState {
    let consumer = Uuid::from_u128(consumer);
    entity(Kind::KeyAuth, id, version, &json!({ "key": key, "consumer": { "id": consumer } }))
}

fn owner(store: &Store, key: &str) -> Option<u128> {
    store
        .identify(Kind::KeyAuth, &Lookup::key(key), 0)
        .expect("reads")
        .map(|owner| owner.consumer_id.as_u128())
}

/// Also after a restart, and with nobody who tells the gateway.
#[tokio::test]
async fn a_credential_ends_at_its_time() {
    let folder = folder();
    let consumer_id = Uuid::from_u128(1);
    let hash = gateway_model::key_hash_hex(&key_hash("k"));
    let body = json!({ "consumer": { "id": consumer_id }, "key_hash": hash, "ttl": 60, "expires_at": 1060 });
    let ending = EntityState { body: body.to_string().into(), ..credential(2, 1, "k", 1) };
    let store = open(folder.path());
    store.commit(commit(1, vec![consumer(1, 1), ending])).await.expect("commits");
    let at =
        |store: &Store, now| store.identify(Kind::KeyAuth, &Lookup::key("k"), now).expect("reads").is_some();
    assert!(at(&store, 1059) && !at(&store, 1060) && !at(&store, 2000));
    drop(store);
    let store = open(folder.path());
    assert!(at(&store, 1059) && !at(&store, 1060));
}

#[tokio::test]
async fn what_is_committed_survives_a_restart() {
    let folder = folder();
    let (before, node) = {
        let store = open(folder.path());
        assert_eq!(store.position(), None);
        store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
        store.commit(commit(2, vec![opaque(3, 2, 10)])).await.expect("commits");
        assert!(is_consistent(&store));
        ((store.position(), held(&store)), store.node())
    };
    let store = open(folder.path());
    assert_eq!((store.position(), held(&store)), before);
    assert_eq!(store.node(), node, "the node keeps its id");
    assert_eq!(owner(&store, "k"), Some(1));
    let found = store.identify(Kind::KeyAuth, &Lookup::key("k"), 0).expect("reads").expect("found");
    assert_eq!(found.consumer.username.as_deref(), Some("consumer-1"));
}

#[tokio::test]
async fn a_change_with_another_digest_is_not_made() {
    let folder = folder();
    let store = open(folder.path());
    store.commit(commit(1, vec![consumer(1, 1)])).await.expect("commits");
    let before = (store.position(), held(&store));
    let wrong = Commit { expected: Some(Digest::default()), ..commit(2, vec![consumer(2, 2)]) };
    let error = store.commit(wrong).await.expect_err("refused");
    assert!(matches!(error, StoreError::DigestDiffers { .. }), "{error}");
    assert_eq!((store.position(), held(&store)), before);
    assert!(is_consistent(&store));
}

#[tokio::test]
async fn keys_follow_their_credentials() {
    let folder = folder();
    let store = open(folder.path());
    let consumers = (1..=2).map(|id| consumer(id, 1));
    let keys = [credential(11, 1, "one", 1), credential(12, 2, "two", 1)];
    store.commit(commit(1, consumers.chain(keys).collect())).await.expect("commits");
    assert_eq!(
        (owner(&store, "one"), owner(&store, "two"), owner(&store, "three")),
        (Some(1), Some(2), None)
    );

    // Swapped within one change, in either order of entities.
    let swapped = vec![credential(11, 1, "two", 2), credential(12, 2, "one", 2)];
    store.commit(commit(2, swapped)).await.expect("commits");
    assert_eq!((owner(&store, "one"), owner(&store, "two")), (Some(2), Some(1)));
    let back = vec![credential(12, 2, "two", 3), credential(11, 1, "one", 3)];
    store.commit(commit(3, back)).await.expect("commits");
    assert_eq!((owner(&store, "one"), owner(&store, "two")), (Some(1), Some(2)));

    // Deleted and given to another credential at once.
    let moved = vec![tombstone(Kind::KeyAuth, 11, 4), credential(13, 2, "one", 4)];
    store.commit(commit(4, moved)).await.expect("commits");
    assert_eq!(owner(&store, "one"), Some(2));

    // A consumer that this build cannot read opens nothing.
    let unreadable =
        EntityState { body: Bytes::from_static(b"{\"future\":1}"), version: 5, ..consumer(2, 5) };
    store.commit(commit(5, vec![unreadable])).await.expect("commits");
    assert_eq!(owner(&store, "two"), None);
}

#[tokio::test]
async fn the_key_index_is_made_anew_by_another_build() {
    let folder = folder();
    {
        let store = open(folder.path());
        store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
        let wrong = store.writer.run(|shared| {
            shared.environment.write(|txn| {
                let serving = shared.databases.serving(txn)?;
                serving.apply(txn, &[tombstone(Kind::KeyAuth, 2, 1)]).map(drop)?;
                serving.apply(txn, &[credential(2, 1, "k", 1)]).map(drop)?;
                shared.databases.put_indexed_by(txn, b"another build")
            })
        });
        wrong.await.expect("written");
    }
    let store = open(folder.path());
    assert_eq!(owner(&store, "k"), Some(1));
    let stamp = store.shared.environment.read(|txn| store.shared.databases.indexed_by(txn)).expect("reads");
    assert_ne!(stamp.as_deref(), Some(&b"another build"[..]));
}

#[tokio::test]
async fn a_revocation_denies_at_once_and_until_the_delete() {
    let folder = folder();
    let revocation = Revocation {
        place: Place { incarnation: 1, seq: 7 },
        kind: "key_auth".into(),
        id: Uuid::from_u128(2),
    };
    {
        let store = open(folder.path());
        let entities = vec![consumer(1, 1), credential(2, 1, "k", 1), credential(3, 1, "other", 1)];
        store.commit(commit(1, entities)).await.expect("commits");
        store.deny(&revocation);
        assert_eq!((owner(&store, "k"), owner(&store, "other")), (None, Some(1)));
        assert_eq!(store.revocation_seq(), 0, "not durable yet");
        store.store_revocations(vec![revocation]).await.expect("kept");
    }
    let store = open(folder.path());
    assert_eq!((owner(&store, "k"), store.revocation_seq()), (None, 7));

    let by_consumer = Revocation {
        place: Place { incarnation: 1, seq: 8 },
        kind: "consumer".into(),
        id: Uuid::from_u128(1),
    };
    store.deny(&by_consumer);
    assert_eq!(owner(&store, "other"), None, "a revoked consumer takes all its keys along");

    let settled = |seq| Settled { seq, undone: Vec::new() };
    let key_gone = Commit { settled: settled(7), ..commit(2, vec![tombstone(Kind::KeyAuth, 2, 2)]) };
    store.commit(key_gone).await.expect("commits");
    assert_eq!(store.shared.denied.all(), [("consumer".to_owned(), Uuid::from_u128(1))]);
    // The delete came before the revocation was stored: nothing is left behind.
    let all_gone = Commit { settled: settled(8), ..commit(3, vec![tombstone(Kind::Consumer, 1, 3)]) };
    store.commit(all_gone).await.expect("commits");
    store.store_revocations(vec![by_consumer]).await.expect("kept");
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.shared.denied.all(), store.revocation_seq()), (vec![], 8));
}

#[tokio::test]
async fn what_was_made_again_is_accepted_and_what_was_revoked_once_more_is_not() {
    let folder = folder();
    let store = open(folder.path());
    let revocation = |seq| Revocation {
        place: Place { incarnation: 1, seq },
        kind: "key_auth".into(),
        id: Uuid::from_u128(2),
    };
    let settled = |seq, undone: &[u64]| Settled { seq, undone: undone.to_vec() };
    let again = |version, key: &str| vec![credential(2, 1, key, version)];
    store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "first", 1)])).await.expect("commits");

    // Deleted and made again in one delta.
    store.deny(&revocation(1));
    store.store_revocations(vec![revocation(1)]).await.expect("stored");
    let made_again = Commit { settled: settled(1, &[]), ..commit(3, again(3, "second")) };
    store.commit(made_again).await.expect("commits");
    assert_eq!(owner(&store, "second"), Some(1));

    // The revocation comes after the delta that has its delete.
    store.deny(&revocation(1));
    store.store_revocations(vec![revocation(1)]).await.expect("stored");
    assert_eq!((owner(&store, "second"), store.shared.denied.all()), (Some(1), vec![]));

    // Revoked once more, and the delete is not committed: also where a later revocation is settled.
    store.deny(&revocation(2));
    let undone = Commit { settled: settled(3, &[2]), ..commit(4, again(4, "third")) };
    store.commit(undone).await.expect("commits");
    assert_eq!(owner(&store, "third"), None);
    store.store_revocations(vec![revocation(2)]).await.expect("stored");
    drop(store);
    let store = open(folder.path());
    assert_eq!(owner(&store, "third"), None, "also after a restart");
    let later = Commit { settled: settled(3, &[]), ..commit(6, again(6, "fourth")) };
    store.commit(later).await.expect("commits");
    assert_eq!(owner(&store, "fourth"), Some(1));
    drop(store);
    assert_eq!(owner(&open(folder.path()), "fourth"), Some(1), "also after a restart");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = folder();
    let store = open(folder.path());
    let second = Store::open(folder.path(), StoreOptions::default());
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{:?}", second.err());
    drop(store);
    open(folder.path());
}

#[tokio::test]
async fn a_store_of_another_format_is_left_alone() {
    let folder = folder();
    {
        let store = open(folder.path());
        store
            .writer
            .run(|shared| shared.environment.write(|txn| shared.databases.put_format(txn, 99)))
            .await
            .expect("written");
    }
    for _ in 0..2 {
        let error = Store::open(folder.path(), StoreOptions::default()).expect_err("refused");
        assert!(error.to_string().contains("format 99"), "{error}");
    }
    let store = Store::open_or_begin_anew(folder.path(), StoreOptions::default()).expect("an empty one");
    assert_eq!(store.position(), None);
    assert!(folder.path().join("data.mdb.unusable").exists(), "nothing is thrown away");
}

#[tokio::test]
async fn what_is_no_store_is_set_aside_and_a_good_one_never() {
    let folder = folder();
    let data = folder.path().join("data.mdb");
    std::fs::write(&data, [7; 100_000]).expect("written");
    {
        let store = Store::open_or_begin_anew(folder.path(), StoreOptions::default()).expect("an empty one");
        store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
    }
    assert_eq!(std::fs::read(folder.path().join("data.mdb.unusable")).expect("kept"), [7; 100_000]);
    // A process was killed while it opened the store, which is as good as before: the one that reads it, this program, comes through.
    std::fs::write(folder.path().join("opening"), "").expect("written");
    let store = Store::open_or_begin_anew(folder.path(), StoreOptions::default()).expect("opens");
    assert_eq!(owner(&store, "k"), Some(1));
    assert!(!folder.path().join("opening").exists());
    // Nor is one touched that somebody else has open or is opening.
    std::fs::write(folder.path().join("opening"), "").expect("written");
    let refused = Store::open_or_begin_anew(folder.path(), StoreOptions::default()).expect_err("in use");
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert!(data.exists() && folder.path().join("opening").exists());
}

#[tokio::test]
async fn another_control_plane_finds_an_empty_store() {
    let folder = folder();
    let store = open(folder.path());
    let owner_of = |n| Owner::ControlPlane(ControlPlaneId::from_uuid(Uuid::from_u128(n)));
    let (ours, other) = (owner_of(1), owner_of(2));
    assert_eq!(store.bind(ours).await.expect("bound"), Bound::Kept);
    store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
    assert_eq!(store.bind(ours).await.expect("bound"), Bound::Kept);
    assert_eq!(owner(&store, "k"), Some(1));
    assert_eq!(store.bind(other).await.expect("bound"), Bound::Dropped);
    assert_eq!((owner(&store, "k"), store.position(), held(&store)), (None, None, Model::new()));
}

#[tokio::test]
async fn another_owner_finds_no_denial_and_no_snapshot_either() {
    let folder = folder();
    let denied = Revocation {
        place: Place { incarnation: 1, seq: 4 },
        kind: "key_auth".into(),
        id: Uuid::from_u128(2),
    };
    {
        let store = open(folder.path());
        let control_plane = Owner::ControlPlane(ControlPlaneId::from_uuid(Uuid::from_u128(1)));
        assert_eq!(store.bind(control_plane).await.expect("bound"), Bound::Kept);
        store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
        store.deny(&denied);
        store.store_revocations(vec![denied]).await.expect("stored");
        store.begin_staging(incarnation(2), None).await.expect("staging");
        assert_eq!(store.bind(Owner::Declarative).await.expect("bound"), Bound::Dropped);
        let page = store.stage_page(incarnation(2), vec![0], vec![]).await;
        assert!(matches!(page, Err(StoreError::NotStaging(_))), "{page:?}");
        assert_eq!((store.shared.denied.all(), store.revocation_seq()), (vec![], 0));
    }
    let store = open(folder.path());
    assert_eq!((store.shared.denied.all(), store.revocation_seq(), store.position()), (vec![], 0, None));
    assert_eq!(store.bind(Owner::Declarative).await.expect("bound"), Bound::Kept, "the owner is stored");
}

#[tokio::test]
async fn another_incarnation_counts_its_revocations_from_the_start() {
    let folder = folder();
    let denied = Revocation {
        place: Place { incarnation: 1, seq: 9 },
        kind: "key_auth".into(),
        id: Uuid::from_u128(2),
    };
    {
        let store = open(folder.path());
        store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
        store.deny(&denied);
        store.store_revocations(vec![denied]).await.expect("stored");
        let next = Commit { incarnation: incarnation(2), ..commit(1, vec![consumer(3, 1)]) };
        store.commit(next).await.expect("commits");
        assert_eq!((store.revocation_seq(), owner(&store, "k")), (0, None), "what is denied stays denied");
    }
    let store = open(folder.path());
    assert_eq!((store.revocation_seq(), owner(&store, "k")), (0, None));
    let settled = Settled { seq: 9, undone: Vec::new() };
    let next = Commit { incarnation: incarnation(2), settled, ..commit(2, vec![consumer(3, 2)]) };
    store.commit(next).await.expect("commits");
    assert_eq!(owner(&store, "k"), None, "the ninth of another incarnation");
    let gone = Commit { incarnation: incarnation(2), ..commit(3, vec![tombstone(Kind::KeyAuth, 2, 3)]) };
    store.commit(gone).await.expect("commits");
    assert_eq!(store.shared.denied.all(), vec![], "it was deleted");
}

#[tokio::test]
async fn an_older_row_does_not_replace_a_newer_one() {
    let folder = folder();
    let store = open(folder.path());
    store.commit(commit(2, vec![consumer(1, 2), credential(2, 1, "new", 2)])).await.expect("commits");
    store.commit(commit(3, vec![credential(2, 1, "old", 1)])).await.expect("commits");
    assert_eq!((owner(&store, "new"), owner(&store, "old")), (Some(1), None));
    store.commit(commit(4, vec![tombstone(Kind::KeyAuth, 2, 1)])).await.expect("commits");
    assert_eq!(owner(&store, "new"), Some(1));
    assert!(is_consistent(&store));
}

/// What was never verified as a whole is not served: neither entities without a position, nor those beside a position of
/// zeros, which earlier releases wrote for "none".
#[tokio::test]
async fn entities_without_a_position_are_dropped_at_the_start() {
    for zeros in [false, true] {
        let folder = folder();
        {
            let store = open(folder.path());
            store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
            let lost = store.writer.run(move |shared| {
                shared.environment.write(|txn| {
                    let serving = shared.databases.serving(txn)?;
                    match zeros {
                        false => shared.databases.put_position(txn, &serving, None),
                        true => shared.databases.put_position_of_zeros(txn, &serving),
                    }
                })
            });
            lost.await.expect("written");
        }
        let store = open(folder.path());
        assert_eq!((store.position(), owner(&store, "k"), held(&store)), (None, None, Model::new()));
        assert!(is_consistent(&store));
    }
}

/// It is not served: nobody knows what is missing. Only what differs has to be sent again.
#[tokio::test]
async fn damaged_content_is_not_served_and_its_buckets_are_told_to_the_control_plane() {
    let folder = folder();
    let sound = [consumer(1, 1), credential(3, 1, "k", 1), opaque(2, 1, 10)];
    let before = {
        let store = open(folder.path());
        let position = store.commit(commit(1, sound.to_vec())).await.expect("commits");
        store
            .writer
            .run(|shared| {
                shared.environment.write(|txn| {
                    let serving = shared.databases.serving(txn)?;
                    let kept = serving.bucket_digests(txn)?;
                    serving.apply(txn, &[opaque(2, 1, 11)]).map(drop)?;
                    serving.put_bucket_digests(txn, &kept)
                })
            })
            .await
            .expect("damaged");
        position
    };
    drop(open(folder.path()));
    let store = open(folder.path());
    assert_eq!((store.position(), held(&store), owner(&store, "k")), (None, Model::new(), None));
    assert!(is_consistent(&store));
    let [_, _, lost] = &sound;
    let mut digests = [Digest::default(); 256];
    for entity in &sound {
        digests[usize::from(entity.bucket())].add(&entity.digest().expect("live"));
    }
    store.begin_staging(incarnation(1), Some(1)).await.expect("staged");
    let differing = sync::differing(&digests, &store.buckets().expect("reads").digests);
    assert_eq!(differing, [lost.bucket()]);
    let of_bucket = sound.iter().filter(|entity| entity.bucket() == lost.bucket()).cloned().collect();
    store.stage_page(incarnation(1), differing, of_bucket).await.expect("staged");
    store.copy_unchanged(incarnation(1)).await.expect("staged");
    let commit = Commit { expected: Some(before.digest), ..commit(1, Vec::new()) };
    assert_eq!(store.promote(commit).await.expect("is what the control plane has"), before);
    assert_eq!(owner(&store, "k"), Some(1));
    assert!(is_consistent(&store));
}

#[tokio::test]
async fn the_map_grows_under_readers_up_to_its_limit() {
    let folder = folder();
    let store = open(folder.path());
    store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])).await.expect("commits");
    let at_first = store.shared.environment.map_bytes();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut reads = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(owner(&store, "k"), Some(1));
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for version in 2..10 {
        let entities =
            (0..32).map(|at| opaque(1000 * u128::from(version) + at, version, 32 * 1024)).collect();
        store.commit(commit(version, entities)).await.expect("commits");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(readers.into_iter().all(|reader| reader.join().expect("no reader failed") > 0));
    assert!(store.shared.environment.map_bytes() >= 8 * at_first);
    assert!(is_consistent(&store));
    drop(store);

    // A full store says so, and goes on serving what it holds.
    let store = Store::open(folder.path(), StoreOptions { map_bytes: 1 << 24, map_bytes_max: 1 << 24 })
        .expect("opens");
    let before = store.position();
    let entities = (0..32).map(|at| opaque(90_000 + at, 10, 512 * 1024)).collect();
    let error = store.commit(commit(10, entities)).await.expect_err("full");
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert_eq!((store.position(), owner(&store, "k")), (before, Some(1)));
    store.commit(commit(10, vec![opaque(5, 10, 10)])).await.expect("a small change still fits");
}

/// An entity, and who owns which key if it is a credential; `None` deletes it.
type Write = (u8, Option<(u8, u8)>);

fn writes() -> impl Strategy<Value = Vec<Vec<Write>>> {
    let write = (0..12_u8, prop::option::weighted(0.75, (0..4_u8, 0..6_u8)));
    prop::collection::vec(prop::collection::vec(write, 1..6), 1..12)
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn any_history_leaves_what_a_model_holds(history in writes(), reopen_at in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let folder = folder();
        let mut store = open(folder.path());
        let mut model = Model::new();
        let reopen_at = reopen_at.index(history.len());
        for (at, writes) in history.iter().enumerate() {
            let version = at as u64 + 1;
            let entities: BTreeMap<u8, EntityState> = writes.iter().map(|(id, write)| {
                let entity = u128::from(*id) + 100;
                let entity = match write {
                    // Entities 0 to 3 are consumers, the others credentials with a key that is theirs alone.
                    Some(_) if *id < 4 => consumer(u128::from(*id), version),
                    Some((owner, key)) => credential(entity, u128::from(*owner), &format!("{id}-{key}"), version),
                    None if *id < 4 => tombstone(Kind::Consumer, u128::from(*id), version),
                    None => tombstone(Kind::KeyAuth, entity, version),
                };
                (*id, entity)
            }).collect();
            for entity in entities.values() {
                let name = (entity.kind.clone(), entity.id);
                if entity.deleted { model.remove(&name); } else { model.insert(name, entity.clone()); }
            }
            let expected = Some(digest(&model));
            let entities = entities.into_values().collect();
            runtime.block_on(store.commit(Commit { expected, ..commit(version, entities) })).expect("commits");
            if at == reopen_at {
                drop(store);
                store = open(folder.path());
            }
            prop_assert_eq!(&held(&store), &model);
            prop_assert!(is_consistent(&store));
        }
        for id in 4..12_u8 {
            for key in 0..6 {
                let key = format!("{id}-{key}");
                let owners = model.values().filter(|entity| {
                    entity.kind == "key_auth" && credential_has(entity, &key)
                });
                let expected = owners.map(consumer_of).find(|consumer| {
                    model.contains_key(&("consumer".to_owned(), Uuid::from_u128(*consumer)))
                });
                prop_assert_eq!(owner(&store, &key), expected, "{}", key);
            }
        }
    }
}

fn credential_has(entity: &EntityState, key: &str) -> bool {
    let hex = gateway_model::key_hash_hex(&key_hash(key));
    String::from_utf8_lossy(&entity.body).contains(&hex)
}

fn consumer_of(entity: &EntityState) -> u128 {
    let body: serde_json::Value = serde_json::from_slice(&entity.body).expect("JSON");
    let id = body["consumer"]["id"].as_str().expect("an id");
    Uuid::parse_str(id).expect("a UUID").as_u128()
}
