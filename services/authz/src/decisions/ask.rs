//! Waiting before an answer: for what a request names, and for what a denial needs.

use std::{sync::Arc, time::Duration};

use access::Unavailable;
use replication::Vector;
use replication_runtime::Fenced;
use tokio::time::timeout;

use super::{Asker, Decider};
use crate::{app::SERVICE, index::Snapshot};

/// Longest wait for the vector that a request names.
const REACH_WAIT: Duration = Duration::from_secs(2);
/// Longest wait before a denial.
const DENIAL_WAIT: Duration = Duration::from_secs(1);

impl Decider {
    /// Waits until decisions here see `vector`, at most two seconds; then [`Unavailable::NotYet`].
    pub async fn reach(&self, vector: &Vector) -> Result<Arc<Snapshot>, Unavailable> {
        self.wait_for(vector, REACH_WAIT).await
    }

    async fn wait_for(&self, vector: &Vector, within: Duration) -> Result<Arc<Snapshot>, Unavailable> {
        // The index knows nothing of identity's logs.
        let vector = vector.of_service(SERVICE);
        let snapshot = self.index.load();
        if snapshot.vector.covers(&vector) {
            return Ok(snapshot);
        }
        let reached = self.replication.reach(&vector, self.index.watch_applied(), within).await;
        reached.map_err(Unavailable::not_yet)?;
        Ok(self.index.load())
    }

    /// Asks `question` for `asker`; `allows` says which of its answers count at once. Answers the snapshot that it was asked on
    /// as well.
    pub async fn ask<T>(
        &self,
        asker: &Asker,
        minimum: &Vector,
        question: impl Fn(&Snapshot) -> T,
        allows: impl Fn(&T) -> bool,
    ) -> Result<(T, Arc<Snapshot>), Unavailable> {
        let snapshot = self.reach(minimum).await?;
        let answer = question(&snapshot);
        if allows(&answer) {
            return Ok((answer, snapshot));
        }
        let needed = self.needed_to_deny(&asker.vector).await?;
        if snapshot.vector.covers(&needed) && snapshot.knows(asker) {
            return Ok((answer, snapshot));
        }
        let arrived = self.wait_for(&needed, DENIAL_WAIT).await;
        let snapshot = self.wait_for_caller(asker).await;
        let answer = question(&snapshot);
        if allows(&answer) || (arrived.is_ok() && snapshot.knows(asker)) {
            return Ok((answer, snapshot));
        }
        Err(arrived.err().unwrap_or_else(|| Unavailable::not_yet(asker.vector.of_service(SERVICE))))
    }

    /// The newest snapshot. Waits for one that knows the caller: identity may be sending it.
    async fn wait_for_caller(&self, asker: &Asker) -> Arc<Snapshot> {
        let mut applied = self.index.watch_applied();
        let known = async { while !self.index.load().knows(asker) && applied.changed().await.is_ok() {} };
        let _ = timeout(DENIAL_WAIT, known).await;
        self.index.load()
    }

    /// Goes on once this region has applied `vector` and everything that other regions have announced; at most a second later
    /// [`Unavailable::NotYet`]. [`Unavailable::Unconfirmed`] at once while the region's database may have forgotten some of it.
    /// Asked before something is called absent, for example.
    pub async fn settle(&self, vector: &Vector) -> Result<(), Unavailable> {
        self.wait_for(&self.needed_to_deny(vector).await?, DENIAL_WAIT).await?;
        Ok(())
    }

    async fn needed_to_deny(&self, vector: &Vector) -> Result<Vector, Unavailable> {
        let mut needed =
            self.replication.needed_to_deny().await.map_err(|Fenced| Unavailable::Unconfirmed)?;
        needed.merge(&vector.of_service(SERVICE));
        Ok(needed)
    }
}

impl Snapshot {
    /// Whether the index has heard of the caller. Identity vouches for it; if the index has not heard of it, its record is still on
    /// its way here.
    fn knows(&self, asker: &Asker) -> bool {
        self.index.has_heard_of(asker.organization, asker.principal)
    }
}
