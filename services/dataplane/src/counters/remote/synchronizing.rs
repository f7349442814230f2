//! Brings what a gateway has counted to the server now and then, and learns what others have.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use clock::Clock;
use tokio::time::sleep;

use super::{Remote, script};

/// Counts that are brought in one round trip.
const BROUGHT_AT_ONCE: usize = 512;
/// How often what is over is dropped, at least.
const SWEPT_EVERY: Duration = Duration::from_secs(10);

/// Until nobody needs the server any more.
pub(super) async fn synchronize(remote: Weak<Remote>, every: Duration) {
    let mut unswept = Duration::ZERO;
    loop {
        sleep(every).await;
        let Some(held) = remote.upgrade() else { return };
        let clock = held.outside.clock.clone();
        bring(&held, &clock).await;
        unswept += every;
        if unswept >= SWEPT_EVERY {
            held.own.sweep(now_ms(&clock));
            unswept = Duration::ZERO;
        }
    }
}

async fn bring(remote: &Arc<Remote>, clock: &Clock) {
    let mut changes = remote.own.changes();
    while !changes.is_empty() {
        let later = changes.split_off(changes.len().min(BROUGHT_AT_ONCE));
        let now_ms = now_ms(clock);
        let brought = &changes;
        let sums = remote
            .ask(|mut connection| async move { script::bring(&mut connection, brought, now_ms).await })
            .await;
        match sums {
            Ok(sums) => remote.own.settle(sums),
            // Whether the server has counted some of it is not known. It is brought again: rather too much is counted than too little.
            Err(_) => {
                remote.own.restore(changes);
                remote.own.restore(later);
                return;
            }
        }
        changes = later;
    }
}

fn now_ms(clock: &Clock) -> u64 {
    (clock.now().unix_timestamp_nanos() / 1_000_000).try_into().unwrap_or(0)
}
