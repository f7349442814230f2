//! What the proxy counts. Labels are few and fixed, so that no client and no configuration can multiply them.

use std::time::Instant;

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

/// The proxy's own metrics.
pub struct Metrics {
    /// By the first digit of the status, from 1. The last one counts requests that the client gave up.
    requests: [Counter; 6],
    seconds: Histogram,
    connections: Gauge,
    retries: Counter,
}

/// A request that is being measured. If it is dropped without [`RequestTimer::end`], the client gave it up.
pub struct RequestTimer<'a> {
    metrics: &'a Metrics,
    started: Instant,
    ended: bool,
}

/// Counts a connection as open until it is dropped.
#[must_use]
pub struct OpenConnection(Gauge);

impl Metrics {
    /// Describes the metrics and registers those without labels of their own.
    pub fn new() -> Self {
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
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx", "aborted"];
        Self {
            requests: classes.map(|class| counter!(REQUESTS, "class" => class)),
            seconds: histogram!(SECONDS),
            connections: gauge!(CONNECTIONS),
            retries: counter!(RETRIES),
        }
    }

    /// Begins to measure a request.
    pub fn request(&self) -> RequestTimer<'_> {
        RequestTimer { metrics: self, started: Instant::now(), ended: false }
    }

    /// Counts a connection until the result is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.increment(1);
        OpenConnection(self.connections.clone())
    }

    /// Counts an attempt at an upstream after the first.
    pub fn retry(&self) {
        self.retries.increment(1);
    }

    /// Counts a failure that the gateway answers itself.
    pub fn failure(&self, failure: &Failure) {
        broken(failure.reason, failure.fault.name());
    }

    fn count(&self, class: usize) {
        if let Some(counter) = self.requests.get(class) {
            counter.increment(1);
        }
    }
}

/// Counts something that failed, also outside of an answer.
pub fn broken(reason: &'static str, source: &'static str) {
    counter!(FAILURES, "reason" => reason, "source" => source).increment(1);
}

impl RequestTimer<'_> {
    /// Ends the measurement with the head of the answer.
    pub fn end(mut self, status: StatusCode) {
        self.ended = true;
        self.metrics.count(usize::from(status.as_u16() / 100).saturating_sub(1).min(4));
        self.metrics.seconds.record(self.started.elapsed());
    }
}

impl Drop for RequestTimer<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.metrics.count(5);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
