//! Snapshots: bucket digests and pages of entities, read from Postgres once for all nodes that need the same.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::FromRow;
use sync::{BUCKETS, Batch, Digest, EntityState, limits};
use uuid::Uuid;

use super::{Feed, Head, shared::pack};
use crate::rows::RowError;

/// Bucket digests as of a version.
#[derive(Debug)]
pub struct Buckets {
    /// The head of the control plane when the digests were read.
    pub head: Head,
    /// One per bucket, in order.
    pub digests: Box<[Digest; BUCKETS as usize]>,
}

/// A part of some buckets: entities in the order of bucket, kind and id.
#[derive(Clone, Debug)]
pub struct Page {
    /// Numbers of the buckets whose first entity would be in this page, a byte each.
    pub begins: Bytes,
    /// The entities.
    pub entities: Batch,
    /// How many of the wanted buckets neither this page nor one before it begins.
    pub left: u32,
    /// Where the next page begins; `None` on the last one.
    pub after: Option<After>,
}

/// The last entity of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct After {
    bucket: u8,
    kind: String,
    id: Uuid,
}

impl Feed {
    /// Bucket digests of a control plane in its present incarnation. Reading them takes every entity, so they are shared for a while,
    /// also when the head has moved on: the delta that ends a snapshot begins where they were read.
    pub async fn buckets(&self, id: ControlPlaneId, incarnation: u64) -> Result<Arc<Buckets>, Arc<RowError>> {
        self.0.shared.buckets.try_get_with((id, incarnation), self.read_buckets(id)).await
    }

    /// The next snapshot begins with digests that are read anew: too much has changed since these.
    pub async fn forget_buckets(&self, id: ControlPlaneId, incarnation: u64) {
        self.0.shared.buckets.invalidate(&(id, incarnation)).await;
    }

    #[tracing::instrument(skip_all, fields(control_plane = %id))]
    async fn read_buckets(&self, id: ControlPlaneId) -> Result<Arc<Buckets>, RowError> {
        let mut transaction = self.0.db.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let (incarnation, version): (i64, i64) =
            sqlx::query_as("SELECT epoch, version FROM regional.control_plane WHERE id = $1")
                .bind(SqlId(id))
                .fetch_one(&mut *transaction)
                .await?;
        let mut digests = Box::new([Digest::default(); BUCKETS as usize]);
        let mut rows = sqlx::query_as::<_, EntityRow>(
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
        let head = Head { incarnation: incarnation.cast_unsigned(), version: version.cast_unsigned() };
        Ok(Arc::new(Buckets { head, digests }))
    }

    /// The next page of the given buckets, after the entity `after`. Its entities are as they were at `head` or later: the delta
    /// that ends the snapshot sends what changed after `head` again. `buckets` are ascending and not empty.
    pub async fn page(
        &self,
        id: ControlPlaneId,
        head: Head,
        buckets: Arc<[u8]>,
        after: Option<After>,
    ) -> Result<Page, Arc<RowError>> {
        let key = (id, head, buckets.clone(), after.clone());
        self.0.shared.pages.try_get_with(key, self.read_page(id, &buckets, after)).await
    }

    #[tracing::instrument(skip_all, fields(control_plane = %id))]
    async fn read_page(
        &self,
        id: ControlPlaneId,
        buckets: &[u8],
        after: Option<After>,
    ) -> Result<Page, RowError> {
        let wanted: Vec<i16> = buckets.iter().copied().map(i16::from).collect();
        let mut rows: Vec<EntityRow> = sqlx::query_as(
            "SELECT kind, id, version, body FROM regional.entity
             WHERE control_plane_id = $1 AND bucket = ANY($2) AND NOT deleted
               AND (bucket, kind, id) > (coalesce($3, -1::int2), coalesce($4, ''), coalesce($5, '00000000-0000-0000-0000-000000000000'::uuid))
             ORDER BY bucket, kind, id LIMIT $6",
        )
        .bind(SqlId(id))
        .bind(wanted)
        .bind(after.as_ref().map(|after| i16::from(after.bucket)))
        .bind(after.as_ref().map(|after| after.kind.as_str()))
        .bind(after.as_ref().map(|after| after.id))
        .bind(limits::PAGE_ENTITIES_MAX as i64)
        .fetch_all(&self.0.db)
        .await?;
        let fitting = fitting(&rows);
        let complete = rows.len() < limits::PAGE_ENTITIES_MAX && fitting == rows.len();
        rows.truncate(fitting);
        let last = rows.last().filter(|_| !complete).map(EntityRow::place);
        let begins = begins(buckets, after.as_ref(), last.as_ref());
        let left =
            last.as_ref().map_or(0, |last| buckets.iter().filter(|bucket| **bucket > last.bucket).count());
        let entities = pack(sync::encode_batch(rows.into_iter().map(EntityRow::entity))).await?;
        Ok(Page {
            begins: begins.into(),
            entities,
            left: u32::try_from(left).unwrap_or(u32::MAX),
            after: last,
        })
    }
}

/// How many of `rows` make a page: up to the one that reaches the size of a page.
fn fitting(rows: &[EntityRow]) -> usize {
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

#[derive(FromRow)]
struct EntityRow {
    kind: String,
    id: Uuid,
    version: i64,
    body: String,
}

impl EntityRow {
    fn place(&self) -> After {
        After { bucket: sync::bucket(&self.kind, self.id), kind: self.kind.clone(), id: self.id }
    }

    fn entity(self) -> EntityState {
        EntityState {
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
