//! Heads of control planes, and what nodes need to reach them: deltas and pages, built once and shared by all nodes.
//!
//! A head moves by this replica's commits at once, by other replicas' through a hint on NATS, and by a poll of the
//! control planes that nodes here wait for. Postgres is the truth; a lost hint costs one poll interval.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use ids::{ControlPlaneId, Region, kinds};
use moka::future::Cache;
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgPool};
use sync::{BUCKETS, Digest, Row as SyncRow, limits};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Heads of watched control planes are looked at this often.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long an encoded delta or page is kept for further nodes.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// Most bytes of encoded deltas and pages kept.
const SHARED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Control planes whose bucket digests are kept.
const BUCKETS_KEPT_MAX: u64 = 1000;

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

/// The way from a node's version to the head.
#[derive(Clone, Debug)]
pub enum Step {
    Delta(Arc<Delta>),
    /// Buckets have to be compared; the reason is for people.
    TooFar(&'static str),
}

#[derive(Debug)]
pub struct Delta {
    pub epoch: u64,
    pub base: u64,
    pub version: u64,
    pub digest: Digest,
    pub entities: Bytes,
    pub committed_at_ms: i64,
}

/// Bucket digests as of a version.
#[derive(Debug)]
pub struct Buckets {
    pub version: u64,
    pub digests: Box<[Digest; BUCKETS as usize]>,
}

/// A run of one bucket's entities; `after` continues it.
#[derive(Clone, Debug)]
pub struct Page {
    pub entities: Bytes,
    pub after: Option<(String, Uuid)>,
}

type DeltaKey = (ControlPlaneId, u64, u64, u64);
type PageKey = (ControlPlaneId, u64, u8, Option<(String, Uuid)>);

/// Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    db: PgPool,
    nats: async_nats::Client,
    region: Region,
    watched: Mutex<HashMap<ControlPlaneId, watch::Sender<Head>>>,
    deltas: Cache<DeltaKey, Step>,
    pages: Cache<PageKey, Page>,
    buckets: Cache<(ControlPlaneId, u64, u64), Arc<Buckets>>,
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
        let deltas = Cache::builder()
            .time_to_live(SHARED_FOR)
            .max_capacity(SHARED_BYTES_MAX)
            .weigher(|_, step: &Step| match step {
                Step::Delta(delta) => u32::try_from(delta.entities.len()).unwrap_or(u32::MAX),
                Step::TooFar(_) => 1,
            })
            .build();
        let pages = Cache::builder()
            .time_to_live(SHARED_FOR)
            .max_capacity(SHARED_BYTES_MAX)
            .weigher(|_, page: &Page| u32::try_from(page.entities.len()).unwrap_or(u32::MAX))
            .build();
        let buckets = Cache::builder().time_to_live(SHARED_FOR).max_capacity(BUCKETS_KEPT_MAX).build();
        Self(Arc::new(Inner { db, nats, region, watched: Mutex::default(), deltas, pages, buckets }))
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
                        self.refresh(&[id]).await;
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

    /// The delta from `base` of `epoch` to the head, which is at `head_version` or further. Nodes at the same version
    /// share it.
    pub async fn step(
        &self,
        id: ControlPlaneId,
        epoch: u64,
        base: u64,
        head_version: u64,
    ) -> Result<Step, Arc<Error>> {
        self.0.deltas.try_get_with((id, epoch, base, head_version), self.read_step(id, epoch, base)).await
    }

    async fn read_step(&self, id: ControlPlaneId, epoch: u64, base: u64) -> Result<Step, Error> {
        // Head and rows in one statement: one snapshot, so the delta is whole.
        let rows: Vec<DeltaRow> = sqlx::query_as(
            "SELECT c.epoch, c.version AS head_version, c.digest, c.floor, c.committed_at,
                    e.kind, e.id, e.version, e.body, e.deleted
             FROM regional.control_plane AS c
             LEFT JOIN LATERAL (
                 SELECT kind, id, version, body, deleted FROM regional.entity
                 WHERE control_plane_id = c.id AND version > $2 ORDER BY version LIMIT $3
             ) AS e ON true
             WHERE c.id = $1",
        )
        .bind(SqlId(id))
        .bind(base.cast_signed())
        .bind(limits::DELTA_ROWS_MAX as i64 + 1)
        .fetch_all(&self.0.db)
        .await?;
        let Some(first) = rows.first() else { return Ok(Step::TooFar("the control plane is gone")) };
        let (head_epoch, version) = (first.epoch.cast_unsigned(), first.head_version.cast_unsigned());
        if head_epoch != epoch {
            return Ok(Step::TooFar("the node holds another history"));
        }
        if base < first.floor.cast_unsigned() || base > version {
            return Ok(Step::TooFar("the node's version is outside of what deltas are kept for"));
        }
        if rows.len() > limits::DELTA_ROWS_MAX {
            return Ok(Step::TooFar("more has changed than a delta may carry"));
        }
        let digest = Digest::from_slice(&first.digest).ok_or_else(|| decode("a digest is 32 bytes"))?;
        let committed_at_ms = milliseconds(first.committed_at);
        let entities = sync::encode_batch(rows.into_iter().filter_map(DeltaRow::row));
        if entities.len() > limits::DELTA_BYTES_MAX {
            return Ok(Step::TooFar("more has changed than a delta may carry"));
        }
        Ok(Step::Delta(Arc::new(Delta { epoch, base, version, digest, entities, committed_at_ms })))
    }

