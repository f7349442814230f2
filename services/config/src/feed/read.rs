//! What leads a node to the head: deltas, bucket digests and pages, read from Postgres once and shared by all nodes that
//! need the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use ids::ControlPlaneId;
use moka::future::Cache;
use postgres::{Error, SqlId};
use sqlx::FromRow;
use sync::{BUCKETS, Digest, Row as SyncRow, limits};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Feed, Head};

/// How long an encoded delta or page is kept for further nodes.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// Most bytes of encoded deltas and pages kept.
const SHARED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Control planes whose bucket digests are kept.
const BUCKETS_KEPT_MAX: u64 = 1000;

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
    pub traceparent: String,
}

/// Bucket digests as of a version.
#[derive(Debug)]
pub struct Buckets {
    pub version: u64,
    pub digests: Box<[Digest; BUCKETS as usize]>,
}

/// A run of entities in (bucket, kind, id) order; `after` continues it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The buckets that it begins.
    pub begins: Bytes,
    pub entities: Bytes,
    pub after: Option<After>,
}

/// The last entity of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct After {
    bucket: u8,
    kind: String,
    id: Uuid,
}

type DeltaKey = (ControlPlaneId, u64, u64, u64);
type PageKey = (ControlPlaneId, u64, Arc<[u8]>, Option<After>);

/// What is kept for further nodes.
pub(super) struct Shared {
    deltas: Cache<DeltaKey, Step>,
    pages: Cache<PageKey, Page>,
    buckets: Cache<(ControlPlaneId, u64, u64), Arc<Buckets>>,
}

impl Shared {
    pub fn new() -> Self {
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
        Self { deltas, pages, buckets }
    }
}

impl Feed {
    /// The delta from `base` of `epoch` to the head, which is at `head_version` or further. Nodes at the same version
    /// share it.
    pub async fn step(
        &self,
        id: ControlPlaneId,
        epoch: u64,
        base: u64,
        head_version: u64,
    ) -> Result<Step, Arc<Error>> {
        self.0
            .shared
            .deltas
            .try_get_with((id, epoch, base, head_version), self.read_step(id, epoch, base))
            .await
    }

    async fn read_step(&self, id: ControlPlaneId, epoch: u64, base: u64) -> Result<Step, Error> {
        // Head and rows in one statement: one snapshot, so the delta is whole.
        let rows: Vec<DeltaRow> = sqlx::query_as(
            "SELECT c.epoch, c.version AS head_version, c.digest, c.floor, c.committed_at, c.traceparent,
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
        let (committed_at_ms, traceparent) = (milliseconds(first.committed_at), first.traceparent.clone());
        let entities = sync::encode_batch(rows.into_iter().filter_map(DeltaRow::row));
        if entities.len() > limits::DELTA_BYTES_MAX {
            return Ok(Step::TooFar("more has changed than a delta may carry"));
        }
        Ok(Step::Delta(Arc::new(Delta {
            epoch,
            base,
            version,
            digest,
            entities,
            committed_at_ms,
            traceparent,
        })))
    }

    /// Bucket digests of a control plane, computed on demand and shared.
    pub async fn buckets(&self, id: ControlPlaneId, head: Head) -> Result<Arc<Buckets>, Arc<Error>> {
        self.0.shared.buckets.try_get_with((id, head.epoch, head.version), self.read_buckets(id)).await
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

    /// The run of the given buckets after `after`, at the head or later: what is newer than the base of a snapshot
    /// travels again in the delta that ends it. `buckets` are ascending and not empty.
    pub async fn page(
        &self,
        id: ControlPlaneId,
        head_version: u64,
        buckets: Arc<[u8]>,
        after: Option<After>,
    ) -> Result<Page, Arc<Error>> {
        let key = (id, head_version, buckets.clone(), after.clone());
        self.0.shared.pages.try_get_with(key, self.read_page(id, &buckets, after)).await
    }

    async fn read_page(
        &self,
        id: ControlPlaneId,
        buckets: &[u8],
        after: Option<After>,
    ) -> Result<Page, Error> {
        let (bucket, kind, entity) = match &after {
            Some(after) => (i16::from(after.bucket), after.kind.as_str(), after.id),
            None => (-1, "", Uuid::nil()),
        };
        let wanted: Vec<i16> = buckets.iter().copied().map(i16::from).collect();
        let mut rows: Vec<LiveRow> = sqlx::query_as(
            "SELECT kind, id, version, body FROM regional.entity
             WHERE control_plane_id = $1 AND bucket = ANY($2) AND NOT deleted AND (bucket, kind, id) > ($3, $4, $5)
             ORDER BY bucket, kind, id LIMIT $6",
        )
        .bind(SqlId(id))
        .bind(wanted)
        .bind(bucket)
        .bind(kind)
        .bind(entity)
        .bind(limits::PAGE_ROWS_MAX as i64)
        .fetch_all(&self.0.db)
        .await?;
        let fitting = fitting(&rows);
        let complete = rows.len() < limits::PAGE_ROWS_MAX && fitting == rows.len();
        rows.truncate(fitting);
        let last = rows.last().filter(|_| !complete).map(LiveRow::place);
        let begins = begins(buckets, after.as_ref(), last.as_ref());
        let entities = sync::encode_batch(rows.into_iter().map(LiveRow::row));
        Ok(Page { begins: begins.into(), entities, after: last })
    }
}

/// How many of `rows` make a page: up to the one that reaches the size of a page.
fn fitting(rows: &[LiveRow]) -> usize {
    let mut bytes = 0;
    let full = rows.iter().position(|row| {
        bytes += row.body.len();
        bytes >= limits::PAGE_BYTES
    });
    full.map_or(rows.len(), |last| last + 1)
}

/// The buckets that a page begins which starts after `after` and ends with `last`; without `last` it is the final one,
/// and begins all that are left.
fn begins(buckets: &[u8], after: Option<&After>, last: Option<&After>) -> Vec<u8> {
    let begun = |bucket: u8| after.is_some_and(|after| bucket <= after.bucket);
    let reached = |bucket: u8| last.is_none_or(|last| bucket <= last.bucket);
    buckets.iter().copied().filter(|bucket| !begun(*bucket) && reached(*bucket)).collect()
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
    traceparent: String,
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
    fn place(&self) -> After {
        After { bucket: sync::bucket(&self.kind, self.id), kind: self.kind.clone(), id: self.id }
    }

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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{After, begins};

    #[test]
    fn every_bucket_begins_once_also_those_without_entities() {
        let buckets = [1, 2, 5, 6, 9];
        let at = |bucket| After { bucket, kind: "route".to_owned(), id: Uuid::nil() };
        let (first, second) = (at(2), at(6));
        assert_eq!(begins(&buckets, None, Some(&first)), [1, 2]);
        // Bucket 2 goes on in the second page; 5 has no entity.
        assert_eq!(begins(&buckets, Some(&first), Some(&second)), [5, 6]);
        assert_eq!(begins(&buckets, Some(&second), None), [9]);
        assert_eq!(begins(&buckets, None, None), buckets);
    }
}
