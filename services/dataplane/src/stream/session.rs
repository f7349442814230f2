//! One stream to the control plane, from its welcome to its end.
//!
//! The loop that receives messages never waits for work to be done: deltas and pages are applied beside it ([`Work`]), so that
//! a revocation is denied as soon as it has arrived. Revocations are stored beside it too, one batch at a time.

use std::time::Duration;

use entity_secrets::NodeKey;
use futures::StreamExt as _;
use pace::ticks;
use proto::sync::v1::{Leaving, PlaneMessage, Refused, Renewal, node_message::Message, plane_message};
use sync::limits::{HEARTBEAT, LEASE, bounded};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    CONNECTED, REVOCATIONS, StreamError, StreamOptions,
    connect::PlaneStream,
    health::Reports,
    outbox::Outbox,
    received, renewal, wire,
    work::{Task, Work},
};
use crate::{
    applier::Applier,
    enrol::{Credentials, NodeFiles},
    status::{StreamState, with_control_plane},
    store::{Revocation, Store, StoreError},
};

#[cfg(test)]
mod fuzz;

/// How long the node waits for the control plane to close the stream after `Leaving`.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// After this pause revocations that could not be stored are stored again.
const SAVE_PAUSE: Duration = Duration::from_secs(1);
/// Most revocations that are denied and could not be stored. With more the stream ends.
const UNSAVED_MAX: usize = 100_000;

/// Stores a batch of revocations; answers it back with the outcome.
type Saving = JoinHandle<(Vec<Revocation>, Result<(), StoreError>)>;

/// Why a stream ended without an error.
pub(super) enum End {
    /// The gateway drains.
    Drained,
    /// There is a new certificate: dial again with it.
    Renewed,
    /// The control plane does not want this node now.
    Refused { reason: String, retry_after: Duration },
}

/// One stream, while it is open.
pub(super) struct Session<'a> {
    applier: &'a Applier,
    files: &'a NodeFiles,
    credentials: &'a Credentials,
    endpoint: &'a str,
    outbox: Outbox,
    work: Work<'a>,
    /// Revocations that are denied and not yet stored.
    unsaved: Vec<Revocation>,
    saving: Option<Saving>,
    /// Revocations are stored again from then on: the last attempt failed.
    save_from: Instant,
    heartbeat: Duration,
    reports: Reports,
}

impl<'a> Session<'a> {
    /// A session over an open connection to `endpoint`. `credentials` are those that the connection was made with.
    pub fn new(
        applier: &'a Applier,
        options: &'a StreamOptions,
        credentials: &'a Credentials,
        endpoint: &'a str,
    ) -> Self {
        Session {
            applier,
            files: &options.files,
            credentials,
            endpoint,
            outbox: Outbox::default(),
            work: Work::new(applier, options.mode),
            unsaved: Vec::new(),
            saving: None,
            save_from: Instant::now(),
            heartbeat: HEARTBEAT,
            reports: Reports::new(applier.groups()),
        }
    }

    /// Runs until the stream ends. Then work that was begun is finished, and revocations are stored.
    pub async fn run(
        mut self,
        mut stream: PlaneStream,
        drain: &CancellationToken,
    ) -> Result<End, StreamError> {
        let end = self.follow(&mut stream, drain).await;
        self.work.finish().await;
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
            self.work.start()?;
            self.start_saving();
            tokio::select! {
                biased;
                () = drain.cancelled() => return Ok(End::Drained),
                message = stream.inbound.next() => match self.receive(message.transpose())? {
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
                outcome = self.work.ended() => self.work.acknowledge(outcome?, &mut self.outbox)?,
                saved = saved(&mut self.saving) => {
                    self.saving = None;
                    self.note_saved(saved)?;
                }
                () = self.reports.due(), if self.outbox.is_empty() => {
                    if let Some(message) = self.reports.next() {
                        self.outbox.push(message);
                    }
                }
                _ = heartbeat.tick() => {
                    if self.outbox.is_empty() {
                        self.outbox.push(wire::heartbeat(self.applier));
                    }
                }
                () = sleep_until(renew_at) => {
                    if self.credentials.token.is_some() {
                        renew_at = Instant::now() + renewal::RETRY;
                        self.ask_for_renewal();
                    } else if self.has_another_certificate() {
                        return Ok(End::Renewed);
                    } else {
                        renew_at = Instant::now() + renewal::LOOK_INTERVAL;
                    }
                }
            }
        }
    }

