//! A snapshot that is cut at random places, of a control plane that goes on changing: the node becomes equal to it, and is not sent
//! again what it has staged whole.

use sync::{buckets_from_bytes, differing, unfinished};

use super::*;

/// A control plane with the states of all entities, tombstones too.
#[derive(Default)]
struct Plane {
    entities: BTreeMap<(String, Uuid), EntityState>,
    head: u64,
}

impl Plane {
    /// Commits changes of as many entities, some of them deletes.
    fn change(&mut self, count: u64, seed: u64) {
        self.head += 1;
        for at in 0..count {
            let id = u128::from(seed.wrapping_mul(31).wrapping_add(at * 7) % 900);
            let mut entity = opaque(id, self.head, 20 + usize::try_from(seed % 9).expect("small"));
            if (seed + at).is_multiple_of(4) {
                entity = EntityState { body: Bytes::new(), deleted: true, ..entity };
            }
            self.entities.insert((entity.kind.clone(), entity.id), entity);
        }
    }

    fn live(&self) -> impl Iterator<Item = &EntityState> {
        self.entities.values().filter(|entity| !entity.deleted)
    }

    fn buckets(&self) -> [Digest; 256] {
        let mut sums = [Digest::default(); 256];
        self.live()
            .for_each(|entity| sums[usize::from(entity.bucket())].add(&entity.digest().expect("live")));
        sums
    }

    /// The delta that ends a snapshot from `base`.
    fn delta(&self, base: u64) -> Commit {
        let entities = self.entities.values().filter(|entity| entity.version > base).cloned().collect();
        Commit { expected: Some(self.buckets().iter().collect()), ..commit(self.head, entities) }
    }
}

/// One stream: compares, sends at most `pages` pages while the control plane changes, and ends the snapshot if that was all. Whether it
/// did, and how many buckets it had to send.
async fn stream(store: &Store, plane: &mut Plane, pages: usize, seed: u64) -> (bool, usize) {
    let of = incarnation(1);
    let head = plane.head;
    let ours = plane.buckets();
    store.begin_staging(of, Some(head)).await.expect("begins");
    let theirs = store.buckets().expect("reads");
    assert!(theirs.digests.is_empty() || buckets_from_bytes(&theirs.digests).is_some());
    let all = differing(&ours, &theirs.digests);
    let (base, missing) = unfinished(&all, &theirs.staged_at, head).unwrap_or((head, all));
    let mut sent = 0;
    // A page begins two buckets, and the second one goes on in a page of its own.
    for pair in missing.chunks(2) {
        let (last, all) = (*pair.last().expect("one"), pair.to_vec());
        let of_bucket = |wanted: fn(u8, u8) -> bool| {
            plane
                .live()
                .filter(|entity| pair.contains(&entity.bucket()) && wanted(entity.bucket(), last))
                .cloned()
                .collect()
        };
        let (first, rest): (Vec<_>, Vec<_>) =
            (of_bucket(|bucket, last| bucket != last), of_bucket(|bucket, last| bucket == last));
        for (begins, entities) in [(all, first), (vec![], rest)] {
            if sent == pages {
                return (false, missing.len());
            }
            store.stage_page(of, begins, entities).await.expect("staged");
            sent += 1;
        }
        plane.change(3, seed.wrapping_add(u64::from(last)));
    }
    store.copy_unchanged(of).await.expect("copied");
    store.promote(plane.delta(base)).await.expect("the control plane's digest");
    (true, missing.len())
}

proptest! {
    #![proptest_config(Config { cases: 12, ..Config::default() })]

    #[test]
    fn a_snapshot_that_is_cut_again_and_again_ends_at_the_head(
        cuts in prop::collection::vec((1..90_usize, any::<bool>()), 1..6),
        holds_some in any::<bool>(),
        seed in 0..1_000_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let folder = folder();
        let mut store = open(folder.path());
        let mut plane = Plane::default();
        plane.change(500, seed);
        if holds_some {
            runtime.block_on(store.commit(plane.delta(0))).expect("commits");
            plane.change(300, seed + 1);
        }
        let mut left = 257;
        for (pages, restart) in cuts {
            let (done, missing) = runtime.block_on(stream(&store, &mut plane, pages, seed));
            // Changes meanwhile make more buckets differ of those that are not staged, and of no others.
            prop_assert!(holds_some || missing <= left, "{missing} buckets after {left}");
            left = missing - (pages / 2).min(missing) + 1;
            if done {
                break;
            }
            if restart {
                drop(store);
                store = open(folder.path());
            }
        }
        if !runtime.block_on(stream(&store, &mut plane, usize::MAX, seed)).0 {
            prop_assert!(false, "nothing has cut the last stream");
        }
        let expected: Model = plane.live().map(|entity| ((entity.kind.clone(), entity.id), entity.clone())).collect();
        prop_assert_eq!(held(&store), expected);
        prop_assert!(is_consistent(&store));
        prop_assert_eq!(position(&store).version, plane.head);
    }
}
