//! The newest version of each control plane, for the streams of nodes that wait for it; and what brings a node to that version:
//! a [`delta`] or a [`snapshot`].
//!
//! A stream hears of this replica's commits at once. It hears of another replica's commits by a hint on NATS, or at the
//! next look at the database ([`POLL_INTERVAL`]): a lost hint costs no more than that.

mod delta;
pub mod history;
mod shared;
mod snapshot;

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use ids::{ControlPlaneId, Region, kinds, subject};
use postgres::{Lookups, Row, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use self::delta::{Delta, Step};
pub use self::snapshot::Buckets;
use self::{history::History, shared::Shared};
use crate::rows::RowError;

/// Pause between two looks at the control planes that somebody watches.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The newest version of a control plane. Versions of different incarnations have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// The incarnation in which `version` counts, from 1.
    pub incarnation: u64,
    /// Counts the commits, from 0 for an empty configuration.
    pub version: u64,
}

/// What nodes of a control plane wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The newest version.
    pub head: Head,
    /// Sequence number of the newest revocation.
    pub revocation_seq: u64,
    /// Counts the removals of nodes. When it changes, a stream asks whether its own node was removed.
    pub removals: u64,
}

/// What is newest of each control plane. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    db: PgPool,
    /// `None`: this replica only looks at the database every 250 ms, and does not tell the other replicas of its commits.
    nats: Option<async_nats::Client>,
    region: Region,
    watched: Mutex<HashMap<ControlPlaneId, watch::Sender<Newest>>>,
    shared: Shared,
    history: History,
    /// For streams that begin: many do so at the same time.
    newest: Lookups<NewestRow>,
}

#[derive(Clone, FromRow)]
struct NewestRow {
    id: SqlId<kinds::ControlPlane>,
    incarnation: i64,
    version: i64,
    revocation_seq: i64,
    removals: i64,
    server_started: OffsetDateTime,
}

impl NewestRow {
    fn newest(self) -> (ControlPlaneId, Newest) {
        let head =
            Head { incarnation: self.incarnation.cast_unsigned(), version: self.version.cast_unsigned() };
        let (revocation_seq, removals) = (self.revocation_seq.cast_unsigned(), self.removals.cast_unsigned());
        (self.id.into(), Newest { head, revocation_seq, removals })
    }
}

impl Feed {
    /// Watches nothing yet. Without `nats`, replicas learn of each other's commits by looking at the database every 250
    /// ms.
    pub fn new(db: PgPool, nats: Option<async_nats::Client>, region: Region) -> Self {
        let newest = Lookups::new(db.clone());
        let (watched, shared, history) = (Mutex::default(), Shared::new(), History::default());
        Self(Arc::new(Inner { db, nats, region, watched, shared, history, newest }))
    }

    /// What is newest of a control plane, now and later; `None` if there is no such control plane.
    pub async fn watch(&self, id: ControlPlaneId) -> Result<Option<watch::Receiver<Newest>>, RowError> {
        let Some(mut row) = self.0.newest.find(id).await? else { return Ok(None) };
        if self.0.history.examine(&self.0.db, row.server_started).await {
            let Some(again) = self.0.newest.find(id).await? else { return Ok(None) };
            row = again;
        }
        let (_, newest) = row.newest();
        let receiver = self.watched().entry(id).or_insert_with(|| watch::Sender::new(newest)).subscribe();
        for (id, known) in self.take_in(vec![(id, newest)]) {
            self.begin_if_lacking(id, &known).await?;
        }
        Ok(Some(receiver))
    }

    /// This replica has committed a version, and with it the revocations up to `revocation_seq`, if there were any.
    pub async fn advance(&self, id: ControlPlaneId, head: Head, revocation_seq: Option<u64>) {
        if let Some(sender) = self.watched().get(&id) {
            let before = *sender.borrow();
            let revocation_seq = revocation_seq.unwrap_or(before.revocation_seq);
            let newest = Newest { head, revocation_seq, ..before };
            raise(sender, newest);
        }
        self.hint(id).await;
    }

    /// A delta has led to `head`, which another replica may have committed. Unless this replica knew that, it would send the same node deltas of
    /// nothing until it looks again, and could not tell that a database which is put back to before it has lost something.
    fn learn(&self, id: ControlPlaneId, head: Head) {
        if let Some(sender) = self.watched().get(&id) {
            let before = *sender.borrow();
            raise(sender, Newest { head, ..before });
        }
    }

    /// Something else of the control plane has changed: a revocation, a removed node.
    pub async fn notice(&self, id: ControlPlaneId) {
        self.refresh(&[id]).await;
        self.hint(id).await;
    }

    async fn hint(&self, id: ControlPlaneId) {
        let Some(nats) = &self.0.nats else { return };
        let headers = service::nats_headers();
        let published = nats.publish_with_headers(self.subject(), headers, id.to_string().into()).await;
        if let Err(error) = published {
            tracing::debug!(%error, "the other replicas could not be told of a commit; they will read it from the database");
        }
    }

