//! The group committer: writers that come together share one transaction, and so one flush to disk. Each has a savepoint
//! of its own, so that one that fails takes nobody along.
//!
//! The log is locked first. Committers of several replicas therefore take turns as a whole, sequence numbers are dense and in
//! commit order, and nobody can deadlock.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{Apply, Author, LogTx, NotWritten, Replica, Written, locked::LockedLog};

/// Writers in one transaction.
const BATCH_MAX: usize = 64;
/// Writers that wait; further ones are refused at once.
pub(crate) const QUEUE_MAX: usize = 1024;

/// A writer in the queue, whatever it answers.
pub(crate) trait Job<A: Apply>: Send {
    /// Whether whoever asked has gone.
    fn is_abandoned(&self) -> bool;

    /// Does the work, once; whether it succeeded. The outcome is kept until the end.
    fn work<'t>(&'t mut self, tx: &'t mut LogTx<A>) -> BoxFuture<'t, bool>;

    fn author(&self) -> Author;

    /// The span of whoever asked.
    fn span(&self) -> &tracing::Span;

    /// Answers with the outcome of the work, or with why the transaction has none.
    fn end(self: Box<Self>, committed: Result<(), NotWritten>);
}

/// A writer whose `work` answers a `T` or an `E`.
pub(crate) struct Writer<W, T, E> {
    author: Author,
    work: Option<W>,
    outcome: Option<Result<Written<T>, E>>,
    answer: oneshot::Sender<Result<Written<T>, E>>,
    /// Of the request that writes: statements and entries belong to its trace.
    span: tracing::Span,
}

impl<W, T, E> Writer<W, T, E> {
    /// A writer, and where its answer will be.
    pub fn new(author: Author, work: W) -> (Self, oneshot::Receiver<Result<Written<T>, E>>) {
        let (answer, receiver) = oneshot::channel();
        let span = tracing::Span::current();
        (Self { author, work: Some(work), outcome: None, answer, span }, receiver)
    }
}

impl<A, W, T, E> Job<A> for Writer<W, T, E>
where
    A: Apply,
    W: for<'t> FnOnce(&'t mut LogTx<A>) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
    E: From<NotWritten> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn work<'t>(&'t mut self, tx: &'t mut LogTx<A>) -> BoxFuture<'t, bool> {
        let Some(work) = self.work.take() else { return Box::pin(std::future::ready(false)) };
        let span = self.span.clone();
        Box::pin(async move {
            let value = AssertUnwindSafe(async { work(tx).await }).catch_unwind().instrument(span).await;
            let value = value.unwrap_or_else(|_| Err(NotWritten::Panicked.into()));
            let outcome = value.map(|value| Written { value, position: tx.written() });
            self.outcome.insert(outcome).is_ok()
        })
    }

    fn author(&self) -> Author {
        self.author.clone()
    }

    fn span(&self) -> &tracing::Span {
        &self.span
    }

    fn end(self: Box<Self>, committed: Result<(), NotWritten>) {
        let outcome = match (committed, self.outcome) {
            // A refusal stands, whatever became of the others.
            (_, Some(Err(refused))) => Err(refused),
            (Ok(()), Some(Ok(written))) => Ok(written),
            (Ok(()), None) => Err(NotWritten::Stopping.into()),
            (Err(reason), _) => Err(reason.into()),
        };
        // Whoever asked may have gone meanwhile.
        let _ = self.answer.send(outcome);
    }
}

/// The running part of a [`Log`](crate::Log).
pub struct Committer<A: Apply> {
    replica: Replica,
    apply: Arc<A>,
    queue: mpsc::Receiver<Box<dyn Job<A>>>,
}

impl<A: Apply> Committer<A> {
    pub(crate) fn new(replica: Replica, apply: Arc<A>, queue: mpsc::Receiver<Box<dyn Job<A>>>) -> Self {
        Self { replica, apply, queue }
    }

    /// Commits until the drain; writers that wait by then are still served.
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                received = self.queue.recv_many(&mut jobs, BATCH_MAX) => match received {
                    0 => return Ok(()),
                    _ => self.commit(std::mem::take(&mut jobs)).await,
                },
                () = drain.cancelled(), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }

    /// One transaction. Every writer is answered by the end of it.
    async fn commit(&self, mut jobs: Vec<Box<dyn Job<A>>>) {
        jobs.retain(|job| !job.is_abandoned());
        let committed = self.transact(&mut jobs).await;
        if let Err(NotWritten::Unconfirmed(error)) = &committed {
            tracing::warn!(%error, "a group of writes was not confirmed");
        }
        for job in jobs {
            job.end(committed.clone());
        }
    }

    async fn transact(&self, jobs: &mut [Box<dyn Job<A>>]) -> Result<(), NotWritten> {
        let span = commit_span(jobs);
        let mut tx = self.begin().instrument(span.clone()).await?;
        let alone = jobs.len() == 1;
        let mut succeeded = false;
        for job in jobs {
            succeeded |= work(&mut tx, job.as_mut(), alone).await?;
        }
        if !succeeded {
            // Dropping the transaction takes it back.
            return Ok(());
        }
        let vector =
            tx.commit().instrument(span).await.map_err(|error| NotWritten::Unconfirmed(Arc::new(error)))?;
        self.replica.note_applied(&vector);
        Ok(())
    }

    async fn begin(&self) -> Result<LogTx<A>, NotWritten> {
        let mut transaction = self.replica.db.begin().await.map_err(database)?;
        let locked = LockedLog::lock(&mut transaction).await.map_err(Arc::new)?;
        if !locked.confirmed {
            return Err(NotWritten::Fenced);
        }
        let now = self.replica.clock.now();
        Ok(LogTx::new(transaction, locked, self.apply.clone(), self.replica.clone(), now))
    }
}

/// The span of a transaction: below that of the first writer, and linked to those of the others.
fn commit_span<A: Apply>(jobs: &[Box<dyn Job<A>>]) -> tracing::Span {
    let Some((first, others)) = jobs.split_first() else { return tracing::Span::none() };
    let span = tracing::info_span!(parent: first.span(), "log.commit", writers = jobs.len());
    for other in others {
        span.follows_from(other.span());
    }
    span
}

/// One writer's part, undone as a whole if it fails; whether it succeeded. A writer that is `alone` needs no savepoint: the
/// transaction is dropped if it fails.
async fn work<A: Apply>(tx: &mut LogTx<A>, job: &mut dyn Job<A>, alone: bool) -> Result<bool, NotWritten> {
    let mark = tx.begin(job.author());
    if alone {
        return Ok(job.work(tx).await);
    }
    execute(tx, "SAVEPOINT writer").await?;
    let succeeded = job.work(tx).await;
    if succeeded {
        execute(tx, "RELEASE SAVEPOINT writer").await?;
    } else {
        tx.undo(mark);
        execute(tx, "ROLLBACK TO SAVEPOINT writer").await?;
    }
    Ok(succeeded)
}

async fn execute<A: Apply>(tx: &mut LogTx<A>, statement: &'static str) -> Result<(), NotWritten> {
    sqlx::query(statement).execute(tx.connection()).await.map_err(database)?;
    Ok(())
}

fn database(error: sqlx::Error) -> NotWritten {
    NotWritten::Database(Arc::new(error.into()))
}
