//! The merge rule: the same rows whatever the order, equal to the definition.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use replication::{Dot, Origin, Position, Vector};
use uuid::Uuid;

use crate::{
    naive::{Event, History},
    store::{Store, Write},
};

const NAMES: [&str; 3] = ["authz.us", "authz.eu", "authz.ap"];
/// Ids 0 to 4 are edges, the others principals.
const EDGES: u128 = 5;
const IDS: u128 = 8;

struct Made {
    dot: Dot,
    deps: Vector,
    authority: Vec<Uuid>,
    writes: Vec<Write>,
    /// Indices of the entries that its writer had seen.
    past: BTreeSet<usize>,
}

/// What one region has seen.
#[derive(Clone, Default)]
struct Seen {
    entries: BTreeSet<usize>,
    vector: Vector,
}

/// Three regions that write and hear of each other.
#[derive(Default)]
struct Writers {
    made: Vec<Made>,
    now: [Seen; 3],
    tips: [Position; 3],
    /// Every state that each was in.
    states: [Vec<Seen>; 3],
}

impl Writers {
    /// `to` hears of all that `of` had seen at some time.
    fn hear(&mut self, to: usize, of: &Seen) {
        self.now[to].entries.extend(&of.entries);
        self.now[to].vector.merge(&of.vector);
    }

    fn hear_all(&mut self, to: usize, of: usize) {
        let of = self.now[of].clone();
        self.hear(to, &of);
    }

    /// An entry by a writer who has seen `seen`, appended to the log of `region`.
    fn append(
        &mut self,
        region: usize,
        seen: &Seen,
        deps: Vector,
        authority: &[u128],
        writes: &[Write],
    ) -> Dot {
        let origin = origin(region);
        self.tips[region].seq += 1;
        let dot = Dot { origin: origin.clone(), position: self.tips[region] };
        let authority = authority.iter().map(|id| Uuid::from_u128(*id)).collect();
        let past = seen.entries.clone();
        self.made.push(Made { dot: dot.clone(), deps, authority, writes: writes.to_vec(), past });
        self.now[region].entries.insert(self.made.len() - 1);
        self.now[region].vector.advance(&origin, dot.position);
        let state = self.now[region].clone();
        self.states[region].push(state);
        dot
    }

    fn write(&mut self, region: usize, authority: &[u128], writes: &[Write]) -> Dot {
        let seen = self.now[region].clone();
        let others = seen.vector.iter().filter(|(of, _)| **of != origin(region));
        let deps = others.map(|(of, position)| (of.clone(), *position)).collect();
        self.append(region, &seen, deps, authority, writes)
    }

    fn write_at_random(&mut self, region: usize, rng: &mut StdRng) {
        let (authority, writes) = random_writes(rng);
        self.write(region, &authority, &writes);
    }

    /// Some entries by a region that had been restored to an earlier state, appended again behind what it had lost.
    fn write_restored(&mut self, region: usize, rng: &mut StdRng) {
        let mut seen = self.states[region].choose(rng).cloned().unwrap_or_default();
        let mut deps = seen.vector.clone();
        deps.advance(&origin(region), Position::default());
        self.tips[region].epoch += 1;
        for _ in 0..rng.random_range(1..4) {
            let (authority, writes) = random_writes(rng);
            self.append(region, &seen, deps.clone(), &authority, &writes);
            seen.entries.insert(self.made.len() - 1);
        }
    }

    fn history(&self) -> History {
        let owners: Vec<usize> =
            self.made.iter().enumerate().flat_map(|(at, made)| vec![at; made.writes.len()]).collect();
        let is_after = |a: usize, b: usize| a == b || self.made[a].past.contains(&b);
        let row = |a: &usize| owners.iter().map(|b| is_after(*a, *b)).collect();
        let events = |made: &Made| {
            let event = |write: &Write| Event {
                dot: made.dot.clone(),
                authority: made.authority.clone(),
                write: *write,
            };
            made.writes.iter().map(event).collect::<Vec<_>>()
        };
        History {
            events: self.made.iter().flat_map(events).collect(),
            after: owners.iter().map(row).collect(),
        }
    }