    /// Bucket digests of a control plane, computed on demand and shared.
    pub async fn buckets(&self, id: ControlPlaneId, head: Head) -> Result<Arc<Buckets>, Arc<Error>> {
        self.0.buckets.try_get_with((id, head.epoch, head.version), self.read_buckets(id)).await
    }

    async fn read_buckets(&self, id: ControlPlaneId) -> Result<Arc<Buckets>, Error> {
        let mut transaction = self.0.db.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let (version,): (i64,) = sqlx::query_as("SELECT version FROM regional.control_plane WHERE id = $1")
            .bind(SqlId(id))
            .fetch_one(&mut *transaction)
            .await?;
        let mut digests = Box::new([Digest::default(); BUCKETS as usize]);
        let mut rows = sqlx::query_as::<_, LiveRow>(
            "SELECT kind, id, version, body FROM regional.entity WHERE control_plane_id = $1 AND NOT deleted",
        )
        .bind(SqlId(id))
        .fetch(&mut *transaction);
        while let Some(row) = rows.next().await {
            let row = row?;
            let digest =
                sync::entity_digest(&row.kind, row.id, row.version.cast_unsigned(), row.body.as_bytes());
            digests[usize::from(sync::bucket(&row.kind, row.id))].add(&digest);
        }
        drop(rows);
        transaction.commit().await?;
        Ok(Arc::new(Buckets { version: version.cast_unsigned(), digests }))
    }

    /// The run of bucket `bucket` after `after`, at the head or later: what is newer than the base of a snapshot
    /// travels again in the delta that ends it.
    pub async fn page(
        &self,
        id: ControlPlaneId,
        head_version: u64,
        bucket: u8,
        after: Option<(String, Uuid)>,
    ) -> Result<Page, Arc<Error>> {
        let key = (id, head_version, bucket, after.clone());
        self.0.pages.try_get_with(key, self.read_page(id, bucket, after)).await
    }

    async fn read_page(
        &self,
        id: ControlPlaneId,
        bucket: u8,
        after: Option<(String, Uuid)>,
    ) -> Result<Page, Error> {
        let (kind, entity) = after.unwrap_or_default();
        let rows: Vec<LiveRow> = sqlx::query_as(
            "SELECT kind, id, version, body FROM regional.entity
             WHERE control_plane_id = $1 AND bucket = $2 AND NOT deleted AND (kind, id) > ($3, $4)
             ORDER BY kind, id LIMIT $5",
        )
        .bind(SqlId(id))
        .bind(i16::from(bucket))
        .bind(kind)
        .bind(entity)
        .bind(limits::PAGE_ROWS_MAX as i64)
        .fetch_all(&self.0.db)
        .await?;
        let read = rows.len();
        let mut bytes = 0;
        let mut page = Vec::new();
        for row in rows {
            bytes += row.body.len();
            page.push(row.row());
            if bytes >= limits::PAGE_BYTES {
                break;
            }
        }
        let complete = read < limits::PAGE_ROWS_MAX && page.len() == read;
        let after = page.last().filter(|_| !complete).map(|row| (row.kind.clone(), row.id));
        Ok(Page { entities: sync::encode_batch(page), after })
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

fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn decode(what: &'static str) -> Error {
    sqlx::Error::Decode(what.into()).into()
}

#[derive(FromRow)]
struct DeltaRow {
    epoch: i64,
    head_version: i64,
    digest: Vec<u8>,
    floor: i64,
    committed_at: OffsetDateTime,
    // All null where nothing changed.
    kind: Option<String>,
    id: Option<Uuid>,
    version: Option<i64>,
    body: Option<String>,
    deleted: Option<bool>,
}

impl DeltaRow {
    fn row(self) -> Option<SyncRow> {
        Some(SyncRow {
            kind: self.kind?,
            id: self.id?,
            version: self.version?.cast_unsigned(),
            body: self.body?.into(),
            deleted: self.deleted?,
        })
    }
}

#[derive(FromRow)]
struct LiveRow {
    kind: String,
    id: Uuid,
    version: i64,
    body: String,
}

impl LiveRow {
    fn row(self) -> SyncRow {
        SyncRow {
            kind: self.kind,
            id: self.id,
            version: self.version.cast_unsigned(),
            body: self.body.into(),
            deleted: false,
        }
    }
}
