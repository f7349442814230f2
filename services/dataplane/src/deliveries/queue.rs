//! The entries of one plugin that wait to be delivered, and the task that delivers them. There is a task only while there is something to do.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use metrics::{Counter, counter};
use pace::full_jitter;
use random::Random;
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    DELIVERIES, ENDING_MAX, Failed, Shared,
    options::{BYTES_MAX, Options, Way},
};

/// How often a queue says that it loses entries, at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);
/// The longest pause between attempts of a queue that ends.
const ENDING_PAUSE_MAX: Duration = Duration::from_millis(250);

/// See the module.
pub struct Queue {
    plugin: &'static str,
    state: Mutex<State>,
    more: Notify,
    runtime: Option<Handle>,
    random: Random,
    tasks: TaskTracker,
    ending: CancellationToken,
    delivered: Counter,
    retried: Counter,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    /// Entries that are being delivered.
    under_way: usize,
    /// Bytes of all of them.
    bytes: usize,
    /// Whether there is a task.
    works: bool,
    /// Where entries go: by the outlet with this number.
    way: Option<(u64, Arc<Way>)>,
    outlets: usize,
    made: u64,
    lost: Lost,
    #[cfg(test)]
    attempts: u64,
}

/// Entries that were lost since that was last said.
#[derive(Default)]
struct Lost {
    entries: usize,
    said: Option<Instant>,
}

