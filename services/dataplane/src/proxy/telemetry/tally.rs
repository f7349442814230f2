//! What one thread has counted. Only that thread writes: a request takes no lock that another request may hold, and no shared cache line.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use http::StatusCode;
use uuid::Uuid;

use crate::view::Labels;

/// Classes of answers, by the first digit of the status. The last one: the client gave the request up.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "aborted"];
/// Buckets of durations: one up to each bound of the histogram, and one beyond.
pub const BUCKETS: usize = telemetry::SECONDS.len() + 1;

/// The class of an answer; `None`: there was none.
pub fn class(status: Option<StatusCode>) -> usize {
    let of = |status: StatusCode| usize::from(status.as_u16() / 100).saturating_sub(1).min(4);
    status.map_or(CLASSES.len() - 1, of)
}

/// What one thread has counted since it began.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests, by class.
    pub requests: [AtomicU64; CLASSES.len()],
    /// From a request's head to its answer's head.
    pub total: Durations,
    /// The part of that in which an upstream was waited for.
    pub upstream: Durations,
    /// The rest of it.
    pub gateway: Durations,
    /// Bytes of the bodies of requests.
    pub received: AtomicU64,
    /// Bytes of the bodies of answers.
    pub sent: AtomicU64,
    /// Connections of clients: opened, and closed.
    pub opened: AtomicU64,
    /// Those that were closed.
    pub closed: AtomicU64,
    /// Attempts at an upstream after the first.
    pub retries: AtomicU64,
    /// What was counted since it was last taken. Whoever takes it holds the lock for an instant.
    each: Mutex<Each>,
}

/// Durations: how many in each bucket, and how long together in nanoseconds.
#[derive(Debug, Default)]
pub struct Durations([(AtomicU64, AtomicU64); BUCKETS]);

/// By id. Nobody who sends requests chooses ids, so a quick hash will do.
pub type ById<T> = HashMap<Uuid, T, RandomState>;

/// What is counted of each route and of each consumer.
#[derive(Debug, Default)]
pub struct Each {
    /// By id of the route.
    pub routes: ById<OfRoute>,
    /// By id of the consumer; empty unless the settings ask for it.
    pub consumers: ById<[u64; CLASSES.len()]>,
}

/// What is counted of one route.
#[derive(Clone, Debug, Default)]
pub struct OfRoute {
    /// What it was called when this was begun.
    pub labels: Arc<Labels>,
    /// Its requests, by class.
    pub requests: [u64; CLASSES.len()],
    /// How long the upstream was waited for, together.
    pub upstream: Duration,
    /// How long the gateway itself took, together.
    pub gateway: Duration,
    /// Bytes of the bodies of requests.
    pub received: u64,
    /// Bytes of the bodies of answers.
    pub sent: u64,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct OpenConnection(Arc<Tally>);

/// Adds to a counter that no other thread writes.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
}

impl Tally {
    /// Counts a connection until the result is dropped.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        add(&self.opened, 1);
        OpenConnection(self.clone())
    }

    /// Counts an attempt at an upstream after the first.
    pub fn retry(&self) {
        add(&self.retries, 1);
    }

    /// What is counted of each route and consumer.
    pub fn each(&self) -> MutexGuard<'_, Each> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, which begins anew, with room for as much.
    pub fn take_each(&self) -> Each {
        let (routes, consumers) = {
            let each = self.each();
            (each.routes.len(), each.consumers.len())
        };
        let new = Each { routes: with_room(routes), consumers: with_room(consumers) };
        std::mem::replace(&mut *self.each(), new)
    }
}

fn with_room<T>(count: usize) -> ById<T> {
    ById::with_capacity_and_hasher(count, RandomState::default())
}

impl OfRoute {
    /// Nothing yet, of the route that is called `labels`.
    pub fn of(labels: Arc<Labels>) -> Self {
        Self { labels, ..Self::default() }
    }
}

impl Durations {
    /// Counts one that took `took`.
    pub fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = telemetry::SECONDS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS - 1);
        if let Some((count, nanoseconds)) = self.0.get(bucket) {
            add(count, 1);
            add(nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// How many are in a bucket, and how long they were together in nanoseconds.
    pub fn bucket(&self, bucket: usize) -> (u64, u64) {
        self.0
            .get(bucket)
            .map_or((0, 0), |(count, nanoseconds)| (count.load(Relaxed), nanoseconds.load(Relaxed)))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        add(&self.0.closed, 1);
    }
}
