//! Rows of organizations.

use ids::{OrganizationId, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::Organization;
use crate::operation::{OrganizationPut, OrganizationState};

#[derive(FromRow)]
struct OrganizationRow {
    id: SqlId<kinds::Organization>,
    name: String,
    owner_id: SqlId<kinds::User>,
    home_region: String,
    state: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = Error;

    fn try_from(row: OrganizationRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            owner_id: row.owner_id.into(),
            home_region: row.home_region.parse().map_err(Error::undecodable)?,
            state: OrganizationState::from_column(&row.state).ok_or_else(|| {
                Error::undecodable(format!("`{}` is no state of an organization", row.state))
            })?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The organization of this name. Two that were made in two regions at once may have one name: the older one has it.
pub async fn by_name(executor: impl PgExecutor<'_>, name: &str) -> Result<Option<Organization>, Error> {
    let row: Option<OrganizationRow> = sqlx::query_as(
        "SELECT * FROM replicated.organization WHERE name = $1 ORDER BY created_at, id LIMIT 1",
    )
    .bind(name)
    .fetch_optional(executor)
    .await?;
    row.map(Organization::try_from).transpose()
}

/// The organization with this id, if this region has applied it.
pub async fn find(executor: impl PgExecutor<'_>, id: OrganizationId) -> Result<Option<Organization>, Error> {
    let row: Option<OrganizationRow> = sqlx::query_as("SELECT * FROM replicated.organization WHERE id = $1")
        .bind(SqlId(id))
        .fetch_optional(executor)
        .await?;
    row.map(Organization::try_from).transpose()
}

/// Applies `organization.put`, written at `at`.
pub async fn put(
    connection: &mut PgConnection,
    id: OrganizationId,
    at: OffsetDateTime,
    put: &OrganizationPut,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.organization (id, name, owner_id, home_region, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner_id = excluded.owner_id,
             home_region = excluded.home_region, state = excluded.state, updated_at = excluded.updated_at",
    )
    .bind(SqlId(id))
    .bind(&put.name)
    .bind(SqlId(put.owner_id))
    .bind(put.home_region.as_str())
    .bind(put.state.as_str())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the organization's row; those of what belongs to it are other modules'.
pub async fn clear(connection: &mut PgConnection, id: OrganizationId) -> Result<(), Error> {
    sqlx::query("DELETE FROM replicated.organization WHERE id = $1")
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(())
}
