//! How long an endpoint takes, as a peak-sensitive average that decays with time ("peak EWMA" of Finagle and Linkerd): it jumps up at once
//! when an answer takes longer, and comes down slowly.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The time in which what was observed counts for e times less.
const DECAY: Duration = Duration::from_secs(10);
/// What an endpoint is taken to need that has requests and has not answered any.
const UNKNOWN: f64 = 1e9;

/// Written by all threads that send requests. One observation may overwrite another of the same moment.
#[derive(Debug, Default)]
pub struct Latency {
    /// In nanoseconds, as the bits of an `f64`; 0: nothing was observed.
    average: AtomicU64,
    /// When it was observed last, in nanoseconds.
    at: AtomicU64,
}

impl Latency {
    /// An answer, or what stands for one, took `took`.
    pub fn observe(&self, now: Duration, took: Duration) {
        let (took, average) = (took.as_nanos() as f64, f64::from_bits(self.average.load(Relaxed)));
        let next = if took >= average {
            took
        } else {
            let share = self.remaining(now);
            average * share + took * (1.0 - share)
        };
        self.average.store(next.max(1.0).to_bits(), Relaxed);
        self.at.store(nanoseconds(now), Relaxed);
    }

    /// What one more request costs an endpoint that has `in_flight`. It falls while nothing is observed, so that a slow endpoint is asked
    /// again some time.
    pub fn cost(&self, now: Duration, in_flight: usize) -> f64 {
        let average = f64::from_bits(self.average.load(Relaxed));
        let requests = in_flight as f64;
        match average {
            0.0 => UNKNOWN * requests,
            _ => average * self.remaining(now) * (requests + 1.0),
        }
    }

    /// The average in nanoseconds; `None`: nothing was observed.
    pub fn average(&self) -> Option<Duration> {
        let average = f64::from_bits(self.average.load(Relaxed));
        (average > 0.0).then(|| Duration::from_nanos(average as u64))
    }

    /// What is left of the last observation.
    fn remaining(&self, now: Duration) -> f64 {
        let passed = nanoseconds(now).saturating_sub(self.at.load(Relaxed));
        (-(passed as f64) / DECAY.as_nanos() as f64).exp()
    }
}

/// Whole nanoseconds: 584 years of them.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_jumps_up_and_comes_down_slowly() {
        let latency = Latency::default();
        assert_eq!((latency.cost(MS, 0), latency.cost(MS, 2), latency.average()), (0.0, 2e9, None));
        latency.observe(10 * MS, 2 * MS);
        latency.observe(20 * MS, 50 * MS);
        assert_eq!(latency.average(), Some(50 * MS));
        latency.observe(30 * MS, 2 * MS);
        let average = latency.average().unwrap();
        assert!(average > 49 * MS && average < 50 * MS, "{average:?}");
        assert!(latency.cost(30 * MS, 1) > 1.9 * latency.cost(30 * MS, 0));
        // After ten seconds, e times less; the next answer decides then.
        let later = Duration::from_millis(10_030);
        assert!((latency.cost(30 * MS, 0) / latency.cost(later, 0) - std::f64::consts::E).abs() < 1e-3);
        latency.observe(6 * later, 2 * MS);
        assert!(latency.average().unwrap() < 3 * MS);
    }
}
