//! Work that is done in rounds: one every so often, one more whenever something calls for it, and none once the process
//! drains. Example: the sender of a log looks for new entries every
//! 250 ms, and at once after a write of its own process.

use std::{future::Future, time::Duration};

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Ticks at once and then every `period`. After work that took longer than `period`, the next tick comes a whole period
/// later: ticks that were missed are not made up for.
pub fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Says when the next round is due.
pub struct Rounds {
    ticks: Interval,
    stop: CancellationToken,
}

impl Rounds {
    /// The first round is due at once, and further ones every `period`, until `stop`.
    pub fn new(period: Duration, stop: CancellationToken) -> Self {
        Self { ticks: ticks(period), stop }
    }

    /// Waits for the next round; `false` if there is none, because of `stop`.
    pub async fn next(&mut self) -> bool {
        self.next_or(std::future::pending()).await
    }

    /// As [`Rounds::next`]; the round is due at once when `called` is ready.
    pub async fn next_or(&mut self, called: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = called => true,
            _ = self.ticks.tick() => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::{Instant, advance};

    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_round_is_due_at_once_then_every_period_and_whenever_called() {
        let mut rounds = Rounds::new(PERIOD, CancellationToken::new());
        let begun = Instant::now();
        assert!(rounds.next().await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(rounds.next_or(ready(())).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(rounds.next().await);
        assert_eq!(begun.elapsed(), PERIOD);
        advance(PERIOD * 5).await;
        assert!(rounds.next().await);
        assert!(rounds.next().await);
        assert_eq!(begun.elapsed(), PERIOD * 7, "what was missed is not made up for");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_round_after_stop_whatever_calls() {
        let stop = CancellationToken::new();
        let mut rounds = Rounds::new(PERIOD, stop.clone());
        stop.cancel();
        assert!(!rounds.next_or(ready(())).await);
        assert!(!rounds.next().await);
    }
}
