//! The committer of a control plane: groups the writes that wait into one transaction and one version.
//!
//! One task per control plane and replica; replicas meet at the control plane's row lock. A refused write is answered
//! alone. When the transaction fails as a whole, nothing of it is written: every caller is told to try again, or, where
//! one write is at fault, each is committed alone. The transaction itself is in [`batch`].

mod audit;
mod batch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use access::Session;
use axum::http::StatusCode;
pub use batch::show;
use ids::ControlPlaneId;
use mutation::Key;
use seal::SealKey;
use sqlx::PgPool;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use tracing::Instrument as _;
use web::{Answer, Problem};

use super::plan::Command;
use crate::feed::Feed;

/// Writes that wait for one control plane; one more is answered 503.
const QUEUE_MAX: usize = 1024;
/// Writes in one transaction.
const BATCH_MAX: usize = 64;
/// A committer without work ends after this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A write on its way to the committer.
pub struct Request {
    pub command: Command,
    pub session: Session,
    pub key: Option<Key>,
    /// Plans and answers, and writes nothing.
    pub dry_run: bool,
    /// Status of the answer when the command makes something new, and when not.
    pub status: (StatusCode, StatusCode),
}

/// What became of a write.
#[derive(Clone, Debug)]
pub struct Committed {
    pub status: StatusCode,
    /// JSON; empty for 204.
    pub body: String,
    pub version: u64,
}

type Reply = oneshot::Sender<Answer<Committed>>;
type Queue = mpsc::Sender<(Request, Reply, tracing::Span)>;

/// All committers of this replica. Cheap to clone.
#[derive(Clone)]
pub struct Committers {
    db: PgPool,
    seal: SealKey,
    feed: Feed,
    queues: Arc<Mutex<HashMap<ControlPlaneId, Queue>>>,
}

impl Committers {
    pub fn new(db: PgPool, seal: SealKey, feed: Feed) -> Self {
        Self { db, seal, feed, queues: Arc::default() }
    }

    /// Commits a write with others that wait; answers once it is durable.
    pub async fn commit(&self, id: ControlPlaneId, request: Request) -> Answer<Committed> {
        let (reply, answer) = oneshot::channel();
        let mut message = (request, reply, tracing::Span::current());
        loop {
            match self.queue(id).try_send(message) {
                Ok(()) => break,
                // The committer ended for want of work just now; another one takes over.
                Err(TrySendError::Closed(unsent)) => message = unsent,
                Err(TrySendError::Full(_)) => {
                    return Err(Problem::unavailable(
                        "too many writes wait for this control plane; try again",
                    ));
                }
            }
        }
        answer.await.map_err(|_| Problem::unavailable("the write was not committed; try again"))?
    }

    fn queue(&self, id: ControlPlaneId) -> Queue {
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

async fn run(
    committers: Committers,
    id: ControlPlaneId,
    mut queue: mpsc::Receiver<(Request, Reply, tracing::Span)>,
) {
    loop {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        if timeout(IDLE_TIMEOUT, queue.recv_many(&mut batch, BATCH_MAX)).await.is_err() {
            // Whoever holds a sender now finds the queue closed and opens another; what is in it is still served.
            queue.close();
            queue.recv_many(&mut batch, BATCH_MAX).await;
        }
        if batch.is_empty() {
            return;
        }
        metrics::histogram!("landbridge_commit_batch_writes").record(batch.len() as f64);
        let span = batch.first().map_or_else(tracing::Span::none, |(_, _, span)| span.clone());
        let (requests, replies): (Vec<Request>, Vec<Reply>) =
            batch.into_iter().map(|(request, reply, _)| (request, reply)).unzip();
        let answers = batch::commit(&committers, id, &requests).instrument(span).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            // A caller that has gone away finds its write done, or finds its idempotency key.
            let _ = reply.send(answer);
        }
    }
}
