//! The metrics of targets, brought up to date when somebody asks for them.
//!
//! | metric | labels | counts |
//! |---|---|---|
//! | `landbridge_target_endpoints` | `upstream`, `target`, `state` | addresses that are `up` and `down` |
//! | `landbridge_target_requests_total` | `upstream`, `target` | requests that were sent there, retries included |
//! | `landbridge_target_failures_total` | `upstream`, `target` | those that failed without an answer |
//!
//! The first [`TARGETS_MAX`] targets are counted each for itself, all others together as `other`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::Groups;

/// Targets that are counted each for itself at most.
const TARGETS_MAX: usize = 1_000;
/// What those beyond are called.
const OTHER: &str = "other";

const ENDPOINTS: &str = "landbridge_target_endpoints";
const REQUESTS: &str = "landbridge_target_requests_total";
const FAILURES: &str = "landbridge_target_failures_total";

/// What was published.
#[derive(Default)]
pub struct Published(Mutex<HashMap<(String, String), Series>>);

struct Series {
    endpoints: [Gauge; 2],
    requests: Counter,
    failures: Counter,
    /// Endpoints that are up and down now.
    states: [u32; 2],
}

impl Groups {
    /// Brings the metrics up to date.
    pub fn publish(&self) {
        let mut published = self.0.published.0.lock().unwrap_or_else(PoisonError::into_inner);
        if published.is_empty() {
            describe();
        }
        published.values_mut().for_each(|series| series.states = [0; 2]);
        for group in self.all() {
            let spread = group.spread();
            for (place, member) in spread.places() {
                let named = (spread.definition.name.clone(), place.target.to_string());
                let has_room = published.len() < TARGETS_MAX || published.contains_key(&named);
                let key = if has_room { named } else { (OTHER.to_owned(), OTHER.to_owned()) };
                let series = published.entry(key).or_insert_with_key(Series::new);
                let (requests, failures) = member.endpoint.take_counts();
                series.requests.increment(requests);
                series.failures.increment(failures);
                let [up, down] = &mut series.states;
                *(if member.endpoint.health().is_up() { up } else { down }) += 1;
            }
        }
        // Those of targets that are gone fall to 0.
        for series in published.values() {
            series.endpoints.iter().zip(series.states).for_each(|(gauge, count)| gauge.set(f64::from(count)));
        }
    }
}

impl Series {
    fn new((upstream, target): &(String, String)) -> Self {
        let (upstream, target) = (upstream.clone(), target.clone());
        let endpoints = ["up", "down"].map(
            |state| gauge!(ENDPOINTS, "upstream" => upstream.clone(), "target" => target.clone(), "state" => state),
        );
        let requests = counter!(REQUESTS, "upstream" => upstream.clone(), "target" => target.clone());
        let failures = counter!(FAILURES, "upstream" => upstream, "target" => target);
        Self { endpoints, requests, failures, states: [0; 2] }
    }
}

fn describe() {
    describe_gauge!(ENDPOINTS, "Addresses of targets, by whether they take requests.");
    describe_counter!(REQUESTS, "Requests that were sent to targets, retries included.");
    describe_counter!(FAILURES, "Requests to targets that failed without an answer.");
}
