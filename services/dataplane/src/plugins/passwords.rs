//! Checks passwords against slow hashes, beside the threads that serve requests.
//!
//! A check takes a core for milliseconds. As many run at one time as there are cores; a bounded number waits, and what comes beyond is turned
//! away, so that guessing cannot make the gateway slow for others without end.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use tokio::sync::Semaphore;
use uuid::Uuid;

/// Checks that may wait for a core.
const WAITING_MAX: usize = 256;

/// Cheap to clone; clones share the bounds.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cores: Semaphore,
    begun: AtomicUsize,
    begun_max: usize,
}

/// Too many passwords are being checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

impl Passwords {
    /// Whether `hash`, of a credential of `consumer`, is that of `password`.
    pub async fn check(&self, hash: Box<str>, consumer: Uuid, password: Vec<u8>) -> Result<bool, Busy> {
        let _begun = self.begin()?;
        let _core = self.0.cores.acquire().await.map_err(|_| Busy)?;
        let check =
            tokio::task::spawn_blocking(move || entity_secrets::is_password(&hash, consumer, &password));
        // It ends early only with the process.
        Ok(check.await.unwrap_or(false))
    }

    fn begin(&self) -> Result<Begun<'_>, Busy> {
        let begun = Begun(&self.0.begun);
        if self.0.begun.fetch_add(1, Ordering::AcqRel) >= self.0.begun_max { Err(Busy) } else { Ok(begun) }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let begun_max = cores + WAITING_MAX;
        Self(Arc::new(Shared { cores: Semaphore::new(cores), begun: AtomicUsize::new(0), begun_max }))
    }
}

/// A check that has begun or waits. Dropped, it is over.
struct Begun<'a>(&'a AtomicUsize);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn what_comes_beyond_the_bound_is_turned_away_and_the_place_is_free_again() {
        let shared = Shared { cores: Semaphore::new(0), begun: AtomicUsize::new(0), begun_max: 2 };
        let passwords = Passwords(Arc::new(shared));
        let check = || passwords.check("no hash".into(), Uuid::nil(), b"p".to_vec());
        let mut waiting = Box::pin(join_all([check(), check()]));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(check().await, Err(Busy));
        drop(waiting);
        passwords.0.cores.add_permits(1);
        assert_eq!(check().await, Ok(false));
        assert_eq!(passwords.0.begun.load(Ordering::Acquire), 0);
    }
}
