//! The lane of revocations. A deleted credential is denied by every connected node at once, also while many writes wait for
//! the committer, and while a node is busy with an earlier delta.
//!
//! A delete of one entity that cannot be refused any more is revoked first ([`revoke`]), and sent to the nodes. Then the entity is deleted
//! like every other, by the committer. If the process ends between the two, [`sweep`] completes the delete.
//!
//! What any other write deletes (a document, writes that are made together, what goes with its parent) is revoked by the transaction
//! that deletes it ([`commit`]): the write may still be refused until then, and a revocation cannot be taken back. It reaches the nodes
//! before the delta.
//!
//! A node denies an entity by its id, until it holds a version that the delete is part of: each delta tells which revocations that is true
//! of (`feed::delta::Settled`). So an entity that was made again under its old id is accepted as soon as the node holds it. What is changed and
//! not deleted, such as an API key that is replaced by another one, does not take the lane: the node would deny the new key too.

use std::{collections::HashSet, time::Duration};

use ids::{ControlPlaneId, kinds};
use postgres::SqlId;
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Entities,
    committer::{Actor, Request},
    known::{EntityId, Pending, target_of},
    plan::{Command, Selector},
};
use crate::{
    feed::Feed,
    rows::{self, RowError},
};

const TABLE: &str = "regional.revocation";
/// Pause between two searches for deletes that were not completed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Most deletes that one sweep completes.
const SWEEP_MAX: i64 = 1000;
/// Most revocations of one transaction. A write that deletes more has the rest told by its delta only.
const COMMITTED_MAX: usize = 10_000;
/// Most revocations that are read for a node at once. A node that missed more gets the rest when its control plane
/// changes again; the deltas that delete these entities reach it in any case.
pub const REPLAY_MAX: i64 = 10_000;

/// Revokes an entity. When this returns, the revocation is on disk and the streams of this replica are about to send it.
pub async fn revoke(
    db: &PgPool,
    feed: &Feed,
    control_plane: ControlPlaneId,
    entity: EntityId,
) -> Result<(), RowError> {
    sqlx::query(
        "WITH head AS (
             INSERT INTO regional.revocation_head (control_plane_id, seq) VALUES ($1, 1)
             ON CONFLICT (control_plane_id) DO UPDATE SET seq = revocation_head.seq + 1 RETURNING seq
         )
         INSERT INTO regional.revocation (control_plane_id, seq, kind, id) SELECT $1, seq, $2, $3 FROM head",
    )
    .bind(SqlId(control_plane))
    .bind(entity.kind.name())
    .bind(entity.id)
    .execute(db)
    .await?;
    feed.notice(control_plane).await;
    Ok(())
}

/// What a version takes access from, by deleting it: at most [`COMMITTED_MAX`]. What belongs to a consumer that is deleted is denied with it,
/// and what has ended is denied already.
pub struct Revoked {
    /// Unix seconds.
    now: u64,
    deleted: HashSet<EntityId>,
    listed: Vec<EntityId>,
}

impl Revoked {
    /// Nothing yet, of a version that is made at `now`.
    pub fn at(now: OffsetDateTime) -> Self {
        let now = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        Self { now, deleted: HashSet::new(), listed: Vec::new() }
    }

    /// Takes in a change of the version. Kinds come in their order, so consumers before what belongs to them.
    pub fn note(&mut self, id: EntityId, change: &Pending) {
        let (None, Some(before), true) = (&change.after, &change.before, id.kind.grants_access()) else {
            return;
        };
        if before.entity.expires_at().is_some_and(|end| end <= self.now) {
            return;
        }
        let references = before.entity.references();
        let mut targets = references.iter().filter_map(target_of);
        let is_denied_with_another = targets.any(|target| self.deleted.contains(&target));
        self.deleted.insert(id);
        if !is_denied_with_another && self.listed.len() < COMMITTED_MAX {
            self.listed.push(id);
        }
    }

    /// What is to be revoked.
    pub fn into_listed(self) -> Vec<EntityId> {
        self.listed
    }
}