    fn subject(&self) -> String {
        subject::config_changed(&self.0.region)
    }

    /// Follows hints and polls, until the drain.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut hints = match &self.0.nats {
            Some(nats) => nats.subscribe(self.subject()).await?.boxed(),
            None => futures::stream::pending().boxed(),
        };
        let mut ticks = pace::ticks(POLL_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let ids = self.still_watched();
                    self.refresh(&ids).await;
                }
                Some(hint) = hints.next() => {
                    let id = std::str::from_utf8(&hint.payload).ok().and_then(|id| id.parse().ok());
                    if let Some(id) = id {
                        let span = tracing::info_span!("config changed", control_plane = %id, otel.kind = "consumer");
                        service::adopt_nats_trace(&span, &hint);
                        self.hinted(id).instrument(span).await;
                    }
                }
                () = drain.cancelled() => return Ok(()),
            }
        }
    }

    /// Looks at a control plane: another replica says that something of it has changed. A hint that is lost, comes twice or late does no harm.
    pub async fn hinted(&self, id: ControlPlaneId) {
        self.refresh(&[id]).await;
    }

    /// The control planes that somebody waits for; forgets the others.
    fn still_watched(&self) -> Vec<ControlPlaneId> {
        let mut watched = self.watched();
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched.keys().copied().collect()
    }

    async fn refresh(&self, ids: &[ControlPlaneId]) {
        if ids.is_empty() {
            return;
        }
        match self.read_newest(ids).await {
            Ok(found) => {
                for (id, known) in self.take_in(found) {
                    if let Err(error) = self.begin_if_lacking(id, &known).await {
                        tracing::warn!(%error, control_plane = %id, "a control plane that has less than before could not begin a new incarnation");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "control planes could not be read; nodes keep what they have")
            }
        }
    }

    /// Tells those who wait. Answers which control planes have less than this process knows of them, and what it knows.
    fn take_in(&self, found: Vec<(ControlPlaneId, Newest)>) -> Vec<(ControlPlaneId, Newest)> {
        let watched = self.watched();
        let known = found.into_iter().filter_map(|(id, newest)| {
            let sender = watched.get(&id)?;
            let known = *sender.borrow();
            raise(sender, newest);
            newest.lacks(&known).then_some((id, known))
        });
        known.collect()
    }

    async fn read_newest(&self, ids: &[ControlPlaneId]) -> Result<Vec<(ControlPlaneId, Newest)>, RowError> {
        let read = async || newest_rows(&self.0.db, ids.to_vec()).await;
        let mut rows = read().await?;
        if let Some(row) = rows.first()
            && self.0.history.examine(&self.0.db, row.server_started).await
        {
            rows = read().await?;
        }
        Ok(rows.into_iter().map(NewestRow::newest).collect())
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, HashMap<ControlPlaneId, watch::Sender<Newest>>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row for NewestRow {
    type Key = ControlPlaneId;
    type Error = RowError;

    async fn read(
        connection: &mut PgConnection,
        keys: Vec<ControlPlaneId>,
    ) -> Result<HashMap<ControlPlaneId, Self>, RowError> {
        let rows = newest_rows(connection, keys).await?;
        Ok(rows.into_iter().map(|row| (row.id.into(), row)).collect())
    }
}

async fn newest_rows(
    executor: impl PgExecutor<'_>,
    ids: Vec<ControlPlaneId>,
) -> Result<Vec<NewestRow>, RowError> {
    let ids: Vec<_> = ids.into_iter().map(SqlId).collect();
    let rows = sqlx::query_as(
        "SELECT c.id, epoch AS incarnation, version, coalesce(r.seq, 0) AS revocation_seq,
                coalesce(g.seq, 0) AS removals, pg_postmaster_start_time() AS server_started
         FROM regional.control_plane AS c LEFT JOIN regional.revocation_head AS r ON r.control_plane_id = c.id
              LEFT JOIN regional.removal_head AS g ON g.control_plane_id = c.id
         WHERE c.id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(executor)
    .await?;
    Ok(rows)
}

/// Replaces each part by the newer of the two. What was read earlier may arrive later, so a part never goes back, except with a new
/// incarnation, which counts anew.
fn raise(sender: &watch::Sender<Newest>, newest: Newest) {
    sender.send_if_modified(|current| {
        let later = match newest.head.incarnation.cmp(&current.head.incarnation) {
            Ordering::Less => *current,
            Ordering::Greater => newest,
            Ordering::Equal => Newest {
                head: current.head.max(newest.head),
                revocation_seq: current.revocation_seq.max(newest.revocation_seq),
                removals: current.removals.max(newest.removals),
            },
        };
        let moved = later != *current;
        *current = later;
        moved
    });
}
