//! The committer of a control plane. It commits all writes that wait in one transaction, as one version.
//!
//! Each replica runs one task per control plane that is being written to. The control plane's row is locked, so the
//! committers of different replicas take turns. A write that is refused does not disturb the others. If the transaction
//! fails, nothing of it is written. If one of the writes caused that, each is tried again alone; if the database cannot be
//! reached, every caller is told to try again. The transaction itself is in [`batch`].

mod audit;
mod batch;
mod keys;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use access::Caller;
use axum::http::StatusCode;
use gateway_model::Entity;
use ids::{ControlPlaneId, OrganizationId};
use mutation::Key;
use random::Random;
use seal::SealKey;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    known::EntityId,
    plan::{Command, Limits, Refusal},
    store,
};
use crate::{feed::Feed, imports::Progress, rows::RowError};

/// Most writes that wait for one control plane. A further one is answered 429.
const QUEUE_MAX: usize = 1024;
/// Most writes in one transaction.
const BATCH_MAX: usize = 64;
/// A committer without work ends after this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a request asks for.
pub enum Task {
    /// One write.
    One(Box<Command>),
    /// Writes in this order, all or nothing. Later ones see what earlier ones make.
    Together(Vec<Command>),
}

impl Task {
    /// A task of one write.
    pub fn one(command: Command) -> Self {
        Self::One(Box::new(command))
    }

    /// The writes, in order.
    pub fn commands(&self) -> &[Command] {
        match self {
            Self::One(command) => std::slice::from_ref(command.as_ref()),
            Self::Together(commands) => commands,
        }
    }
}

/// A write on its way to the committer.
pub struct Request {
    /// What is to be written.
    pub task: Task,
    /// Who writes.
    pub actor: Actor,
    /// The key that the client sent, and the form in which the answer is kept for it.
    pub keep: Option<Keep>,
    /// Where the write tells how far it has come, if it is an import.
    pub progress: Option<Progress>,
}

impl Request {
    /// A write without idempotency key, which is no import.
    pub fn plain(command: Command, actor: Actor) -> Self {
        Self { task: Task::one(command), actor, keep: None, progress: None }
    }
}

/// Who writes, for the audit log.
#[derive(Clone)]
pub enum Actor {
    Person(Caller),
    /// This service itself: it completes what a person of this organization began. Example: a delete during which the process
    /// ended.
    Service(OrganizationId),
}

/// An idempotency key, and how the answer that it stands for is rendered.
pub struct Keep {
    /// The key of the request, not answered before.
    pub key: Key,
    /// Makes the stored answer of the write's outcome, before the transaction commits.
    pub render: fn(&Outcome) -> Rendered,
}

/// An answer as it is kept for its idempotency key.
pub struct Rendered {
    /// HTTP status.
    pub status: StatusCode,
    /// The `ETag` header; `None` where the answer is not one entity.
    pub etag: Option<String>,
    /// JSON.
    pub body: String,
}

/// What a committed write came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The entity is there, as shown: it was made or changed, or it was like this before.
    Stands(Box<Shown>),
    /// The entity is not there: it was deleted, or it was not there before.
    Gone,
    /// All writes of the request are done.
    Together(Together),
}

/// An entity as the API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Kind and id.
    pub id: EntityId,
    /// The fields, with defaults filled in and secrets in clear.
    pub entity: Entity,
    /// The version of the control plane at which the entity was last written.
    pub version: u64,
    /// When the entity was created.
    pub created_at: OffsetDateTime,
    /// When it was last written.
    pub updated_at: OffsetDateTime,
}

/// What writes that were made together came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// The version of the control plane afterwards.
    pub version: u64,
    /// Entities that were made, changed and deleted, by all writes.
    pub created: usize,
    pub updated: usize,
    pub deleted: usize,
    /// The entity of each write; `None`: it deletes one that was not there.
    pub subjects: Vec<Option<EntityId>>,
    /// The import that they were.
    pub import: Option<Uuid>,
}

/// Why a write was not committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The control plane was deleted in the meantime.
    #[error("no such control plane")]
    NoControlPlane,
    /// The write breaks a rule. Nothing of it was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// [`QUEUE_MAX`] writes wait already. Nothing of this one was written.
    #[error("too many writes wait for this control plane; try again")]
    QueueFull,
    /// Others write the entity all the time, so that what was read is never the newest version. Nothing of this write was written.
    #[error("others change this entity at the same time; try again")]
    Contended,
    /// The committer ended before it answered. Whether the write was committed is not known.
    #[error("it is not known whether the write was committed; read the entity, then try again")]
    Unanswered,
    /// A request with the same idempotency key is still running, or was answered just now.
    #[error("a request with this idempotency key is still running")]
    KeyInUse,
    /// A document is being written, and has written the same entity or key. Nothing of this write was written.
    #[error("a document that is being applied changes this entity; try again when it is done")]
    HeldByDocument,
    /// One cause for all the writes of a batch.
    #[error(transparent)]
    Failed(Arc<BatchError>),
}

