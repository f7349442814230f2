//! Work that is done in rounds: one every so often, one more whenever something calls for it, and none once the process
//! drains. Every loop of this kind in the services is one of these.

use std::{fmt::Display, future::Future, time::Duration};

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

/// Does `work` at once and then every `period`, until `stop`. What fails is logged under `what` and tried again next time.
pub async fn every<E: Display, F: Future<Output = Result<(), E>>>(
    period: Duration,
    what: &'static str,
    stop: CancellationToken,
    mut work: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let mut rounds = Rounds::new(period, stop);
    while rounds.next().await {
        if let Err(error) = work().await {
            tracing::warn!(%error, again_in_seconds = period.as_secs(), "failed: {what}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

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

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again() {
        let (stop, times) = (CancellationToken::new(), Cell::new(0));
        let work = || {
            times.set(times.get() + 1);
            if times.get() == 3 {
                stop.cancel();
            }
            ready(Err::<(), _>("in vain"))
        };
        every(PERIOD, "a test", stop.clone(), work).await.expect("it ends without an error");
        assert_eq!(times.get(), 3);
    }
}
