//! The log that this process writes.

use std::sync::Arc;

use clock::Clock;
use futures::future::BoxFuture;
use replication::{Origin, Position, Signer};
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::{
    Apply, Author, Committer, LogTx, Replica,
    committer::{Job, QUEUE_MAX, Writer},
};

/// A log that is written here, with the types of its service. Cheap to clone.
pub struct Log<A: Apply> {
    replica: Replica,
    queue: mpsc::Sender<Box<dyn Job<A>>>,
}

/// What a writer answered, and where its entries stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// What the writer returned.
    pub value: T,
    /// Of the last entry that the writer appended; `None` if it appended none.
    pub position: Option<Position>,
}

/// Why a write has no effect, or perhaps none.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotWritten {
    /// Too many writers wait already. Nothing was written.
    #[error("too many writes wait")]
    QueueFull,
    /// The service drains. Nothing was written.
    #[error("the service is stopping")]
    Stopping,
    /// This log is not known to be whole: its database may be a copy from the past. Nothing was written.
    #[error("this region's log has not been confirmed to be whole")]
    Fenced,
    /// The database failed before the commit. Nothing was written.
    #[error(transparent)]
    Database(#[from] Arc<postgres::Error>),
    /// The database did not answer the commit: the write may have happened.
    #[error("the database did not confirm the write: {0}")]
    Unconfirmed(Arc<postgres::Error>),
    /// A fault of ours. Nothing was written.
    #[error("the writer panicked")]
    Panicked,
}

impl<A: Apply> Log<A> {
    /// The log that this process writes as `origin`, and the part that has to run. Entries are dated by `clock` and signed by
    /// `signer`.
    pub fn open(db: PgPool, origin: Origin, apply: A, clock: Clock, signer: Signer) -> (Self, Committer<A>) {
        let apply = Arc::new(apply);
        let replica = Replica::new(db, origin, apply.clone(), signer, clock);
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        (Self { replica: replica.clone(), queue }, Committer::new(replica, apply, jobs))
    }

    /// The same logs, to read and for replication.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Who writes this log.
    pub fn origin(&self) -> &Origin {
        self.replica.origin()
    }

    /// The database.
    pub fn db(&self) -> &PgPool {
        self.replica.db()
    }

    /// Runs `work` in the next group commit and answers once that is durable. What `work` did is kept if it succeeds and
    /// undone if it fails. It may do SQL only, on the transaction's own connection: others wait for it.
    pub async fn write<T, E, W>(&self, author: Author, work: W) -> Result<Written<T>, E>
    where
        T: Send + 'static,
        E: From<NotWritten> + Send + 'static,
        W: for<'t> FnOnce(&'t mut LogTx<A>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (writer, answer) = Writer::new(author, work);
        self.queue.try_send(Box::new(writer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotWritten::QueueFull,
            mpsc::error::TrySendError::Closed(_) => NotWritten::Stopping,
        })?;
        answer.await.unwrap_or_else(|_| Err(NotWritten::Stopping.into()))
    }
}

impl<A: Apply> Clone for Log<A> {
    fn clone(&self) -> Self {
        Self { replica: self.replica.clone(), queue: self.queue.clone() }
    }
}
