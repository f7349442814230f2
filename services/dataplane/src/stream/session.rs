//! One stream, from Welcome to its end.
//!
//! The loop never waits for work: deltas and pages are applied beside it, so that a revocation is denied the moment it
//! arrives. One piece of work at a time, as the plane sends them; what the plane sends ahead waits in a short queue.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use proto::sync::v1::{
    Buckets, CompareBuckets, Leaving, PageStaged, PlaneMessage, Refused, Renewal, node_message::Message,
    plane_message,
};
use sync::limits::{HEARTBEAT, LEASE, bounded};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{CONNECTED, REVOCATIONS, StreamError, connect::PlaneStream, outbox::Outbox, renewal, wire};
use crate::{
    applier::{Applier, ApplyError, ApplyReport},
    enrol::{Credentials, NodeFiles},
    status::{StreamState, with_control_plane},
    store::{Revocation, Store, StoreError},
};

/// Messages that the plane may send ahead of our reply: the delta that follows the end of a snapshot, and some slack.
const QUEUE_MAX: usize = 8;
/// Resynchronisations in a row that fail before the node dials anew, with a growing wait.
const RESYNCS_MAX: u32 = 3;
/// How long the node waits for the plane to close the stream after Leaving.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a stream ended without an error.
pub(super) enum End {
    Drained,
    /// A new certificate is in place: dial at once.
    Renewed,
    Refused {
        reason: String,
        retry_after: Duration,
    },
}

/// A snapshot as this stream knows it.
#[derive(Clone, Copy)]
struct Snapshot {
    epoch: u64,
    /// The version that the delta after the last page starts from, once all pages are here.
    base: Option<u64>,
}

/// What a piece of work found: the reply, or why the stream must end.
enum WorkOutcome {
    Reply(Message),
    Delta(Result<ApplyReport, ApplyError>),
}

pub(super) struct Session<'a> {
    applier: &'a Applier,
    files: &'a NodeFiles,
    credentials: &'a Credentials,
    endpoint: &'a str,
    outbox: Outbox,
    queue: VecDeque<plane_message::Message>,
    work: Option<BoxFuture<'static, Result<WorkOutcome, StreamError>>>,
    snapshot: Option<Snapshot>,
    resyncs: u32,
    /// Denied, and not yet durable.
    unsaved: Vec<Revocation>,
    saving: Option<JoinHandle<Result<(), StoreError>>>,
    heartbeat: Duration,
}

