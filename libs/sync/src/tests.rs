//! The protocol as algebra, on models of both ends: any history of writes, any node.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{prelude::*, test_runner::Config};
use uuid::Uuid;

use crate::{
    BUCKETS, Digest, EntityState, bucket, buckets_to_bytes, decode_batch, differing, encode_batch, unfinished,
};

type Name = (String, Uuid);

/// The plane's table: the newest state of each entity, tombstones included, and the head.
#[derive(Clone, Debug, Default)]
struct Plane {
    entities: BTreeMap<Name, EntityState>,
    head: u64,
}

#[derive(Clone, Debug)]
struct Write {
    kind: usize,
    id: u8,
    body: Option<u8>,
}

const KINDS: [&str; 3] = ["service", "route", "unheard_of"];

impl Plane {
    fn commit(&mut self, writes: &[Write]) {
        self.head += 1;
        for write in writes {
            let name = (KINDS[write.kind].to_owned(), Uuid::from_u128(write.id.into()));
            let body = write.body.map_or_else(Bytes::new, |body| vec![body].into());
            let entity = EntityState {
                kind: name.0.clone(),
                id: name.1,
                version: self.head,
                deleted: body.is_empty(),
                body,
            };
            self.entities.insert(name, entity);
        }
    }

    fn delta(&self, base: u64) -> Vec<EntityState> {
        self.entities.values().filter(|entity| entity.version > base).cloned().collect()
    }

    fn buckets(&self) -> [Digest; BUCKETS as usize] {
        digests(self.entities.values())
    }
}

/// What a node holds: live entities and the digest that it maintains by difference.
#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    live: BTreeMap<Name, EntityState>,
    digest: Digest,
}

impl Node {
    fn apply(&mut self, entities: Vec<EntityState>) {
        for entity in decode_batch(encode_batch(entities)).expect("well formed") {
            let name = (entity.kind.clone(), entity.id);
            if !entity.replaces(self.live.get(&name).map(|held| held.version)) {
                continue;
            }
            if let Some(digest) = self.live.remove(&name).and_then(|held| held.digest()) {
                self.digest.sub(&digest);
            }
            if let Some(digest) = entity.digest() {
                self.digest.add(&digest);
                self.live.insert(name, entity);
            }
        }
    }

    fn replace_bucket(&mut self, number: u8, page: Vec<EntityState>) {
        self.live.retain(|(kind, id), _| bucket(kind, *id) != number);
        self.digest = digests(self.live.values()).iter().collect();
        self.apply(page);
    }

    fn holds(&self, plane: &Plane) -> bool {
        let live: BTreeMap<_, _> = plane
            .entities
            .iter()
            .filter(|(_, entity)| !entity.deleted)
            .map(|(n, r)| (n.clone(), r.clone()))
            .collect();
        self.live == live && self.digest == plane.buckets().iter().collect::<Digest>()
    }
}

fn digests<'a>(entities: impl Iterator<Item = &'a EntityState>) -> [Digest; BUCKETS as usize] {
    let mut digests = [Digest::default(); BUCKETS as usize];
    for entity in entities {
        if let Some(digest) = entity.digest() {
            digests[usize::from(entity.bucket())].add(&digest);
        }
    }
    digests
}

fn history() -> impl Strategy<Value = Vec<Vec<Write>>> {
    let write = (0..KINDS.len(), 0..40_u8, prop::option::weighted(0.7, any::<u8>()))
        .prop_map(|(kind, id, body)| Write { kind, id, body });
    prop::collection::vec(prop::collection::vec(write, 1..8), 0..30)
}

/// The plane after each commit of `history`, from the empty one.
fn states(history: &[Vec<Write>]) -> Vec<Plane> {
    let mut states = vec![Plane::default()];
    for writes in history {
        let mut next = states.last().expect("not empty").clone();
        next.commit(writes);
        states.push(next);
    }
    states
}

/// The plane sends each differing bucket as it is at some later moment, then the delta from the head before the first.
fn resync(node: &mut Node, their_buckets: &[u8], states: &[Plane], mut pick: impl FnMut(usize) -> usize) {
    let (first, last) = (&states[0], states.last().expect("not empty"));
    for number in differing(&first.buckets(), their_buckets) {
        let moment = &states[pick(states.len()) % states.len()];
        let of_bucket = |entity: &&EntityState| !entity.deleted && entity.bucket() == number;
        node.replace_bucket(number, moment.entities.values().filter(of_bucket).cloned().collect());
    }
    node.apply(last.delta(first.head));
}

/// A snapshot on the way: of each bucket that is staged whole, the version as of which it is, and its entities.
type Staged = BTreeMap<u8, (u64, Vec<EntityState>)>;

