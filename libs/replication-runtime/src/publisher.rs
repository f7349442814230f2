//! Publishes this region's log to this region's stream, in order and each message acknowledged.
//!
//! Where it stands, the stream itself says. A stream that was emptied or made anew goes on from where this process was, or
//! from the log's end: whoever misses what came before fetches it. Nothing is published while this region's log is fenced, lest a
//! database from the past spread a second history.

use std::{sync::Arc, time::Duration};

use futures::future::{Either, ready, try_join_all};
use pace::{full_jitter, ticks};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    shared::Shared,
    stream::{Away, IN_FLIGHT_MAX, OwnStream},
};

/// The log is looked at this often, and at once after a write of this process.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// An idle publisher makes sure this often that its stream still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Longest pause after a failure; the actual one is drawn below it.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// A stream that is further behind than this goes on from here: others have long begun to fetch.
const BACKLOG_MAX: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Away(#[from] Away),
    #[error(transparent)]
    Database(#[from] postgres::Error),
}

/// Publishes until `stop`; starts over after every failure.
pub async fn run(shared: Arc<Shared>, stream: OwnStream, stop: CancellationToken) {
    let mut publisher = Publisher { shared, stream, published: None };
    loop {
        let failed = tokio::select! {
            Err(failed) = publisher.publish() => failed,
            () = stop.cancelled() => return,
        };
        tracing::warn!(error = %failed, "the log is not published; other regions fetch it meanwhile");
        let delay = full_jitter(0, RETRY_DELAY_MAX, RETRY_DELAY_MAX, publisher.shared.random.number());
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}

struct Publisher {
    shared: Arc<Shared>,
    stream: OwnStream,
    /// Last entry that this process saw acknowledged.
    published: Option<u64>,
}

impl Publisher {
    /// Ends with a failure only.
    async fn publish(&mut self) -> Result<std::convert::Infallible, Failed> {
        self.stream.ensure().await?;
        let mut after = self.start().await?;
        let mut applied = self.shared.log.watch_applied();
        let mut ticks = ticks(POLL_INTERVAL);
        let mut checked = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = applied.changed() => {}
            }
            let before = after;
            let tip = applied.borrow_and_update().get(&self.shared.own).unwrap_or_default().seq;
            while after < tip {
                let Some(last) = self.publish_page(after).await? else { break };
                after = last;
                self.published = Some(last);
                checked = Instant::now();
            }
            if before == after && checked.elapsed() >= CHECK_INTERVAL {
                self.stream.ensure().await?;
                checked = Instant::now();
            }
        }
    }

    /// After which entry to go on.
    async fn start(&self) -> Result<u64, Failed> {
        let own = &self.shared.own;
        let tip = self.shared.log.read_state().await?.tips.get(own).map_or(0, |tip| tip.position.seq);
        let last = self.stream.last().await?.map(|last| last.entry.position.seq);
        Ok(start_after(tip, last, self.published))
    }

    /// Publishes the next entries after `after`; answers the last of them. Nothing, while the log is fenced.
    async fn publish_page(&self, after: u64) -> Result<Option<u64>, Failed> {
        let log = &self.shared.log;
        let limit = u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let page = log.entries(&self.shared.own, after, limit).await?;
        let Some(last) = page.last() else { return Ok(None) };
        // Asked after the entries were read: had the database been exchanged in between, it would be fenced now.
        if !log.is_confirmed().await? {
            return Ok(None);
        }
        let mut acknowledgements = Vec::with_capacity(page.len());
        for entry in &page {
            match self.stream.publish(entry).await? {
                Some(acknowledgement) => acknowledgements.push(Either::Left(acknowledgement.into_future())),
                None => {
                    tracing::warn!(seq = entry.position.seq, "too large for NATS; other regions fetch it");
                    acknowledgements.push(Either::Right(ready(Ok(Default::default()))));
                }
            }
        }
        try_join_all(acknowledgements).await.map_err(Away::new)?;
        ::metrics::counter!(metrics::PUBLISHED).increment(page.len() as u64);
        Ok(Some(last.position.seq))
    }
}

/// After which entry a publisher goes on, given the log's end, the stream's last message and what this process has
/// published.
fn start_after(tip: u64, in_stream: Option<u64>, published: Option<u64>) -> u64 {
    let after = in_stream.or(published).unwrap_or(tip);
    after.clamp(tip.saturating_sub(BACKLOG_MAX), tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_after_what_the_stream_holds() {
        assert_eq!(start_after(100, Some(97), None), 97);
        assert_eq!(start_after(100, Some(97), Some(99)), 97, "the stream lost its end");
        assert_eq!(start_after(100, None, Some(99)), 99, "the stream was made anew");
        assert_eq!(start_after(100, None, None), 100, "nothing is known: from the end");
        assert_eq!(start_after(0, None, None), 0);
    }

    #[test]
    fn never_starts_beyond_the_log_nor_too_far_back() {
        assert_eq!(start_after(100, Some(140), None), 100, "the database is older than the stream");
        assert_eq!(start_after(50_000, Some(3), None), 40_000);
    }
}
