//! The proxy's metrics. Labels are few, fixed, or bounded, so that no client and no configuration can multiply them.
//!
//! | metric | labels | counts |
//! |---|---|---|
//! | `landbridge_proxy_requests_total` | `class` | requests |
//! | `landbridge_proxy_request_seconds` | | from a request's head to its answer's head |
//! | `landbridge_proxy_upstream_seconds`, `…_gateway_seconds` | | the parts of that |
//! | `landbridge_proxy_body_bytes_total` | `direction` | bytes of bodies: `in` from clients, `out` to them |
//! | `landbridge_proxy_connections` | | open connections of clients |
//! | `landbridge_proxy_failures_total` | `reason`, `source` | answers of the gateway's own because something failed |
//! | `landbridge_proxy_retries_total` | | attempts after the first |
//! | `landbridge_route_requests_total` | `service`, `route`, `class` | requests |
//! | `landbridge_route_microseconds_total` | `service`, `route`, `part` | the same time as above, together: `gateway` and `upstream` |
//! | `landbridge_route_body_bytes_total` | `service`, `route`, `direction` | bytes of bodies |
//! | `landbridge_consumer_requests_total` | `consumer`, `class` | requests, where the settings ask for it |
//!
//! A route, service or consumer is called by its name, or by its id if it has none; as it was called when it was first counted. Those beyond
//! [`MetricsOptions::series_max`] are counted together, as [`OTHER`].

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use uuid::Uuid;

use super::tally::{BUCKETS, CLASSES, Durations, OfRoute, Tally};
use crate::{proxy::failure::Failure, view::Labels};

const REQUESTS: &str = "landbridge_proxy_requests_total";
const SECONDS: &str = "landbridge_proxy_request_seconds";
const UPSTREAM_SECONDS: &str = "landbridge_proxy_upstream_seconds";
const GATEWAY_SECONDS: &str = "landbridge_proxy_gateway_seconds";
const BODY_BYTES: &str = "landbridge_proxy_body_bytes_total";
const CONNECTIONS: &str = "landbridge_proxy_connections";
const FAILURES: &str = "landbridge_proxy_failures_total";
const RETRIES: &str = "landbridge_proxy_retries_total";
const ROUTE_REQUESTS: &str = "landbridge_route_requests_total";
const ROUTE_MICROSECONDS: &str = "landbridge_route_microseconds_total";
const ROUTE_BODY_BYTES: &str = "landbridge_route_body_bytes_total";
const CONSUMER_REQUESTS: &str = "landbridge_consumer_requests_total";

/// What routes and consumers beyond the limit are called.
const OTHER: &str = "other";

/// Which metrics there are.
#[derive(Clone, Copy, Debug)]
pub struct MetricsOptions {
    /// Whether each route is counted.
    pub routes: bool,
    /// Whether each consumer is counted.
    pub consumers: bool,
    /// Routes, and consumers, that are counted each for itself at most.
    pub series_max: usize,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self { routes: true, consumers: false, series_max: 1_000 }
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

/// The tallies of all threads, and what was published of them. Cheap to clone.
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
    body_bytes: [Counter; 2],
    connections: Gauge,
    retries: Counter,
    published: Mutex<Published>,
}

struct Published {
    durations: [PublishedDurations; 3],
    routes: Series<RouteSeries>,
    consumers: Series<ConsumerSeries>,
}

/// Which durations of a tally.
type Part = fn(&Tally) -> &Durations;

/// What was published of durations: how many, and how long together in nanoseconds.
struct PublishedDurations {
    of: Part,
    histogram: Histogram,
    buckets: [(u64, u64); BUCKETS],
}

/// The series of those that are counted each for itself, and that of the others.
struct Series<T> {
    max: usize,
    each: HashMap<Uuid, T>,
    other: Option<T>,
}

struct RouteSeries {
    requests: [Counter; CLASSES.len()],
    /// Time of the gateway and of the upstream, and how much of it there was: a microsecond is longer than some requests take.
    time: [(Counter, Duration); 2],
    body_bytes: [Counter; 2],
}

