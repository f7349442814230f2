//! System accounts: principals that are programs. Replicated; written in the organization's home region.

pub mod http;

use crate::Answer;
use ids::{OrganizationId, SystemAccountId, kinds};
use mutation::Key;
use postgres::{Error, SqlId};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::Problem;

use crate::{
    app::Tx,
    operation::{Operation, SystemAccountPut},
};
use access::PrincipalKind;

#[derive(Debug, Serialize, ToSchema)]
pub struct SystemAccount {
    pub id: SystemAccountId,
    pub name: String,
    pub description: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::SystemAccount>,
    name: String,
    description: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for SystemAccount {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// 404 unless the account is the organization's.
pub async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: SystemAccountId,
) -> Answer<SystemAccount> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM replicated.system_account WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(executor)
            .await
            .map_err(Error::from)?;
    Ok(row.map(SystemAccount::from).ok_or_else(|| Problem::not_found("system account"))?)
}

/// At most `limit` accounts after `after`, by id.
async fn list(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    after: Option<SystemAccountId>,
    limit: i64,
) -> Result<Vec<SystemAccount>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM replicated.system_account
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind(SqlId(organization))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(SystemAccount::from).collect())
}

/// Makes an account, under an id that follows from the idempotency key: when the key has been forgotten here and the
/// account has not (after a restore), the account is answered and not made twice.
async fn create(
    tx: &mut Tx<'_>,
    key: Option<&Key>,
    name: String,
    description: String,
) -> Answer<SystemAccount> {
    let organization = tx.organization();
    let mut id = match key {
        Some(key) => SystemAccountId::from_uuid(key.derived_id("system-account")),
        None => SystemAccountId::generate(),
    };
    if is_used(tx.connection(), id).await? {
        match find(tx.connection(), organization, id).await {
            Ok(known) if known.name == name && known.description == description => return Ok(known),
            // The key was used a day or longer ago, for something else.
            _ => id = SystemAccountId::generate(),
        }
    }
    write(tx, SystemAccountPut { id, name, description }).await?;
    let put = Operation::PrincipalPut {
        id: id.cast(),
        kind: PrincipalKind::SystemAccount,
        active: true,
        not_before: None,
    };
    tx.append(put).await?;
    find(tx.connection(), organization, id).await
}

/// Writes an account as `put` says; 409 if another has the name. The log's head is locked, so no other can take it now.
async fn write(tx: &mut Tx<'_>, put: SystemAccountPut) -> Answer<()> {
    let organization = tx.organization();
    let (taken,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.system_account WHERE organization_id = $1 AND name = $2 AND id <> $3)",
    )
    .bind(SqlId(organization))
    .bind(&put.name)
    .bind(SqlId(put.id))
    .fetch_one(tx.connection())
    .await
    .map_err(Error::from)?;
    if taken {
        return Err(Problem::conflict("name: the organization has a system account with this name").into());
    }
    tx.append(Operation::SystemAccountPut(put)).await?;
    Ok(())
}

async fn is_used(connection: &mut PgConnection, id: SystemAccountId) -> Result<bool, Error> {
    let (used,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.system_account WHERE id = $1)
             OR EXISTS (SELECT FROM replicated.removed WHERE id = $1)",
    )
    .bind(SqlId(id))
    .fetch_one(connection)
    .await?;
    Ok(used)
}

/// Applies an operation. What was removed stays so.
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

/// Applies an operation. Its tokens end by the principal's tombstone.
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
