//! How far the connected nodes of control planes have come, for those who wait for a version. One look at the database, every
//! [`LOOK_INTERVAL`] while anybody waits, serves all of them: a thousand that wait cost what one costs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ids::ControlPlaneId;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::store::{self, Spread};
use crate::rows::RowError;

/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Most requests of a process that wait at once.
const WAITING_MAX: usize = 10_000;

/// Looks for those who wait. Cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<Inner>);

struct Inner {
    db: PgPool,
    /// The control planes that somebody waits for, with what was last seen of each.
    watched: Mutex<HashMap<ControlPlaneId, watch::Sender<Option<Spread>>>>,
    /// Somebody has begun to wait.
    begun: Notify,
}

/// Too many requests wait for versions already.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{WAITING_MAX} requests wait for versions already; try again")]
pub struct TooManyWait;

impl Progress {
    /// Nobody waits. [`Progress::run`] has to run.
    pub fn new(db: PgPool) -> Self {
        Self(Arc::new(Inner { db, watched: Mutex::default(), begun: Notify::new() }))
    }

    /// Returns once all connected nodes have applied `version`, or at the deadline. What counts is read by the caller afterwards.
    pub async fn wait(
        &self,
        control_plane: ControlPlaneId,
        version: u64,
        deadline: Instant,
    ) -> Result<(), TooManyWait> {
        let mut seen = self.watch(control_plane)?;
        let is_complete = |spread: &Option<Spread>| spread.as_ref().is_some_and(|it| it.is_complete(version));
        // An end by the deadline, or of the looks, is as good: the caller reads what is there.
        let _ = timeout_at(deadline, seen.wait_for(is_complete)).await;
        Ok(())
    }

    fn watch(&self, control_plane: ControlPlaneId) -> Result<watch::Receiver<Option<Spread>>, TooManyWait> {
        let mut watched = self.watched();
        if watched.values().map(watch::Sender::receiver_count).sum::<usize>() >= WAITING_MAX {
            return Err(TooManyWait);
        }
        let seen = watched.entry(control_plane).or_insert_with(|| watch::Sender::new(None)).subscribe();
        self.0.begun.notify_one();
        Ok(seen)
    }

    /// Looks while anybody waits, until the drain.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let looking = async {
            loop {
                let waited_for = self.waited_for();
                if waited_for.is_empty() {
                    self.0.begun.notified().await;
                    continue;
                }
                if let Err(error) = self.look(&waited_for).await {
                    tracing::warn!(%error, "how far nodes have come cannot be read; those who wait for it go on waiting");
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        drain
            .run_until_cancelled(looking)
            .await
            .map_or(Ok(()), |never: std::convert::Infallible| match never {})
    }

    /// The control planes that somebody waits for; forgets the others.
    fn waited_for(&self) -> Vec<ControlPlaneId> {
        let mut watched = self.watched();
        watched.retain(|_, seen| seen.receiver_count() > 0);
        watched.keys().copied().collect()
    }

    async fn look(&self, control_planes: &[ControlPlaneId]) -> Result<(), RowError> {
        let mut spreads = store::spreads(&self.0.db, control_planes).await?;
        let watched = self.watched();
        for (control_plane, seen) in watched.iter() {
            let spread = spreads.remove(control_plane);
            seen.send_if_modified(|before| {
                let is_news = *before != spread;
                *before = spread;
                is_news
            });
        }
        Ok(())
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<ControlPlaneId, watch::Sender<Option<Spread>>>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
