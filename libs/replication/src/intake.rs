//! Causal intake: received entries wait here until everything before them is applied.
//!
//! Entries come in any order, twice, from any region that holds them, or not at all. The intake gives them out in an
//! order that every database may apply ([`Intake::ready`]): each log densely and along its chain of hashes, and an
//! entry only after its dependencies. It says what is missing ([`Intake::gaps`]), so that it can be fetched, and stops
//! a log that contradicts what is applied ([`Intake::forks`]).
//!
//! Invariants:
//! * It holds nothing that is applied, and at most [`HELD_MAX`] entries of each of [`ORIGINS_MAX`] logs. What is beyond
//!   is dropped: whoever has it is asked again.
//! * It is memory only. A database at the same tips is all that it takes to begin anew.
//!
//! The executor applies `ready` in one transaction and then reports each entry as [`Intake::applied`]; after a failure
//! it reads the tips from its database and calls [`Intake::reset`].

use std::collections::{BTreeMap, BTreeSet};

use crate::{Dot, Entry, Origin, Position, Tip, Vector};

mod queue;

use queue::{Place, Queue};

/// Most entries held of one origin.
pub const HELD_MAX: usize = 4096;
/// Most origins that are followed.
pub const ORIGINS_MAX: usize = 64;
/// Most entries given out at once: one transaction.
pub const BATCH_MAX: usize = 256;

/// How far a database has applied each log.
pub type Applied = BTreeMap<Origin, Tip>;

/// What became of an offered entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The next of its log, with everything before it applied.
    Ready,
    /// Held until what is before it is applied.
    Waiting,
    /// Nothing new: applied or held already, or of a branch that its origin gave up.
    Old,
    /// Dropped: too many are held. It can be fetched again.
    Full,
    /// It contradicts what is applied or held. Its log is stopped.
    Fork(Fork),
}

/// Why a log is stopped: the entry at `offered` cannot be in one log with what is applied, or with another received
/// entry at its place. Nobody but people can tell which is right, or the origin by a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Position of the entry that contradicts the log.
    pub offered: Position,
    /// The end of that log as it was applied here when the entry came.
    pub applied: Tip,
}

/// Entries of a log that are known to exist and are not held: `after_seq + 1` to `up_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The log that lacks entries.
    pub origin: Origin,
    /// Sequence number of the last entry before the gap that is applied or held; 0 if there is none.
    pub after_seq: u64,
    /// Sequence number of the last missing entry.
    pub up_to: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Intake {
    own: Option<Origin>,
    logs: BTreeMap<Origin, Queue>,
    forks: BTreeMap<Origin, Fork>,
    paused: BTreeSet<Origin>,
    /// Of these, those with an entry that cannot be read here.
    stopped: BTreeSet<Origin>,
}

impl Intake {
    /// `own` is the log that this database itself writes: entries depend on it, and none is taken in. `None` while the
    /// own log is taken back after a restore: then it is followed like the others.
    pub fn new(own: Option<Origin>, applied: Applied) -> Self {
        let queue = |(origin, tip)| (origin, Queue::new(tip));
        Self {
            own,
            logs: applied.into_iter().map(queue).collect(),
            forks: BTreeMap::new(),
            paused: BTreeSet::new(),
            stopped: BTreeSet::new(),
        }
    }

    /// Takes in a received entry, in whatever order entries come. It changes no database: what can be applied is in
    /// [`Intake::ready`] afterwards. After [`Offered::Fork`], nothing of that log is taken in any more.
    pub fn offer(&mut self, entry: Entry) -> Offered {
        let origin = entry.origin.clone();
        if self.is_own(&origin) || entry.position.seq == 0 {
            return Offered::Old;
        }
        if let Some(fork) = self.forks.get(&origin) {
            return Offered::Fork(*fork);
        }
        if !self.logs.contains_key(&origin) && self.logs.len() >= ORIGINS_MAX {
            return Offered::Full;
        }
        let is_satisfied = self.satisfies(&self.vector(), &entry) && !self.paused.contains(&origin);
        let queue = self.logs.entry(origin.clone()).or_default();
        let is_next = queue.applied.precedes(&entry);
        let offered = entry.position;
        match queue.place(entry) {
            Place::Held if is_next && is_satisfied => Offered::Ready,
            Place::Held => Offered::Waiting,
            Place::Old => Offered::Old,
            Place::Full => Offered::Full,
            Place::Fork => {
                let fork = Fork { offered, applied: queue.applied };
                queue.clear();
                self.forks.insert(origin, fork);
                Offered::Fork(fork)
            }
        }
    }

    /// The next entries that can be applied, at most [`BATCH_MAX`], in an order in which they can be. They stay held
    /// until they are reported as applied.
    pub fn ready(&self) -> Vec<Entry> {
        let mut tips: BTreeMap<&Origin, Tip> = BTreeMap::new();
        let mut vector = self.vector();
        let mut ready = Vec::new();
        let mut is_moving = true;
        while is_moving {
            is_moving = false;
            for (origin, log) in self.followed() {
                let tip = tips.entry(origin).or_insert(log.applied);
                while let Some((entry, next)) = log.after(tip) {
                    if ready.len() == BATCH_MAX || !self.satisfies(&vector, entry) {
                        break;
                    }
                    *tip = next;
                    vector.advance(origin, next.position);
                    ready.push(entry.clone());
                    is_moving = true;
                }
            }
        }
        ready
    }

