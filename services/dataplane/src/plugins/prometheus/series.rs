//! What was published under Kong's names.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use metrics::{Counter, Gauge, Histogram, counter, histogram};
use telemetry::MILLISECONDS;

use super::counts::{CODES_MAX, Counted, Key, Latencies, Names, SERIES_MAX};

const REQUESTS: &str = "kong_http_requests_total";
const BANDWIDTH: &str = "kong_bandwidth_bytes";
const LATENCIES: [&str; 3] = ["kong_kong_latency_ms", "kong_upstream_latency_ms", "kong_request_latency_ms"];
const WORKSPACE: &str = "default";

/// The series that there are.
#[derive(Default)]
pub struct Published {
    series: HashMap<Key, Series>,
    /// The health of addresses, and which of them were seen at the last look.
    pub health: HashMap<[String; 3], [Gauge; 4]>,
    pub seen: HashSet<[String; 3]>,
}

/// Of a route, or of a consumer of one.
struct Series {
    names: Names,
    codes: HashMap<(u16, bool), Counter>,
    bytes: Option<[Counter; 2]>,
    latencies: Option<[Histogram; 3]>,
}

impl Published {
    /// Adds what was counted.
    pub fn add(&mut self, key: Key, counted: &Counted) {
        let has_room = self.series.len() < SERIES_MAX;
        let series = match self.series.entry(key) {
            Entry::Occupied(series) => series.into_mut(),
            Entry::Vacant(place) if has_room || key.is_none() => {
                place.insert(Series::new(counted.names.clone()))
            }
            Entry::Vacant(_) => {
                let others = || Series::new(Counted::of_others().names);
                self.series.entry(None).or_insert_with(others)
            }
        };
        series.add(counted);
    }
}

impl Series {
    fn new(names: Names) -> Self {
        Self { names, codes: HashMap::new(), bytes: None, latencies: None }
    }

    fn add(&mut self, counted: &Counted) {
        let Self { names: Names { service, route, consumer }, codes, bytes, latencies } = self;
        for ((code, is_of_upstream), count) in &counted.codes {
            if codes.len() >= CODES_MAX && !codes.contains_key(&(*code, *is_of_upstream)) {
                continue;
            }
            let source = if *is_of_upstream { "service" } else { "kong" };
            let counter = codes.entry((*code, *is_of_upstream)).or_insert_with(|| {
                counter!(REQUESTS, "service" => service.clone(), "route" => route.clone(), "code" => code.to_string(),
                    "source" => source, "workspace" => WORKSPACE, "consumer" => consumer.clone())
            });
            counter.increment(*count);
        }
        if counted.bytes != [0; 2] {
            let counters = bytes.get_or_insert_with(|| {
                ["ingress", "egress"].map(|direction| {
                    counter!(BANDWIDTH, "service" => service.clone(), "route" => route.clone(), "direction" => direction,
                        "workspace" => WORKSPACE, "consumer" => consumer.clone())
                })
            });
            counters.iter().zip(counted.bytes).for_each(|(counter, bytes)| counter.increment(bytes));
        }
        if let Some(counted) = &counted.latencies {
            let histograms = latencies.get_or_insert_with(|| {
                LATENCIES.map(|name| {
                    histogram!(name, "service" => service.clone(), "route" => route.clone(), "workspace" => WORKSPACE)
                })
            });
            histograms
                .iter()
                .zip(counted.iter())
                .for_each(|(histogram, latencies)| record(histogram, latencies));
        }
    }
}

/// Records how many were in each bucket, by their mean.
fn record(histogram: &Histogram, Latencies(buckets): &Latencies) {
    let bounds = MILLISECONDS.iter().copied().chain([f64::INFINITY]);
    for ((count, total), bound) in buckets.iter().zip(bounds).filter(|((count, _), _)| *count > 0) {
        let mean = total.as_secs_f64() * 1_000.0 / f64::from(*count);
        histogram.record_many(mean.min(bound), *count as usize);
    }
}

/// Names the metrics.
pub fn describe() {
    metrics::describe_counter!(REQUESTS, "Requests by service, route and status; source: who answered.");
    metrics::describe_counter!(BANDWIDTH, "Bytes of bodies by service and route.");
    let about = [
        "Milliseconds that the gateway took up to an answer's head.",
        "Milliseconds that the upstream was waited for.",
        "Milliseconds from a request's head to its answer's last byte.",
    ];
    for (name, about) in LATENCIES.into_iter().zip(about) {
        metrics::describe_histogram!(name, about);
    }
}