/// Why a batch was not committed: nothing of it is written.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error(transparent)]
    Rows(#[from] RowError),
    /// The idempotency key or the audit entry could not be written.
    #[error(transparent)]
    Mutation(#[from] mutation::Error),
    /// A document that is being written holds a row.
    #[error("a document that is being applied holds the entity")]
    Held,
}

impl BatchError {
    /// The database's error, if the database caused this.
    pub fn database(&self) -> Option<&postgres::Error> {
        match self {
            Self::Rows(RowError::Database(error)) | Self::Mutation(mutation::Error::Database(error)) => {
                Some(error)
            }
            Self::Rows(_) | Self::Mutation(_) | Self::Held => None,
        }
    }
}

impl From<BatchError> for CommitError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Held => Self::HeldByDocument,
            error => Self::Failed(Arc::new(error)),
        }
    }
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Rows(error.into())
    }
}

type Reply = oneshot::Sender<Result<Outcome, CommitError>>;

/// A write that waits, with its caller's trace.
struct Waiting {
    request: Request,
    reply: Reply,
    span: tracing::Span,
}

/// All committers of this replica. Cheap to clone.
#[derive(Clone)]
pub struct Committers {
    db: PgPool,
    seal: SealKey,
    /// Draws the secrets that requests leave open.
    random: Random,
    feed: Feed,
    limits: Limits,
    queues: Arc<Mutex<HashMap<ControlPlaneId, mpsc::Sender<Waiting>>>>,
}

impl Committers {
    /// No committer runs yet: each control plane gets one with its first write.
    pub fn new(db: PgPool, seal: SealKey, feed: Feed, limits: Limits, random: Random) -> Self {
        Self { db, seal, feed, limits, random, queues: Arc::default() }
    }

    /// Commits a write, in one transaction with others that wait. Returns once the write is on disk.
    pub async fn commit(&self, id: ControlPlaneId, request: Request) -> Result<Outcome, CommitError> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = Waiting { request, reply, span: tracing::Span::current() };
        loop {
            match self.queue(id).try_send(waiting) {
                Ok(()) => break,
                // The committer has just ended because it had no work. The next call of `queue` starts another one.
                Err(TrySendError::Closed(unsent)) => waiting = unsent,
                Err(TrySendError::Full(_)) => return Err(CommitError::QueueFull),
            }
        }
        answer.await.unwrap_or(Err(CommitError::Unanswered))
    }

    fn queue(&self, id: ControlPlaneId) -> mpsc::Sender<Waiting> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&id).filter(|queue| !queue.is_closed()) {
            return queue.clone();
        }
        queues.retain(|_, queue| !queue.is_closed());
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        queues.insert(id, sender.clone());
        tokio::spawn(run(self.clone(), id, receiver));
        sender
    }
}

async fn run(committers: Committers, id: ControlPlaneId, mut queue: mpsc::Receiver<Waiting>) {
    loop {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        if timeout(IDLE_TIMEOUT, queue.recv_many(&mut batch, BATCH_MAX)).await.is_err() {
            // From now on the queue takes no more writes, and a caller starts another committer. Writes that are in it already
            // are still committed.
            queue.close();
            queue.recv_many(&mut batch, BATCH_MAX).await;
        }
        if batch.is_empty() {
            return;
        }
        metrics::histogram!("landbridge_commit_batch_writes").record(batch.len() as f64);
        let span = batch_span(id, &batch);
        let (requests, replies): (Vec<Request>, Vec<Reply>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.reply)).unzip();
        let answers = batch::commit(&committers, id, &requests).instrument(span).await;
        for ((request, reply), answer) in requests.into_iter().zip(replies).zip(answers) {
            if let Err(CommitError::HeldByDocument) = answer {
                let waiting = Waiting { request, reply, span: tracing::Span::current() };
                tokio::spawn(commit_after_document(committers.clone(), id, waiting));
                continue;
            }
            // Fails if the caller no longer waits. Its write is committed, and a retry finds the answer by its idempotency key.
            let _ = reply.send(answer);
        }
    }
}

/// Commits a write that met what a document had written, once the document is done.
async fn commit_after_document(committers: Committers, id: ControlPlaneId, waiting: Waiting) {
    if !matches!(store::document_ends(&committers.db, id).await, Ok(true)) {
        let _ = waiting.reply.send(Err(CommitError::HeldByDocument));
        return;
    }
    let Waiting { request, reply, .. } = waiting;
    let _ = reply.send(committers.commit(id, request).await);
}

/// A batch continues the trace of its first write and links to those of the others. What the batch leads to (the delta,
/// the node's apply) continues it.
fn batch_span(id: ControlPlaneId, batch: &[Waiting]) -> tracing::Span {
    let Some((first, others)) = batch.split_first() else { return tracing::Span::none() };
    let writes = batch.len();
    let span = tracing::info_span!(parent: &first.span, "commit batch", control_plane = %id, writes);
    for other in others {
        span.follows_from(&other.span);
    }
    span
}
