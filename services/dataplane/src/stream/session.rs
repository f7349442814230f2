//! One stream to the control plane, from its welcome to its end.
//!
//! The loop that receives messages never waits for work to be done: deltas and pages are applied beside it, so that a
//! revocation is denied the moment it arrives. One piece of work is done at a time, in the order of the messages. What the
//! control plane sends ahead waits in a short queue.

use std::{collections::VecDeque, time::Duration};

use futures::future::BoxFuture;
use pace::ticks;
use proto::sync::v1::{
    Buckets, CompareBuckets, Leaving, PageStaged, PlaneMessage, Refused, Renewal, SnapshotEnd,
    node_message::Message, plane_message,
};
use sync::limits::{HEARTBEAT, LEASE, bounded};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{CONNECTED, REVOCATIONS, StreamError, connect::PlaneStream, outbox::Outbox, renewal, wire};
use crate::{
    applier::{Applier, ApplyError, ApplyReport},
    enrol::{Credentials, NodeFiles},
    status::{StreamState, with_control_plane},
    store::{Incarnation, Revocation, Store, StoreError},
};

/// Messages that the control plane may send before it has our reply: the delta after the end of a snapshot, and some more.
const QUEUE_MAX: usize = 8;
/// Deltas in a row that may fail. After one more the node ends the stream, and dials again after a growing wait.
const FAILURES_MAX: u32 = 3;
/// How long the node waits for the control plane to close the stream after `Leaving`.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a stream ended without an error.
pub(super) enum End {
    /// The gateway drains.
    Drained,
    /// A new certificate is stored: dial again with it.
    Renewed,
    /// The control plane does not want this node now.
    Refused { reason: String, retry_after: Duration },
}

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

/// What a piece of work came to.
enum WorkOutcome {
    Reply(Message),
    /// A delta, with the span of its application.
    Delta(Result<ApplyReport, ApplyError>, Span),
}

type Work = BoxFuture<'static, Result<WorkOutcome, StreamError>>;

/// One stream, while it is open.
pub(super) struct Session<'a> {
    applier: &'a Applier,
    files: &'a NodeFiles,
    credentials: &'a Credentials,
    endpoint: &'a str,
    outbox: Outbox,
    queue: VecDeque<plane_message::Message>,
    work: Option<Work>,
    snapshot: Snapshot,
    /// Deltas in a row that failed.
    failures: u32,
    /// Revocations that are denied and not yet stored.
    unsaved: Vec<Revocation>,
    saving: Option<JoinHandle<Result<(), StoreError>>>,
    heartbeat: Duration,
}

impl<'a> Session<'a> {
    /// A session over an open connection to `endpoint`. `credentials` are those that the connection was made with.
    pub fn new(
        applier: &'a Applier,
        files: &'a NodeFiles,
        credentials: &'a Credentials,
        endpoint: &'a str,
    ) -> Self {
        Session {
            applier,
            files,
            credentials,
            endpoint,
            outbox: Outbox::default(),
            queue: VecDeque::new(),
            work: None,
            snapshot: Snapshot::None,
            failures: 0,
            unsaved: Vec::new(),
            saving: None,
            heartbeat: HEARTBEAT,
        }
    }

    /// Runs until the stream ends. Then work that was begun is finished, and revocations are stored.
    pub async fn run(
        mut self,
        mut stream: PlaneStream,
        drain: &CancellationToken,
    ) -> Result<End, StreamError> {
        let end = self.follow(&mut stream, drain).await;
        if let Some(work) = self.work.take() {
            let _ = work.await;
        }
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        let unsaved = std::mem::take(&mut self.unsaved);
        if !unsaved.is_empty()
            && let Err(error) = self.store().store_revocations(unsaved).await
        {
            tracing::error!(%error, "revocations could not be stored; they are denied until this process ends");
        }
        if matches!(end, Ok(End::Drained)) {
            leave(stream).await;
        }
        end
    }

