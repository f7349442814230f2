//! Rows of organizations.

use access::Limits;
use ids::{OrganizationId, Region, kinds};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgConnection, PgExecutor, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;
use web::{Span, TextFilter};

use super::{Organization, State};
use crate::operation::{OrganizationPut, OrganizationState};

#[derive(FromRow)]
struct OrganizationRow {
    id: SqlId<kinds::Organization>,
    name: String,
    owner_id: SqlId<kinds::User>,
    home_region: String,
    state: String,
    deleting: bool,
    limits: Option<Json<Limits>>,
    removed_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = Error;

    fn try_from(row: OrganizationRow) -> Result<Self, Error> {
        let state = match (OrganizationState::read(&row.state)?, row.deleting, row.removed_at) {
            (_, _, Some(_)) => State::Deleted,
            (_, true, None) => State::Deleting,
            (OrganizationState::Suspended, false, None) => State::Inactive,
            (OrganizationState::Active, false, None) => State::Active,
        };
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            owner_id: row.owner_id.into(),
            home_region: row.home_region.parse().map_err(Error::undecodable)?,
            state,
            limits: row.limits.map(|Json(limits)| limits).unwrap_or_default(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The organization of this name. Two that were made in two regions at once may have one name: the older one has it.
pub async fn by_name(executor: impl PgExecutor<'_>, name: &str) -> Result<Option<Organization>, Error> {
    let row: Option<OrganizationRow> = sqlx::query_as(
        "SELECT * FROM replicated.organization WHERE name = $1 AND removed_at IS NULL ORDER BY created_at, id LIMIT 1",
    )
    .bind(name)
    .fetch_optional(executor)
    .await?;
    row.map(Organization::try_from).transpose()
}

/// The organization with this id, if this region has applied it. One that is deleted is still found.
pub async fn find(executor: impl PgExecutor<'_>, id: OrganizationId) -> Result<Option<Organization>, Error> {
    let row: Option<OrganizationRow> = sqlx::query_as("SELECT * FROM replicated.organization WHERE id = $1")
        .bind(SqlId(id))
        .fetch_optional(executor)
        .await?;
    row.map(Organization::try_from).transpose()
}

/// The organizations of all regions that the filter lets through and `span` says, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    filter: &TextFilter,
    span: &Span<OrganizationId>,
) -> Result<Vec<Organization>, Error> {
    let rows: Vec<OrganizationRow> = sqlx::query_as(
        "SELECT * FROM replicated.organization
         WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR strpos(name, $2) > 0)
           AND ($3::uuid IS NULL OR id > $3) ORDER BY id OFFSET $4 LIMIT $5",
    )
    .bind(&filter.eq)
    .bind(&filter.contains)
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Organization::try_from).collect()
}

/// How many organizations the filter lets through.
pub async fn count(executor: impl PgExecutor<'_>, filter: &TextFilter) -> Result<u64, Error> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM replicated.organization
         WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR strpos(name, $2) > 0)",
    )
    .bind(&filter.eq)
    .bind(&filter.contains)
    .fetch_one(executor)
    .await?;
    Ok(count.cast_unsigned())
}

/// Those of `ids` that are being deleted, or that are deleted.
pub async fn ending(
    executor: impl PgExecutor<'_>,
    ids: &[OrganizationId],
) -> Result<Vec<OrganizationId>, Error> {
    let rows: Vec<(SqlId<kinds::Organization>,)> =
        sqlx::query_as("SELECT id FROM replicated.organization WHERE id = ANY($1) AND deleting ORDER BY id")
            .bind(ids.iter().copied().map(SqlId).collect::<Vec<_>>())
            .fetch_all(executor)
            .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}

/// At most `limit` organizations with their home in `region` whose data has to be deleted.
pub async fn to_remove(
    executor: impl PgExecutor<'_>,
    region: &Region,
    limit: i64,
) -> Result<Vec<OrganizationId>, Error> {
    let rows: Vec<(SqlId<kinds::Organization>,)> = sqlx::query_as(
        "SELECT id FROM replicated.organization
         WHERE deleting AND removed_at IS NULL AND home_region = $1 ORDER BY id LIMIT $2",
    )
    .bind(region.as_str())
    .bind(limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}

/// Whether the organization is deleted: nothing of it is written any more.
pub async fn is_removed(connection: &mut PgConnection, id: OrganizationId) -> Result<bool, Error> {
    let (removed,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.organization WHERE id = $1 AND removed_at IS NOT NULL)",
    )
    .bind(SqlId(id))
    .fetch_one(connection)
    .await?;
    Ok(removed)
}

/// Applies `organization.put`, written at `at`. Answers whether sessions may be worth something else now: its state or its limits have
/// changed.
pub async fn put(
    connection: &mut PgConnection,
    id: OrganizationId,
    at: OffsetDateTime,
    put: &OrganizationPut,
) -> Result<bool, Error> {
    let limits = (!put.limits.is_empty()).then_some(Json(put.limits));
    let changed: Option<(bool,)> = sqlx::query_as(
        "WITH before AS (SELECT state, limits FROM replicated.organization WHERE id = $1)
         INSERT INTO replicated.organization
             (id, name, owner_id, home_region, state, deleting, limits, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner_id = excluded.owner_id,
             home_region = excluded.home_region, state = excluded.state, deleting = excluded.deleting,
             limits = excluded.limits, updated_at = excluded.updated_at
         WHERE organization.removed_at IS NULL
         RETURNING EXISTS (SELECT FROM before WHERE (state, limits) IS DISTINCT FROM ($5, $7::jsonb))",
    )
    .bind(SqlId(id))
    .bind(&put.name)
    .bind(SqlId(put.owner_id))
    .bind(put.home_region.as_str())
    .bind(put.state.as_str())
    .bind(put.deleting)
    .bind(limits)
    .bind(at)
    .fetch_optional(connection)
    .await?;
    Ok(changed.is_some_and(|(changed,)| changed))
}

/// Applies `organization.removed`, which `region` wrote at `at`. The row stays: it says that the id is used up, and says nothing else.
pub async fn removed(
    connection: &mut PgConnection,
    id: OrganizationId,
    at: OffsetDateTime,
    region: &Region,
) -> Result<(), Error> {
    // Equal whether the organization's own record came before it or not.
    sqlx::query(
        "INSERT INTO replicated.organization
             (id, name, owner_id, home_region, state, deleting, created_at, updated_at, removed_at)
         VALUES ($1, '', $2, $3, $4, true, $5, $5, $5)
         ON CONFLICT (id) DO UPDATE SET name = '', owner_id = excluded.owner_id, home_region = excluded.home_region,
             state = excluded.state, deleting = true, limits = NULL, created_at = excluded.created_at,
             updated_at = excluded.updated_at, removed_at = excluded.removed_at",
    )
    .bind(SqlId(id))
    .bind(Uuid::nil())
    .bind(region.as_str())
    .bind(OrganizationState::Suspended.as_str())
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