impl<'a> Session<'a> {
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
            snapshot: None,
            resyncs: 0,
            unsaved: Vec::new(),
            saving: None,
            heartbeat: HEARTBEAT,
        }
    }

    /// Runs until the stream ends; what was begun is finished and what was denied is durable then.
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
            tracing::error!(%error, "revocations are denied but could not be stored");
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
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renew_at = self.renewal_due();
        loop {
            self.start_work()?;
            self.start_saving();
            tokio::select! {
                biased;
                () = drain.cancelled() => return Ok(End::Drained),
                message = stream.inbound.message() => match self.receive(message)? {
                    Some(end) => return Ok(end),
                    None if heartbeat.period() != self.heartbeat => heartbeat = interval(self.heartbeat),
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

    /// Takes one message from the plane. What needs work is queued; the rest is done here, without waiting.
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
                    status.connection = StreamState::Connected { endpoint }
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
                tracing::info!("the certificate is renewed");
                return Ok(Some(End::Renewed));
            }
            Plane::Refused(Refused { reason, retry_after_seconds }) => {
                let reason = bounded(&reason).to_owned();
                return Ok(Some(End::Refused {
                    reason,
                    retry_after: Duration::from_secs(retry_after_seconds),
                }));
            }
            work if self.queue.len() < QUEUE_MAX => self.queue.push_back(work),
            _ => return Err(wire::protocol("it sends without waiting for replies")),
        }
        Ok(None)
    }

    /// Begins the next piece of work, if none is under way.
    fn start_work(&mut self) -> Result<(), StreamError> {
        use plane_message::Message as Plane;
        while self.work.is_none()
            && let Some(message) = self.queue.pop_front()
        {
            let applier = self.applier.clone();
            match message {
                Plane::Delta(delta) => {
                    // The trace of the write that made the delta ends here, at what serves it.
                    let span = tracing::info_span!("apply delta", base = delta.base, version = delta.version);
                    telemetry::adopt(&span, &delta.traceparent);
                    let delta = wire::delta(delta)?;
                    let snapshot = self.snapshot.filter(|snapshot| snapshot.base == Some(delta.base));
                    let apply = async move {
                        Ok(WorkOutcome::Delta(match snapshot {
                            Some(_) => applier.snapshot(delta).await,
                            None => applier.delta(delta).await,
                        }))
                    };
                    self.work = Some(Box::pin(apply.instrument(span)));
                }
                Plane::CompareBuckets(CompareBuckets { epoch, buckets, reason }) => {
                    if buckets != u32::from(sync::BUCKETS) {
                        return Err(wire::protocol(format!("it divides into {buckets} buckets")));
                    }
                    tracing::info!(epoch, %reason, "comparing buckets with the control plane");
                    self.snapshot = Some(Snapshot { epoch, base: None });
                    self.work = Some(Box::pin(compare(applier.store().clone(), epoch)));
                }
                Plane::Page(page) => {
                    let epoch = self.snapshot_under_way()?.epoch;
                    let page = wire::page(page)?;
                    self.work = Some(Box::pin(async move {
                        applier.store().stage_page(epoch, page.begins, page.rows).await?;
                        Ok(WorkOutcome::Reply(Message::PageStaged(PageStaged {})))
                    }));
                }
                Plane::SnapshotEnd(end) => {
                    let snapshot = self.snapshot_under_way()?;
                    if end.epoch != snapshot.epoch {
                        return Err(wire::protocol("a snapshot ends in another epoch than it began"));
                    }
                    self.snapshot = Some(Snapshot { base: Some(end.base), ..snapshot });
                }
                // Taken by `receive`.
                Plane::Welcome(_) | Plane::Revocation(_) | Plane::Certificate(_) | Plane::Refused(_) => {}
            }
        }
        Ok(())
    }

    fn snapshot_under_way(&self) -> Result<Snapshot, StreamError> {
        self.snapshot.ok_or_else(|| wire::protocol("a page came before buckets were compared"))
    }

    fn finish(&mut self, done: WorkOutcome) -> Result<(), StreamError> {
        let outcome = match done {
            WorkOutcome::Reply(message) => {
                self.outbox.push(message);
                return Ok(());
            }
            WorkOutcome::Delta(outcome) => outcome,
        };
        self.outbox.push(wire::applied(self.applier, &outcome));
        self.snapshot = None;
        match outcome {
            Ok(applied) => {
                self.resyncs = 0;
                let version = applied.position.version;
                tracing::debug!(version, derive = ?applied.derive, commit = ?applied.commit, "applied");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "a delta was not applied");
                self.resyncs += 1;
                with_control_plane(self.applier.status(), |status| {
                    status.last_error = Some(error.to_string())
                });
                if self.resyncs > RESYNCS_MAX { Err(StreamError::NoConvergence(RESYNCS_MAX)) } else { Ok(()) }
            }
        }
    }

    /// Makes what is denied durable, one batch at a time.
    fn start_saving(&mut self) {
        if self.saving.is_none() && !self.unsaved.is_empty() {
            let (store, batch) = (self.store().clone(), std::mem::take(&mut self.unsaved));
            self.saving = Some(tokio::spawn(async move { store.store_revocations(batch).await }));
        }
    }

    fn renewal_due(&self) -> Instant {
        // A certificate that cannot be read is best replaced at once.
        let due = renewal::due_in(&self.credentials.certificate_pem, SystemTime::now()).unwrap_or_default();
        Instant::now() + due
    }

    fn ask_for_renewal(&mut self) {
        match self.credentials.certificate_request() {
            Ok(request) => self.outbox.push(Message::Renewal(Renewal { csr_der: request.to_vec().into() })),
            Err(error) => tracing::error!(%error, "no certificate request could be made"),
        }
    }

    fn store(&self) -> &Store {
        self.applier.store()
    }
}

async fn compare(store: Store, epoch: u64) -> Result<WorkOutcome, StreamError> {
    store.begin_staging(epoch).await?;
    Ok(WorkOutcome::Reply(Message::Buckets(Buckets { digests: store.buckets(epoch)?.into() })))
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

async fn saved(saving: &mut Option<JoinHandle<Result<(), StoreError>>>) -> Result<(), StoreError> {
    match saving {
        Some(saving) => saving.await.unwrap_or(Err(StoreError::WriterStopped)),
        None => std::future::pending().await,
    }
}

/// Says good-bye, so that the plane does not wait for the lease to end, and lets the message reach it.
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