    async fn follow(
        &mut self,
        stream: &mut PlaneStream,
        drain: &CancellationToken,
    ) -> Result<End, StreamError> {
        let mut heartbeat = ticks(self.heartbeat);
        let mut renew_at = self.renewal_due();
        loop {
            self.start_work()?;
            self.start_saving();
            tokio::select! {
                biased;
                () = drain.cancelled() => return Ok(End::Drained),
                message = stream.inbound.message() => match self.receive(message)? {
                    Some(end) => return Ok(end),
                    None if heartbeat.period() != self.heartbeat => heartbeat = ticks(self.heartbeat),
                    None => {}
                },
                permit = stream.outbound.reserve(), if !self.outbox.is_empty() => {
                    let permit = permit.map_err(|_| StreamError::Closed("the connection is lost".to_owned()))?;
                    if let Some(message) = self.outbox.next() {
                        permit.send(message);
                        heartbeat.reset();
                    }
                }
                done = running(&mut self.work) => {
                    self.work = None;
                    self.finish(done?)?;
                }
                saved = saved(&mut self.saving) => {
                    self.saving = None;
                    saved?;
                }
                _ = heartbeat.tick() => {
                    if self.outbox.is_empty() {
                        self.outbox.push(wire::heartbeat(self.applier));
                    }
                }
                () = sleep_until(renew_at) => {
                    renew_at = Instant::now() + renewal::RETRY;
                    self.ask_for_renewal();
                }
            }
        }
    }

    /// Takes one message. Work for it is queued; what needs no waiting is done here.
    fn receive(
        &mut self,
        message: Result<Option<PlaneMessage>, tonic::Status>,
    ) -> Result<Option<End>, StreamError> {
        let message = match message {
            Ok(Some(message)) => message.message,
            Ok(None) => return Err(StreamError::Closed("it ended the stream".to_owned())),
            Err(status) => {
                return Err(StreamError::Closed(format!("{}: {}", status.code(), status.message())));
            }
        };
        use plane_message::Message as Plane;
        match message.ok_or_else(|| wire::protocol("a message of a kind that this gateway does not know"))? {
            Plane::Welcome(welcome) => {
                self.heartbeat =
                    Duration::from_secs(welcome.heartbeat_seconds).clamp(Duration::from_secs(1), LEASE);
                metrics::gauge!(CONNECTED).set(1.0);
                let endpoint = self.endpoint.to_owned();
                with_control_plane(self.applier.status(), |status| {
                    status.stream = StreamState::Connected { endpoint }
                });
            }
            Plane::Revocation(revocation) => {
                let revocation = wire::revocation(revocation)?;
                self.store().deny(&revocation);
                metrics::counter!(REVOCATIONS).increment(1);
                self.outbox.revocation_applied(revocation.seq);
                self.unsaved.push(revocation);
            }
            Plane::Certificate(certificate) => {
                self.files.replace_certificate(&certificate.certificate_pem)?;
                tracing::info!("the node's certificate was renewed");
                return Ok(Some(End::Renewed));
            }
            Plane::Refused(Refused { reason, retry_after_seconds }) => {
                let reason = bounded(&reason).to_owned();
                return Ok(Some(End::Refused {
                    reason,
                    retry_after: Duration::from_secs(retry_after_seconds),
                }));
            }
            work @ (Plane::Delta(_) | Plane::CompareBuckets(_) | Plane::Page(_) | Plane::SnapshotEnd(_)) => {
                if self.queue.len() >= QUEUE_MAX {
                    return Err(wire::protocol("it sends without waiting for replies"));
                }
                self.queue.push_back(work);
            }
        }
        Ok(None)
    }

    /// Begins the next piece of work, if none is under way.
    fn start_work(&mut self) -> Result<(), StreamError> {
        use plane_message::Message as Plane;
        while self.work.is_none()
            && let Some(message) = self.queue.pop_front()
        {
            match message {
                Plane::Delta(delta) => self.work = Some(self.apply_delta(delta)?),
                Plane::CompareBuckets(CompareBuckets { incarnation: number, buckets, reason }) => {
                    if buckets != u32::from(sync::BUCKETS) {
                        return Err(wire::protocol(format!("it divides entities into {buckets} buckets")));
                    }
                    let incarnation = wire::incarnation(number)?;
                    tracing::info!(%incarnation, %reason, "comparing buckets with the control plane");
                    self.snapshot = Snapshot::Receiving { incarnation };
                    self.work = Some(Box::pin(compare(self.store().clone(), incarnation)));
                }
                Plane::Page(page) => {
                    let (incarnation, page) = (self.receiving()?, wire::page(page)?);
                    let store = self.store().clone();
                    self.work = Some(Box::pin(async move {
                        store.stage_page(incarnation, page.begins, page.rows).await?;
                        Ok(WorkOutcome::Reply(Message::PageStaged(PageStaged {})))
                    }));
                }
                Plane::SnapshotEnd(SnapshotEnd { incarnation: number, base }) => {
                    let incarnation = self.receiving()?;
                    if wire::incarnation(number)? != incarnation {
                        return Err(wire::protocol("a snapshot ends in another incarnation than it began"));
                    }
                    self.snapshot = Snapshot::Complete { incarnation, base };
                }
                // `receive` deals with these and queues none of them.
                Plane::Welcome(_) | Plane::Revocation(_) | Plane::Certificate(_) | Plane::Refused(_) => {}
            }
        }
        Ok(())
    }

