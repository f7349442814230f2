//! What the proxy counts. Labels are few and fixed: nothing that a client or a configuration can multiply.

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

pub struct Metrics {
    /// By first digit of the status, from 1; the last is for requests that the client gave up.
    requests: [Counter; 6],
    seconds: Histogram,
    connections: Gauge,
    retries: Counter,
}

/// A request being counted; one dropped without an end was given up by its client.
pub struct RequestTimer<'a> {
    metrics: &'a Metrics,
    started: Instant,
    ended: bool,
}

/// Counts a connection as open until dropped.
pub struct OpenConnection(Gauge);

impl Metrics {
    pub fn new() -> Self {
        describe_counter!(
            REQUESTS,
            "Requests by class of the answer's status; aborted: given up by the client."
        );
        describe_histogram!(SECONDS, "From a request's head to its answer's head.");
        describe_gauge!(CONNECTIONS, "OpenConnection client connections, tunnels included.");
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

    pub fn request(&self) -> RequestTimer<'_> {
        RequestTimer { metrics: self, started: Instant::now(), ended: false }
    }

    pub fn connection(&self) -> OpenConnection {
        self.connections.increment(1);
        OpenConnection(self.connections.clone())
    }

    pub fn retry(&self) {
        self.retries.increment(1);
    }

    pub fn failure(&self, failure: &Failure) {
        broken(failure.reason, failure.fault.name());
    }

    fn count(&self, class: usize) {
        if let Some(counter) = self.requests.get(class) {
            counter.increment(1);
        }
    }
}

/// Something broke, outside of an answer too.
pub fn broken(reason: &'static str, source: &'static str) {
    counter!(FAILURES, "reason" => reason, "source" => source).increment(1);
}

impl RequestTimer<'_> {
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
