//! The index of this process: all rows that decisions read, in memory. It is loaded from the rows and then changed by the effects of
//! entries, in the order in which they were applied. So it never shows what is not committed, and it misses nothing that another
//! process or another region wrote.

pub mod leases;
mod load;

use std::{collections::BTreeSet, future::pending, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use ids::OrganizationId;
use imbl::OrdMap;
use oplog::{Applied, Batch, FollowError, Follower, Log};
use policy::Index;
use replication::Vector;
use sqlx::PgPool;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::leases::Leases;
pub use self::load::{LoadError, read};
use crate::{apply::Rows, operation::Operation};

/// How long a write waits until decisions here see it.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The index in one moment, and the entries that it includes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The rows.
    pub index: Index,
    /// How far each of authz's logs is included.
    pub vector: Vector,
    /// Counts the snapshots of this process.
    pub generation: u64,
    /// The last entry of each origin that touched an organization.
    organizations: OrdMap<OrganizationId, Vector>,
    /// By which generation each organization changed last; those that have not changed are as of `loaded`.
    changed: OrdMap<OrganizationId, u64>,
    loaded: u64,
}

impl Snapshot {
    /// The last entry of each log that touched `organization`: what a decision about it is made on. Empty if there is none.
    pub fn seen(&self, organization: OrganizationId) -> Vector {
        self.organizations.get(&organization).cloned().unwrap_or_default()
    }

    /// The generation by which `organization` changed last. Decisions about it are the same as long as this is.
    pub fn generation_of(&self, organization: OrganizationId) -> u64 {
        self.changed.get(&organization).copied().unwrap_or(self.loaded)
    }
}

/// The newest snapshot. Cheap to clone; clones see the same one.
#[derive(Clone)]
pub struct LiveIndex {
    /// Who remembers what was decided on it.
    pub leases: Leases,
    current: Arc<ArcSwap<Snapshot>>,
    applied: watch::Receiver<Vector>,
}

/// The part that follows the log and changes the index.
pub struct IndexFollower {
    db: PgPool,
    leases: Leases,
    follower: Follower<Rows>,
    current: Arc<ArcSwap<Snapshot>>,
    applied: watch::Sender<Vector>,
}

impl LiveIndex {
    /// The newest snapshot. It stays as it is while the index moves on.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// How far each log is included in the newest snapshot, as that changes.
    pub fn watch_applied(&self) -> watch::Receiver<Vector> {
        self.applied.clone()
    }

    /// Waits until the newest snapshot includes `vector`. It may never end: the caller sets the limit.
    pub async fn reach(&self, vector: &Vector) {
        let mut applied = self.applied.clone();
        if applied.wait_for(|applied| applied.covers(vector)).await.is_err() {
            // The follower has ended, and the process with it.
            pending::<()>().await;
        }
    }

    /// Waits until the newest snapshot includes `vector` and nobody uses what was decided before it, at most two seconds. After that it
    /// goes on, with a warning in the log: a write that is not visible in time becomes visible later.
    pub async fn wait_visible(&self, vector: &Vector) {
        let visible = async {
            self.reach(vector).await;
            self.leases.until_heard().await;
        };
        if timeout(VISIBLE_TIMEOUT, visible).await.is_err() {
            tracing::warn!("the index is behind its log");
        }
    }
}

/// Loads the index from the rows as they are now. The follower has to run for it to change.
pub async fn open(log: &Log<Rows>) -> Result<(LiveIndex, IndexFollower), LoadError> {
    let db = log.db().clone();
    let (snapshot, cursor) = load::all(&db).await?;
    tracing::info!("index loaded");
    let (applied, receiver) = watch::channel(snapshot.vector.clone());
    let current = Arc::new(ArcSwap::from_pointee(snapshot));
    // Random, and never 0.
    let leases = Leases::new(Uuid::new_v4().as_u64_pair().0);
    let live = LiveIndex { leases: leases.clone(), current: current.clone(), applied: receiver };
    let follower = Follower::new(log.replica(), cursor);
    Ok((live, IndexFollower { db, leases, follower, current, applied }))
}

impl IndexFollower {
    /// Follows the log until the drain. Ends with an error if it cannot read a row or the effects of an entry: a decision made without
    /// them could be wrong. While the database is away, decisions are made on the newest snapshot.
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        while let Some(batch) = drain.run_until_cancelled(self.follower.next()).await {
            match batch {
                Ok(Batch::Applied(applied)) => {
                    let touched = applied.iter().map(|entry| entry.organization).collect();
                    self.publish(self.after(applied)?, Some(touched));
                }
                Ok(Batch::ReadAnew) => match load::all(&self.db).await {
                    Ok((snapshot, cursor)) => {
                        tracing::info!("the index was loaded anew");
                        self.follower.go_on_from(cursor);
                        self.publish(snapshot, None);
                    }
                    Err(LoadError::Database(error)) => {
                        tracing::warn!(%error, "the index could not be loaded anew; trying again");
                    }
                    Err(error @ LoadError::Row(_)) => return Err(error.into()),
                },
                Err(FollowError::Database(error)) => {
                    tracing::warn!(%error, "the log could not be read; deciding on what is known");
                }
                Err(error @ FollowError::Unreadable { .. }) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The newest snapshot, moved on by what entries changed.
    fn after(&self, applied: Vec<Applied<Vec<Operation>>>) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot::clone(&self.current.load());
        for entry in applied {
            snapshot.follow(entry)?;
        }
        Ok(snapshot)
    }

    /// Makes `snapshot` the newest one. It differs from the one before in what it says of these organizations; `None`: of any.
    fn publish(&self, mut snapshot: Snapshot, touched: Option<BTreeSet<OrganizationId>>) {
        let vector = snapshot.vector.clone();
        let generation = self.current.load().generation + 1;
        snapshot.generation = generation;
        match &touched {
            Some(touched) => snapshot.changed.extend(touched.iter().map(|id| (*id, generation))),
            None => snapshot.loaded = generation,
        }
        self.current.store(Arc::new(snapshot));
        // Whoever hears of it decides on it.
        self.leases.changed(generation, touched);
        self.applied.send_replace(vector);
    }
}

impl Snapshot {
    /// Moves on by what one entry changed.
    fn follow(&mut self, entry: Applied<Vec<Operation>>) -> anyhow::Result<()> {
        let Applied { dot, organization, in_turn, effects, traceparent } = entry;
        let span = tracing::info_span!("index.follow", origin = %dot.origin, seq = dot.position.seq);
        telemetry::adopt(&span, &traceparent);
        let _entered = span.entered();
        let changes = effects.into_iter().map(|effect| effect.change(organization));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        self.index = self.index.apply(changes.into_iter().map(|change| (organization, change)));
        if in_turn {
            self.vector.advance(&dot.origin, dot.position);
            self.organizations.entry(organization).or_default().advance(&dot.origin, dot.position);
        }
        Ok(())
    }
}
