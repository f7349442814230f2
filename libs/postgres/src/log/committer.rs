//! The group committer: writers that come together share one transaction, and so one flush to disk. Each has a savepoint
//! of its own, so that one that fails takes nobody along.
//!
//! The head is locked first. Replicas' committers therefore take turns as a whole, sequence numbers are dense and in
//! commit order, and nobody can deadlock.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::{FutureExt as _, future::BoxFuture};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use web::{Answer, Problem};

use super::{Log, Turn, head::Head, turn::Writer};
use crate::Error;

/// Writers in one transaction.
const BATCH_MAX: usize = 64;
/// Writers that wait for their turn; further ones are answered 503 at once.
pub(super) const QUEUE_MAX: usize = 1024;

/// A writer in the queue.
pub(super) struct Job {
    writer: Writer,
    work: Work,
    answer: oneshot::Sender<Answer<Box<dyn Any + Send>>>,
}

type Work = Box<dyn for<'t> FnOnce(&'t mut Turn) -> BoxFuture<'t, Answer<Box<dyn Any + Send>>> + Send>;

impl Job {
    /// A job, and where its answer will be.
    pub fn new<T: Send + 'static>(
        writer: Writer,
        work: impl for<'t> FnOnce(&'t mut Turn) -> BoxFuture<'t, Answer<T>> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Answer<Box<dyn Any + Send>>>) {
        let (answer, receiver) = oneshot::channel();
        let work: Work = Box::new(move |turn| {
            let outcome = work(turn);
            Box::pin(async move { outcome.await.map(|value| Box::new(value) as Box<dyn Any + Send>) })
        });
        (Self { writer, work, answer }, receiver)
    }
}

/// The running part of a [`Log`].
pub struct Committer {
    log: Log,
    queue: mpsc::Receiver<Job>,
}

type Worked = (oneshot::Sender<Answer<Box<dyn Any + Send>>>, Box<dyn Any + Send>);

impl Committer {
    pub(super) fn new(log: Log, queue: mpsc::Receiver<Job>) -> Self {
        Self { log, queue }
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

    /// One transaction. Whoever is not answered in it is answered 503 by the end of it.
    async fn commit(&self, jobs: Vec<Job>) {
        let mut turn = match self.open().await {
            Ok(turn) => turn,
            Err(problem) => return refuse(jobs.into_iter().map(|job| job.answer), &problem),
        };
        let alone = jobs.len() == 1;
        let mut worked = Vec::<Worked>::with_capacity(jobs.len());
        for job in jobs {
            // Whoever asked has gone.
            if job.answer.is_closed() {
                continue;
            }
            match work(&mut turn, job.writer, job.work, alone).await {
                Ok(value) => worked.push((job.answer, value)),
                Err(problem) => drop(job.answer.send(Err(problem))),
            }
        }
        if worked.is_empty() {
            return;
        }
        match turn.commit().await {
            Ok(vector) => {
                self.log.has_applied(&vector);
                for (answer, value) in worked {
                    let _ = answer.send(Ok(value));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a group of writes was not committed");
                let problem = Problem::unavailable(
                    "the database did not confirm the write; try again with the same Idempotency-Key",
                );
                refuse(worked.into_iter().map(|(answer, _)| answer), &problem);
            }
        }
    }

    async fn open(&self) -> Answer<Turn> {
        let Log { db, origin, apply, .. } = &self.log;
        let mut transaction = db.begin().await.map_err(Error::from)?;
        let head = Head::lock(&mut transaction).await?;
        if !head.confirmed {
            return Err(Problem::unavailable(
                "this region does not take writes until another one has confirmed that its database is whole",
            ));
        }
        Ok(Turn::new(transaction, head, apply.clone(), origin.clone(), OffsetDateTime::now_utc()))
    }
}

fn refuse(answers: impl Iterator<Item = oneshot::Sender<Answer<Box<dyn Any + Send>>>>, problem: &Problem) {
    for answer in answers {
        let _ = answer.send(Err(problem.clone()));
    }
}

/// One writer's turn, undone as a whole if it fails.
async fn work(turn: &mut Turn, writer: Writer, work: Work, alone: bool) -> Answer<Box<dyn Any + Send>> {
    let mark = turn.begin(writer);
    if !alone {
        sqlx::query("SAVEPOINT writer").execute(turn.connection()).await.map_err(Error::from)?;
    }
    let outcome = AssertUnwindSafe(async {
        turn.claim().await?;
        work(turn).await
    });
    let outcome = outcome.catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Err(Problem::internal("a writer panicked")));
    if alone {
        // A transaction that fails as a whole is dropped, which takes it back.
        return outcome;
    }
    let end = match &outcome {
        Ok(_) => "RELEASE SAVEPOINT writer",
        Err(_) => {
            turn.undo(mark);
            "ROLLBACK TO SAVEPOINT writer"
        }
    };
    sqlx::query(end).execute(turn.connection()).await.map_err(Error::from)?;
    outcome
}
