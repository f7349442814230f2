//! What threads have counted. Each counts in a place of its own, so a request waits for no other; whoever publishes takes each place for an
//! instant.

use std::{
    array,
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use http::StatusCode;
use telemetry::MILLISECONDS;
use uuid::Uuid;

use super::{Counts, series::Published};
use crate::plugins::{CONSUMER_USERNAME, Ended};

/// Places to count in. More threads share some.
const SHARDS: usize = 64;
/// Routes and consumers of them that are counted each for itself at most; others together.
pub const SERIES_MAX: usize = 1_000;
/// Statuses of one series that are counted each for itself at most.
pub const CODES_MAX: usize = 64;
/// Buckets of times: one up to each bound, and one beyond.
pub const BUCKETS: usize = MILLISECONDS.len() + 1;

/// All counts of a gateway under Kong's names.
pub struct KongMetrics {
    shards: [Mutex<Shard>; SHARDS],
    pub(super) published: Mutex<Published>,
    /// Plugins that there are.
    pub(super) plugins: AtomicUsize,
    /// Those that show the health of targets.
    pub(super) shows_health: AtomicUsize,
}

type Shard = HashMap<Key, Counted, RandomState>;

/// A route, and the consumer if consumers are told apart. `None`: all beyond the limit.
pub type Key = Option<(Uuid, Option<Uuid>)>;

/// What was counted under a key.
#[derive(Debug)]
pub struct Counted {
    pub names: Names,
    /// Requests, by status and whether the upstream answered.
    pub codes: Vec<((u16, bool), u64)>,
    /// Bytes that came, and those that went.
    pub bytes: [u64; 2],
    /// Times of the gateway, of the upstream, and of all.
    pub latencies: Option<Box<[Latencies; 3]>>,
}

/// How many in each bucket, and how long together.
#[derive(Clone, Copy, Debug)]
pub struct Latencies(pub [(u32, Duration); BUCKETS]);

/// What is written on a series.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub service: Arc<str>,
    pub route: Arc<str>,
    pub consumer: Arc<str>,
}

impl Default for KongMetrics {
    fn default() -> Self {
        Self {
            shards: array::from_fn(|_| Mutex::default()),
            published: Mutex::default(),
            plugins: AtomicUsize::new(0),
            shows_health: AtomicUsize::new(0),
        }
    }
}

impl std::fmt::Debug for KongMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KongMetrics").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

/// The place in which this thread counts.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        let shard = own.get().unwrap_or_else(|| NEXT.fetch_add(1, Relaxed) % SHARDS);
        own.set(Some(shard));
        shard
    })
}

impl KongMetrics {
    fn shard(&self, number: usize) -> Option<MutexGuard<'_, Shard>> {
        Some(self.shards.get(number)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a request.
    pub(super) fn count(&self, counts: Counts, ended: &Ended<'_>) {
        let Some(mut shard) = self.shard(own_shard()) else { return };
        let consumer = ended.consumer.filter(|_| counts.consumers);
        let key = Some((ended.place.route, consumer.map(|identity| identity.consumer)));
        let has_room = shard.len() < SERIES_MAX || shard.contains_key(&key);
        let counted = match has_room {
            true => shard.entry(key).or_insert_with(|| {
                let name = consumer.and_then(|identity| identity.says(&CONSUMER_USERNAME));
                let name = name.map(|name| String::from_utf8_lossy(name.as_bytes()));
                let id = consumer.map(|identity| identity.consumer.to_string()).unwrap_or_default();
                let consumer = name.map_or(id, |name| name.into_owned());
                Counted::of(Names {
                    service: ended.place.service_name.into(),
                    route: ended.place.route_name.into(),
                    consumer: consumer.into(),
                })
            }),
            false => shard.entry(None).or_insert_with(Counted::of_others),
        };
        counted.add(counts, ended);
    }

    /// Everything that was counted since the last time.
    pub(super) fn take(&self) -> impl Iterator<Item = (Key, Counted)> {
        (0..SHARDS).filter_map(|number| Some(std::mem::take(&mut *self.shard(number)?))).flatten()
    }
}

impl Counted {
    fn of(names: Names) -> Self {
        Self { names, codes: Vec::new(), bytes: [0; 2], latencies: None }
    }

    /// Of those beyond the limit.
    pub fn of_others() -> Self {
        let other: Arc<str> = "other".into();
        Self::of(Names { service: other.clone(), route: other.clone(), consumer: other })
    }

    fn add(&mut self, counts: Counts, ended: &Ended<'_>) {
        if counts.codes {
            // As nginx counts a client that went away.
            let code = (ended.status.map_or(499, |status: StatusCode| status.as_u16()), ended.is_of_upstream);
            let has_room = self.codes.len() < CODES_MAX;
            match self.codes.iter_mut().find(|(held, _)| *held == code) {
                Some((_, count)) => *count += 1,
                // Beyond, an upstream makes statuses up.
                None if has_room => self.codes.push((code, 1)),
                None => {}
            }
        }
        if counts.bytes {
            self.bytes[0] += ended.received;
            self.bytes[1] += ended.sent;
        }
        if counts.latencies {
            let all = self
                .latencies
                .get_or_insert_with(|| Box::new([Latencies([(0, Duration::ZERO); BUCKETS]); 3]));
            for (latencies, took) in all.iter_mut().zip([ended.gateway, ended.upstream, Some(ended.total)]) {
                took.into_iter().for_each(|took| latencies.add(took));
            }
        }
    }
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        let millis = took.as_secs_f64() * 1_000.0;
        let bucket = MILLISECONDS.partition_point(|bound| *bound < millis);
        if let Some((count, total)) = self.0.get_mut(bucket) {
            *count += 1;
            *total += took;
        }
    }
}