    /// The work of applying a delta. Its span continues the trace of the write that made the delta, and ends once the delta
    /// is served and acknowledged.
    fn apply_delta(&self, delta: proto::sync::v1::Delta) -> Result<Work, StreamError> {
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
            Ok(WorkOutcome::Delta(outcome, outer))
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

    /// Acknowledges the work that has ended.
    fn finish(&mut self, done: WorkOutcome) -> Result<(), StreamError> {
        let (outcome, span) = match done {
            WorkOutcome::Reply(message) => {
                self.outbox.push(message);
                return Ok(());
            }
            WorkOutcome::Delta(outcome, span) => (outcome, span),
        };
        let acknowledge = tracing::info_span!(parent: &span, "acknowledge delta");
        self.outbox.push_traced(wire::applied(self.applier, &outcome), acknowledge);
        self.snapshot = Snapshot::None;
        match outcome {
            Ok(report) => {
                self.failures = 0;
                let version = report.position.version;
                tracing::debug!(version, derive = ?report.derive, commit = ?report.commit, "applied a delta");
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

    /// Stores the revocations that are denied, one batch at a time.
    fn start_saving(&mut self) {
        if self.saving.is_none() && !self.unsaved.is_empty() {
            let (store, batch) = (self.store().clone(), std::mem::take(&mut self.unsaved));
            self.saving = Some(tokio::spawn(async move { store.store_revocations(batch).await }));
        }
    }

    fn renewal_due(&self) -> Instant {
        let now = self.applier.seams().clock.now().into();
        // A certificate that cannot be read is replaced at once.
        let due = renewal::due_in(&self.credentials.certificate_pem, now).unwrap_or_default();
        Instant::now() + due
    }

    fn ask_for_renewal(&mut self) {
        match self.credentials.certificate_request() {
            Ok(request) => self.outbox.push(Message::Renewal(Renewal { csr_der: request.to_vec().into() })),
            Err(error) => {
                tracing::error!(%error, "the certificate cannot be renewed: its request could not be made")
            }
        }
    }

    fn store(&self) -> &Store {
        self.applier.store()
    }
}

async fn compare(store: Store, incarnation: Incarnation) -> Result<WorkOutcome, StreamError> {
    store.begin_staging(incarnation).await?;
    Ok(WorkOutcome::Reply(Message::Buckets(Buckets { digests: store.buckets(incarnation)?.into() })))
}

/// The outcome of the work under way; pending when there is none.
async fn running(
    work: &mut Option<BoxFuture<'static, Result<WorkOutcome, StreamError>>>,
) -> Result<WorkOutcome, StreamError> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The outcome of storing revocations; waits for ever when none are being stored.
async fn saved(saving: &mut Option<JoinHandle<Result<(), StoreError>>>) -> Result<(), StoreError> {
    match saving {
        Some(saving) => saving.await.unwrap_or(Err(StoreError::WriterStopped)),
        None => std::future::pending().await,
    }
}

/// Sends `Leaving` and waits until it was received, so that the control plane does not wait for the lease to run out.
async fn leave(stream: PlaneStream) {
    let PlaneStream { outbound, mut inbound } = stream;
    let farewell = async {
        let leaving = proto::sync::v1::NodeMessage { message: Some(Message::Leaving(Leaving {})) };
        let _ = outbound.send(leaving).await;
        drop(outbound);
        while let Ok(Some(_)) = inbound.message().await {}
    };
    let _ = timeout(LEAVE_TIMEOUT, farewell).await;
}