/// A stream that sends `node` at most `pages` buckets, each as it is at some moment of `during`, and is cut then. `Some`: the snapshot is
/// complete, and this is the version from which a delta ends it.
fn stream(
    node: &Node,
    staged: &mut Staged,
    during: &[Plane],
    pages: usize,
    mut pick: impl FnMut(usize) -> usize,
) -> Option<u64> {
    let first = &during[0];
    let mut theirs = digests(node.live.values());
    let mut staged_at = vec![0; usize::from(BUCKETS)];
    for (number, (at, entities)) in staged.iter() {
        theirs[usize::from(*number)] = digests(entities.iter())[usize::from(*number)];
        staged_at[usize::from(*number)] = *at;
    }
    let differ = differing(&first.buckets(), &buckets_to_bytes(&theirs));
    let (base, missing) = unfinished(&differ, &staged_at, first.head).unwrap_or((first.head, differ));
    for number in missing.iter().take(pages) {
        let moment = &during[pick(during.len()) % during.len()];
        let of_bucket = |entity: &&EntityState| !entity.deleted && entity.bucket() == *number;
        staged.insert(*number, (first.head, moment.entities.values().filter(of_bucket).cloned().collect()));
    }
    (missing.len() <= pages).then_some(base)
}

proptest! {
    #![proptest_config(Config { cases: 64, ..Config::default() })]

    #[test]
    fn a_snapshot_that_is_cut_again_and_again_goes_on_with_what_is_staged(
        ours in history(), theirs in history(), cuts in prop::collection::vec((0..20_usize, 0..4_usize), 0..6),
        picks in prop::collection::vec(any::<usize>(), 256),
    ) {
        let mut node = Node::default();
        node.apply(states(&theirs).last().expect("not empty").delta(0).into_iter().map(|mut entity| { entity.version = 1; entity }).collect());
        let states = states(&ours);
        let (mut staged, mut at) = (Staged::new(), 0);
        let mut picks = picks.into_iter().cycle();
        let mut base = None;
        for (pages, later) in cuts.into_iter().chain([(usize::from(BUCKETS), 0)]) {
            base = stream(&node, &mut staged, &states[at..], pages, |_| picks.next().unwrap_or(0));
            if base.is_some() {
                break;
            }
            at = (at + later).min(states.len() - 1);
        }
        for (number, (_, entities)) in staged {
            node.replace_bucket(number, entities);
        }
        let last = states.last().expect("not empty");
        node.apply(last.delta(base.expect("complete")));
        prop_assert!(node.holds(last));
    }

    #[test]
    fn a_node_that_follows_holds_what_the_plane_holds(history in history()) {
        let mut node = Node::default();
        for (base, plane) in states(&history).iter().enumerate() {
            node.apply(plane.delta((base as u64).saturating_sub(1)));
            prop_assert!(node.holds(plane));
        }
    }

    #[test]
    fn deltas_compose_and_repeat(history in history(), u in any::<prop::sample::Index>(), v in any::<prop::sample::Index>()) {
        let states = states(&history);
        let (u, v) = (u.index(states.len()), v.index(states.len()));
        let (u, v) = (u.min(v), u.max(v));
        let last = states.last().expect("not empty");
        let mut at_u = Node::default();
        at_u.apply(states[u].delta(0));

        let mut direct = at_u.clone();
        direct.apply(last.delta(u as u64));
        let mut in_steps = at_u.clone();
        in_steps.apply(states[v].delta(u as u64));
        in_steps.apply(last.delta(v as u64));
        prop_assert_eq!(&direct, &in_steps);
        prop_assert!(direct.holds(last));

        // Repeated, and from an older base than the node needs.
        direct.apply(last.delta(v as u64));
        direct.apply(last.delta(0));
        prop_assert_eq!(direct, in_steps);
    }

    #[test]
    fn resync_converges_from_any_state(
        ours in history(), theirs in history(), tail in 0..10_usize, picks in prop::collection::vec(any::<usize>(), 256),
    ) {
        // The node's state comes from another history: entities that the plane never had, or has otherwise.
        let foreign = states(&theirs);
        let mut node = Node::default();
        node.apply(foreign.last().expect("not empty").delta(0).into_iter().map(|mut entity| { entity.version = 1; entity }).collect());
        let their_buckets = buckets_to_bytes(&digests(node.live.values()));

        let states = states(&ours);
        let during = &states[states.len().saturating_sub(tail + 1)..];
        let mut picks = picks.into_iter().cycle();
        resync(&mut node, &their_buckets, during, |_| picks.next().unwrap_or(0));
        prop_assert!(node.holds(during.last().expect("not empty")));

        let mut empty = Node::default();
        resync(&mut empty, &[], during, |_| picks.next().unwrap_or(0));
        prop_assert!(empty.holds(during.last().expect("not empty")));
    }
}