impl Queue {
    pub(super) fn new(plugin: &'static str, shared: &Shared) -> Self {
        let counter = |outcome| counter!(DELIVERIES, "plugin" => plugin, "outcome" => outcome);
        Self {
            plugin,
            state: Mutex::default(),
            more: Notify::new(),
            runtime: shared.runtime.clone(),
            random: shared.random.clone(),
            tasks: shared.tasks.clone(),
            ending: shared.ending.child_token(),
            delivered: counter("delivered"),
            retried: counter("retried"),
            dropped: counter("dropped"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One outlet more. Returns its number.
    pub(super) fn join(&self) -> u64 {
        let mut state = self.state();
        state.outlets += 1;
        state.made += 1;
        state.made
    }

    /// One outlet less. Whether it was the last one: then the queue ends.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state();
        state.outlets -= 1;
        if state.outlets == 0 {
            self.ending.cancel();
        }
        state.outlets == 0
    }

    /// Takes an entry, which goes the way of the outlet with this number, or of a later one.
    pub(super) fn push(self: &Arc<Self>, entry: Bytes, (number, way): (u64, &Arc<Way>)) {
        let Some(runtime) = &self.runtime else { return };
        let options = &way.options;
        let mut state = self.state();
        if state.way.as_ref().is_none_or(|(held, _)| *held < number) {
            state.way = Some((number, way.clone()));
        }
        let mut lost = 0;
        while !state.waiting.is_empty() && !state.has_room(entry.len(), options) {
            lost += usize::from(state.take(1).pop().is_some());
        }
        if self.ending.is_cancelled() || !state.has_room(entry.len(), options) {
            // What is under way alone fills the queue, or the entry is larger than it.
            lost += 1;
        } else {
            state.bytes += entry.len();
            state.waiting.push_back(entry);
        }
        let starts = !state.works && !state.waiting.is_empty();
        state.works |= starts;
        let wakes = state.waiting.len() == 1 || state.waiting.len() >= options.batch_max;
        if lost > 0 {
            self.lose(&mut state, lost, "the queue is full");
        }
        drop(state);
        if starts {
            self.tasks.spawn_on(self.clone().work(), runtime);
        } else if wakes {
            self.more.notify_one();
        }
    }

    /// Counts entries that are lost, and says it now and then.
    fn lose(&self, state: &mut State, entries: usize, why: &str) {
        self.dropped.increment(entries as u64);
        let lost = &mut state.lost;
        lost.entries += entries;
        if lost.said.is_none_or(|said| said.elapsed() >= COMPLAINT_INTERVAL) {
            tracing::warn!(plugin = self.plugin, entries = lost.entries, why, "log entries are lost");
            *lost = Lost { entries: 0, said: Some(Instant::now()) };
        }
    }

    /// Delivers until there is nothing to deliver, or the end is over.
    async fn work(self: Arc<Self>) {
        let end = async {
            self.ending.cancelled().await;
            sleep(ENDING_MAX).await;
        };
        tokio::select! {
            () = self.clone().deliver_all() => {}
            () = end => {
                let mut state = self.state();
                let left = state.waiting.len() + state.under_way;
                state.waiting.clear();
                (state.under_way, state.bytes, state.works) = (0, 0, false);
                self.lose(&mut state, left, "they were not delivered before the end");
            }
        }
    }

    async fn deliver_all(self: Arc<Self>) {
        let mut batches = JoinSet::new();
        while let Some(way) = self.way() {
            if batches.len() >= way.options.at_a_time.max(1) {
                batches.join_next().await;
            } else if !self.state().waiting.is_empty() {
                self.coalesce().await;
                if let Some(batch) = self.next_batch() {
                    batches.spawn(self.clone().deliver(batch));
                }
            } else if !batches.is_empty() {
                tokio::select! {
                    _ = batches.join_next() => {}
                    () = self.more.notified() => {}
                }
            } else {
                tokio::select! {
                    () = self.more.notified() => continue,
                    () = sleep(way.destination.linger()) => {}
                    () = self.ending.cancelled() => {}
                }
                if self.rest(&way) {
                    return;
                }
            }
        }
    }

    /// Where entries go now.
    fn way(&self) -> Option<Arc<Way>> {
        self.state().way.as_ref().map(|(_, way)| way.clone())
    }

    /// The task ends, unless something came meanwhile.
    fn rest(&self, way: &Way) -> bool {
        way.destination.rest();
        let mut state = self.state();
        state.works = !state.waiting.is_empty();
        !state.works
    }

    /// Waits until a batch is full, or its first entry has waited long enough.
    async fn coalesce(&self) {
        let began = Instant::now();
        while let Some(way) = self.way() {
            let options = &way.options;
            if options.coalescing.is_zero() || self.state().waiting.len() >= options.batch_max {
                return;
            }
            tokio::select! {
                () = self.more.notified() => {}
                () = sleep_until(began + options.coalescing) => return,
                () = self.ending.cancelled() => return,
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<Bytes>> {
        let mut state = self.state();
        let batch_max = state.way.as_ref()?.1.options.batch_max;
        let batch = state.waiting.len().min(batch_max);
        let batch: Vec<Bytes> = state.waiting.drain(..batch).collect();
        state.under_way += batch.len();
        Some(batch).filter(|batch| !batch.is_empty())
    }

    /// Delivers `batch`, in as many attempts as it may have.
    async fn deliver(self: Arc<Self>, mut batch: Vec<Bytes>) {
        let (mut began, mut attempt) = (Instant::now(), 0);
        // The settings may change from one attempt to the next.
        while let Some(way) = self.way().filter(|_| !batch.is_empty()) {
            let Err(failed) = way.destination.deliver(&batch).await else {
                return self.delivered(&mut batch, usize::MAX);
            };
            if failed.delivered > 0 {
                self.delivered(&mut batch, failed.delivered);
                (began, attempt) = (Instant::now(), 0);
            }
            let options = &way.options;
            let may_retry = options.retry_for.is_some_and(|limit| began.elapsed() <= limit);
            if failed.is_hopeless || !may_retry {
                self.give_up(&mut batch, &failed);
                (began, attempt) = (Instant::now(), 0);
                continue;
            }
            tracing::debug!(plugin = self.plugin, error = %failed, attempt, "a delivery failed, and is tried again");
            self.retried.increment(batch.len() as u64);
            #[cfg(test)]
            (self.state().attempts += 1);
            let pause =
                full_jitter(attempt, options.retry_pause, options.retry_pause_max, self.random.number());
            attempt += 1;
            tokio::select! {
                () = sleep(pause) => {}
                () = self.ending.cancelled() => sleep(pause.min(ENDING_PAUSE_MAX)).await,
            }
        }
    }

    /// The first `count` entries are delivered.
    fn delivered(&self, batch: &mut Vec<Bytes>, count: usize) {
        let count = count.min(batch.len());
        self.delivered.increment(count as u64);
        self.state().forget(batch.drain(..count));
    }

    fn give_up(&self, batch: &mut Vec<Bytes>, failed: &Failed) {
        let count = failed.stuck.clamp(1, batch.len());
        let mut state = self.state();
        state.forget(batch.drain(..count));
        self.lose(&mut state, count, &failed.cause);
    }
}

impl State {
    fn has_room(&self, bytes: usize, options: &Options) -> bool {
        self.waiting.len() + self.under_way < options.entries_max
            && self.bytes + bytes <= options.bytes_max.min(BYTES_MAX)
    }

    /// Takes the oldest `count` entries that wait out.
    fn take(&mut self, count: usize) -> Vec<Bytes> {
        let taken: Vec<Bytes> = self.waiting.drain(..count.min(self.waiting.len())).collect();
        self.bytes = self.bytes.saturating_sub(taken.iter().map(Bytes::len).sum());
        taken
    }

    /// Entries that were under way are no more.
    fn forget(&mut self, entries: impl Iterator<Item = Bytes>) {
        for entry in entries {
            // A task that is ended together with the queue may come too late.
            self.under_way = self.under_way.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(entry.len());
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Queue {
    /// How often a delivery has failed that was to be tried again.
    pub fn attempts(&self) -> u64 {
        self.state().attempts
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.under_way == 0 && state.bytes == 0
    }
}