    /// A region's rows after it received everything in some valid order, and some revocations before their turn.
    fn delivered(&self, rng: &mut StdRng) -> Store {
        let mut store = Store::default();
        let mut vector = Vector::default();
        let mut rest: Vec<&Made> = self.made.iter().collect();
        while !rest.is_empty() {
            if rng.random_bool(0.3) {
                let early = rest[rng.random_range(0..rest.len())];
                let revocations = early.writes.iter().filter(|write| matches!(write, Write::Revoke { .. }));
                revocations.for_each(|write| store.apply(&early.dot, &early.deps, &early.authority, *write));
            }
            let is_next = |made: &Made| {
                let before = vector.get(&made.dot.origin).unwrap_or_default();
                before.seq + 1 == made.dot.position.seq && vector.covers(&made.deps)
            };
            let next: Vec<usize> = (0..rest.len()).filter(|at| is_next(rest[*at])).collect();
            let made = rest.swap_remove(*next.choose(rng).expect("a causal history"));
            vector.advance(&made.dot.origin, made.dot.position);
            made.writes.iter().for_each(|write| store.apply(&made.dot, &made.deps, &made.authority, *write));
        }
        store
    }
}

fn origin(region: usize) -> Origin {
    NAMES[region].parse().expect("an origin")
}

fn grant(edge: u128) -> Write {
    Write::Grant { edge: Uuid::from_u128(edge) }
}

fn revoke(subject: u128) -> Write {
    Write::Revoke { subject: Uuid::from_u128(subject) }
}

/// Writers here need not be honest: they use authority that they do not have.
fn random_writes(rng: &mut StdRng) -> (Vec<u128>, Vec<Write>) {
    let authority = (0..rng.random_range(0..4)).map(|_| rng.random_range(0..IDS)).collect();
    let one = |rng: &mut StdRng| match rng.random_bool(0.65) {
        true => grant(rng.random_range(0..EDGES)),
        false => revoke(rng.random_range(0..IDS)),
    };
    let mut writes = vec![one(rng)];
    if rng.random_bool(0.1) {
        let more = one(rng);
        writes.extend((more != writes[0]).then_some(more));
    }
    (authority, writes)
}

fn random_history(rng: &mut StdRng, length: usize) -> Writers {
    let mut writers = Writers::default();
    while writers.made.len() < length {
        let (region, other) = (rng.random_range(0..3), rng.random_range(0..3));
        if rng.random_bool(0.4) {
            let heard = writers.states[other].choose(rng).cloned().unwrap_or_default();
            writers.hear(region, &heard);
        }
        match rng.random_bool(0.08) {
            true => writers.write_restored(region, rng),
            false => writers.write_at_random(region, rng),
        }
    }
    writers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_order_ends_with_the_rows_of_the_definition(seed in any::<u64>(), length in 1usize..40) {
        let mut rng = StdRng::seed_from_u64(seed);
        let writers = random_history(&mut rng, length);
        let history = writers.history();
        for _ in 0..4 {
            let store = writers.delivered(&mut rng);
            prop_assert_eq!(store.standings(), history.standings());
            prop_assert_eq!(store.live_edges(), history.live_edges());
        }
    }
}

/// Live edges, which are the same for the definition and in every region.
fn live(writers: &Writers) -> Vec<u128> {
    let edges = writers.history().live_edges();
    for seed in 0..20 {
        assert_eq!(writers.delivered(&mut StdRng::seed_from_u64(seed)).live_edges(), edges);
    }
    edges.iter().map(Uuid::as_u128).collect()
}

const US: usize = 0;
const EU: usize = 1;
const AP: usize = 2;
const ALICE: u128 = 6;
const MALLORY: u128 = 7;

