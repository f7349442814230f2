//! What was measured: samples with exact percentiles, and failures.
//!
//! All samples are kept and sorted, so a percentile is one of them and nothing is rounded into buckets. A run takes at
//! most some 100,000 samples a second for a minute.

use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Failures that a measurement may have: one in this many calls. With more, its figures describe something else.
const CALLS_PER_FAILURE_MIN: u64 = 100;

/// Measured times, at least one, in ascending order.
#[derive(Debug)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// An error when there are none.
    pub fn new(mut times: Vec<Duration>) -> anyhow::Result<Self> {
        ensure!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The smallest sample that at least `per_mille` thousandths of all samples do not exceed (nearest rank).
    pub fn percentile(&self, per_mille: usize) -> Duration {
        let rank = (self.0.len() * per_mille.min(1000)).div_ceil(1000);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The median of the rounds' values; the mean of the middle two for an even number of rounds. 0 without values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = |at: usize| sorted.get(at).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (middle(half.saturating_sub(1)) + middle(half)) / 2.0
    } else {
        middle(half)
    }
}

/// Calls that failed. The first error stands for all.
#[derive(Debug, Default)]
pub struct Failures {
    /// Number of errors.
    pub count: u64,
    first: Option<String>,
}

impl Failures {
    /// Counts an error and keeps the first one to show.
    pub fn add(&mut self, error: &anyhow::Error) {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }

    /// An error when too many of `calls` failed for the rest to be worth a figure.
    pub fn require_few(&self, calls: u64) -> anyhow::Result<()> {
        if self.count * CALLS_PER_FAILURE_MIN <= calls {
            return Ok(());
        }
        let first = self.first.clone().context("a failure without an error")?;
        anyhow::bail!("{} of {calls} calls failed; the first: {first}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use random::Random;

    use super::*;

    #[test]
    fn percentiles_are_what_counting_gives() {
        let seed: u64 = Random::system().number();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..200 {
            let count = random.random_range(1..300);
            let times: Vec<Duration> =
                (0..count).map(|_| Duration::from_micros(random.random_range(0..50))).collect();
            let samples = Samples::new(times.clone()).expect("not empty");
            for per_mille in [1, 500, 900, 990, 999, 1000] {
                let found = samples.percentile(per_mille);
                let not_above = |limit: Duration| times.iter().filter(|time| **time <= limit).count() * 1000;
                assert!(times.contains(&found), "a percentile is a sample");
                assert!(not_above(found) >= count * per_mille, "enough samples do not exceed it");
                let smaller = times.iter().filter(|time| **time < found).max();
                assert!(
                    smaller.is_none_or(|smaller| not_above(*smaller) < count * per_mille),
                    "it is the smallest"
                );
            }
        }
    }

    #[test]
    fn medians_of_odd_even_and_no_rounds() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn many_failures_void_a_measurement() {
        let mut failures = Failures::default();
        assert!(failures.require_few(0).is_ok());
        failures.add(&anyhow::anyhow!("refused"));
        failures.add(&anyhow::anyhow!("late"));
        assert!(failures.require_few(200).is_ok());
        let error = failures.require_few(199).expect_err("too many").to_string();
        assert!(error.contains("2 of 199") && error.contains("refused"), "{error}");
    }
}
