//! Brings the metrics under Kong's names up to date: those of requests, and those of the gateway as a whole.

use std::sync::{PoisonError, atomic::Ordering::Relaxed};

use metrics::{counter, gauge};

use super::{
    KongMetrics,
    counts::SERIES_MAX,
    series::{self, Published},
};
use crate::balancing::{ShownUpstream, State};

const HEALTH: &str = "kong_upstream_target_health";
/// States of an address, as in Kong.
const STATES: [&str; 4] = ["healthchecks_off", "healthy", "unhealthy", "dns_error"];

/// What the gateway as a whole has counted.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// All requests.
    pub requests: u64,
    /// Connections of clients that were accepted.
    pub accepted: u64,
    /// Those that are open.
    pub open: u64,
}

impl KongMetrics {
    /// Brings everything up to date, if there is a plugin that asks for it.
    pub fn publish(&self, node: Node, upstreams: impl FnOnce() -> Vec<ShownUpstream>) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        // Also what was counted by a plugin that is gone meanwhile.
        for (key, counted) in self.take() {
            published.add(key, &counted);
        }
        if self.plugins.load(Relaxed) == 0 {
            return;
        }
        series::describe();
        describe();
        counter!("kong_nginx_requests_total", "subsystem" => "http").absolute(node.requests);
        for (state, count) in [("accepted", node.accepted), ("handled", node.accepted), ("active", node.open)]
        {
            gauge!("kong_nginx_connections_total", "subsystem" => "http", "state" => state).set(count as f64);
        }
        gauge!("kong_datastore_reachable").set(1.0);
        if self.shows_health.load(Relaxed) > 0 {
            published.health(&upstreams());
        }
    }
}

impl Published {
    fn health(&mut self, upstreams: &[ShownUpstream]) {
        self.seen.clear();
        for upstream in upstreams {
            for target in &upstream.targets {
                let named = |address: String| [upstream.name.clone(), target.target.clone(), address];
                if target.endpoints.is_empty() {
                    self.set(named(String::new()), 3);
                }
                for endpoint in &target.endpoints {
                    let state = if endpoint.state == State::Up { 1 } else { 2 };
                    self.set(named(endpoint.address.to_string()), state);
                }
            }
        }
        for (_, gauges) in self.health.iter().filter(|(key, _)| !self.seen.contains(*key)) {
            gauges.iter().for_each(|gauge| gauge.set(0.0));
        }
    }

    /// The address has the state with this number.
    fn set(&mut self, key: [String; 3], state: usize) {
        if self.health.len() >= SERIES_MAX && !self.health.contains_key(&key) {
            return;
        }
        let gauges = self.health.entry(key.clone()).or_insert_with_key(|[upstream, target, address]| {
            STATES.map(|state| {
                gauge!(HEALTH, "upstream" => upstream.clone(), "target" => target.clone(), "address" => address.clone(),
                    "state" => state, "subsystem" => "http")
            })
        });
        for (index, gauge) in gauges.iter().enumerate() {
            gauge.set(f64::from(u8::from(index == state)));
        }
        self.seen.insert(key);
    }
}

fn describe() {
    metrics::describe_counter!("kong_nginx_requests_total", "All requests.");
    metrics::describe_gauge!("kong_nginx_connections_total", "Connections of clients by state.");
    metrics::describe_gauge!("kong_datastore_reachable", "1: the gateway holds its configuration itself.");
    metrics::describe_gauge!(HEALTH, "1 for the state that an address of a target has.");
}
