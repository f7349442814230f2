//! Heads of control planes, for the nodes that wait for them. What leads a node to the head is in [`read`].
//!
//! A head moves by this replica's commits at once, by other replicas' through a hint on NATS, and by a poll of the
//! control planes that nodes here wait for. Postgres is the truth; a lost hint costs one poll interval.

mod read;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use ids::{ControlPlaneId, Region, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::read::Shared;
pub use self::read::{Delta, Step};

/// Heads of watched control planes are looked at this often.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What nodes of a control plane wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub epoch: u64,
    pub version: u64,
    /// Sequence number of the newest revocation.
    pub revocation_seq: u64,
    /// How many nodes were ever removed: when it moves, a stream asks whether its own node was.
    pub removals: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    db: PgPool,
    nats: async_nats::Client,
    region: Region,
    watched: Mutex<HashMap<ControlPlaneId, watch::Sender<Head>>>,
    shared: Shared,
}

#[derive(FromRow)]
struct HeadRow {
    id: SqlId<kinds::ControlPlane>,
    epoch: i64,
    version: i64,
    revocation_seq: i64,
    removals: i64,
}

impl Feed {
    pub fn new(db: PgPool, nats: async_nats::Client, region: Region) -> Self {
        Self(Arc::new(Inner { db, nats, region, watched: Mutex::default(), shared: Shared::new() }))
    }

    /// The head of a control plane, and every later one; `None` if there is no such control plane.
    pub async fn watch(&self, id: ControlPlaneId) -> Result<Option<watch::Receiver<Head>>, Error> {
        let Some((_, head)) = self.heads(&[id]).await?.pop() else { return Ok(None) };
        let mut watched = self.watched();
        let sender = watched.entry(id).or_insert_with(|| watch::Sender::new(head));
        raise(sender, head);
        Ok(Some(sender.subscribe()))
    }

    /// This replica has committed a version.
    pub async fn advanced(&self, id: ControlPlaneId, epoch: u64, version: u64) {
        if let Some(sender) = self.watched().get(&id) {
            let head = *sender.borrow();
            raise(sender, Head { epoch, version, ..head });
        }
        self.hint(id).await;
    }

    /// Something else of the control plane has changed: a revocation, a removed node.
    pub async fn changed(&self, id: ControlPlaneId) {
        self.refresh(&[id]).await;
        self.hint(id).await;
    }

    async fn hint(&self, id: ControlPlaneId) {
        let headers = service::nats_headers();
        let published =
            self.0.nats.publish_with_headers(self.subject(), headers, id.to_string().into()).await;
        if let Err(error) = published {
            tracing::debug!(%error, "no hint to the other replicas; they poll");
        }
    }

    fn subject(&self) -> String {
        format!("landbridge.{}.config.changed", self.0.region)
    }

    /// Follows hints and polls, until the drain.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut hints = self.0.nats.subscribe(self.subject()).await?;
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
                        self.refresh(&[id]).instrument(span).await;
                    }
                }
                () = drain.cancelled() => return Ok(()),
            }
        }
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
        match self.heads(ids).await {
            Ok(heads) => {
                let watched = self.watched();
                for (id, head) in heads {
                    if let Some(sender) = watched.get(&id) {
                        raise(sender, head);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "heads could not be read; nodes keep what they have"),
        }
    }

    async fn heads(&self, ids: &[ControlPlaneId]) -> Result<Vec<(ControlPlaneId, Head)>, Error> {
        let ids: Vec<_> = ids.iter().copied().map(SqlId).collect();
        let rows: Vec<HeadRow> = sqlx::query_as(
            "SELECT c.id, epoch, version, coalesce(seq, 0) AS revocation_seq,
                    (SELECT count(*) FROM regional.node WHERE control_plane_id = c.id AND removed_at IS NOT NULL) AS removals
             FROM regional.control_plane AS c LEFT JOIN regional.revocation_head AS r ON r.control_plane_id = c.id
             WHERE c.id = ANY($1)",
        )
        .bind(ids)
        .fetch_all(&self.0.db)
        .await?;
        let heads = rows.into_iter().map(|row| {
            let head = Head {
                epoch: row.epoch.cast_unsigned(),
                version: row.version.cast_unsigned(),
                revocation_seq: row.revocation_seq.cast_unsigned(),
                removals: row.removals.cast_unsigned(),
            };
            (row.id.into(), head)
        });
        Ok(heads.collect())
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, HashMap<ControlPlaneId, watch::Sender<Head>>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves a head forward, never back: hints and polls overtake each other.
fn raise(sender: &watch::Sender<Head>, head: Head) {
    sender.send_if_modified(|current| {
        let newer = (head.epoch, head.version) > (current.epoch, current.version);
        let other = head.revocation_seq > current.revocation_seq || head.removals > current.removals;
        if newer {
            (current.epoch, current.version) = (head.epoch, head.version);
        }
        current.revocation_seq = current.revocation_seq.max(head.revocation_seq);
        current.removals = current.removals.max(head.removals);
        newer || other
    });
}
