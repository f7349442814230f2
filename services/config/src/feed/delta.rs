//! Deltas: what changed between a node's version and the head, read from Postgres once for all nodes that need the same.

use std::sync::Arc;

use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::FromRow;
use sync::{
    Batch, Digest, EntityState,
    limits::{self, UNDONE_MAX},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Feed, Head, shared::pack};
use crate::rows::RowError;

/// How a node gets from its version to the head.
#[derive(Clone, Debug)]
pub enum Step {
    /// By this delta.
    Delta(Arc<Delta>),
    /// Only by a snapshot. The text says why, for logs.
    TooFar(&'static str),
}

/// The entities that changed after `base`, up to `head`.
#[derive(Debug)]
pub struct Delta {
    /// The version after which the delta begins.
    pub base: u64,
    /// The version that it leads to.
    pub head: Head,
    /// Of all live entities at the head.
    pub digest: Digest,
    /// What has changed.
    pub entities: Batch,
    /// When the head was committed, milliseconds since the Unix epoch.
    pub committed_at_ms: i64,
    /// Trace context of the commit that made the head; empty for none.
    pub traceparent: String,
    /// The revocations whose deletes are part of the head.
    pub settled: Settled,
}

/// All revocations up to one, but for some.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub seq: u64,
    /// At most [`UNDONE_MAX`], none after `seq`.
    pub undone: Vec<u64>,
}

impl Settled {
    /// Of the revocations up to the `newest`, with the first [`UNDONE_MAX`] and one of those whose deletes are not committed.
    fn new(newest: i64, undone: &[i64]) -> Self {
        let named = &undone[..undone.len().min(UNDONE_MAX)];
        let seq = undone.get(UNDONE_MAX).map_or(newest, |too_many| too_many - 1);
        Self { seq: seq.cast_unsigned(), undone: named.iter().map(|seq| seq.cast_unsigned()).collect() }
    }
}

impl Feed {
    /// The delta from version `base` of the head's incarnation to `head`, or to what is newest by now. Nodes at the same
    /// version share it.
    pub async fn step(&self, id: ControlPlaneId, base: u64, head: Head) -> Result<Step, Arc<RowError>> {
        let read = self.read_step(id, head.incarnation, base);
        self.0.shared.deltas.try_get_with((id, base, head), read).await
    }

    #[tracing::instrument(skip_all, fields(control_plane = %id, base))]
    async fn read_step(&self, id: ControlPlaneId, incarnation: u64, base: u64) -> Result<Step, RowError> {
        // Head and rows in one statement: one snapshot of the database, so the delta is whole.
        let rows: Vec<DeltaRow> = sqlx::query_as(
            "SELECT c.epoch AS incarnation, c.version AS head_version, c.digest, c.floor, c.committed_at, c.traceparent,
                    coalesce(h.seq, 0) AS revocation_seq,
                    ARRAY(SELECT seq FROM regional.revocation WHERE control_plane_id = $1 AND NOT done ORDER BY seq LIMIT $4)
                        AS undone,
                    e.kind, e.id, e.version, e.body, e.deleted
             FROM regional.control_plane AS c
             LEFT JOIN LATERAL (
                 SELECT kind, id, version, body, deleted FROM regional.entity
                 WHERE control_plane_id = c.id AND version > $2 ORDER BY version LIMIT $3
             ) AS e ON true
             LEFT JOIN regional.revocation_head AS h ON h.control_plane_id = c.id
             WHERE c.id = $1 ORDER BY e.version",
        )
        .bind(SqlId(id))
        .bind(base.cast_signed())
        .bind(limits::DELTA_ENTITIES_MAX as i64 + 1)
        .bind(UNDONE_MAX as i64 + 1)
        .fetch_all(&self.0.db)
        .await?;
        let Some(first) = rows.first() else { return Ok(Step::TooFar("the control plane was deleted")) };
        let head = Head {
            incarnation: first.incarnation.cast_unsigned(),
            version: first.head_version.cast_unsigned(),
        };
        if head.incarnation != incarnation {
            return Ok(Step::TooFar("the node holds another incarnation"));
        }
        self.learn(id, head);
        if base < first.floor.cast_unsigned() || base > head.version {
            return Ok(Step::TooFar("no delta is kept that begins at the node's version"));
        }
        let digest = Digest::from_slice(&first.digest)
            .ok_or_else(|| RowError::unreadable("regional.control_plane", "a digest is 32 bytes"))?;
        let (committed_at_ms, traceparent) = (milliseconds(first.committed_at), first.traceparent.clone());
        let settled = Settled::new(first.revocation_seq, &first.undone);
        let states: Vec<EntityState> = rows.into_iter().filter_map(DeltaRow::entity).collect();
        if states.len() > limits::DELTA_ENTITIES_MAX {
            return Ok(Step::TooFar("more has changed than a delta may carry"));
        }
        let entities = sync::encode_batch(states);
        if entities.len() > limits::DELTA_BYTES_MAX {
            return Ok(Step::TooFar("more has changed than a delta may carry"));
        }
        let entities = pack(entities).await?;
        Ok(Step::Delta(Arc::new(Delta {
            base,
            head,
            digest,
            entities,
            committed_at_ms,
            traceparent,
            settled,
        })))
    }
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[derive(FromRow)]
struct DeltaRow {
    incarnation: i64,
    head_version: i64,
    digest: Vec<u8>,
    floor: i64,
    committed_at: OffsetDateTime,
    traceparent: String,
    revocation_seq: i64,
    undone: Vec<i64>,
    // All null where nothing changed.
    kind: Option<String>,
    id: Option<Uuid>,
    version: Option<i64>,
    body: Option<String>,
    deleted: Option<bool>,
}

impl DeltaRow {
    fn entity(self) -> Option<EntityState> {
        Some(EntityState {
            kind: self.kind?,
            id: self.id?,
            version: self.version?.cast_unsigned(),
            body: self.body?.into(),
            deleted: self.deleted?,
        })
    }
}