/// Revokes what `version` deletes, in the transaction that deletes it; call it last, since revocations of others wait meanwhile. Answers
/// the sequence number of the last one, if there are any that nodes have not been told of.
pub async fn commit(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    version: u64,
    revoked: &[EntityId],
) -> Result<Option<u64>, RowError> {
    if revoked.is_empty() {
        return Ok(None);
    }
    let (kinds, ids): (Vec<&str>, Vec<Uuid>) = revoked.iter().map(|id| (id.kind.name(), id.id)).unzip();
    let (seq,): (Option<i64>,) = sqlx::query_as(
        "WITH deleted AS (
             SELECT * FROM unnest($3::text[], $4::uuid[]) WITH ORDINALITY AS deleted (kind, id, place)
         ), told AS (
             UPDATE regional.revocation AS r SET done = true, version = $2 FROM deleted AS d
             WHERE r.control_plane_id = $1 AND NOT r.done AND r.kind = d.kind AND r.id = d.id RETURNING r.kind, r.id
         ), new AS (
             SELECT kind, id, row_number() OVER (ORDER BY place) AS place, count(*) OVER () AS count FROM deleted
             WHERE (kind, id) NOT IN (SELECT kind, id FROM told)
         ), head AS (
             INSERT INTO regional.revocation_head (control_plane_id, seq) SELECT $1, count FROM new LIMIT 1
             ON CONFLICT (control_plane_id) DO UPDATE SET seq = revocation_head.seq + excluded.seq RETURNING seq
         ), added AS (
             INSERT INTO regional.revocation (control_plane_id, seq, kind, id, done, version)
             SELECT $1, head.seq - new.count + new.place, kind, id, true, $2 FROM new, head RETURNING seq
         )
         SELECT max(seq) FROM added",
    )
    .bind(SqlId(control_plane))
    .bind(version.cast_signed())
    .bind(kinds)
    .bind(ids)
    .fetch_one(connection)
    .await?;
    Ok(seq.map(i64::cast_unsigned))
}

/// Notes that the entity itself is deleted, if the delete found it gone already.
pub async fn done(db: &PgPool, control_plane: ControlPlaneId, entity: EntityId) -> Result<(), RowError> {
    sqlx::query(
        "UPDATE regional.revocation SET done = true, version = 0
         WHERE control_plane_id = $1 AND kind = $2 AND id = $3 AND NOT done",
    )
    .bind(SqlId(control_plane))
    .bind(entity.kind.name())
    .bind(entity.id)
    .execute(db)
    .await?;
    Ok(())
}

/// A revocation as nodes learn of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Counts the revocations of one control plane, from 1.
    pub seq: u64,
    /// The entity that granted access, such as an API key.
    pub entity: EntityId,
}

#[derive(FromRow)]
struct RevocationRow {
    seq: i64,
    kind: String,
    id: Uuid,
}

impl TryFrom<RevocationRow> for Revocation {
    type Error = RowError;

    fn try_from(row: RevocationRow) -> Result<Self, RowError> {
        let entity = EntityId { kind: rows::kind(TABLE, &row.kind)?, id: row.id };
        Ok(Self { seq: row.seq.cast_unsigned(), entity })
    }
}

/// The revocations after `seq` that a node needs which holds version `held`, oldest first, at most [`REPLAY_MAX`]: those whose deletes it has
/// not applied.
pub async fn after(
    db: &PgPool,
    control_plane: ControlPlaneId,
    seq: u64,
    held: u64,
) -> Result<Vec<Revocation>, RowError> {
    let rows: Vec<RevocationRow> = sqlx::query_as(
        "SELECT r.seq, r.kind, r.id FROM regional.revocation AS r
         WHERE r.control_plane_id = $1 AND r.seq > $2 AND (r.version IS NULL OR r.version > $3)
         ORDER BY r.seq LIMIT $4",
    )
    .bind(SqlId(control_plane))
    .bind(seq.cast_signed())
    .bind(held.cast_signed())
    .bind(REPLAY_MAX)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Revocation::try_from).collect()
}

/// A revocation whose entity is not deleted yet.
#[derive(FromRow)]
struct UndoneRow {
    control_plane_id: SqlId<kinds::ControlPlane>,
    organization_id: SqlId<kinds::Organization>,
    kind: String,
    id: Uuid,
}

/// Completes deletes whose process ended before they were committed. Runs until the drain.
pub async fn sweep(entities: Entities, drain: CancellationToken) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    pace::every(SWEEP_INTERVAL, "revoked entities are deleted", stop, || sweep_once(&entities)).await;
    Ok(())
}

/// Completes such deletes once. One that fails does not stop the others, and is tried again by the next sweep.
pub async fn sweep_once(entities: &Entities) -> Result<(), RowError> {
    let undone: Vec<UndoneRow> = sqlx::query_as(
        "SELECT r.control_plane_id, c.organization_id, r.kind, r.id
         FROM regional.revocation AS r JOIN regional.control_plane AS c ON c.id = r.control_plane_id
         WHERE NOT done AND at < now() - interval '5 seconds' ORDER BY at LIMIT $1",
    )
    .bind(SWEEP_MAX)
    .fetch_all(&entities.db)
    .await?;
    let mut failed = None;
    for row in undone {
        let kind = match rows::kind(TABLE, &row.kind) {
            Ok(kind) => kind,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        let control_plane: ControlPlaneId = row.control_plane_id.into();
        let command = Command::Delete { kind, selector: Selector::Id(row.id), if_match: None };
        // The audit log names the person already, in the entry of the request that revoked.
        let request = Request::plain(command, Actor::Service(row.organization_id.into()));
        match entities.committers.commit(control_plane, request).await {
            Ok(_) => done(&entities.db, control_plane, EntityId { kind, id: row.id }).await?,
            Err(error) => tracing::warn!(%error, id = %row.id, "a revoked entity was not deleted yet"),
        }
    }
    failed.map_or(Ok(()), Err)
}
