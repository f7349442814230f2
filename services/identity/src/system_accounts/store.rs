//! Rows of system accounts.

use ids::{OrganizationId, SystemAccountId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use web::TextFilter;

use super::SystemAccount;
use crate::operation::SystemAccountPut;

#[derive(FromRow)]
struct SystemAccountRow {
    id: SqlId<kinds::SystemAccount>,
    name: String,
    description: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<SystemAccountRow> for SystemAccount {
    fn from(row: SystemAccountRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One account of the organization.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: SystemAccountId,
) -> Result<Option<SystemAccount>, Error> {
    let row: Option<SystemAccountRow> =
        sqlx::query_as("SELECT * FROM replicated.system_account WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(executor)
            .await?;
    Ok(row.map(SystemAccount::from))
}

/// At most `limit` accounts of the organization whose name fits, after the id `after`, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    name: &TextFilter,
    after: Option<SystemAccountId>,
    limit: i64,
) -> Result<Vec<SystemAccount>, Error> {
    let rows: Vec<SystemAccountRow> = sqlx::query_as(
        "SELECT * FROM replicated.system_account
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2)
           AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR strpos(name, $5) > 0)
         ORDER BY id LIMIT $3",
    )
    .bind(SqlId(organization))
    .bind(after.map(SqlId))
    .bind(limit)
    .bind(&name.eq)
    .bind(&name.contains)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(SystemAccount::from).collect())
}

/// Whether another account of the organization than `id` has this name, which is normalized.
pub async fn is_name_taken(
    connection: &mut PgConnection,
    organization: OrganizationId,
    name: &str,
    id: SystemAccountId,
) -> Result<bool, Error> {
    let (taken,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.system_account WHERE organization_id = $1 AND normalize(name, NFC) = $2 AND id <> $3)",
    )
    .bind(SqlId(organization))
    .bind(name)
    .bind(SqlId(id))
    .fetch_one(connection)
    .await?;
    Ok(taken)
}

/// Whether an account has, or had, this id.
pub async fn is_used(connection: &mut PgConnection, id: SystemAccountId) -> Result<bool, Error> {
    let (used,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.system_account WHERE id = $1)
             OR EXISTS (SELECT FROM replicated.removed WHERE id = $1)",
    )
    .bind(SqlId(id))
    .fetch_one(connection)
    .await?;
    Ok(used)
}

/// Whether the organization had an account with this id, which was deleted.
pub async fn is_removed(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: SystemAccountId,
) -> Result<bool, Error> {
    let (removed,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.removed WHERE organization_id = $1 AND id = $2)",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_one(connection)
    .await?;
    Ok(removed)
}

/// Applies `system_account.put`, written at `at`. What was removed stays removed.
pub async fn put(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    put: &SystemAccountPut,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.system_account (id, organization_id, name, description, created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, $5 WHERE NOT EXISTS (SELECT FROM replicated.removed WHERE id = $1)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description,
             updated_at = excluded.updated_at",
    )
    .bind(SqlId(put.id))
    .bind(SqlId(organization))
    .bind(&put.name)
    .bind(&put.description)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Applies the removal of an account. Its tokens end by the tombstone of its principal.
pub async fn removed(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: SystemAccountId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM replicated.system_account WHERE organization_id = $1 AND id = $2")
        .bind(SqlId(organization))
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes all rows of the organization's accounts.
pub async fn clear(connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    sqlx::query("DELETE FROM replicated.system_account WHERE organization_id = $1")
        .bind(SqlId(organization))
        .execute(connection)
        .await?;
    Ok(())
}
