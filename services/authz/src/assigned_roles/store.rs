//! Rows of assignments, read. They are written by `apply`.

use ids::{AssignmentId, OrganizationId, kinds};
use policy::{AssignedRole, Holder};
use postgres::{Error, SqlId};
use sqlx::{FromRow, PgExecutor, PgPool};
use web::Span;

use super::Assignment;
use crate::apply::holder_columns;

#[derive(FromRow)]
struct AssignmentRow {
    id: SqlId<kinds::Assignment>,
    role_name: String,
    entity_type_name: String,
    entity_id: String,
    entity_region: String,
}

impl From<AssignmentRow> for Assignment {
    fn from(row: AssignmentRow) -> Self {
        Self {
            id: row.id.into(),
            role: AssignedRole {
                role_name: row.role_name,
                entity_id: row.entity_id,
                entity_type_name: row.entity_type_name,
                entity_region: row.entity_region,
            },
        }
    }
}

/// The assignments of the holder that `span` says, by id.
pub async fn list(
    db: &PgPool,
    organization: OrganizationId,
    holder: Holder,
    span: &Span<AssignmentId>,
) -> Result<Vec<Assignment>, Error> {
    let (team_id, principal_id) = holder_columns(holder);
    let rows: Vec<AssignmentRow> = sqlx::query_as(
        "SELECT id, role_name, entity_type_name, entity_id, entity_region FROM replicated.assignment
         WHERE organization_id = $1 AND (team_id = $2 OR principal_id = $3) AND ($4::uuid IS NULL OR id > $4)
         ORDER BY id OFFSET $5 LIMIT $6",
    )
    .bind(SqlId(organization))
    .bind(team_id.map(SqlId))
    .bind(principal_id.map(SqlId))
    .bind(span.after.map(SqlId))
    .bind(span.offset)
    .bind(span.limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Assignment::from).collect())
}

/// How many assignments the holder has.
pub async fn count(db: &PgPool, organization: OrganizationId, holder: Holder) -> Result<u64, Error> {
    let (team_id, principal_id) = holder_columns(holder);
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM replicated.assignment WHERE organization_id = $1 AND (team_id = $2 OR principal_id = $3)",
    )
    .bind(SqlId(organization))
    .bind(team_id.map(SqlId))
    .bind(principal_id.map(SqlId))
    .fetch_one(db)
    .await?;
    Ok(count.cast_unsigned())
}

/// The holder's assignment `id`.
pub async fn find(
    db: &PgPool,
    organization: OrganizationId,
    holder: Holder,
    id: AssignmentId,
) -> Result<Option<Assignment>, Error> {
    let (team_id, principal_id) = holder_columns(holder);
    let row: Option<AssignmentRow> = sqlx::query_as(
        "SELECT id, role_name, entity_type_name, entity_id, entity_region FROM replicated.assignment
         WHERE organization_id = $1 AND id = $2 AND (team_id = $3 OR principal_id = $4)",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .bind(team_id.map(SqlId))
    .bind(principal_id.map(SqlId))
    .fetch_optional(db)
    .await?;
    Ok(row.map(Assignment::from))
}

/// Whether the organization has this assignment.
pub async fn exists(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: AssignmentId,
) -> Result<bool, Error> {
    let (exists,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM replicated.assignment WHERE organization_id = $1 AND id = $2)",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .fetch_one(executor)
    .await?;
    Ok(exists)
}
