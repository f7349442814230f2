//! Rows of invites.

use ids::{OrganizationId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use web::Span;

use super::{Invite, InviteId, InviteKind};

#[derive(FromRow)]
struct InviteRow {
    id: SqlId<InviteKind>,
    email: String,
    invited_by: SqlId<kinds::User>,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

impl From<InviteRow> for Invite {
    fn from(row: InviteRow) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            invited_by: row.invited_by.into(),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

const COLUMNS: &str = "id, email, invited_by, created_at, expires_at";

/// Stores an invite, in the place of an earlier one to the same address.
pub async fn put(
    connection: &mut PgConnection,
    organization: OrganizationId,
    invite: &Invite,
    sha256: &[u8; 32],
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO resident.invite (id, organization_id, email, sha256, invited_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (organization_id, email) DO UPDATE SET id = excluded.id, sha256 = excluded.sha256,
             invited_by = excluded.invited_by, created_at = excluded.created_at, expires_at = excluded.expires_at",
    )
    .bind(SqlId(invite.id))
    .bind(SqlId(organization))
    .bind(&invite.email)
    .bind(&sha256[..])
    .bind(SqlId(invite.invited_by))
    .bind(invite.created_at)
    .bind(invite.expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// The invites of the organization that can be accepted at `now` and that `span` says, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    span: &Span<InviteId>,
    now: OffsetDateTime,
) -> Result<Vec<Invite>, Error> {
    let rows: Vec<InviteRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM resident.invite
         WHERE organization_id = $1 AND expires_at > $2 AND ($3::uuid IS NULL OR id > $3)
         ORDER BY id OFFSET $4 LIMIT $5"
    )))
    .bind(SqlId(organization))
    .bind(now)
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Invite::from).collect())
}

/// How many invites of the organization can be accepted at `now`.
pub async fn count(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    now: OffsetDateTime,
) -> Result<u64, Error> {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM resident.invite WHERE organization_id = $1 AND expires_at > $2")
            .bind(SqlId(organization))
            .bind(now)
            .fetch_one(executor)
            .await?;
    Ok(count.cast_unsigned())
}

/// The invite that the credential with this hash accepts at `now`.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    sha256: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<Invite>, Error> {
    let row: Option<InviteRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM resident.invite WHERE organization_id = $1 AND sha256 = $2 AND expires_at > $3"
    )))
    .bind(SqlId(organization))
    .bind(&sha256[..])
    .bind(now)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Invite::from))
}

/// Deletes an invite; `false` if there is none.
pub async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: InviteId,
) -> Result<bool, Error> {
    let deleted = sqlx::query("DELETE FROM resident.invite WHERE organization_id = $1 AND id = $2")
        .bind(SqlId(organization))
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}
