//! The received operations of one log that are not applied yet. Epochs never fall along the queue.

use std::collections::BTreeMap;

use super::HELD_MAX;
use crate::{Head, Operation, Position};

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub applied: Head,
    /// By `seq`, all beyond that of `applied`.
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    operation: Operation,
    head: Head,
    /// Given out before its turn.
    early: bool,
}

/// What became of an operation.
pub(super) enum Place {
    Held,
    Old,
    Full,
    Fork,
}

impl Queue {
    pub fn new(applied: Head) -> Self {
        Self { applied, held: BTreeMap::new() }
    }

    pub fn place(&mut self, operation: Operation) -> Place {
        let head = operation.head();
        let Position { epoch, seq } = head.position;
        if let Some(place) = self.against_applied(&operation, &head) {
            return place;
        }
        let before = self.held.range(..seq).next_back();
        if before.is_some_and(|(_, held)| held.head.position.epoch > epoch) {
            return Place::Old;
        }
        match self.held.get(&seq).map(|held| held.head) {
            Some(held) if held == head || held.position.epoch > epoch => return Place::Old,
            Some(held) if held.position.epoch == epoch => return Place::Fork,
            Some(_) => {}
            None if self.held.len() < HELD_MAX => {}
            // The nearest are the ones that are of use.
            None => match self.held.last_entry() {
                Some(last) if *last.key() > seq => drop(last.remove()),
                _ => return Place::Full,
            },
        }
        let is_older = |(_, held): (&u64, &Held)| held.head.position.epoch < epoch;
        if self.held.range(seq..).next().is_some_and(is_older) {
            // What an older epoch had from here on was given up by the origin.
            self.held.retain(|at, held| *at < seq || held.head.position.epoch >= epoch);
        }
        self.held.insert(seq, Held { operation, head, early: false });
        Place::Held
    }

    /// `None` when the operation may follow what is applied.
    fn against_applied(&self, operation: &Operation, head: &Head) -> Option<Place> {
        let (applied, offered) = (self.applied.position, head.position);
        if offered.seq <= applied.seq {
            let is_other_head = offered == applied && head.hash != self.applied.hash;
            let is_other_branch = offered.epoch > applied.epoch;
            return Some(if is_other_head || is_other_branch { Place::Fork } else { Place::Old });
        }
        if offered.epoch < applied.epoch {
            return Some(Place::Old);
        }
        let is_next = applied.seq.checked_add(1) == Some(offered.seq);
        (is_next && !self.applied.precedes(operation)).then_some(Place::Fork)
    }

    /// The held operation that follows `head`.
    pub fn after(&self, head: &Head) -> Option<(&Operation, Head)> {
        let held = self.held.get(&head.position.seq.checked_add(1)?)?;
        head.precedes(&held.operation).then_some((&held.operation, held.head))
    }

    pub fn applied(&mut self, operation: &Operation) {
        if operation.position <= self.applied.position {
            return;
        }
        let held = self.held.get(&operation.position.seq).map(|held| held.head);
        let head = held.filter(|held| held.position == operation.position);
        self.move_to(head.unwrap_or_else(|| operation.head()));
    }

    pub fn reset(&mut self, applied: Head) {
        self.held.values_mut().for_each(|held| held.early = false);
        self.move_to(applied);
    }

    pub fn clear(&mut self) {
        self.held.clear();
    }

    pub fn held(&self) -> impl Iterator<Item = &Operation> {
        self.held.values().map(|held| &held.operation)
    }

    pub fn last(&self) -> Option<Position> {
        self.held.values().next_back().map(|held| held.head.position)
    }

    /// The operations that `is_wanted` and that have not been given out before.
    pub fn give_early(&mut self, is_wanted: impl Fn(&Operation) -> bool) -> Vec<Operation> {
        let wanted = self.held.values_mut().filter(|held| !held.early && is_wanted(&held.operation));
        let give = |held: &mut Held| {
            held.early = true;
            held.operation.clone()
        };
        wanted.map(give).collect()
    }

    /// Gives out again what was given out early.
    pub fn give_again(&mut self) {
        self.held.values_mut().for_each(|held| held.early = false);
    }

    /// The first gap before `wanted`, as (after, up to).
    pub fn gap(&self, wanted: Position) -> Option<(u64, u64)> {
        let mut end = self.applied;
        while let Some((_, next)) = self.after(&end) {
            end = next;
        }
        let seq = end.position.seq;
        let beyond = self.held.range(seq.saturating_add(1)..).next().map(|(seq, _)| seq.saturating_sub(1));
        match beyond {
            // What is held next does not follow: what should stand before it, or in its place, is fetched.
            Some(up_to) => Some((seq, up_to.max(seq.saturating_add(1)))),
            None if wanted <= end.position => None,
            None if wanted.seq > seq => (self.held.len() < HELD_MAX).then_some((seq, wanted.seq)),
            // A later epoch where there is an older one here: what is fetched takes its place, or shows the fork.
            None => Some((wanted.seq.saturating_sub(1), wanted.seq)),
        }
    }

    /// Lets go what is applied by now, and the next one if it does not follow: it will be fetched.
    fn move_to(&mut self, applied: Head) {
        self.applied = applied;
        let next = applied.position.seq.saturating_add(1);
        self.held = self.held.split_off(&next);
        self.held.retain(|_, held| held.head.position.epoch >= applied.position.epoch);
        if self.held.get(&next).is_some_and(|held| !applied.precedes(&held.operation)) {
            self.held.remove(&next);
        }
    }
}
