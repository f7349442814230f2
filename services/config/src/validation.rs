//! Reading input that takes time: bodies of entities and declarative documents.
//!
//! It is done on threads of its own, so that it holds up no other request, and on few of them, so that a processor is left for
//! those. One organization gets half of the threads at most. What it sends beyond that waits for its own work only, and beyond
//! a limit is refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ids::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fewest threads: two organizations can be served at the same time.
const THREADS_MIN: usize = 2;
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
            bodies: Pool::new(threads, BODIES_WAITING_MAX),
            documents: Pool::new(threads, DOCUMENTS_WAITING_MAX),
        }
    }
}

/// So much of an organization's input is being read already that more is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// As much waits as may wait.
    #[error("too many requests of this organization wait to be read; send fewer at a time, and try again")]
    TooMany,
    /// Reading it failed: a fault of ours.
    #[error("reading the input ended unexpectedly")]
    Failed,
}

/// A number of threads that organizations share.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    threads: Arc<Semaphore>,
    /// Threads that one organization may have.
    share: usize,
    waiting_max: usize,
    shares: Mutex<HashMap<OrganizationId, Weak<Share>>>,
}

/// What one organization has of a pool, as long as it has anything there.
struct Share {
    threads: Arc<Semaphore>,
    /// One permit for whatever waits or runs.
    places: Arc<Semaphore>,
}

impl Pool {
    /// A pool of `threads`, two at least. `waiting_max` is how much of one organization may wait.
    pub fn new(threads: usize, waiting_max: usize) -> Self {
        let threads = threads.max(THREADS_MIN);
        Self(Arc::new(Inner {
            threads: Arc::new(Semaphore::new(threads)),
            share: threads / 2,
            waiting_max,
            shares: Mutex::default(),
        }))
    }

    /// Runs `work` for `organization` when it is its turn. The work goes on when the caller stops waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        organization: OrganizationId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unread> {
        let share = self.share(organization);
        let place = share.places.clone().try_acquire_owned().map_err(|_| Unread::TooMany)?;
        let own = permit(&share.threads).await?;
        let thread = permit(&self.0.threads).await?;
        let span = tracing::Span::current();
        let work = move || {
            // Held until the work is done, whether or not somebody waits for it.
            let _held = (share, place, own, thread);
            span.in_scope(work)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Unread::Failed)
    }

    fn share(&self, organization: OrganizationId) -> Arc<Share> {
        let Inner { share, waiting_max, shares, .. } = &*self.0;
        let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = shares.get(&organization).and_then(Weak::upgrade) {
            return held;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let threads = Arc::new(Semaphore::new(*share));
        let new = Arc::new(Share { threads, places: Arc::new(Semaphore::new(share + waiting_max)) });
        shares.insert(organization, Arc::downgrade(&new));
        new
    }
}

/// The semaphores here are never closed.
async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Unread> {
    semaphore.clone().acquire_owned().await.map_err(|_| Unread::Failed)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Work that ends when it is told to.
    fn held() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, wait) = mpsc::channel();
        (release, move || {
            let _ = wait.recv();
        })
    }

    #[tokio::test]
    async fn an_organization_takes_half_of_the_threads_and_no_more() {
        let pool = Pool::new(2, 1);
        let (one, other) = (OrganizationId::generate(), OrganizationId::generate());
        let (release, work) = held();
        let running = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(one, work).await }
        });
        while pool.0.threads.available_permits() > 1 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(one, || "waited").await }
        });
        let places = pool.share(one).places.clone();
        while places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(one, || ()).await, Err(Unread::TooMany));
        assert_eq!(pool.run(other, || "at once").await, Ok("at once"));
        assert!(!waiting.is_finished());
        drop(release);
        assert_eq!(running.await.expect("no panic"), Ok(()));
        assert_eq!(waiting.await.expect("no panic"), Ok("waited"));
        assert_eq!(pool.run(one, || "again").await, Ok("again"));
        pool.share(other);
        assert_eq!(pool.0.shares.lock().expect("lock").len(), 1, "who has nothing here is forgotten");
    }

    #[tokio::test]
    async fn a_panic_frees_its_place() {
        let pool = Pool::new(2, 0);
        let organization = OrganizationId::generate();
        for _ in 0..3 {
            assert_eq!(pool.run(organization, || panic!("on purpose")).await, Err::<(), _>(Unread::Failed));
        }
        assert_eq!(pool.run(organization, || 1).await, Ok(1));
    }
}
