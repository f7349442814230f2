//! What the control plane sends about the configuration: the key of its secrets, deltas, and the parts of a snapshot. Each message is one piece of work
//! for the applier or the store. The pieces are done one at a time, in the order of the messages, and each is answered when it
//! is done.
//!
//! The session puts messages in, waits for a piece to end beside everything else that it waits for, and passes the replies
//! on.

use std::collections::VecDeque;

use entity_secrets::NodeKey;
use futures::future::BoxFuture;
use proto::sync::v1::{Buckets, CompareBuckets, Delta, Page, PageStaged, SnapshotEnd, node_message::Message};
use sync::{BUCKETS, DIGEST_BYTES};
use tracing::{Instrument as _, Span};

use super::{StreamError, outbox::Outbox, wire};
use crate::{
    applier::{Applier, ApplyError, ApplyReport},
    settings::SyncMode,
    status::{SnapshotProgress, Source, with_control_plane},
    store::{HeldBuckets, Incarnation, Store},
};

/// How much has arrived of the snapshot that is being received; 1 when none is.
pub(super) const SNAPSHOT: &str = "landbridge_snapshot_received_ratio";
/// Entities of snapshots that have arrived.
pub(super) const SNAPSHOT_ENTITIES: &str = "landbridge_snapshot_entities_total";
/// Messages that the control plane may send before it has our reply: the delta after the end of a snapshot, and some more.
pub(super) const QUEUE_MAX: usize = 8;
/// Deltas in a row that may fail. After one more the node ends the stream, and connects again after a growing wait.
const FAILURES_MAX: u32 = 3;

/// A message that means work.
pub(super) enum Task {
    /// Open secrets with this key from now on.
    OpenWith(NodeKey),
    /// Apply this delta.
    Delta(Delta),
    /// A snapshot begins: tell the digests of the buckets.
    CompareBuckets(CompareBuckets),
    /// Store this part of the snapshot.
    Page(Page),
    /// The snapshot has no more pages; a delta follows.
    SnapshotEnd(SnapshotEnd),
}

/// What a piece of work came to. It has to be acknowledged.
#[must_use]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// It is done, and this is the reply.
    Reply(Message),
    /// A page of so many entities is staged, which began so many buckets and left so many.
    Staged { begun: usize, left: u32, entities: usize },
    /// A delta, with the span of its application.
    Delta(Result<ApplyReport, ApplyError>, Span),
}

type Running = BoxFuture<'static, Result<Outcome, StreamError>>;

/// How far a snapshot has come on this stream.
#[derive(Clone, Copy)]
enum Snapshot {
    None,
    /// Buckets were compared; pages may come.
    Receiving {
        incarnation: Incarnation,
    },
    /// All pages are here. The delta from version `base` completes the snapshot.
    Complete {
        incarnation: Incarnation,
        base: u64,
    },
}

/// The work of one stream.
pub(super) struct Work<'a> {
    applier: &'a Applier,
    mode: SyncMode,
    waiting: VecDeque<Task>,
    running: Option<Running>,
    snapshot: Snapshot,
    progress: SnapshotProgress,
    /// Deltas in a row that failed.
    failures: u32,
}

impl<'a> Work<'a> {
    /// Nothing to do yet.
    pub fn new(applier: &'a Applier, mode: SyncMode) -> Self {
        Self {
            applier,
            mode,
            waiting: VecDeque::new(),
            running: None,
            snapshot: Snapshot::None,
            progress: SnapshotProgress::default(),
            failures: 0,
        }
    }

    /// Puts a message behind those that wait. Fails if the control plane sends too many without waiting for replies.
    pub fn push(&mut self, task: Task) -> Result<(), StreamError> {
        if self.waiting.len() >= QUEUE_MAX {
            return Err(wire::protocol("it sends without waiting for replies"));
        }
        self.waiting.push_back(task);
        Ok(())
    }

    /// Begins the next piece of work, if none is under way. Fails if the next message breaks the protocol.
    pub fn start(&mut self) -> Result<(), StreamError> {
        while self.running.is_none()
            && let Some(task) = self.waiting.pop_front()
        {
            match task {
                Task::OpenWith(key) => {
                    let applier = self.applier.clone();
                    self.running = Some(Box::pin(async move {
                        applier.open_with(key).await?;
                        Ok(Outcome::Done)
                    }));
                }
                Task::Delta(delta) => self.running = Some(self.apply_delta(delta)?),
                Task::CompareBuckets(CompareBuckets { incarnation: number, buckets, reason, base }) => {
                    if buckets != u32::from(sync::BUCKETS) {
                        return Err(wire::protocol(format!("it divides entities into {buckets} buckets")));
                    }
                    let incarnation = wire::incarnation(number)?;
                    tracing::info!(%incarnation, %reason, "comparing buckets with the control plane");
                    self.progress = SnapshotProgress { reason, ..SnapshotProgress::default() };
                    self.snapshot = Snapshot::Receiving { incarnation };
                    self.running =
                        Some(Box::pin(compare(self.applier.store().clone(), incarnation, base, self.mode)));
                }
                Task::Page(page) => {
                    let (incarnation, page) = (self.receiving()?, wire::page(page)?);
                    let store = self.applier.store().clone();
                    let (begun, left, entities) = (page.begins.len(), page.left, page.entities.len());
                    self.running = Some(Box::pin(async move {
                        store.stage_page(incarnation, page.begins, page.entities).await?;
                        Ok(Outcome::Staged { begun, left, entities })
                    }));
                }
                Task::SnapshotEnd(SnapshotEnd { incarnation: number, base }) => {
                    let incarnation = self.receiving()?;
                    if wire::incarnation(number)? != incarnation {
                        return Err(wire::protocol("a snapshot ends in another incarnation than it began"));
                    }
                    self.snapshot = Snapshot::Complete { incarnation, base };
                }
            }
        }
        Ok(())
    }