struct ConsumerSeries([Counter; CLASSES.len()]);

impl Counters {
    /// Describes the metrics, and makes a tally for each of `threads` threads.
    pub fn new(threads: usize, options: MetricsOptions) -> Self {
        describe();
        let durations: [(&'static str, Part); 3] = [
            (SECONDS, |tally| &tally.total),
            (UPSTREAM_SECONDS, |tally| &tally.upstream),
            (GATEWAY_SECONDS, |tally| &tally.gateway),
        ];
        let durations = durations.map(|(name, of)| PublishedDurations {
            of,
            histogram: histogram!(name),
            buckets: [(0, 0); BUCKETS],
        });
        let published = Published {
            durations,
            routes: Series::new(options.series_max),
            consumers: Series::new(options.series_max),
        };
        Self(Arc::new(All {
            tallies: (0..threads).map(|_| Arc::default()).collect(),
            requests: CLASSES.map(|class| counter!(REQUESTS, "class" => class)),
            body_bytes: ["in", "out"].map(|direction| counter!(BODY_BYTES, "direction" => direction)),
            connections: gauge!(CONNECTIONS),
            retries: counter!(RETRIES),
            published: Mutex::new(published),
        }))
    }

    /// That of each thread.
    pub fn tallies(&self) -> impl Iterator<Item = &Arc<Tally>> {
        self.0.tallies.iter()
    }

    /// Open connections of clients, tunnels included.
    pub fn connections(&self) -> u64 {
        let closed = self.sum(|tally| &tally.closed);
        self.sum(|tally| &tally.opened).saturating_sub(closed)
    }

    /// Connections of clients that there ever were.
    pub fn accepted(&self) -> u64 {
        self.sum(|tally| &tally.opened)
    }

    /// Requests that there ever were.
    pub fn requests(&self) -> u64 {
        let classes = 0..CLASSES.len();
        classes.map(|class| self.sum(|tally| tally.requests.get(class).unwrap_or(&tally.retries))).sum()
    }

    /// Brings the metrics up to date.
    pub fn publish(&self) {
        let all = &*self.0;
        for (class, counter) in all.requests.iter().enumerate() {
            counter.absolute(self.sum(|tally| tally.requests.get(class).unwrap_or(&tally.retries)));
        }
        let [received, sent] = &all.body_bytes;
        received.absolute(self.sum(|tally| &tally.received));
        sent.absolute(self.sum(|tally| &tally.sent));
        all.retries.absolute(self.sum(|tally| &tally.retries));
        all.connections.set(self.connections() as f64);
        let mut published = all.published.lock().unwrap_or_else(PoisonError::into_inner);
        let Published { durations, routes, consumers } = &mut *published;
        let other = Labels { route: OTHER.into(), service: OTHER.into() };
        durations.iter_mut().for_each(|durations| durations.publish(&all.tallies));
        for each in all.tallies.iter().map(|tally| tally.take_each()) {
            for (route, counted) in each.routes {
                let named = || RouteSeries::new(&counted.labels);
                routes.of(route, named, || RouteSeries::new(&other)).add(&counted);
            }
            for (consumer, counted) in each.consumers {
                let series = consumers.of(
                    consumer,
                    || ConsumerSeries::new(&consumer.to_string()),
                    || ConsumerSeries::new(OTHER),
                );
                series.0.iter().zip(counted).for_each(|(counter, count)| counter.increment(count));
            }
        }
    }

    fn sum<'a>(&'a self, counter: impl Fn(&'a Tally) -> &'a AtomicU64) -> u64 {
        self.0.tallies.iter().map(|tally| counter(tally).load(Relaxed)).sum()
    }
}

impl PublishedDurations {
    fn publish(&mut self, tallies: &[Arc<Tally>]) {
        for (bucket, (counted, nanoseconds)) in self.buckets.iter_mut().enumerate() {
            let in_all = tallies.iter().map(|tally| (self.of)(tally).bucket(bucket));
            let (count, total) = in_all.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            // A thread may have counted the one and not yet the other.
            let (new, more) = (count.saturating_sub(*counted), total.saturating_sub(*nanoseconds));
            let Some(mean) = more.checked_div(new) else { continue };
            let bound = telemetry::SECONDS.get(bucket).copied().unwrap_or(f64::INFINITY);
            let mean = Duration::from_nanos(mean).as_secs_f64().min(bound);
            self.histogram.record_many(mean, usize::try_from(new).unwrap_or(usize::MAX));
            (*counted, *nanoseconds) = (count, total);
        }
    }
}

impl<T> Series<T> {
    fn new(max: usize) -> Self {
        Self { max, each: HashMap::new(), other: None }
    }

