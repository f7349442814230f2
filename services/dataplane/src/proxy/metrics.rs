//! What the proxy counts. Labels are few and fixed, so that no client and no configuration can multiply them.
//!
//! Each thread counts for itself, in a [`Tally`] that only it writes: a request takes no lock and no shared cache line. The tallies are
//! added up when somebody looks ([`Counters::publish`]).

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::failure::Failure;

const REQUESTS: &str = "landbridge_proxy_requests_total";
const SECONDS: &str = "landbridge_proxy_request_seconds";
const CONNECTIONS: &str = "landbridge_proxy_connections";
const FAILURES: &str = "landbridge_proxy_failures_total";
const RETRIES: &str = "landbridge_proxy_retries_total";

/// Classes of answers, by the first digit of the status. The last one: the client gave the request up.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "aborted"];
const ABORTED: usize = 5;
/// Buckets of durations: one up to each bound of the histogram, and one beyond.
const BUCKETS: usize = telemetry::SECONDS.len() + 1;

/// What one thread has counted since it began. Only that thread writes.
#[derive(Debug, Default)]
pub struct Tally {
    requests: [AtomicU64; CLASSES.len()],
    /// From a request's head to its answer's head: how many, and how long together in nanoseconds.
    durations: [(AtomicU64, AtomicU64); BUCKETS],
    opened: AtomicU64,
    closed: AtomicU64,
    retries: AtomicU64,
}

/// A request that is being measured. If it is dropped without [`RequestTimer::end`], the client gave it up.
pub struct RequestTimer<'a> {
    tally: &'a Tally,
    started: Instant,
    ended: bool,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct OpenConnection(Arc<Tally>);

/// Adds to a counter that no other thread writes.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
}

impl Tally {
    /// Begins to measure a request.
    pub fn request(&self) -> RequestTimer<'_> {
        RequestTimer { tally: self, started: Instant::now(), ended: false }
    }

    /// Counts a connection until the result is dropped.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        add(&self.opened, 1);
        OpenConnection(self.clone())
    }

    /// Counts an attempt at an upstream after the first.
    pub fn retry(&self) {
        add(&self.retries, 1);
    }

    fn class(&self, class: usize) {
        if let Some(counter) = self.requests.get(class) {
            add(counter, 1);
        }
    }

    fn duration(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = telemetry::SECONDS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS - 1);
        if let Some((count, nanoseconds)) = self.durations.get(bucket) {
            add(count, 1);
            add(nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }
}

impl RequestTimer<'_> {
    /// Ends the measurement with the head of the answer.
    pub fn end(mut self, status: StatusCode) {
        self.ended = true;
        self.tally.class(usize::from(status.as_u16() / 100).saturating_sub(1).min(4));
        self.tally.duration(self.started.elapsed());
    }
}

impl Drop for RequestTimer<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.tally.class(ABORTED);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        add(&self.0.closed, 1);
    }
}

/// Counts a failure that the gateway answers itself.
pub fn failure(failure: &Failure) {
    broken(failure.reason, failure.fault.name());
}

/// Counts something that failed, also outside of an answer.
pub fn broken(reason: &'static str, source: &'static str) {
    counter!(FAILURES, "reason" => reason, "source" => source).increment(1);
}

/// The tallies of all threads. Cheap to clone.
#[derive(Clone)]
pub struct Counters(Arc<All>);

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tallies()).finish()
    }
}

struct All {
    tallies: Vec<Arc<Tally>>,
    requests: [Counter; CLASSES.len()],
    seconds: Histogram,
    connections: Gauge,
    retries: Counter,
    /// What was published of the durations: how many, and how long together in nanoseconds.
    published: Mutex<[(u64, u64); BUCKETS]>,
}

impl Counters {
    /// Describes the metrics, and makes a tally for each of `threads` threads.
    pub fn new(threads: usize) -> Self {
        describe_counter!(
            REQUESTS,
            "Requests by class of the answer's status; aborted: given up by the client."
        );
        describe_histogram!(SECONDS, "From a request's head to its answer's head.");
        describe_gauge!(CONNECTIONS, "Open connections of clients, tunnels included.");
        describe_counter!(
            FAILURES,
            "Answers given by the gateway because something failed, and broken bodies."
        );
        describe_counter!(RETRIES, "Attempts at an upstream after the first.");
        Self(Arc::new(All {
            tallies: (0..threads).map(|_| Arc::default()).collect(),
            requests: CLASSES.map(|class| counter!(REQUESTS, "class" => class)),
            seconds: histogram!(SECONDS),
            connections: gauge!(CONNECTIONS),
            retries: counter!(RETRIES),
            published: Mutex::default(),
        }))
    }

    /// That of each thread.
    pub fn tallies(&self) -> impl Iterator<Item = &Arc<Tally>> {
        self.0.tallies.iter()
    }

    /// Open connections of clients, tunnels included.
    pub fn connections(&self) -> u64 {
        let closed = self.sum(|tally| Some(&tally.closed));
        self.sum(|tally| Some(&tally.opened)).saturating_sub(closed)
    }

    /// Brings the metrics up to date.
    pub fn publish(&self) {
        let all = &*self.0;
        for (class, counter) in all.requests.iter().enumerate() {
            counter.absolute(self.sum(|tally| tally.requests.get(class)));
        }
        all.retries.absolute(self.sum(|tally| Some(&tally.retries)));
        all.connections.set(self.connections() as f64);
        let mut published = all.published.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, (counted, nanoseconds)) in published.iter_mut().enumerate() {
            let count = self.sum(|tally| Some(&tally.durations.get(bucket)?.0));
            let total = self.sum(|tally| Some(&tally.durations.get(bucket)?.1));
            // A thread may have counted the one and not yet the other.
            let (new, more) = (count.saturating_sub(*counted), total.saturating_sub(*nanoseconds));
            let Some(mean) = more.checked_div(new) else { continue };
            let bound = telemetry::SECONDS.get(bucket).copied().unwrap_or(f64::INFINITY);
            let mean = Duration::from_nanos(mean).as_secs_f64().min(bound);
            all.seconds.record_many(mean, usize::try_from(new).unwrap_or(usize::MAX));
            (*counted, *nanoseconds) = (count, total);
        }
    }

    fn sum<'a>(&'a self, counter: impl Fn(&'a Tally) -> Option<&'a AtomicU64>) -> u64 {
        self.0.tallies.iter().filter_map(|tally| Some(counter(tally)?.load(Relaxed))).sum()
    }
}
