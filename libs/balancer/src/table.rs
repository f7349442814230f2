//! Consistent hashing: a table of slots, each owned by one endpoint.
//!
//! A slot belongs to the endpoint with the best score there, by weighted rendezvous hashing: −w / ln u, where u is even in (0, 1) and depends
//! on the endpoint and the slot alone (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998; Schindelhauer and
//! Schomaker, "Weighted distributed hash tables", 2005). So an endpoint that comes takes slots and no others move, and the slots of one that
//! goes are spread over the others by weight. Looking one up takes the same time however many endpoints there are.

use std::collections::HashMap;

use crate::hash::mix;

/// The owner of a slot that nobody owns.
const NOBODY: u32 = u32::MAX;

/// An endpoint as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is told from others by: a hash of its name.
    pub key: u64,
    /// Its share; 0: none.
    pub weight: u32,
}

/// Who owns which slot.
#[derive(Clone, Debug)]
pub struct Table {
    candidates: Vec<Candidate>,
    /// By slot: the owner, as an index into `candidates`, and its score.
    slots: Vec<(u32, f64)>,
}

impl Table {
    /// A table of `slots` slots for `candidates`. Only what differs from `before` is computed anew.
    pub fn new(slots: usize, candidates: Vec<Candidate>, before: Option<&Table>) -> Self {
        let before = before.filter(|before| before.slots.len() == slots);
        let (mut kept, mut come) =
            (vec![NOBODY; before.map_or(0, |before| before.candidates.len())], Vec::new());
        let held = before.map_or(&[][..], |before| &before.candidates);
        let held: HashMap<u64, usize> =
            held.iter().zip(0..).map(|(candidate, at)| (candidate.key, at)).collect();
        for (candidate, index) in candidates.iter().zip(0u32..) {
            let same = held
                .get(&candidate.key)
                .filter(|at| before.is_some_and(|before| before.candidates.get(**at) == Some(candidate)));
            match same.and_then(|at| kept.get_mut(*at)) {
                Some(kept) => *kept = index,
                None => come.push(index),
            }
        }
        let mut table = Self { candidates, slots: vec![(NOBODY, f64::NEG_INFINITY); slots] };
        let all: Vec<u32> = (0u32..).take(table.candidates.len()).collect();
        for slot in 0..slots {
            let held = before.and_then(|before| before.slots.get(slot));
            let held = held.and_then(|(owner, score)| Some((*kept.get(*owner as usize)?, *score)));
            let best = match held.filter(|(owner, _)| *owner != NOBODY) {
                Some(held) => table.best(slot, &come, Some(held)),
                None => table.best(slot, &all, None),
            };
            if let (Some(best), Some(place)) = (best, table.slots.get_mut(slot)) {
                *place = best;
            }
        }
        table
    }

