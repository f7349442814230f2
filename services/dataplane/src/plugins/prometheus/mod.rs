//! prometheus: metrics under Kong's names, for dashboards and alarms that know those. The gateway's own are there without this plugin.
//!
//! | metric | labels | counts |
//! |---|---|---|
//! | `kong_http_requests_total` | `service`, `route`, `code`, `source`, `workspace`, `consumer` | requests; `source` is `service` or `kong` |
//! | `kong_bandwidth_bytes` | `service`, `route`, `direction`, `workspace`, `consumer` | bytes of bodies: `ingress` from clients, `egress` to them |
//! | `kong_kong_latency_ms`, `kong_upstream_latency_ms`, `kong_request_latency_ms` | `service`, `route`, `workspace` | times |
//! | `kong_upstream_target_health` | `upstream`, `target`, `address`, `state`, `subsystem` | 1 for the state of each address |
//! | `kong_nginx_requests_total`, `kong_nginx_connections_total` | `subsystem`, `state` | all requests and connections |
//! | `kong_datastore_reachable` | | 1: a gateway holds its configuration itself |
//!
//! As in Kong, requests of routes without a service are not counted, and the settings say which metrics there are.

mod counts;
mod node;
mod series;
#[cfg(test)]
mod tests;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use gateway_model::plugin::prometheus::Config;

pub use self::{counts::KongMetrics, node::Node};
use super::{Compiled, Ended, Make, NotExecutable, Phases, Plugin};

/// The compiled plugin.
#[derive(Debug)]
pub struct Prometheus {
    counts: Counts,
    metrics: Arc<KongMetrics>,
}

/// What is counted of a request.
#[derive(Clone, Copy, Debug)]
struct Counts {
    consumers: bool,
    codes: bool,
    latencies: bool,
    bytes: bool,
    health: bool,
}

impl Compiled for Prometheus {
    type Config = Config;
    const PRIORITY: u32 = 13;
    const PHASES: Phases = Phases::COUNT;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let metrics = make.tools.kong_metrics().clone();
        metrics.plugins.fetch_add(1, Relaxed);
        metrics.shows_health.fetch_add(usize::from(config.upstream_health_metrics), Relaxed);
        let counts = Counts {
            consumers: config.per_consumer,
            codes: config.status_code_metrics,
            latencies: config.latency_metrics,
            bytes: config.bandwidth_metrics,
            health: config.upstream_health_metrics,
        };
        Ok(Self { counts, metrics })
    }
}

impl Plugin for Prometheus {
    fn count(&self, ended: &Ended<'_>) {
        if ended.place.service.is_some() {
            self.metrics.count(self.counts, ended);
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.metrics.plugins.fetch_sub(1, Relaxed);
        self.metrics.shows_health.fetch_sub(usize::from(self.counts.health), Relaxed);
    }
}
