//! Rows of system accounts.

use ids::{OrganizationId, SystemAccountId, kinds};
use postgres::{Error, SqlId};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use web::Span;

use super::{AccountFilter, SystemAccount};
use crate::operation::SystemAccountPut;

#[derive(FromRow)]
struct SystemAccountRow {
    id: SqlId<kinds::SystemAccount>,
    name: String,
    description: String,
    konnect_managed: Option<bool>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<SystemAccountRow> for SystemAccount {
    fn from(row: SystemAccountRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            konnect_managed: row.konnect_managed,
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

/// Which accounts a filter lets through.
const FITS: &str = "organization_id = $1 AND NOT $2
     AND ($3::text IS NULL OR name = $3) AND ($4::text IS NULL OR strpos(name, $4) > 0)
     AND ($5::text IS NULL OR description = $5) AND ($6::text IS NULL OR strpos(description, $6) > 0)";

/// The accounts of the organization that the filter lets through and `span` says, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    filter: &AccountFilter,
    span: &Span<SystemAccountId>,
) -> Result<Vec<SystemAccount>, Error> {
    let rows: Vec<SystemAccountRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT * FROM replicated.system_account WHERE {FITS} AND ($7::uuid IS NULL OR id > $7)
         ORDER BY id OFFSET $8 LIMIT $9"
    )))
    .bind(SqlId(organization))
    .bind(filter.none)
    .bind(&filter.name.eq)
    .bind(&filter.name.contains)
    .bind(&filter.description.eq)
    .bind(&filter.description.contains)
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(SystemAccount::from).collect())
}

/// How many accounts of the organization the filter lets through.
pub async fn count(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    filter: &AccountFilter,
) -> Result<u64, Error> {
    let (count,): (i64,) =
        sqlx::query_as(AssertSqlSafe(format!("SELECT count(*) FROM replicated.system_account WHERE {FITS}")))
            .bind(SqlId(organization))
            .bind(filter.none)
            .bind(&filter.name.eq)
            .bind(&filter.name.contains)
            .bind(&filter.description.eq)
            .bind(&filter.description.contains)
            .fetch_one(executor)
            .await?;
    Ok(count.cast_unsigned())
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
        "INSERT INTO replicated.system_account 
             (id, organization_id, name, description, konnect_managed, created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, $6, $6 WHERE NOT EXISTS (SELECT FROM replicated.removed WHERE id = $1)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description,
             konnect_managed = excluded.konnect_managed, updated_at = excluded.updated_at",
    )
    .bind(SqlId(put.id))
    .bind(SqlId(organization))
    .bind(&put.name)
    .bind(&put.description)
    .bind(put.konnect_managed)
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