    /// Takes one message. What means work is queued; everything else is done here, at once.
    fn receive(
        &mut self,
        message: Result<Option<PlaneMessage>, tonic::Status>,
    ) -> Result<Option<End>, StreamError> {
        let message = match message {
            Ok(Some(message)) => {
                received::note(&message);
                message.message
            }
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
                if let Some(key) = wire::secrets_key(&welcome.secrets_key)? {
                    self.files.keep_secrets_key(&key)?;
                    self.work.push(Task::OpenWith(NodeKey::new(&key)))?;
                }
                metrics::gauge!(CONNECTED).set(1.0);
                self.reports.begin();
                let endpoint = self.endpoint.to_owned();
                with_control_plane(self.applier.status(), |status| {
                    status.stream = StreamState::Connected { endpoint }
                });
            }
            Plane::Revocation(revocation) => {
                let revocation = wire::revocation(revocation)?;
                self.store().deny(&revocation);
                metrics::counter!(REVOCATIONS).increment(1);
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
            Plane::Delta(delta) => self.work.push(Task::Delta(delta))?,
            Plane::CompareBuckets(compare) => self.work.push(Task::CompareBuckets(compare))?,
            Plane::Page(page) => self.work.push(Task::Page(page))?,
            Plane::SnapshotEnd(end) => self.work.push(Task::SnapshotEnd(end))?,
        }
        Ok(None)
    }

    /// Stores the revocations that are denied, one batch at a time.
    fn start_saving(&mut self) {
        if self.saving.is_none() && !self.unsaved.is_empty() && self.save_from <= Instant::now() {
            let (store, batch) = (self.store().clone(), std::mem::take(&mut self.unsaved));
            self.saving = Some(tokio::spawn(async move {
                let stored = store.store_revocations(batch.clone()).await;
                (batch, stored)
            }));
        }
    }

    /// What is stored is acknowledged: it is denied also after a restart. What could not be stored, because the disk is full say, is denied
    /// all the same. The stream lives on, so that the next revocations come too, and storing is tried again. After a restart the control
    /// plane sends again what was not stored.
    fn note_saved(
        &mut self,
        (batch, stored): (Vec<Revocation>, Result<(), StoreError>),
    ) -> Result<(), StoreError> {
        let Err(error) = stored else {
            self.outbox
                .revocation_applied(batch.iter().map(|revocation| revocation.place.seq).max().unwrap_or(0));
            return Ok(());
        };
        if self.unsaved.len() + batch.len() > UNSAVED_MAX {
            return Err(error);
        }
        tracing::error!(%error, "revocations could not be stored; they are denied until this process ends, and stored again soon");
        with_control_plane(self.applier.status(), |status| status.last_error = Some(error.to_string()));
        self.unsaved.splice(..0, batch);
        self.save_from = Instant::now() + SAVE_PAUSE;
        Ok(())
    }

    /// When the certificate is due for renewal; a pinned one, to be looked at again.
    fn renewal_due(&self) -> Instant {
        if self.credentials.token.is_none() {
            return Instant::now() + renewal::LOOK_INTERVAL;
        }
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

    /// Whether the files have another pinned certificate by now. Files that are being replaced are looked at again later.
    fn has_another_certificate(&self) -> bool {
        let read = self.files.credentials();
        let read = read.inspect_err(|error| {
            tracing::warn!(%error, "the pinned certificate cannot be read; the stream goes on with the one that it began with")
        });
        read.is_ok_and(|read| read.certificate_pem != self.credentials.certificate_pem)
    }

    fn store(&self) -> &Store {
        self.applier.store()
    }
}

/// The outcome of storing revocations; waits for ever when none are being stored.
async fn saved(saving: &mut Option<Saving>) -> (Vec<Revocation>, Result<(), StoreError>) {
    match saving {
        Some(saving) => saving.await.unwrap_or((Vec::new(), Err(StoreError::WriterStopped))),
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
        while let Some(Ok(_)) = inbound.next().await {}
    };
    let _ = timeout(LEAVE_TIMEOUT, farewell).await;
}
