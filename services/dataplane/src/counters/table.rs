//! The counts in memory.

use std::{
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::{PERIODS, Period, Subject, Window, Windows};

/// Counts that are kept at most, of about 100 bytes each.
const COUNTS_MAX: usize = 1 << 19;
/// Each has a lock of its own.
const SHARDS: usize = 64;
/// Where a shard is full, the lowest of so many counts makes room.
const COMPARED: usize = 8;
/// Counts that are looked at under one lock while what is over is dropped.
const SWEPT_AT_ONCE: usize = 256;

const EVICTED: &str = "landbridge_counts_forgotten_total";

/// How much a subject may do in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub period: Period,
    pub max: u64,
}

/// What came of [`Table::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether it was within all limits. Only then it is counted.
    pub is_within: bool,
    /// What was used of each limit before, in their order.
    pub used: [u64; PERIODS],
    /// Milliseconds until each limit has room again, or until its window is over if it has some now.
    pub resets_ms: [u64; PERIODS],
}

/// What was added to a count since that was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub subject: Subject,
    pub period: Period,
    /// Start of the window, in Unix seconds.
    pub start: u64,
    pub added: u64,
    /// What was counted in the window before.
    pub previous: u64,
}

/// What a count is where it is kept: what others added is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub subject: Subject,
    pub period: Period,
    pub start: u64,
    pub count: u64,
    pub previous: u64,
}

/// The counts of a gateway, shared by all its threads.
///
/// Where there is no room for one more, the lowest of a few counts is forgotten: those that are near their limit stay, and nobody gets rid of
/// his own by filling the table with others.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_max: usize,
    /// Counts of this period and of longer ones are kept elsewhere too.
    kept_from: Period,
}

#[derive(Debug, Default)]
struct Shard {
    counts: IndexMap<Key, Count, RandomState>,
    /// Those with something to be kept, each once.
    changed: Vec<Key>,
    /// Where counts are compared next.
    cursor: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    subject: Subject,
    period: Period,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    /// Start of the window, in Unix seconds.
    start: u64,
    count: u64,
    /// What was counted in the window before.
    previous: u64,
    /// What of `count` is not kept elsewhere yet.
    unkept: u64,
}

impl Taken {
    /// What it is where this window and the one before were counted so far, for each limit.
    pub(super) fn of(
        is_within: bool,
        limits: &[Limit],
        counts: &[(u64, u64); PERIODS],
        windows: Windows,
        now_ms: u64,
    ) -> Self {
        let mut taken = Self { is_within, used: [0; PERIODS], resets_ms: [0; PERIODS] };
        for (index, (limit, (count, previous))) in limits.iter().zip(*counts).enumerate() {
            let window = limit.period.window(now_ms / 1000);
            let count = Count { count, previous, ..Count::at(window) };
            taken.used[index] = count.used(windows, window, now_ms);
            taken.resets_ms[index] = count.resets_ms(windows, window, now_ms, limit.max);
        }
        taken
    }
}

impl Table {
    /// An empty one. Counts of `kept_from` and longer periods are handed out by [`Table::changes`].
    pub fn new(kept_from: Period) -> Self {
        Self::with_room(kept_from, COUNTS_MAX)
    }

    /// One of about `counts_max` counts at most.
    pub(super) fn with_room(kept_from: Period, counts_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let shard_max = (counts_max / SHARDS).max(1);
        Self { shards, hasher: RandomState::default(), shard_max, kept_from }
    }

    /// Counts `amount` for the subject at `now_ms`, in Unix milliseconds, if it stays within each of `limits`; else nothing. There are at most
    /// [`PERIODS`] limits, each with another period.
    pub fn take(
        &self,
        subject: Subject,
        limits: &[Limit],
        windows: Windows,
        now_ms: u64,
        amount: u64,
    ) -> Taken {
        let mut shard = self.shard(subject);
        let (taken, places) = shard.judge(subject, limits, windows, now_ms, amount);
        if taken.is_within && amount > 0 {
            for (limit, place) in limits.iter().zip(places) {
                self.add_to(&mut shard, Key { subject, period: limit.period }, place, now_ms, amount);
            }
        }
        taken
    }

