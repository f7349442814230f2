//! Work that is done now and then, such as deleting what has expired.

use std::{fmt::Display, future::Future, time::Duration};

use crate::ticks;

/// Does `work` at once and then every `period`, until `stop` ends. A failure is logged, with `what` as the name of the work, and the
/// work is tried again after the next `period`.
pub async fn every<E: Display, F: Future<Output = Result<(), E>>>(
    period: Duration,
    what: &'static str,
    stop: impl Future<Output = ()>,
    mut work: impl FnMut() -> F,
) {
    let mut ticks = ticks(period);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = &mut stop => return,
        }
        if let Err(error) = work().await {
            tracing::warn!(%error, again_in_seconds = period.as_secs(), "failed: {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::every;

    #[tokio::test(start_paused = true)]
    async fn works_at_once_and_every_period_and_goes_on_after_a_failure() {
        let start = Instant::now();
        let mut worked_after = Vec::new();
        every(Duration::from_secs(10), "work", sleep(Duration::from_secs(25)), || {
            worked_after.push(start.elapsed().as_secs());
            std::future::ready(Err("a failure"))
        })
        .await;
        assert_eq!(worked_after, [0, 10, 20]);
    }
}