    /// The database has applied `entry`, the next of its log. Reporting it twice does no harm.
    pub fn applied(&mut self, entry: &Entry) {
        self.logs.entry(entry.origin.clone()).or_default().applied(entry);
    }

    /// How far this region's log goes by now, so that what depends on it can be applied. Other logs in `vector` do not count:
    /// if another process applied them, the chain goes on from the database's tips ([`Intake::reset`]).
    pub fn wrote(&mut self, vector: &Vector) {
        if let Some(own) = &self.own
            && let Some(position) = vector.get(own)
        {
            let queue = self.logs.entry(own.clone()).or_default();
            queue.applied.position = queue.applied.position.max(position);
        }
    }

    /// Begins anew from the database's tips, and tries stopped logs again. Keeps what is held and of use.
    pub fn reset(&mut self, mut applied: Applied) {
        self.forks.clear();
        for (origin, queue) in &mut self.logs {
            queue.reset(applied.remove(origin).unwrap_or_default());
        }
        self.logs.extend(applied.into_iter().map(|(origin, tip)| (origin, Queue::new(tip))));
    }

    /// What to fetch, given the tips that other regions have announced: the first gap of each log.
    pub fn gaps(&self, known_tips: &Vector) -> Vec<Gap> {
        let mut wanted = known_tips.clone();
        for queue in self.logs.values() {
            queue.held().for_each(|entry| wanted.merge(&entry.deps));
        }
        for (origin, queue) in &self.logs {
            queue.last().into_iter().for_each(|position| wanted.advance(origin, position));
        }
        let nothing = Queue::default();
        let gap = |(origin, wanted): (&Origin, &Position)| {
            let (after_seq, up_to) = self.logs.get(origin).unwrap_or(&nothing).gap(*wanted)?;
            Some(Gap { origin: origin.clone(), after_seq, up_to })
        };
        wanted.iter().filter(|(origin, _)| self.follows(origin)).filter_map(gap).collect()
    }

    /// Held revocations that cannot be applied yet, as `is_revocation` tells. Each is given out once, to be denied before its turn.
    pub fn waiting_revocations(&mut self, is_revocation: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let ready: BTreeSet<Dot> = self.ready().iter().map(Entry::dot).collect();
        let (forks, paused, stopped) = (&self.forks, &self.paused, &self.stopped);
        let followed = self.logs.iter_mut().filter(|(origin, _)| {
            !forks.contains_key(origin) && (!paused.contains(origin) || stopped.contains(origin))
        });
        followed
            .flat_map(|(_, queue)| queue.give_early(|it| !ready.contains(&it.dot()) && is_revocation(it)))
            .collect()
    }

    /// Gives out again the revocations that still wait: what was applied meanwhile may have granted anew what they deny.
    pub fn deny_again(&mut self) {
        self.logs.values_mut().for_each(Queue::give_again);
    }

    /// Whether no entry waits.
    pub fn is_empty(&self) -> bool {
        self.logs.values().all(|queue| queue.held().next().is_none())
    }

    /// The logs that are stopped, for people to see. [`Intake::reset`] and [`Intake::resume`] try them again.
    pub fn forks(&self) -> &BTreeMap<Origin, Fork> {
        &self.forks
    }

    /// Gives out nothing more of `origin`: its region asks the others what they hold of it, and what it is told must not
    /// change meanwhile.
    pub fn pause(&mut self, origin: &Origin) {
        if self.paused.len() < ORIGINS_MAX {
            self.paused.insert(origin.clone());
        }
    }

    /// Gives out nothing more of `origin`, whose next entry cannot be read here. Its revocations still deny.
    pub fn stop(&mut self, origin: &Origin) {
        self.pause(origin);
        if self.paused.contains(origin) {
            self.stopped.insert(origin.clone());
        }
    }

    /// `origin` is open again. What was held of it may be of a lost branch: it is dropped, and can be fetched.
    pub fn resume(&mut self, origin: &Origin) {
        self.stopped.remove(origin);
        if self.paused.remove(origin) {
            self.forks.remove(origin);
            self.logs.get_mut(origin).into_iter().for_each(Queue::clear);
        }
    }

    /// How far each log is applied, this region's included.
    pub fn vector(&self) -> Vector {
        let is_begun = |(_, log): &(&Origin, &Queue)| log.applied.position.seq > 0;
        let entry = |(origin, log): (&Origin, &Queue)| (origin.clone(), log.applied.position);
        self.logs.iter().filter(is_begun).map(entry).collect()
    }

    fn is_own(&self, origin: &Origin) -> bool {
        self.own.as_ref() == Some(origin)
    }

    fn follows(&self, origin: &Origin) -> bool {
        !self.is_own(origin) && !self.forks.contains_key(origin) && !self.paused.contains(origin)
    }

    fn followed(&self) -> impl Iterator<Item = (&Origin, &Queue)> {
        self.logs.iter().filter(|(origin, _)| self.follows(origin))
    }

    /// Whether all that `entry` depends on in other logs is part of `vector`.
    fn satisfies(&self, vector: &Vector, entry: &Entry) -> bool {
        let mut others = entry.deps.iter().filter(|(origin, _)| **origin != entry.origin);
        others.all(|(origin, position)| vector.reaches(origin, *position))
    }
}

#[cfg(test)]
mod stopped_tests;
#[cfg(test)]
mod tests;
