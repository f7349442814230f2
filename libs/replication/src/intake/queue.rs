//! The received entries of one log that are not applied yet. Epochs never fall along the queue.

use std::collections::BTreeMap;

use super::HELD_MAX;
use crate::{Entry, Position, Tip};

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The end of the log as it is applied.
    pub applied: Tip,
    /// By `seq`, all beyond that of `applied`.
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    tip: Tip,
    /// Given out before its turn.
    early: bool,
}

/// What became of an entry.
pub(super) enum Place {
    Held,
    Old,
    Full,
    Fork,
}

impl Queue {
    /// An empty queue behind `applied`.
    pub fn new(applied: Tip) -> Self {
        Self { applied, held: BTreeMap::new() }
    }

    /// Holds `entry` if it may follow what is applied and held. Entries of an older epoch that it replaces are
    /// dropped.
    pub fn place(&mut self, entry: Entry) -> Place {
        let tip = entry.tip();
        let Position { epoch, seq } = tip.position;
        if let Some(place) = self.against_applied(&entry, &tip) {
            return place;
        }
        let before = self.held.range(..seq).next_back();
        if before.is_some_and(|(_, held)| held.tip.position.epoch > epoch) {
            return Place::Old;
        }
        match self.held.get(&seq).map(|held| held.tip) {
            Some(held) if held == tip || held.position.epoch > epoch => return Place::Old,
            Some(held) if held.position.epoch == epoch => return Place::Fork,
            Some(_) => {}
            None if self.held.len() < HELD_MAX => {}
            // The nearest are the ones that are of use.
            None => match self.held.last_entry() {
                Some(last) if *last.key() > seq => drop(last.remove()),
                _ => return Place::Full,
            },
        }
        let is_older = |(_, held): (&u64, &Held)| held.tip.position.epoch < epoch;
        if self.held.range(seq..).next().is_some_and(is_older) {
            // What an older epoch had from here on was given up by the origin.
            self.held.retain(|at, held| *at < seq || held.tip.position.epoch >= epoch);
        }
        self.held.insert(seq, Held { entry, tip, early: false });
        Place::Held
    }

    /// `None` when the entry may follow what is applied.
    fn against_applied(&self, entry: &Entry, tip: &Tip) -> Option<Place> {
        let (applied, offered) = (self.applied.position, tip.position);
        if offered.seq <= applied.seq {
            let is_other_tip = offered == applied && tip.hash != self.applied.hash;
            let is_other_branch = offered.epoch > applied.epoch;
            return Some(if is_other_tip || is_other_branch { Place::Fork } else { Place::Old });
        }
        if offered.epoch < applied.epoch {
            return Some(Place::Old);
        }
        let is_next = applied.seq.checked_add(1) == Some(offered.seq);
        (is_next && !self.applied.precedes(entry)).then_some(Place::Fork)
    }

    /// The held entry that follows `tip`.
    pub fn after(&self, tip: &Tip) -> Option<(&Entry, Tip)> {
        let held = self.held.get(&tip.position.seq.checked_add(1)?)?;
        tip.precedes(&held.entry).then_some((&held.entry, held.tip))
    }

    /// Moves on past `entry`, which was applied, and drops what is held up to there. An entry that was applied before is
    /// ignored.
    pub fn applied(&mut self, entry: &Entry) {
        if entry.position <= self.applied.position {
            return;
        }
        let held = self.held.get(&entry.position.seq).map(|held| held.tip);
        let tip = held.filter(|held| held.position == entry.position);
        self.move_to(tip.unwrap_or_else(|| entry.tip()));
    }

    /// Takes `applied` as the end of the log, also if it lies before what was applied until now. Entries that were given
    /// out early can be given out again.
    pub fn reset(&mut self, applied: Tip) {
        self.held.values_mut().for_each(|held| held.early = false);
        self.move_to(applied);
    }

    /// Drops every held entry.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// All held entries, ordered by sequence number.
    pub fn held(&self) -> impl Iterator<Item = &Entry> {
        self.held.values().map(|held| &held.entry)
    }

    /// Position of the held entry with the highest sequence number; `None` if none is held.
    pub fn last(&self) -> Option<Position> {
        self.held.values().next_back().map(|held| held.tip.position)
    }

    /// The entries that `is_wanted` and that have not been given out before.
    pub fn give_early(&mut self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let wanted = self.held.values_mut().filter(|held| !held.early && is_wanted(&held.entry));
        let give = |held: &mut Held| {
            held.early = true;
            held.entry.clone()
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
    fn move_to(&mut self, applied: Tip) {
        self.applied = applied;
        let next = applied.position.seq.saturating_add(1);
        self.held = self.held.split_off(&next);
        self.held.retain(|_, held| held.tip.position.epoch >= applied.position.epoch);
        if self.held.get(&next).is_some_and(|held| !applied.precedes(&held.entry)) {
            self.held.remove(&next);
        }
    }
}
