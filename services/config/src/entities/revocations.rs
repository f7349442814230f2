//! The lane of revocations: a credential that is deleted is denied at every node at once, however long the writes
//! before the delete may take. The row here is durable first; the ordinary delete follows through the committer, and
//! again from [`sweep`] if this process does not live to see it.

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
/// Pause between two looks at deletes that were left undone.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Deletes taken up in one sweep.
const SWEEP_MAX: i64 = 1000;
/// Revocations sent to a node that has been away; one that missed more compares buckets, where none of them is left.
pub const REPLAY_MAX: i64 = 10_000;

/// Revokes an entity. Once this has answered, nodes that are connected deny it within the time of one message.
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

/// Notes that the ordinary delete is committed.
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
    /// The entity that let somebody in, as in a key or a certificate.
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

/// At most [`REPLAY_MAX`] revocations after `seq`, oldest first; without those of entities that were made again since.
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

/// A revocation whose ordinary delete is not committed.
#[derive(FromRow)]
struct UndoneRow {
    control_plane_id: SqlId<kinds::ControlPlane>,
    organization_id: SqlId<kinds::Organization>,
    kind: String,
    id: Uuid,
}

/// Commits deletes whose process did not live to do it, until the drain.
pub async fn sweep(entities: Entities, drain: CancellationToken) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    pace::every(SWEEP_INTERVAL, "revoked entities are deleted", stop, || sweep_once(&entities)).await;
    Ok(())
}

/// Takes up what was left undone. One that cannot be done now does not keep the others back; the next sweep meets it again.
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
        let request = Request {
            command: Command::Delete { kind, selector: Selector::Id(row.id), if_match: None },
            // The person was recorded with the request that revoked.
            actor: Actor::Service(row.organization_id.into()),
            keep: None,
            dry_run: false,
        };
        match entities.committers.commit(control_plane, request).await {
            Ok(_) => done(&entities.db, control_plane, EntityId { kind, id: row.id }).await?,
            Err(error) => tracing::warn!(%error, id = %row.id, "a revoked entity was not deleted yet"),
        }
    }
    failed.map_or(Ok(()), Err)
}
