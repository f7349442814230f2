//! How many requests may be repeated, so that repeating them cannot multiply the load of what is overloaded already.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::latency::nanoseconds;

/// How many of a hundred requests may be repeated.
pub const RETRIES_SHARE_PERCENT: i64 = 20;
/// How many retries there may be each second however few requests there are.
pub const RETRIES_PER_SECOND_MIN: i64 = 10;
/// How many unused retries are kept for when they are needed, such as when an endpoint dies with many requests in flight.
pub const RETRIES_BURST_MAX: i64 = 500;
/// What a retry costs in the balance.
const RETRY: i64 = 100;
const BALANCE_MAX: i64 = RETRIES_BURST_MAX * RETRY;

/// The retries of one upstream. Shared by threads. While nothing fails, a request only reads it.
#[derive(Debug)]
pub struct RetryBudget {
    /// In hundredths of a retry.
    balance: AtomicI64,
    /// When the floor was added last, in nanoseconds.
    added_at: AtomicU64,
}

impl Default for RetryBudget {
    /// A budget of which nothing is used.
    fn default() -> Self {
        Self { balance: AtomicI64::new(BALANCE_MAX), added_at: AtomicU64::new(0) }
    }
}

impl RetryBudget {
    /// Counts a request.
    pub fn request(&self) {
        if self.balance.load(Relaxed) < BALANCE_MAX {
            self.balance.fetch_add(RETRIES_SHARE_PERCENT, Relaxed);
        }
    }

    /// Whether a request may be repeated now, which is counted if so.
    pub fn retry(&self, now: Duration) -> bool {
        self.add_floor(nanoseconds(now));
        let withdrawn = self.balance.fetch_update(Relaxed, Relaxed, |balance| {
            let left = balance.min(BALANCE_MAX) - RETRY;
            (left >= 0).then_some(left)
        });
        withdrawn.is_ok()
    }

    fn add_floor(&self, now: u64) {
        const SECOND: u64 = 1_000_000_000;
        let added_at = self.added_at.load(Relaxed);
        let passed = now.saturating_sub(added_at);
        let more =
            i64::try_from(u128::from(passed) * (RETRIES_PER_SECOND_MIN * RETRY) as u128 / u128::from(SECOND));
        let more = more.unwrap_or(BALANCE_MAX).min(BALANCE_MAX);
        // What does not come to a hundredth is added later.
        if more > 0 && self.added_at.compare_exchange(added_at, now, Relaxed, Relaxed).is_ok() {
            let full = |balance: i64| Some(balance.saturating_add(more).min(BALANCE_MAX));
            let _ = self.balance.fetch_update(Relaxed, Relaxed, full);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn where_all_fails_a_fifth_is_repeated_and_a_few_each_second() {
        let budget = RetryBudget::default();
        while budget.retry(Duration::ZERO) {}
        let mut repeated = 0;
        for millisecond in 0..10_000 {
            budget.request();
            // As often as there are attempts left.
            repeated += (0..5).filter(|_| budget.retry(Duration::from_millis(millisecond))).count();
        }
        assert!((2_095..=2_105).contains(&repeated), "{repeated} of 10,000 requests in 10 seconds");
    }

    proptest! {
        /// In any time, however requests and failures are spread: no more than what was kept, the share and the floor.
        #[test]
        fn retries_are_bounded(steps in prop::collection::vec((0u64..3_000, 0usize..400, 0usize..400), 1..40)) {
            let budget = RetryBudget::default();
            let (mut now, mut requests, mut retries) = (Duration::ZERO, 0, 0);
            for (pause, sent, failed) in steps {
                now += Duration::from_millis(pause);
                (0..sent).for_each(|_| budget.request());
                requests += sent as i64;
                retries += (0..failed).filter(|_| budget.retry(now)).count() as i64;
                let floor = now.as_millis() as i64 * RETRIES_PER_SECOND_MIN / 1_000;
                prop_assert!(retries <= RETRIES_BURST_MAX + requests * RETRIES_SHARE_PERCENT / 100 + floor + 1);
            }
        }
    }
}
