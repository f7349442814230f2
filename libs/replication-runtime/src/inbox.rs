//! The one part that applies the entries of other regions. Entries that come in, by stream or by fetch, are offered to the pure
//! [`Intake`]. Those that can be applied go to the log in one transaction. A revocation that has to wait denies at once. What is
//! missing is fetched.
//!
//! Only the replica that holds the lease runs it. Every queue is bounded: what finds no room is fetched again.

mod gaps;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use oplog::ReceiveError;
use pace::ticks;
use replication::{Entry, Intake, Offered, Origin};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use self::gaps::Gaps;
use crate::{
    fetch::Fetched,
    metrics,
    shared::{Following, Shared},
};

/// Entries received and not yet looked at.
pub const RECEIVED_MAX: usize = 1024;
/// Entries looked at before the next batch is applied.
const OFFERED_MAX: usize = 256;
/// Revocations that wait to deny before their turn.
const EARLY_MAX: usize = 1024;
/// Of these, as many take effect before the next batch is applied.
const EARLY_AT_ONCE: usize = 32;
/// The inbox looks for what is missing this often.
const TICK: Duration = Duration::from_millis(50);
/// Pause after a failed transaction.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// A log that was stopped by an entry that this release cannot read is tried again this often.
const STOPPED_RETRY: Duration = Duration::from_secs(30);

