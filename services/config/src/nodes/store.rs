//! Rows of nodes. A stream writes its node's row; people read and remove rows. A node that was not heard of for an
//! hour is no longer listed; its row stays while its certificate is valid, so that it may come back.

use ids::{ControlPlaneId, EnrolmentTokenId, NodeId};
use postgres::{Error, SqlId};
use proto::sync::v1 as wire;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Node, Row};

const SELECT: &str = "SELECT n.*, c.epoch AS head_epoch, c.version AS head_version
     FROM regional.node AS n JOIN regional.control_plane AS c ON c.id = n.control_plane_id
     WHERE n.control_plane_id = $1 AND n.removed_at IS NULL AND n.hidden_after > now()";

/// Nodes after `after`, by id.
pub async fn list(
    db: &PgPool,
    control_plane: ControlPlaneId,
    after: Option<NodeId>,
    limit: i64,
) -> Result<Vec<Node>, Error> {
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{SELECT} AND ($2::uuid IS NULL OR n.id > $2) ORDER BY n.id LIMIT $3"
    )))
    .bind(SqlId(control_plane))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    let now = OffsetDateTime::now_utc();
    Ok(rows.into_iter().map(|row| row.node(now)).collect())
}

pub async fn count(db: &PgPool, control_plane: ControlPlaneId) -> Result<u64, Error> {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM regional.node WHERE control_plane_id = $1 AND removed_at IS NULL AND hidden_after > now()")
            .bind(SqlId(control_plane))
            .fetch_one(db)
            .await?;
    Ok(count.cast_unsigned())
}

pub async fn find(db: &PgPool, control_plane: ControlPlaneId, id: NodeId) -> Result<Option<Node>, Error> {
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!("{SELECT} AND n.id = $2")))
        .bind(SqlId(control_plane))
        .bind(SqlId(id))
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| row.node(OffsetDateTime::now_utc())))
}

/// Removes a node: from now on its certificate opens nothing. `false` if there is none.
pub async fn remove(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: NodeId,
) -> Result<bool, Error> {
    let removed = sqlx::query(
        "UPDATE regional.node SET removed_at = now() WHERE control_plane_id = $1 AND id = $2 AND removed_at IS NULL",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .execute(connection)
    .await?;
    Ok(removed.rows_affected() == 1)
}

/// Enters an enrolled node, or the same one enrolling again. `false` if it was removed.
pub async fn enrol(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: NodeId,
    hostname: &str,
    token: EnrolmentTokenId,
    certificate_expires_at: OffsetDateTime,
) -> Result<bool, Error> {
    let entered = sqlx::query(
        "INSERT INTO regional.node (control_plane_id, id, hostname, enrolment_token_id, certificate_expires_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (control_plane_id, id) DO UPDATE SET hostname = excluded.hostname,
             enrolment_token_id = excluded.enrolment_token_id, certificate_expires_at = excluded.certificate_expires_at
         WHERE node.removed_at IS NULL",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .bind(hostname)
    .bind(SqlId(token))
    .bind(certificate_expires_at)
    .execute(connection)
    .await?;
    Ok(entered.rows_affected() == 1)
}

/// Whether `id` has enrolled with `token` before: then it does not use it up again.
pub async fn enrolled_with(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    id: NodeId,
    token: EnrolmentTokenId,
) -> Result<bool, Error> {
    let row: Option<(bool,)> = sqlx::query_as(
        "SELECT true FROM regional.node WHERE control_plane_id = $1 AND id = $2 AND enrolment_token_id = $3",
    )
    .bind(SqlId(control_plane))
    .bind(SqlId(id))
    .bind(SqlId(token))
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// A node as its stream knows it: rows are written for the stream that speaks for the node now.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub control_plane: ControlPlaneId,
    pub node: NodeId,
    pub session: Uuid,
}

impl Seat {
    /// Takes the node's seat; `false` if the node was never enrolled here, or was removed.
    pub async fn take(&self, db: &PgPool, hello: &wire::Hello) -> Result<bool, Error> {
        let taken = sqlx::query(
            "UPDATE regional.node SET session_id = $3, hostname = $4, software_version = $5, quarantined = $6,
                 last_seen_at = now(), hidden_after = now() + interval '1 hour', left_at = NULL
             WHERE control_plane_id = $1 AND id = $2 AND removed_at IS NULL",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .bind(sync::limits::bounded(&hello.hostname))
        .bind(sync::limits::bounded(&hello.software_version))
        .bind(quarantined(&hello.quarantined))
        .execute(db)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// The node was heard of; `false` if the seat is no longer this stream's, or the node was removed.
    pub async fn seen(&self, db: &PgPool) -> Result<bool, Error> {
        let seen = sqlx::query(
            "UPDATE regional.node SET last_seen_at = now(), hidden_after = now() + interval '1 hour'
             WHERE control_plane_id = $1 AND id = $2 AND session_id = $3 AND removed_at IS NULL",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .execute(db)
        .await?;
        Ok(seen.rows_affected() == 1)
    }

    /// What the node says that it has applied.
    pub async fn applied(&self, db: &PgPool, applied: &wire::Applied) -> Result<(), Error> {
        let position = applied.position.clone().unwrap_or_default();
        sqlx::query(
            "UPDATE regional.node SET last_seen_at = now(), hidden_after = now() + interval '1 hour', applied_at = now(), applied_epoch = $4, applied_version = $5,
                 digest_matches = $6, derive_us = $7, commit_us = $8, last_error = $9, quarantined = $10
             WHERE control_plane_id = $1 AND id = $2 AND session_id = $3",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(self.session)
        .bind(position.epoch.cast_signed())
        .bind(position.version.cast_signed())
        .bind(applied.digest_matches)
        .bind(applied.derive_us.cast_signed())
        .bind(applied.commit_us.cast_signed())
        .bind(sync::limits::bounded(&applied.error))
        .bind(quarantined(&applied.quarantined))
        .execute(db)
        .await?;
        Ok(())
    }

    /// The node leaves on purpose.
    pub async fn left(&self, db: &PgPool) -> Result<(), Error> {
        sqlx::query("UPDATE regional.node SET left_at = now(), hidden_after = now() + interval '1 hour' WHERE control_plane_id = $1 AND id = $2 AND session_id = $3")
            .bind(SqlId(self.control_plane))
            .bind(SqlId(self.node))
            .bind(self.session)
            .execute(db)
            .await?;
        Ok(())
    }

    /// The node has a new certificate.
    pub async fn renewed(&self, db: &PgPool, expires_at: OffsetDateTime) -> Result<(), Error> {
        sqlx::query(
            "UPDATE regional.node SET certificate_expires_at = $3 WHERE control_plane_id = $1 AND id = $2",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(self.node))
        .bind(expires_at)
        .execute(db)
        .await?;
        Ok(())
    }
}

fn quarantined(entities: &[wire::Quarantined]) -> String {
    let listed = entities.iter().take(sync::limits::QUARANTINED_LISTED_MAX).map(|entity| {
        let id = Uuid::from_slice(&entity.id).unwrap_or_default();
        json!({"kind": entity.kind, "id": id, "reason": sync::limits::bounded(&entity.reason)})
    });
    serde_json::Value::Array(listed.collect()).to_string()
}
