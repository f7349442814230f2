//! Brings the signatures of old entries up to date: of this region's log, which were written by a release that did not sign or
//! signed with a key that was replaced since, and of the other logs, whose origins do the same. Until that is done, the entries
//! cannot be proven to a region that does not have them yet, and the key that was replaced is still needed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pace::ticks;
use replication::{Entry, Origin};
use tokio_util::sync::CancellationToken;

use crate::{peers::Unreachable, server::PAGE_OPERATIONS_MAX, shared::Shared};

/// How often it is looked for entries without the signature that they should have.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Database(#[from] postgres::Error),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Runs until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = ticks(EVERY);
    let mut done = BTreeMap::<Origin, u64>::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let origins: Vec<Origin> = shared.known.tips().iter().map(|(origin, _)| origin.clone()).collect();
        for origin in origins {
            let after = done.entry(origin.clone()).or_default();
            match stop.run_until_cancelled(bring_up_to_date(&shared, &origin, after)).await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::debug!(%origin, %error, "signatures are brought up to date later")
                }
                None => return,
            }
        }
    }
}

/// Goes on after the sequence number `done`, up to which every entry has the signature that it should have.
async fn bring_up_to_date(shared: &Shared, origin: &Origin, done: &mut u64) -> Result<(), Failed> {
    let Some(key) = shared.trust.current_key(origin) else { return Ok(()) };
    let mut renewed = 0;
    loop {
        let end = shared.told_lately().await?.held.get(origin).map_or(0, |tip| tip.position.seq);
        let old = shared.log.signed_otherwise(origin, *done, &key, PAGE_OPERATIONS_MAX).await?;
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            if renewed > 0 {
                tracing::info!(%origin, renewed, "every entry held here is signed with the log's present key");
            }
            *done = end.max(*done);
            return Ok(());
        };
        let mut entries = old.clone();
        if *origin == shared.own {
            shared.log.sign(&mut entries);
        } else {
            let (region, before) = (origin.region(), first.position.seq.saturating_sub(1));
            entries = shared.peers.fetch(region, origin, before, PAGE_OPERATIONS_MAX).await?;
            // What follows an entry that is not signed yet over there is asked for again with it.
            let is_signed = |entry: &Entry| entry.signature.is_some_and(|signature| signature.key() == key);
            let unsigned = entries.iter().position(|entry| !is_signed(entry));
            entries.truncate(unsigned.unwrap_or(entries.len()));
        }
        let Some(reached) = entries.last().map(|entry| entry.position.seq) else { return Ok(()) };
        shared.log.keep_signatures(&entries).await?;
        renewed += entries.len();
        *done = reached.min(last.position.seq);
    }
}