    /// The slot of a key's hash.
    pub fn slot(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    /// Who owns `slot`; `None` if nobody can.
    pub fn owner(&self, slot: usize) -> Option<usize> {
        self.slots
            .get(slot)
            .map(|(owner, _)| *owner)
            .filter(|owner| *owner != NOBODY)
            .map(|owner| owner as usize)
    }

    /// Who would own `slot` if there were only those that `may`.
    pub fn owner_among(&self, slot: usize, may: impl Fn(usize) -> bool) -> Option<usize> {
        let among: Vec<u32> =
            (0u32..).take(self.candidates.len()).filter(|index| may(*index as usize)).collect();
        self.best(slot, &among, None).map(|(owner, _)| owner as usize)
    }

    /// The best of `among` and `best`.
    fn best(&self, slot: usize, among: &[u32], best: Option<(u32, f64)>) -> Option<(u32, f64)> {
        let key = |index: u32| self.candidates.get(index as usize).map_or(0, |candidate| candidate.key);
        let salt = mix(slot as u64 ^ 0x9e37_79b9_7f4a_7c15);
        among.iter().fold(best, |best, index| {
            let Some(candidate) =
                self.candidates.get(*index as usize).filter(|candidate| candidate.weight > 0)
            else {
                return best;
            };
            let score = candidate.score(salt);
            // Two of one score: the same one wins, whatever their order is.
            let is_better =
                |(other, best): (u32, f64)| score > best || score == best && candidate.key > key(other);
            if best.is_none_or(is_better) { Some((*index, score)) } else { best }
        })
    }
}

impl Candidate {
    fn score(self, salt: u64) -> f64 {
        const STEPS: f64 = (1u64 << 53) as f64;
        let even = ((mix(self.key ^ salt) >> 11) as f64 + 0.5) / STEPS;
        -f64::from(self.weight) / even.ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::hash;

    const SLOTS: usize = 2_000;

    fn candidate(n: u32, weight: u32) -> Candidate {
        Candidate { key: hash(format!("10.0.0.{n}:80").as_bytes()), weight }
    }

    fn owners(table: &Table) -> Vec<Option<u64>> {
        (0..table.slots.len())
            .map(|slot| table.owner(slot).map(|owner| table.candidates[owner].key))
            .collect()
    }

    fn moved(one: &Table, other: &Table) -> usize {
        owners(one).iter().zip(owners(other)).filter(|(one, other)| *one != other).count()
    }

    #[test]
    fn one_of_ten_that_comes_takes_a_tenth_and_gives_it_back() {
        let ten: Vec<Candidate> = (0..10).map(|n| candidate(n, 100)).collect();
        let nine = Table::new(10_000, ten[..9].to_vec(), None);
        let with_tenth = Table::new(10_000, ten.clone(), Some(&nine));
        let taken = moved(&nine, &with_tenth);
        assert!((900..=1_100).contains(&taken), "{taken} of 10,000 slots");
        // Exactly those of the new one moved.
        let own = owners(&with_tenth).iter().filter(|owner| **owner == Some(ten[9].key)).count();
        assert_eq!(taken, own);
        assert_eq!(owners(&Table::new(10_000, ten[..9].to_vec(), Some(&with_tenth))), owners(&nine));
    }

    #[test]
    fn shares_follow_weights_and_keys_find_slots() {
        let table = Table::new(10_000, vec![candidate(1, 300), candidate(2, 100), candidate(3, 0)], None);
        let count = |owner| (0..10_000).filter(|slot| table.owner(*slot) == Some(owner)).count();
        assert!((7_300..=7_700).contains(&count(0)), "{}", count(0));
        assert_eq!((count(0) + count(1), count(2)), (10_000, 0));
        let slots: std::collections::HashSet<usize> =
            (0..50_000u32).map(|n| table.slot(hash(&n.to_be_bytes()))).collect();
        assert!(slots.len() > 9_800 && slots.iter().all(|slot| *slot < 10_000));
        assert_eq!(table.slot(u64::MAX), 9_999);
        assert_eq!(Table::new(10, vec![candidate(3, 0)], None).owner(3), None);
    }

    proptest! {
        /// What a table says depends on the candidates, not on those that there were before.
        #[test]
        fn a_changed_table_is_a_new_one(
            before in prop::collection::btree_map(0u32..12, 0u32..4, 0..10),
            after in prop::collection::btree_map(0u32..12, 0u32..4, 0..10),
        ) {
            let candidates = |of: &std::collections::BTreeMap<u32, u32>| {
                of.iter().map(|(n, weight)| candidate(*n, *weight)).collect::<Vec<_>>()
            };
            let old = Table::new(SLOTS, candidates(&before), None);
            let changed = Table::new(SLOTS, candidates(&after), Some(&old));
            prop_assert_eq!(owners(&changed), owners(&Table::new(SLOTS, candidates(&after), None)));
        }

        /// A slot whose owner is left out falls to the one that would own it without the owner.
        #[test]
        fn the_next_best_is_the_owner_without_the_owner(weights in prop::collection::vec(1u32..100, 2..8)) {
            let all: Vec<Candidate> = weights.iter().zip(0..).map(|(weight, n)| candidate(n, *weight)).collect();
            let (table, without) = (Table::new(SLOTS, all.clone(), None), Table::new(SLOTS, all[1..].to_vec(), None));
            for slot in 0..SLOTS {
                let next = table.owner_among(slot, |index| index != 0);
                prop_assert_eq!(next, without.owner(slot).map(|owner| owner + 1));
                prop_assert_eq!(table.owner_among(slot, |_| true), table.owner(slot));
            }
        }
    }
}