    /// Counts `amount` for the subject in the period of each of `limits`, whatever they allow.
    pub fn add(&self, subject: Subject, limits: &[Limit], now_ms: u64, amount: u64) {
        let mut shard = self.shard(subject);
        for limit in limits {
            self.add_to(&mut shard, Key { subject, period: limit.period }, None, now_ms, amount);
        }
    }

    fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(subject) as usize % SHARDS;
        lock(&self.shards[index])
    }

    fn add_to(&self, shard: &mut Shard, key: Key, place: Option<usize>, now_ms: u64, amount: u64) {
        let window = key.period.window(now_ms / 1000);
        // A place may have moved when another count made room.
        let place =
            place.filter(|place| shard.counts.get_index(*place).is_some_and(|(held, _)| *held == key));
        let place = place.or_else(|| shard.counts.get_index_of(&key));
        let place = place.unwrap_or_else(|| shard.insert(key, Count::at(window), self.shard_max));
        let Some((_, count)) = shard.counts.get_index_mut(place) else { return };
        count.turn_to(key.period, window);
        count.count = count.count.saturating_add(amount);
        if key.period >= self.kept_from {
            if count.unkept == 0 {
                shard.changed.push(key);
            }
            count.unkept = count.unkept.saturating_add(amount);
        }
    }

    /// What was added since the last call. Whoever takes it hands it to [`Table::settle`] when it is kept, and to [`Table::restore`] if it
    /// could not be.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            for key in std::mem::take(&mut shard.changed) {
                // Forgotten meanwhile, where there was no room.
                let Some(count) = shard.counts.get_mut(&key) else { continue };
                let added = std::mem::take(&mut count.unkept);
                let Count { start, previous, .. } = *count;
                changes.push(Change { subject: key.subject, period: key.period, start, added, previous });
            }
        }
        changes
    }

    /// Takes over what counts are where they are kept, with what others added there. What is not kept yet comes on top.
    pub fn settle(&self, sums: impl IntoIterator<Item = Sum>) {
        for sum in sums {
            let key = Key { subject: sum.subject, period: sum.period };
            let mut shard = self.shard(sum.subject);
            let window = Window { start: sum.start, end: sum.start };
            let place = shard.counts.get_index_of(&key);
            let place = place.unwrap_or_else(|| shard.insert(key, Count::at(window), self.shard_max));
            let Some((_, count)) = shard.counts.get_index_mut(place) else { continue };
            if count.start < sum.start {
                *count = Count::at(window);
            }
            if count.start == sum.start {
                count.count = sum.count.saturating_add(count.unkept);
                count.previous = count.previous.max(sum.previous);
            } else if sum.period.before(count.start) == sum.start {
                count.previous = count.previous.max(sum.count);
            }
        }
    }

    /// Takes back changes that could not be kept.
    pub fn restore(&self, changes: Vec<Change>) {
        for change in changes {
            let key = Key { subject: change.subject, period: change.period };
            let mut shard = self.shard(change.subject);
            let Some(count) = shard.counts.get_mut(&key).filter(|count| count.start == change.start) else {
                continue;
            };
            let was_kept = count.unkept == 0;
            count.unkept = count.unkept.saturating_add(change.added);
            if was_kept {
                shard.changed.push(key);
            }
        }
    }

    /// Drops the counts that say nothing any more. Holds no lock for longer than a few microseconds.
    pub fn sweep(&self, now_ms: u64) {
        let oldest = oldest(now_ms);
        for shard in &self.shards {
            let mut end = usize::MAX;
            while end > 0 {
                let mut shard = lock(shard);
                end = end.min(shard.counts.len());
                let start = end.saturating_sub(SWEPT_AT_ONCE);
                for index in (start..end).rev() {
                    let is_over = shard.counts.get_index(index).is_some_and(|(key, count)| {
                        count.unkept == 0 && count.start < oldest[key.period as usize]
                    });
                    if is_over {
                        shard.counts.swap_remove_index(index);
                    }
                }
                end = start;
            }
        }
    }

    /// How many counts there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).counts.len()).sum()
    }
}