/// Applies until `stop`.
pub async fn run(shared: Arc<Shared>, mut received: mpsc::Receiver<Entry>, stop: CancellationToken) {
    let mut inbox = loop {
        match Inbox::open(shared.clone()).await {
            Ok(inbox) => break inbox,
            Err(error) => tracing::warn!(%error, "what is applied could not be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = stop.cancelled() => return,
        }
    };
    let mut ticks = ticks(TICK);
    let mut batch = Vec::with_capacity(OFFERED_MAX);
    loop {
        tokio::select! {
            _ = received.recv_many(&mut batch, OFFERED_MAX), if !received.is_closed() => {}
            fetched = inbox.gaps.next_fetched() => inbox.take_fetched(fetched),
            () = inbox.shared.hurry.notified() => {}
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        for entry in batch.drain(..) {
            inbox.offer(entry);
        }
        if let Err(error) = inbox.work().await {
            tracing::warn!(%error, "received entries were not applied; trying again");
            tokio::time::sleep(RETRY_DELAY).await;
            inbox.shared.mark_stale();
        }
    }
}

struct Inbox {
    shared: Arc<Shared>,
    following: Following,
    intake: Intake,
    gaps: Gaps,
    early: VecDeque<Entry>,
    /// Logs of which nothing is applied now.
    paused: BTreeSet<Origin>,
    /// Logs with an entry that this release cannot read, and since when.
    stopped: Vec<(Origin, Instant)>,
    forked: BTreeSet<Origin>,
}

impl Inbox {
    async fn open(shared: Arc<Shared>) -> Result<Self, postgres::Error> {
        let following = *shared.following.borrow();
        let intake = Intake::new(own_of(following, &shared), shared.held().await?);
        Ok(Self {
            shared,
            following,
            intake,
            gaps: Gaps::default(),
            early: VecDeque::new(),
            paused: BTreeSet::new(),
            stopped: Vec::new(),
            forked: BTreeSet::new(),
        })
    }

    /// Does everything that can be done with what has been received.
    async fn work(&mut self) -> Result<(), ReceiveError> {
        self.catch_up_with_the_log().await?;
        // The next page comes while this one is applied.
        self.gaps.look(&self.shared, &self.intake, Instant::now());
        self.deny_early().await?;
        if self.apply().await? {
            self.intake.deny_again();
            self.deny_early().await?;
        }
        self.tell_of_forks();
        let nothing_is_missing = self.gaps.look(&self.shared, &self.intake, Instant::now());
        let settled = nothing_is_missing && self.intake.is_empty() && self.early.is_empty();
        self.shared.settled.store(settled, Ordering::Release);
        Ok(())
    }

    /// Begins anew from the database where others changed the logs, or where another set of logs is followed.
    async fn catch_up_with_the_log(&mut self) -> Result<(), postgres::Error> {
        let following = *self.shared.following.borrow();
        if following != self.following {
            self.following = following;
            self.intake = Intake::new(own_of(following, &self.shared), self.shared.held().await?);
            self.paused.clear();
        } else if self.shared.take_stale() {
            self.intake.reset(self.shared.held().await?);
        }
        if self.following == Following::Others {
            self.intake.wrote(&self.shared.log.watch_applied().borrow());
        }
        Ok(())
    }

    fn offer(&mut self, entry: Entry) {
        self.shared.settled.store(false, Ordering::Release);
        let dot = entry.dot();
        match self.intake.offer(entry) {
            Offered::Ready | Offered::Waiting | Offered::Old => {}
            Offered::Full => tracing::debug!(?dot, "no room; it is fetched again"),
            Offered::Fork(_) => tracing::debug!(?dot, "of another branch of its log"),
        }
    }

    fn take_fetched(&mut self, fetched: Fetched) {
        match self.gaps.take(fetched, Instant::now()) {
            Ok(page) => page.into_iter().for_each(|entry| self.offer(entry)),
            Err((origin, region, error)) => tracing::debug!(%origin, %region, %error, "not fetched"),
        }
    }

    /// Applies every entry whose turn has come; answers whether there was one.
    async fn apply(&mut self) -> Result<bool, ReceiveError> {
        let mut has_applied = false;
        loop {
            let shared = self.shared.clone();
            let _applying = shared.hold_applying().await;
            self.pause_and_resume(Instant::now());
            let batch = self.intake.ready();
            if batch.is_empty() {
                return Ok(has_applied);
            }
            has_applied = true;
            match shared.log.receive(&batch).await {
                Ok(()) => self.applied(&batch),
                Err(ReceiveError::Unreadable { origin, seq, kind, reason }) => {
                    tracing::error!(%origin, seq, kind, reason, "the log is stopped: an entry cannot be read");
                    let before =
                        batch.iter().position(|entry| entry.origin == origin && entry.position.seq == seq);
                    let readable = batch.get(..before.unwrap_or_default()).unwrap_or_default();
                    shared.log.receive(readable).await?;
                    self.applied(readable);
                    self.stopped.push((origin, Instant::now()));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn applied(&mut self, batch: &[Entry]) {
        let now = clock::microseconds(self.shared.clock.now());
        for entry in batch {
            self.intake.applied(entry);
            let lag = Duration::from_micros(u64::try_from(now.saturating_sub(entry.at)).unwrap_or_default());
            let origin = entry.origin.to_string();
            ::metrics::histogram!(metrics::LAG_SECONDS, "origin" => origin.clone()).record(lag);
            ::metrics::counter!(metrics::APPLIED, "origin" => origin.clone()).increment(1);
            tracing::debug!(origin, seq = entry.position.seq, milliseconds = lag.as_millis(), "applied");
        }
    }

    /// Applies nothing of a log whose region says that it may have lost its end, or that was stopped.
    fn pause_and_resume(&mut self, now: Instant) {
        self.stopped.retain(|(_, since)| now.saturating_duration_since(*since) < STOPPED_RETRY);
        let mut wanted = self.shared.known.fenced(self.shared.own.service());
        // This region's log is fenced while it takes back what it lost; that is no reason to wait for it.
        wanted.remove(&self.shared.own);
        wanted.extend(self.stopped.iter().map(|(origin, _)| origin.clone()));
        for origin in wanted.difference(&self.paused) {
            match self.stopped.iter().any(|(stopped, _)| stopped == origin) {
                true => self.intake.stop(origin),
                false => self.intake.pause(origin),
            }
        }
        for origin in self.paused.difference(&wanted) {
            self.intake.resume(origin);
        }
        self.paused = wanted;
    }

    /// Revocations deny on receipt, before their turn: those that wait for something, and those behind a long queue.
    async fn deny_early(&mut self) -> Result<(), ReceiveError> {
        let log = &self.shared.log;
        let waiting = self.intake.waiting_revocations(|entry| log.is_revocation(entry));
        self.early.extend(waiting);
        self.early.truncate(EARLY_MAX);
        let applied = self.intake.vector();
        self.early.retain(|revocation| !applied.contains(&revocation.dot()));
        for _ in 0..EARLY_AT_ONCE {
            let Some(revocation) = self.early.front() else { break };
            let _applying = self.shared.hold_applying().await;
            match self.shared.log.receive_early(revocation).await {
                Ok(()) => {}
                Err(error @ ReceiveError::Database(_)) => return Err(error),
                Err(error) => tracing::error!(%error, "a revocation cannot be read"),
            }
            self.early.pop_front();
        }
        Ok(())
    }

    /// Says once of each log that it has forked, and once that it goes on.
    fn tell_of_forks(&mut self) {
        for (origin, fork) in self.intake.forks() {
            if self.forked.insert(origin.clone()) {
                let (offered, applied) = (fork.offered, fork.applied.position);
                tracing::error!(%origin, ?offered, ?applied, "the log is stopped: it has forked");
            }
        }
        let forks = self.intake.forks();
        self.forked.retain(|origin| forks.contains_key(origin));
        for origin in self.intake.vector().iter().map(|(origin, _)| origin) {
            let stopped =
                forks.contains_key(origin) || self.stopped.iter().any(|(stopped, _)| stopped == origin);
            let gauge = ::metrics::gauge!(metrics::STOPPED, "origin" => origin.to_string());
            gauge.set(f64::from(u8::from(stopped)));
        }
    }
}

/// The log that is written here and not received: none, while it is taken back.
fn own_of(following: Following, shared: &Shared) -> Option<Origin> {
    match following {
        Following::Others => Some(shared.own.clone()),
        Following::All => None,
    }
}
