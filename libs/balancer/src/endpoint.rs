//! What all threads know of one endpoint.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    health::Health,
    latency::{Latency, nanoseconds},
};

/// The share of its requests that an endpoint gets at least when it has just come.
const SLOW_START_SHARE_MIN: f64 = 0.1;
/// What a failed attempt counts for as a latency at least: an endpoint that refuses quickly is not a fast one.
const FAILURE_LATENCY_MIN: Duration = Duration::from_secs(1);

/// An endpoint: its requests in flight, its latency and its health. Kept for as long as the endpoint is held, whatever changes around it.
#[derive(Debug, Default)]
pub struct Endpoint {
    in_flight: AtomicUsize,
    /// Requests, and those that failed, that nobody has taken note of yet.
    begun: AtomicU64,
    failed: AtomicU64,
    latency: Latency,
    health: Health,
    /// Since when it takes requests, in nanoseconds; 0: since long ago.
    since: AtomicU64,
}

/// A request that is in flight until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct InFlight(Arc<Endpoint>);

impl Endpoint {
    /// An endpoint that has come at `now`, beside others that were there: it starts slowly where that is set.
    pub fn coming(now: Duration) -> Self {
        Self { since: AtomicU64::new(nanoseconds(now).max(1)), ..Self::default() }
    }

    /// Counts a request as in flight.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// How many requests were begun, and how many of all have failed, since this was asked last.
    pub fn take_counts(&self) -> (u64, u64) {
        (self.begun.swap(0, Relaxed), self.failed.swap(0, Relaxed))
    }

    /// Whether it is up.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Its average latency; `None`: it has not answered yet.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.average()
    }

    /// An answer took `took`.
    pub fn answered(&self, now: Duration, took: Duration) {
        self.latency.observe(now, took);
    }

    /// There was no answer after `took`.
    pub fn failed(&self, now: Duration, took: Duration) {
        self.failed.fetch_add(1, Relaxed);
        self.latency.observe(now, took.max(FAILURE_LATENCY_MIN));
    }

    /// It takes requests again from now on.
    pub fn recovered(&self, now: Duration) {
        self.since.store(nanoseconds(now).max(1), Relaxed);
    }

    /// What one more request costs it.
    pub(crate) fn cost(&self, now: Duration) -> f64 {
        self.latency.cost(now, self.in_flight())
    }

    /// The share of its requests that it should get now if it starts slowly, over `slow_start`.
    pub(crate) fn share(&self, now: Duration, slow_start: Duration) -> f64 {
        let since = self.since.load(Relaxed);
        if slow_start.is_zero() || since == 0 {
            return 1.0;
        }
        let age = nanoseconds(now).saturating_sub(since) as f64 / slow_start.as_nanos() as f64;
        age.clamp(SLOW_START_SHARE_MIN, 1.0)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_and_what_failed_is_counted() {
        let endpoint = Arc::new(Endpoint::default());
        let (one, _other) = (endpoint.begin(), endpoint.begin());
        drop(one);
        endpoint.failed(Duration::ZERO, Duration::ZERO);
        assert_eq!((endpoint.in_flight(), endpoint.take_counts()), (1, (2, 1)));
        assert_eq!((endpoint.in_flight(), endpoint.take_counts()), (1, (0, 0)));
    }
}
