//! The lane of revocations: a credential that is deleted is denied at every node at once, however long the writes
//! before the delete may take. The row here is durable first; the ordinary delete follows through the committer, and
//! again from [`sweep`] if this process does not live to see it.

use std::time::Duration;

use axum::http::StatusCode;
use gateway_model::Kind;
use ids::{ControlPlaneId, OrganizationId, PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    committer::{Committers, Request},
    plan::{Command, Selector},
};
use crate::feed::Feed;

/// Pause between two looks at deletes that were left undone.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Deletes taken up in one sweep.
const SWEEP_MAX: i64 = 1000;
/// Revocations sent to a node that has been away; one that missed more compares buckets, where none of them is left.
pub const REPLAY_MAX: i64 = 10_000;

/// Whether deleting an entity of `kind` takes access away.
pub fn is_revocation(kind: Kind) -> bool {
    matches!(kind, Kind::KeyAuth | Kind::Consumer)
}

/// Revokes an entity: from the answer on, nodes that are connected deny it within the time of a message.
pub async fn revoke(
    db: &PgPool,
    feed: &Feed,
    control_plane: ControlPlaneId,
    kind: Kind,
    id: Uuid,
) -> Result<(), Error> {
    sqlx::query(
        "WITH head AS (
             INSERT INTO regional.revocation_head (control_plane_id, seq) VALUES ($1, 1)
             ON CONFLICT (control_plane_id) DO UPDATE SET seq = revocation_head.seq + 1 RETURNING seq
         )
         INSERT INTO regional.revocation (control_plane_id, seq, kind, id) SELECT $1, seq, $2, $3 FROM head",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(id)
    .execute(db)
    .await?;
    feed.changed(control_plane).await;
    Ok(())
}

/// The ordinary delete is committed.
pub async fn done(db: &PgPool, control_plane: ControlPlaneId, kind: Kind, id: Uuid) -> Result<(), Error> {
    sqlx::query(
        "UPDATE regional.revocation SET done = true WHERE control_plane_id = $1 AND kind = $2 AND id = $3",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(id)
    .execute(db)
    .await?;
    Ok(())
}

/// A revocation as nodes learn of it.
#[derive(Clone, Debug, FromRow)]
pub struct Revocation {
    pub seq: i64,
    pub kind: String,
    pub id: Uuid,
}

/// Revocations after `seq`, oldest first; without those of entities that were made again since.
pub async fn after(db: &PgPool, control_plane: ControlPlaneId, seq: u64) -> Result<Vec<Revocation>, Error> {
    let rows = sqlx::query_as(
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
    Ok(rows)
}

#[derive(FromRow)]
struct Undone {
    control_plane_id: SqlId<kinds::ControlPlane>,
    organization_id: SqlId<kinds::Organization>,
    kind: String,
    id: Uuid,
}

/// Commits deletes whose process did not live to do it, until the drain.
pub async fn sweep(db: PgPool, committers: Committers, drain: CancellationToken) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    clock::every(SWEEP_INTERVAL, "revoked entities are deleted", stop, || sweep_once(&db, &committers)).await;
    Ok(())
}

async fn sweep_once(db: &PgPool, committers: &Committers) -> Result<(), Error> {
    let undone: Vec<Undone> = sqlx::query_as(
        "SELECT r.control_plane_id, c.organization_id, r.kind, r.id
         FROM regional.revocation AS r JOIN regional.control_plane AS c ON c.id = r.control_plane_id
         WHERE NOT done AND at < now() - interval '5 seconds' ORDER BY at LIMIT $1",
    )
    .bind(SWEEP_MAX)
    .fetch_all(db)
    .await?;
    for row in undone {
        let Some(kind) = Kind::from_name(&row.kind) else { continue };
        let request = Request {
            command: Command::Delete { kind, selector: Selector::Id(row.id), if_match: None },
            session: nobody(row.organization_id.into()),
            key: None,
            dry_run: false,
            status: (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT),
        };
        match committers.commit(row.control_plane_id.into(), request).await {
            Ok(_) => done(db, row.control_plane_id.into(), kind, row.id).await?,
            Err(problem) => tracing::warn!(%problem, id = %row.id, "a revoked entity was not deleted yet"),
        }
    }
    Ok(())
}

/// The service itself, in the audit log: the person was recorded with the revocation's own request.
fn nobody(organization: OrganizationId) -> access::Session {
    access::Session {
        organization,
        principal: PrincipalId::from_uuid(Uuid::nil()),
        kind: access::PrincipalKind::SystemAccount,
        id: TokenId::from_uuid(Uuid::nil()),
        issued_at: 0,
        expires_at: 0,
        vector: access::Vector::default(),
    }
}
