//! How long to wait before the next dial of a connection that is to stay open.

use std::time::Duration;

use crate::full_jitter;

/// Counts how long one has waited since a connection was lost. The next wait is random, and on average as long as that. So who was cut off for
/// two seconds is back four seconds later at the latest; those who were cut off together do not return together; and a long outage
/// costs few dials.
#[derive(Clone, Copy, Debug)]
pub struct Redial {
    min: Duration,
    max: Duration,
    settled_after: Duration,
    waited: Duration,
}

impl Redial {
    /// The wait is shorter than `min` at first, and never longer than `max`. After a connection that lived for `settled_after`, it is
    /// short again.
    pub const fn new(min: Duration, max: Duration, settled_after: Duration) -> Self {
        Self { min, max, settled_after, waited: Duration::ZERO }
    }

    /// The wait after a connection that lived for `lived`, its dial included. The other side may have asked for a wait of `at_least`. `random`
    /// is a fresh random number.
    pub fn wait(&mut self, lived: Duration, at_least: Duration, random: u64) -> Duration {
        if lived >= self.settled_after {
            self.waited = Duration::ZERO;
        }
        let ceiling = self.waited.saturating_mul(2).clamp(self.min, self.max);
        let wait = full_jitter(0, ceiling, ceiling, random);
        self.waited = self.waited.saturating_add(wait);
        at_least + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(250);
    const MAX: Duration = Duration::from_secs(30);
    const SETTLED: Duration = Duration::from_secs(60);

    fn redial() -> Redial {
        Redial::new(MIN, MAX, SETTLED)
    }

    #[test]
    fn waits_grow_with_the_outage_until_a_connection_has_settled() {
        let mut redial = redial();
        let mut wait = |lived| redial.wait(lived, Duration::ZERO, u64::MAX);
        let (first, second) = (wait(SETTLED), wait(Duration::ZERO));
        assert!(first < MIN && second > first && second < MIN * 2, "{first:?} {second:?}");
        for _ in 0..20 {
            assert!(wait(SETTLED / 2) < MAX);
        }
        assert_eq!(wait(SETTLED), first);
    }

    /// However the waits turn out, whoever was cut off for a time is back within three times that time.
    #[test]
    fn a_short_outage_ends_soon_for_everybody() {
        let away = Duration::from_secs(2);
        for seed in 0..2000_u64 {
            let (mut redial, mut elapsed, mut random) = (redial(), Duration::ZERO, seed);
            let mut dials = 0;
            while elapsed < away {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                elapsed +=
                    redial.wait(if dials == 0 { SETTLED } else { Duration::ZERO }, Duration::ZERO, random);
                dials += 1;
            }
            assert!(elapsed < away * 3 && dials < 40, "{elapsed:?} after {dials} dials");
        }
    }

    #[test]
    fn the_other_sides_wish_is_obeyed() {
        let wait = redial().wait(Duration::ZERO, Duration::from_secs(7), 0);
        assert_eq!(wait, Duration::from_secs(7));
    }
}
