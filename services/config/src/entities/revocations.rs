//! The lane of revocations. A deleted credential is denied by every connected node at once, also while many writes wait for
//! the committer.
//!
//! The revocation is stored first and sent to the nodes. Then the credential is deleted like every other entity, by the
//! committer. If the process ends between the two, [`sweep`] completes the delete.

use std::time::Duration;

use ids::{ControlPlaneId, kinds};
use postgres::SqlId;
use sqlx::{FromRow, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Entities,
    committer::{Actor, Request},
    known::EntityId,
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

/// Notes that the entity itself is deleted.
pub async fn done(db: &PgPool, control_plane: ControlPlaneId, entity: EntityId) -> Result<(), RowError> {
    sqlx::query(
        "UPDATE regional.revocation SET done = true WHERE control_plane_id = $1 AND kind = $2 AND id = $3",
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

/// The revocations after `seq`, oldest first, at most [`REPLAY_MAX`]. An entity that was created again under the same id is left
/// out.
pub async fn after(
    db: &PgPool,
    control_plane: ControlPlaneId,
    seq: u64,
) -> Result<Vec<Revocation>, RowError> {
    let rows: Vec<RevocationRow> = sqlx::query_as(
        "SELECT seq, kind, id FROM regional.revocation AS r
         WHERE control_plane_id = $1 AND seq > $2 AND NOT (done AND EXISTS (
             SELECT FROM regional.entity AS e
             WHERE e.control_plane_id = $1 AND e.kind = r.kind AND e.id = r.id AND NOT e.deleted))
         ORDER BY seq LIMIT $3",
    )
    .bind(SqlId(control_plane))
    .bind(seq.cast_signed())
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
