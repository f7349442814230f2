//! How far logs have been followed.

use std::collections::{BTreeMap, btree_map};

use ids::ServiceName;
use serde::{Deserialize, Serialize};

use crate::Origin;

/// The place of an entry in its log. `seq` counts from 1 without gaps, also across epochs. An epoch begins when an origin opens again
/// after its database lost the end of the log. Positions of one log are ordered by epoch, then by `seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Counts the restarts of the log after its database was put back to an earlier copy, from 0.
    pub epoch: u32,
    /// Sequence number of the entry; 0 is before the first one.
    pub seq: u64,
}

/// One entry: its log and its place in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// The log.
    pub origin: Origin,
    /// The place in it.
    pub position: Position,
}

impl Dot {
    /// Whether the entry here, whose dependencies are `deps`, causally follows the one at `earlier`, or is that one.
    /// Every question of "before, after or concurrent" is asked here.
    ///
    /// An entry follows all that `deps` names and all before it in its own log. An entry that was appended again
    /// after a restore stands behind entries that its writer never saw. Its `deps` name its own log up to what the
    /// writer saw; beyond that it follows only entries of its own epoch, which begins with those that were appended
    /// again with it. Otherwise a restore would be a way to outrun a revocation.
    pub fn follows(&self, deps: &Vector, earlier: &Dot) -> bool {
        let in_own_log = earlier.origin == self.origin
            && earlier.position <= self.position
            && (deps.get(&self.origin).is_none() || earlier.position.epoch == self.position.epoch);
        in_own_log || deps.contains(earlier)
    }
}

/// A position for each of several logs; none for a log that is not named. A `seq` of 0 is before the first entry: it is part of
/// every vector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vector(BTreeMap<Origin, Position>);

impl Vector {
    /// The position in the log of `origin`; `None` if this vector does not name that log.
    pub fn get(&self, origin: &Origin) -> Option<Position> {
        self.0.get(origin).copied()
    }

    /// Moves on to `position`; never back.
    pub fn advance(&mut self, origin: &Origin, position: Position) {
        match self.0.get_mut(origin) {
            Some(known) => *known = (*known).max(position),
            None => drop(self.0.insert(origin.clone(), position)),
        }
    }

    /// The pointwise maximum.
    pub fn merge(&mut self, other: &Self) {
        for (origin, position) in other {
            self.advance(origin, *position);
        }
    }

    /// Whether the entry at `dot` is part of this.
    pub fn contains(&self, dot: &Dot) -> bool {
        self.get(&dot.origin).is_some_and(|position| position >= dot.position)
    }

    /// Whether everything in `other` is part of this.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(origin, position)| self.reaches(origin, *position))
    }

    /// What of `other` is not part of this.
    pub fn missing(&self, other: &Self) -> Self {
        let behind = |(origin, position): &(&Origin, &Position)| !self.reaches(origin, **position);
        other.iter().filter(behind).map(|(origin, position)| (origin.clone(), *position)).collect()
    }

    /// Whether this has come to `position` in the log of `origin`.
    pub fn reaches(&self, origin: &Origin, position: Position) -> bool {
        position.seq == 0 || self.get(origin).is_some_and(|own| own >= position)
    }

    /// The part that is about logs of `service`.
    pub fn of_service(&self, service: ServiceName) -> Self {
        let of_service = |(origin, _): &(&Origin, &Position)| origin.service() == service;
        self.iter().filter(of_service).map(|(origin, position)| (origin.clone(), *position)).collect()
    }

    /// All logs with their positions, ordered by the log's name.
    pub fn iter(&self) -> btree_map::Iter<'_, Origin, Position> {
        self.0.iter()
    }

    /// How many logs it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names no log: everything covers it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Origin, Position)> for Vector {
    fn from_iter<I: IntoIterator<Item = (Origin, Position)>>(entries: I) -> Self {
        let mut vector = Self::default();
        for (origin, position) in entries {
            vector.advance(&origin, position);
        }
        vector
    }
}

impl<'a> IntoIterator for &'a Vector {
    type Item = (&'a Origin, &'a Position);
    type IntoIter = btree_map::Iter<'a, Origin, Position>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