    /// The series of `id`, made by `named`; beyond the limit the one made by `other`.
    fn of(&mut self, id: Uuid, named: impl FnOnce() -> T, other: impl FnOnce() -> T) -> &mut T {
        if self.each.len() >= self.max && !self.each.contains_key(&id) {
            return self.other.get_or_insert_with(other);
        }
        self.each.entry(id).or_insert_with(named)
    }
}

impl RouteSeries {
    fn new(labels: &Labels) -> Self {
        let (service, route): (Arc<str>, Arc<str>) = ((&*labels.service).into(), (&*labels.route).into());
        Self {
            requests: CLASSES.map(|class| {
                counter!(ROUTE_REQUESTS, "service" => service.clone(), "route" => route.clone(), "class" => class)
            }),
            time: ["gateway", "upstream"].map(|part| {
                let counter = counter!(ROUTE_MICROSECONDS, "service" => service.clone(), "route" => route.clone(), "part" => part);
                (counter, Duration::ZERO)
            }),
            body_bytes: ["in", "out"].map(|direction| {
                counter!(ROUTE_BODY_BYTES, "service" => service.clone(), "route" => route.clone(), "direction" => direction)
            }),
        }
    }

    fn add(&mut self, counted: &OfRoute) {
        self.requests.iter().zip(counted.requests).for_each(|(counter, count)| counter.increment(count));
        for ((counter, total), more) in self.time.iter_mut().zip([counted.gateway, counted.upstream]) {
            *total = total.saturating_add(more);
            counter.absolute(u64::try_from(total.as_micros()).unwrap_or(u64::MAX));
        }
        self.body_bytes
            .iter()
            .zip([counted.received, counted.sent])
            .for_each(|(counter, bytes)| counter.increment(bytes));
    }
}

impl ConsumerSeries {
    fn new(consumer: &str) -> Self {
        Self(
            CLASSES.map(
                |class| counter!(CONSUMER_REQUESTS, "consumer" => consumer.to_owned(), "class" => class),
            ),
        )
    }
}

fn describe() {
    describe_counter!(REQUESTS, "Requests by class of the answer's status; aborted: given up by the client.");
    describe_histogram!(SECONDS, "From a request's head to its answer's head.");
    describe_histogram!(
        UPSTREAM_SECONDS,
        "The part of a request's time in which its upstream was waited for."
    );
    describe_histogram!(GATEWAY_SECONDS, "The part of a request's time that the gateway itself took.");
    describe_counter!(BODY_BYTES, "Bytes of bodies: in from clients, out to them.");
    describe_gauge!(CONNECTIONS, "Open connections of clients, tunnels included.");
    describe_counter!(FAILURES, "Answers given by the gateway because something failed, and broken bodies.");
    describe_counter!(RETRIES, "Attempts at an upstream after the first.");
    describe_counter!(ROUTE_REQUESTS, "Requests of a route by class of the answer's status.");
    describe_counter!(
        ROUTE_MICROSECONDS,
        "Time of a route's requests up to their answers' heads, together: the gateway's part and the upstream's."
    );
    describe_counter!(
        ROUTE_BODY_BYTES,
        "Bytes of the bodies of a route's requests: in from clients, out to them."
    );
    describe_counter!(CONSUMER_REQUESTS, "Requests of a consumer by class of the answer's status.");
}
