//! Tells the region's services which sessions have ended, so that they forget tokens that they remember. A hint: they
//! forget by themselves soon after.
//!
//! Whoever revokes here announces it before answering. What other regions revoked is announced by [`follow`], which
//! reads what operations came to.

use std::time::Duration;

use ids::{Region, TokenId};
use postgres::{Error, Log, RELOAD};
use tokio_util::sync::CancellationToken;

/// What came of operations is looked at this often, and at once when this process applied some.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Entries read at once.
const BATCH_MAX: i64 = 500;

/// Says that the session `id` has ended; any, if empty.
pub async fn announce(nats: &async_nats::Client, region: &Region, id: &str) {
    let subject = access::revocation_subject(region);
    let published = nats.publish_with_headers(subject, service::nats_headers(), id.to_owned().into()).await;
    if let Err(error) = published {
        tracing::warn!(%error, "a revocation was not announced; remembered tokens end within their time");
    }
}

/// Announces what other regions revoked, as it is applied here, until the drain.
pub async fn follow(
    log: Log,
    nats: async_nats::Client,
    region: Region,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let mut follower = Follower { log, nats, region, position: None };
    let mut applied = follower.log.applied();
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = applied.changed() => {}
            () = drain.cancelled() => return Ok(()),
        }
        if let Err(error) = follower.catch_up().await {
            tracing::warn!(%error, "what other regions revoked could not be read");
        }
    }
}

struct Follower {
    log: Log,
    nats: async_nats::Client,
    region: Region,
    /// Of the last entry seen; what came before the start is not announced.
    position: Option<i64>,
}

/// An operation's origin and effects, and its place in the order of applying.
type Entry = (i64, String, String);

impl Follower {
    async fn catch_up(&mut self) -> Result<(), Error> {
        let (head,): (i64,) =
            sqlx::query_as("SELECT position FROM log_head").fetch_one(self.log.db()).await?;
        let mut seen = self.position.unwrap_or(head);
        if seen > head {
            // The database is a copy from the past.
            seen = head;
            announce(&self.nats, &self.region, "").await;
        }
        while seen < head {
            let entries: Vec<Entry> = sqlx::query_as(
                "SELECT position, origin, effects FROM log_applied WHERE position > $1 ORDER BY position LIMIT $2",
            )
            .bind(seen)
            .bind(BATCH_MAX)
            .fetch_all(self.log.db())
            .await?;
            let Some((last, ..)) = entries.last() else { break };
            seen = *last;
            self.announce(&entries).await;
        }
        self.position = Some(seen);
        Ok(())
    }

    async fn announce(&self, entries: &[Entry]) {
        let own = self.log.origin().to_string();
        for (_, _, effects) in entries.iter().filter(|(_, origin, _)| *origin != own) {
            if effects == RELOAD {
                announce(&self.nats, &self.region, "").await;
                continue;
            }
            let ended: Vec<TokenId> = serde_json::from_str(effects).unwrap_or_default();
            for id in ended {
                announce(&self.nats, &self.region, &id.to_string()).await;
            }
        }
    }
}