#[test]
fn a_revocation_wins_over_a_concurrent_grant_and_a_later_grant_lives() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(1)]);
    writers.hear_all(EU, US);
    writers.write(EU, &[], &[revoke(1)]);
    writers.write(US, &[], &[grant(1)]);
    assert_eq!(live(&writers), []);
    writers.hear_all(US, EU);
    writers.write(US, &[], &[grant(1)]);
    assert_eq!(live(&writers), [1]);
}

#[test]
fn the_writes_of_one_entry_have_no_order() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(1)]);
    writers.write(US, &[], &[revoke(1), grant(1)]);
    assert_eq!(live(&writers), [1]);
    writers.write(US, &[1], &[grant(2), revoke(1)]);
    assert_eq!(live(&writers), [2]);
    writers.write(US, &[2], &[revoke(2), grant(3)]);
    assert_eq!(live(&writers), [3]);
}

/// Mallory, revoked in us, grants herself everything in eu, which does not know yet, and builds on it.
#[test]
fn a_revoked_administrator_escapes_to_no_other_region() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(0)]);
    writers.hear_all(EU, US);
    writers.write(US, &[ALICE], &[revoke(MALLORY)]);
    writers.write(EU, &[MALLORY, 0], &[grant(1)]);
    writers.hear_all(AP, EU);
    writers.write(AP, &[ALICE, 1], &[grant(2)]);
    writers.write(AP, &[ALICE], &[grant(3)]);
    assert_eq!(live(&writers), [0, 3]);
    // What she had granted before was hers to grant; what was void stays void when she is let in again.
    writers.hear_all(EU, US);
    writers.write(EU, &[ALICE], &[grant(4)]);
    assert_eq!(live(&writers), [0, 3, 4]);
}

#[test]
fn what_was_granted_before_the_revocation_of_its_authority_stays() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(0)]);
    writers.write(US, &[MALLORY, 0], &[grant(1)]);
    writers.write(US, &[ALICE], &[revoke(MALLORY), revoke(0)]);
    assert_eq!(live(&writers), [1]);
}

#[test]
fn of_duelling_administrators_neither_wins() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(0), grant(1)]);
    writers.hear_all(EU, US);
    writers.write(US, &[0], &[revoke(1)]);
    writers.write(EU, &[1], &[revoke(0)]);
    assert_eq!(live(&writers), []);
}

/// The decision was made on an index that had not heard of the revocation; the log had.
#[test]
fn a_grant_by_an_edge_that_its_log_knew_as_revoked_is_void() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(0)]);
    writers.hear_all(EU, US);
    writers.write(EU, &[], &[revoke(0)]);
    writers.hear_all(US, EU);
    writers.write(US, &[0], &[grant(1)]);
    assert_eq!(live(&writers), []);
    writers.write(US, &[], &[grant(0)]);
    writers.write(US, &[0], &[grant(1)]);
    assert_eq!(live(&writers), [0, 1]);
}

/// Edge 0 was regranted by somebody who had no right to it: what stands on the second grant falls, what stands on the
/// first does not rise again.
#[test]
fn only_the_grant_that_lived_for_the_writer_upholds() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(0)]);
    writers.write(US, &[], &[revoke(0)]);
    writers.hear_all(EU, US);
    writers.write(US, &[], &[revoke(MALLORY)]);
    writers.write(EU, &[MALLORY], &[grant(0)]);
    writers.write(EU, &[0], &[grant(1)]);
    assert_eq!(live(&writers), []);
}

/// The region that revoked Mallory is restored to before that, and Mallory uses the time until it notices.
#[test]
fn a_restore_is_no_way_to_outrun_a_revocation() {
    let mut writers = Writers::default();
    writers.write(US, &[], &[grant(0)]);
    let copy = writers.now[US].clone();
    writers.write(US, &[], &[revoke(MALLORY)]);
    writers.tips[US].epoch += 1;
    writers.append(US, &copy, copy.vector.clone(), &[MALLORY, 0], &[grant(1)]);
    assert_eq!(live(&writers), [0]);
}
