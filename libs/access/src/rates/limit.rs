//! One limit for many keys, in a table of bounded size.

use std::{convert::Infallible, hash::Hash, num::NonZeroU32, ops::Add, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

/// Keys that a limit remembers at once. Whoever was not seen for longest is forgotten, and begins anew.
const KEYS_MAX: u64 = 100_000;

/// How much is let through.
#[derive(Clone, Copy, Debug)]
pub struct Seconds {
    pub per_second: NonZeroU32,
    /// At once, after a time of quiet.
    pub burst: NonZeroU32,
}

impl Seconds {
    /// What is left of one second can be used in the next.
    pub fn two(per_second: NonZeroU32) -> Self {
        Self { per_second, burst: per_second.saturating_mul(NonZeroU32::new(2).unwrap_or(NonZeroU32::MIN)) }
    }
}

/// A limit. Units are spent by keys; what is beyond is refused, with the time after which it would be let through.
pub struct Limit<K: Key> {
    name: &'static str,
    burst: NonZeroU32,
    spend: Limiter<K, Table<K>>,
    look: Limiter<K, Unchanged<K>>,
}

type Limiter<K, S> = RateLimiter<K, S, TokioClock, NoOpMiddleware<At>>;

/// What can be limited.
pub trait Key: Copy + Eq + Hash + Send + Sync + 'static {}

impl<K: Copy + Eq + Hash + Send + Sync + 'static> Key for K {}

impl<K: Key> Limit<K> {
    /// `name` is the label of its metric.
    pub fn new(name: &'static str, Seconds { per_second, burst }: Seconds) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let states = Cache::builder().max_capacity(KEYS_MAX).eviction_policy(EvictionPolicy::lru()).build();
        let table = Table { states };
        let look = RateLimiter::new(quota, Unchanged(table.clone()), TokioClock);
        Self { name, burst, spend: RateLimiter::new(quota, table, TokioClock), look }
    }

    /// Spends `units`, of which at most a full burst counts. The error says how long to wait.
    pub fn spend(&self, key: &K, units: u32) -> Result<(), Duration> {
        let Some(units) = NonZeroU32::new(units.min(self.burst.get())) else { return Ok(()) };
        let spent = self.spend.check_key_n(key, units).unwrap_or(Ok(()));
        spent.map_err(|until| self.refused(until.wait_time_from(TokioClock.now())))
    }

    /// Whether `key` has a unit left; spends nothing.
    pub fn look(&self, key: &K) -> Result<(), Duration> {
        self.look.check_key(key).map_err(|until| self.refused(until.wait_time_from(TokioClock.now())))
    }

    fn refused(&self, wait: Duration) -> Duration {
        metrics::counter!("landbridge_access_limited_total", "limit" => self.name).increment(1);
        wait
    }
}

/// What each key has spent.
#[derive(Clone)]
struct Table<K: Key> {
    states: Cache<K, Arc<InMemoryState>>,
}

impl<K: Key> StateStore for Table<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.states.get_with(*key, Arc::default).measure_and_replace(&NotKeyed::NonKey, f)
    }
}

/// The same states, to look at.
struct Unchanged<K: Key>(Table<K>);

impl<K: Key> StateStore for Unchanged<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(state) = self.0.states.get(key) else { return f(None).map(|(measured, _)| measured) };
        // An error is what leaves the state as it is.
        let look = |state| Err::<(Infallible, Nanos), _>(f(state));
        match state.measure_and_replace(&NotKeyed::NonKey, look) {
            Err(measured) => measured.map(|(measured, _)| measured),
            Ok(never) => match never {},
        }
    }
}

/// Tokio's time, which tests can pause.
struct TokioClock;

impl Clock for TokioClock {
    type Instant = At;

    fn now(&self) -> At {
        At(Instant::now())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At(Instant);

impl Add<Nanos> for At {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for At {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::{Limit, Seconds};

    fn limit(per_second: u32, burst: u32) -> Limit<u32> {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Limit::new("test", Seconds { per_second: number(per_second), burst: number(burst) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_then_what_time_gives_back() {
        let limit = limit(10, 30);
        for _ in 0..30 {
            assert_eq!((limit.look(&1), limit.spend(&1, 1)), (Ok(()), Ok(())));
        }
        assert_eq!(limit.spend(&1, 1), Err(Duration::from_millis(100)));
        assert_eq!(limit.look(&1), Err(Duration::from_millis(100)));
        assert_eq!(limit.spend(&2, 1), Ok(()), "others are not concerned");
        tokio::time::advance(Duration::from_millis(100)).await;
        for _ in 0..3 {
            assert_eq!(limit.look(&1), Ok(()), "looking spends nothing");
        }
        assert_eq!(limit.spend(&1, 1), Ok(()));
        assert!(limit.spend(&1, 1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_burst_costs_a_burst() {
        let limit = limit(10, 30);
        assert_eq!(limit.spend(&1, u32::MAX), Ok(()));
        assert_eq!(limit.spend(&1, u32::MAX), Err(Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(limit.spend(&1, 30), Ok(()));
    }
}
