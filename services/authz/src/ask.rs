//! Questions to the index, and when an answer counts.
//!
//! A yes counts at once, on any snapshot that is not below the floor which the request brought. A no counts only on a
//! snapshot that has everything the caller's token was minted with and everything that is known to exist in other regions:
//! otherwise it is waited for once, and then the answer is that it is not known yet.

use std::{sync::Arc, time::Duration};

use access::{Session, Unavailable};
use policy::Index;
use replication::Vector;
use tokio::time::timeout;

use crate::{SERVICE, app::App, index::Snapshot};

/// Longest wait for a floor.
const FLOOR_WAIT: Duration = Duration::from_secs(2);
/// Longest wait before a no.
const DENIAL_WAIT: Duration = Duration::from_secs(1);

impl App {
    /// Waits until decisions here see `vector`.
    pub async fn reach(&self, vector: &Vector) -> Result<Arc<Snapshot>, Unavailable> {
        self.wait_for(vector, FLOOR_WAIT).await
    }

    async fn wait_for(&self, vector: &Vector, within: Duration) -> Result<Arc<Snapshot>, Unavailable> {
        // Of identity's logs nothing is known here.
        let vector = vector.of_service(SERVICE);
        let snapshot = self.index.load();
        if snapshot.vector.covers(&vector) {
            return Ok(snapshot);
        }
        let reached = self.replication.reach(&vector, self.index.watch_applied(), within).await;
        reached.map_err(Unavailable::not_yet)?;
        Ok(self.index.load())
    }

    /// Asks `question`, whose answer is a yes or a no, for `session`.
    pub async fn ask<T>(
        &self,
        session: &Session,
        floor: &Vector,
        question: impl Fn(&Index) -> T,
        is_yes: impl Fn(&T) -> bool,
    ) -> Result<(T, Arc<Snapshot>), Unavailable> {
        let snapshot = self.reach(floor).await?;
        let answer = question(&snapshot.index);
        if is_yes(&answer) {
            return Ok((answer, snapshot));
        }
        let needed = self.needed_for_no(session);
        if snapshot.vector.covers(&needed) && snapshot.knows(session) {
            return Ok((answer, snapshot));
        }
        let arrived = self.wait_for(&needed, DENIAL_WAIT).await;
        let snapshot = self.arrival(session).await;
        let answer = question(&snapshot.index);
        if is_yes(&answer) || (arrived.is_ok() && snapshot.knows(session)) {
            return Ok((answer, snapshot));
        }
        Err(arrived.err().unwrap_or_else(|| Unavailable::not_yet(session.vector.of_service(SERVICE))))
    }

    /// The newest snapshot; waits for one that knows the caller. Identity's own feed may be on its way.
    async fn arrival(&self, session: &Session) -> Arc<Snapshot> {
        let mut applied = self.index.watch_applied();
        let known = async { while !self.index.load().knows(session) && applied.changed().await.is_ok() {} };
        let _ = timeout(DENIAL_WAIT, known).await;
        self.index.load()
    }

    /// Goes on once everything that is known to exist in other regions is here: before something is called absent, say.
    pub async fn settle(&self, session: &Session) -> Result<(), Unavailable> {
        self.wait_for(&self.needed_for_no(session), DENIAL_WAIT).await?;
        Ok(())
    }

    fn needed_for_no(&self, session: &Session) -> Vector {
        let mut needed = session.vector.of_service(SERVICE);
        needed.merge(&self.replication.tips());
        needed
    }
}

impl Snapshot {
    /// A caller that identity vouches for and that is not heard of here is on its way.
    fn knows(&self, session: &Session) -> bool {
        self.index.has_heard_of(session.organization, session.principal)
    }
}