/// For each period, the start of the oldest window that still says something at `now_ms`: the one before this.
pub(super) fn oldest(now_ms: u64) -> [u64; PERIODS] {
    Period::ALL.map(|period| period.before(period.window(now_ms / 1000).start))
}

impl Shard {
    /// What the limits say to one more, and where their counts are.
    fn judge(
        &self,
        subject: Subject,
        limits: &[Limit],
        windows: Windows,
        now_ms: u64,
        amount: u64,
    ) -> (Taken, [Option<usize>; PERIODS]) {
        let (mut counts, mut places) = ([(0, 0); PERIODS], [None; PERIODS]);
        for (index, limit) in limits.iter().enumerate().take(PERIODS) {
            let window = limit.period.window(now_ms / 1000);
            places[index] = self.counts.get_index_of(&Key { subject, period: limit.period });
            let held = places[index].and_then(|place| self.counts.get_index(place));
            let mut count = held.map_or(Count::at(window), |(_, count)| *count);
            count.turn_to(limit.period, window);
            counts[index] = (count.count, count.previous);
        }
        let mut taken = Taken::of(true, limits, &counts, windows, now_ms);
        let within = |(limit, used): (&Limit, u64)| used.saturating_add(amount) <= limit.max;
        taken.is_within = limits.iter().zip(taken.used).all(within);
        (taken, places)
    }

    /// Adds a count, for which another one may have to go. Returns its place.
    fn insert(&mut self, key: Key, count: Count, shard_max: usize) -> usize {
        if self.counts.len() >= shard_max {
            let len = self.counts.len();
            self.cursor = (self.cursor + COMPARED) % len;
            let compared = (0..COMPARED).map(|step| (self.cursor + step) % len);
            let lowest =
                compared.min_by_key(|index| self.counts.get_index(*index).map(|(_, count)| count.count));
            self.counts.swap_remove_index(lowest.unwrap_or(0));
            metrics::counter!(EVICTED).increment(1);
        }
        self.counts.insert_full(key, count).0
    }
}

impl Count {
    fn at(window: Window) -> Self {
        Self { start: window.start, count: 0, previous: 0, unkept: 0 }
    }

    /// Begins `window`, if that is another one. A window that has begun goes on if the clock says that it begins only now: the clock went back a
    /// little, or another thread read it earlier.
    fn turn_to(&mut self, period: Period, window: Window) {
        if self.start == window.start || self.start == window.end {
            return;
        }
        let previous = if self.start == period.before(window.start) { self.count } else { 0 };
        *self = Self { previous, ..Self::at(window) };
    }

    fn used(&self, windows: Windows, window: Window, now_ms: u64) -> u64 {
        match windows {
            Windows::Fixed => self.count,
            Windows::Sliding => {
                let still = u128::from(self.previous) * u128::from(window.left_ms(now_ms))
                    / u128::from(window.length_ms().max(1));
                self.count.saturating_add(still.min(self.previous.into()) as u64)
            }
        }
    }

    fn resets_ms(&self, windows: Windows, window: Window, now_ms: u64, max: u64) -> u64 {
        let left = window.left_ms(now_ms);
        if windows == Windows::Fixed || self.count >= max || self.previous == 0 {
            return left;
        }
        // What is still counted of the window before must become less than the room that this one leaves.
        let room = u128::from(max - self.count) * u128::from(window.length_ms());
        let when_left = room / u128::from(self.previous);
        u128::from(left).saturating_sub(when_left).try_into().unwrap_or(left)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing in it panics halfway; and a count that is off by one is better than no gateway.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names the metrics of this module.
pub fn describe_metrics() {
    metrics::describe_counter!(
        EVICTED,
        "Counts of rate limits that were forgotten because there was no room for more."
    );
}
