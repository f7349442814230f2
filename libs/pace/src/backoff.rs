//! How long to wait before the next attempt: exponential with full jitter (Brooker, "Exponential Backoff And Jitter").

use std::time::Duration;

/// The wait before attempt number `attempt` (0: the first retry): evenly spread between zero and `min · 2^attempt`,
/// never above `max`. `random` is a fresh uniform number, so that nodes cut off together do not return together.
pub fn full_jitter(attempt: u32, min: Duration, max: Duration, random: u64) -> Duration {
    let ceiling = min.saturating_mul(2_u32.saturating_pow(attempt)).min(max);
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    // The high half of the product is `nanos · random / 2^64`, without the bias of a remainder.
    let share = (u128::from(nanos) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_within_bounds() {
        let (min, max) = (Duration::from_millis(250), Duration::from_secs(30));
        let wait = |attempt, random| full_jitter(attempt, min, max, random);
        assert_eq!(wait(0, 0), Duration::ZERO);
        assert_eq!(wait(0, u64::MAX).as_millis(), 249);
        assert_eq!(wait(3, u64::MAX / 2).as_millis(), 999);
        for attempt in [7, 31, 32, u32::MAX] {
            assert_eq!(wait(attempt, u64::MAX).as_secs(), 29, "attempt {attempt}");
        }
        assert_eq!(
            full_jitter(u32::MAX, Duration::MAX, Duration::MAX, u64::MAX).as_secs(),
            u64::MAX / 1_000_000_000
        );
    }
}
