//! How long to wait before the next dial.

use std::time::Duration;

use pace::full_jitter;
use sync::limits;

/// After a stream that lived this long, the next wait is short again.
const SETTLED_AFTER: Duration = limits::LEASE;

/// Counts the streams in a row that ended soon.
#[derive(Debug, Default)]
pub(super) struct Redial {
    ended_soon: u32,
}

impl Redial {
    /// The wait after a stream that lived for `lived`. The control plane may have asked for a wait of at least
    /// `at_least`, of which at most [`limits::RETRY_AFTER_MAX`] counts. `random` is a fresh random number.
    pub fn wait(&mut self, lived: Duration, at_least: Duration, random: u64) -> Duration {
        if lived >= SETTLED_AFTER {
            self.ended_soon = 0;
        }
        let jitter = full_jitter(self.ended_soon, limits::RECONNECT_MIN, limits::RECONNECT_MAX, random);
        self.ended_soon = self.ended_soon.saturating_add(1);
        at_least.min(limits::RETRY_AFTER_MAX) + jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_a_stream_has_settled() {
        let mut redial = Redial::default();
        let mut wait = |lived| redial.wait(lived, Duration::ZERO, u64::MAX);
        let first = wait(Duration::ZERO);
        let second = wait(Duration::ZERO);
        assert!(first < limits::RECONNECT_MIN && second > first, "{first:?} {second:?}");
        for _ in 0..20 {
            assert!(wait(SETTLED_AFTER - Duration::from_millis(1)) < limits::RECONNECT_MAX);
        }
        assert_eq!(wait(SETTLED_AFTER), first);
    }

    #[test]
    fn the_control_planes_wish_is_obeyed_within_limits() {
        let wait = |at_least| Redial::default().wait(Duration::ZERO, at_least, 0);
        assert_eq!(wait(Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(wait(Duration::MAX), limits::RETRY_AFTER_MAX);
    }
}
