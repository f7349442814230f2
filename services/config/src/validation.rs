//! Reading input that takes time: bodies of entities and declarative documents.
//!
//! It is done on threads of its own, so that it holds up no other request, and on few of them, so that a processor is left for
//! those. One organization gets half of the threads at most. What it sends beyond that waits for its own work only, and beyond
//! a limit is refused.

use access::{TooMany, Turns};
use ids::OrganizationId;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

/// Bodies of entities that one organization may have waiting.
const BODIES_WAITING_MAX: usize = 256;
/// Declarative documents that one organization may have waiting, each with up to 32 MiB in memory.
const DOCUMENTS_WAITING_MAX: usize = 4;

/// The threads for each of the two sizes of work. A document takes seconds, a body milliseconds: one does not wait for the other.
#[derive(Clone)]
pub struct Validation {
    /// For bodies of entities.
    pub bodies: Pool,
    /// For declarative documents.
    pub documents: Pool,
}

impl Validation {
    /// With so many threads for each of the two; two at least.
    pub fn new(threads: usize) -> Self {
        Self {
            bodies: Pool(Turns::new(threads, BODIES_WAITING_MAX)),
            documents: Pool(Turns::new(threads, DOCUMENTS_WAITING_MAX)),
        }
    }
}

/// Does `work` where it is, because it needs what is there. Other tasks of this thread are done by others meanwhile, where there are others.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => block_in_place(work),
    }
}

/// Why input was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// As much of the organization's input waits as may wait.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Reading it failed: a fault of ours.
    #[error("reading the input ended unexpectedly")]
    Failed,
}

/// A number of threads that organizations share.
#[derive(Clone)]
pub struct Pool(Turns);

impl Pool {
    /// Runs `work` for `organization` when it is its turn. The work goes on when the caller stops waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        organization: OrganizationId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unread> {
        let turn = self.0.take(organization).await?;
        let span = tracing::Span::current();
        let work = move || {
            // Held until the work is done, whether or not somebody waits for it.
            let _turn = turn;
            span.in_scope(work)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Unread::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it_and_keeps_its_turn() {
        let pool = Pool(Turns::new(2, 1));
        let organization = OrganizationId::generate();
        let (begun, runs) = mpsc::channel();
        let (release, wait) = mpsc::channel::<()>();
        let work = move || {
            let _ = begun.send(());
            let _ = wait.recv();
        };
        let running = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(organization, work).await }
        });
        tokio::task::spawn_blocking(move || runs.recv()).await.expect("no panic").expect("it runs");
        running.abort();
        assert!(running.await.is_err_and(|error| error.is_cancelled()));
        let next = pool.run(organization, || "next");
        tokio::pin!(next);
        assert!(next.as_mut().now_or_never().is_none(), "the turn is not free");
        drop(release);
        assert_eq!(next.await, Ok("next"));
    }

    #[tokio::test]
    async fn a_panic_frees_its_place() {
        let pool = Pool(Turns::new(2, 0));
        let organization = OrganizationId::generate();
        for _ in 0..3 {
            assert_eq!(pool.run(organization, || panic!("on purpose")).await, Err::<(), _>(Unread::Failed));
        }
        assert_eq!(pool.run(organization, || 1).await, Ok(1));
    }
}