    /// The work of applying a delta. Its span continues the trace of the write that made the delta, and ends once the delta
    /// is served and acknowledged.
    fn apply_delta(&self, delta: Delta) -> Result<Running, StreamError> {
        let span = tracing::info_span!("apply delta", base = delta.base, version = delta.version);
        telemetry::adopt(&span, &delta.traceparent);
        let delta = span.in_scope(|| wire::delta(delta))?;
        let completes_snapshot = matches!(
            self.snapshot,
            Snapshot::Complete { incarnation, base } if (incarnation, base) == (delta.incarnation, delta.base)
        );
        let (applier, outer) = (self.applier.clone(), span.clone());
        let apply = async move {
            let outcome =
                if completes_snapshot { applier.snapshot(delta).await } else { applier.delta(delta).await };
            Ok(Outcome::Delta(outcome, outer))
        };
        Ok(Box::pin(apply.instrument(span)))
    }

    /// The incarnation of the snapshot whose pages are being received.
    fn receiving(&self) -> Result<Incarnation, StreamError> {
        match self.snapshot {
            Snapshot::Receiving { incarnation } => Ok(incarnation),
            Snapshot::None => Err(wire::protocol("part of a snapshot came before buckets were compared")),
            Snapshot::Complete { .. } => Err(wire::protocol("part of a snapshot came after its end")),
        }
    }

    /// Waits for the piece under way to end; waits for ever when there is none. Nothing is lost when the caller stops waiting.
    pub async fn ended(&mut self) -> Result<Outcome, StreamError> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let outcome = running.await;
        self.running = None;
        outcome
    }

    /// Answers the piece of work that has ended. Fails after too many deltas in a row that could not be applied.
    pub fn acknowledge(&mut self, outcome: Outcome, outbox: &mut Outbox) -> Result<(), StreamError> {
        let (outcome, span) = match outcome {
            Outcome::Done => return Ok(()),
            Outcome::Reply(message) => {
                outbox.push(message);
                return Ok(());
            }
            Outcome::Staged { begun, left, entities } => {
                outbox.push(Message::PageStaged(PageStaged {}));
                self.note_page(begun, left, entities);
                return Ok(());
            }
            Outcome::Delta(outcome, span) => (outcome, span),
        };
        self.show_progress(false);
        let acknowledge = tracing::info_span!(parent: &span, "acknowledge delta");
        outbox.push_traced(wire::applied(self.applier, &outcome), acknowledge);
        self.snapshot = Snapshot::None;
        match outcome {
            Ok(_) => {
                self.failures = 0;
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "a delta was not applied");
                self.failures += 1;
                with_control_plane(self.applier.status(), |status| {
                    status.last_error = Some(error.to_string())
                });
                if self.failures > FAILURES_MAX {
                    Err(StreamError::NoConvergence(FAILURES_MAX))
                } else {
                    Ok(())
                }
            }
        }
    }

    fn note_page(&mut self, begun: usize, left: u32, entities: usize) {
        let SnapshotProgress { buckets, buckets_of, entities: all, .. } = &mut self.progress;
        *buckets = buckets.saturating_add(u32::try_from(begun).unwrap_or(u32::MAX));
        *buckets_of = buckets.saturating_add(left);
        *all = all.saturating_add(entities as u64);
        metrics::counter!(SNAPSHOT_ENTITIES).increment(entities as u64);
        self.show_progress(true);
    }

    fn show_progress(&self, receives: bool) {
        let shown = receives.then(|| self.progress.clone());
        let ratio = |it: &SnapshotProgress| f64::from(it.buckets) / f64::from(it.buckets_of.max(1));
        metrics::gauge!(SNAPSHOT).set(shown.as_ref().map_or(1.0, ratio));
        self.applier.status().send_if_modified(|status| {
            let Source::ControlPlane(control_plane) = &mut status.source else { return false };
            let is_news = control_plane.snapshot != shown;
            control_plane.snapshot = shown;
            is_news
        });
    }

    /// Whether nothing is under way and nothing waits.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// How many messages wait for their turn.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Finishes the piece under way, and drops those that wait: the stream has ended, and nobody reads a reply.
    pub async fn finish(&mut self) {
        self.show_progress(false);
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
    }
}

async fn compare(
    store: Store,
    incarnation: Incarnation,
    base: u64,
    mode: SyncMode,
) -> Result<Outcome, StreamError> {
    // Version 0 has no entity, and stands for a control plane that does not tell.
    store.begin_staging(incarnation, Some(base).filter(|base| *base > 0)).await?;
    let HeldBuckets { digests, staged_at } = match mode {
        SyncMode::Incremental => store.buckets()?,
        // No bucket has this digest, so all of them are sent, also those that have become empty.
        SyncMode::Full => {
            HeldBuckets { digests: vec![u8::MAX; DIGEST_BYTES * usize::from(BUCKETS)], staged_at: Vec::new() }
        }
    };
    Ok(Outcome::Reply(Message::Buckets(Buckets { digests: digests.into(), staged_at })))
}
