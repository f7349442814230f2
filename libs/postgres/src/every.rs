//! Work that is done now and then: sweeps.

use std::{future::Future, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::Error;

/// Does `work` at once and then every `period`, until `stop`. What fails is logged under `what` and tried again next time.
pub async fn every<F: Future<Output = Result<(), Error>>>(
    period: Duration,
    what: &'static str,
    stop: impl Future<Output = ()>,
    mut work: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = &mut stop => return Ok(()),
        }
        if let Err(error) = work().await {
            tracing::warn!(%error, again_in_seconds = period.as_secs(), "failed: {what}");
        }
    }
}
