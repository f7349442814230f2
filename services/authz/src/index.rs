//! The index of this replica: loaded from the rows, then fed from `log_applied`, so that it is never ahead of what is
//! committed and never misses what another replica or another region wrote.

mod load;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ids::{OrganizationId, kinds};
use imbl::OrdMap;
use policy::Index;
use postgres::{Effects, Log, RELOAD, SqlId};
use replication::{Origin, Position, Vector};
use sqlx::{FromRow, PgPool};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::operation::Operation;

/// The log is looked at this often, and at once after a commit here.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Operations read at once.
const BATCH_MAX: i64 = 1000;
/// How long a write waits until decisions here see it.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(2);

/// What decisions read, and how far it goes.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub index: Index,
    /// What has been applied of each log.
    pub vector: Vector,
    /// The last operation of each origin that touched an organization.
    organizations: OrdMap<OrganizationId, Vector>,
    /// In `log_applied`.
    position: i64,
    /// When the database's server was started: another start may be a copy from the past.
    server_start: String,
}

impl Snapshot {
    /// What a decision about `organization` was made on.
    pub fn seen(&self, organization: OrganizationId) -> Vector {
        self.organizations.get(&organization).cloned().unwrap_or_default()
    }
}

/// The newest snapshot. Cheap to clone.
#[derive(Clone)]
pub struct LiveIndex {
    current: Arc<ArcSwap<Snapshot>>,
    applied: watch::Receiver<Vector>,
}

/// The part that follows the log.
pub struct Follower {
    db: PgPool,
    /// Changes after each commit of this process.
    committed: watch::Receiver<Vector>,
    current: Arc<ArcSwap<Snapshot>>,
    applied: watch::Sender<Vector>,
}

impl LiveIndex {
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// What decisions here have seen, as it changes.
    pub fn applied(&self) -> watch::Receiver<Vector> {
        self.applied.clone()
    }

    /// Waits until decisions here see `vector`. A write that is not seen in time is seen soon after.
    pub async fn visible(&self, vector: &Vector) {
        let mut applied = self.applied.clone();
        if timeout(VISIBLE_TIMEOUT, applied.wait_for(|applied| applied.covers(vector))).await.is_err() {
            tracing::warn!("the index is behind its log");
        }
    }
}

/// Loads the index as of the log's head.
pub async fn open(log: &Log) -> anyhow::Result<(LiveIndex, Follower)> {
    let db = log.db().clone();
    let snapshot = load::all(&db).await?;
    tracing::info!(position = snapshot.position, "index loaded");
    let (applied, receiver) = watch::channel(snapshot.vector.clone());
    let current = Arc::new(ArcSwap::from_pointee(snapshot));
    let live = LiveIndex { current: current.clone(), applied: receiver };
    Ok((live, Follower { db, committed: log.applied(), current, applied }))
}

#[derive(FromRow)]
struct AppliedRow {
    position: i64,
    origin: String,
    seq: i64,
    epoch: i64,
    organization_id: SqlId<kinds::Organization>,
    in_turn: bool,
    effects: Effects,
}

/// What follows a snapshot.
enum Read {
    Rows(Vec<AppliedRow>),
    Anew(Box<Snapshot>),
}

impl Follower {
    /// Follows the log until the drain. Ends with an error at effects that it cannot read: a decision made without them
    /// could be wrong, and the process with it.
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = self.committed.changed() => {}
                () = drain.cancelled() => return Ok(()),
            }
            while self.step().await? {}
        }
    }

    /// Applies what follows; `true` if more may. While the database is away, decisions are made on what is known.
    async fn step(&self) -> anyhow::Result<bool> {
        let before = self.current.load_full();
        match self.read(&before).await {
            Ok(Read::Rows(rows)) if rows.is_empty() => Ok(false),
            Ok(Read::Rows(rows)) => {
                let more = rows.len() == usize::try_from(BATCH_MAX)?;
                let mut after = Snapshot::clone(&before);
                for row in rows {
                    after.follow(row)?;
                }
                self.publish(after);
                Ok(more)
            }
            Ok(Read::Anew(snapshot)) => {
                tracing::info!(position = snapshot.position, "the index was loaded anew");
                self.publish(*snapshot);
                Ok(true)
            }
            Err(load::LoadError::Database(error)) => {
                tracing::warn!(%error, "the log could not be read; deciding on what is known");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What comes after a snapshot; all of it anew where rows were made anew, or where the database may be another.
    async fn read(&self, before: &Snapshot) -> Result<Read, load::LoadError> {
        let (head, server_start): (i64, String) =
            sqlx::query_as("SELECT position, pg_postmaster_start_time()::text FROM log_head")
                .fetch_one(&self.db)
                .await?;
        if head < before.position || server_start != before.server_start {
            return Ok(Read::Anew(Box::new(load::all(&self.db).await?)));
        }
        if head == before.position {
            return Ok(Read::Rows(Vec::new()));
        }
        let rows: Vec<AppliedRow> =
            sqlx::query_as("SELECT * FROM log_applied WHERE position > $1 ORDER BY position LIMIT $2")
                .bind(before.position)
                .bind(BATCH_MAX)
                .fetch_all(&self.db)
                .await?;
        if rows.iter().any(|row| row.effects == RELOAD) {
            return Ok(Read::Anew(Box::new(load::all(&self.db).await?)));
        }
        Ok(Read::Rows(rows))
    }

    fn publish(&self, snapshot: Snapshot) {
        let vector = snapshot.vector.clone();
        self.current.store(Arc::new(snapshot));
        self.applied.send_replace(vector);
    }
}

impl Snapshot {
    /// Moves on by one row of `log_applied`.
    fn follow(&mut self, row: AppliedRow) -> anyhow::Result<()> {
        let organization = OrganizationId::from(row.organization_id);
        let effects: Vec<Operation> = serde_json::from_str(&row.effects)
            .with_context(|| format!("effects at {} cannot be read", row.position))?;
        let changes = effects.into_iter().map(|effect| effect.change(organization));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        self.index = self.index.apply(changes.into_iter().map(|change| (organization, change)));
        if row.in_turn {
            let origin: Origin = row.origin.parse()?;
            let position = Position { epoch: u32::try_from(row.epoch)?, seq: row.seq.cast_unsigned() };
            self.vector.advance(&origin, position);
            self.organizations.entry(organization).or_default().advance(&origin, position);
        }
        self.position = row.position;
        Ok(())
    }
}
