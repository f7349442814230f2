//! Rows of assignments, read. They are written by `apply`.

use ids::{AssignmentId, ControlPlaneId, OrganizationId, kinds};
use policy::Holder;
use postgres::{Error, SqlId};
use sqlx::{PgExecutor, PgPool};

use super::{Assignment, Row};
use crate::apply::holder_columns;

/// The holder's assignments, by id.
pub async fn list(
    db: &PgPool,
    organization: OrganizationId,
    holder: Holder,
    after: Option<AssignmentId>,
    limit: i64,
) -> Result<Vec<Assignment>, Error> {
    let (team_id, principal_id) = holder_columns(holder);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, role_name, entity_type_name, entity_id, entity_region FROM replicated.assignment
         WHERE organization_id = $1 AND (team_id = $2 OR principal_id = $3) AND ($4::uuid IS NULL OR id > $4)
         ORDER BY id LIMIT $5",
    )
    .bind(SqlId(organization))
    .bind(team_id.map(SqlId))
    .bind(principal_id.map(SqlId))
    .bind(after.map(SqlId))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Assignment::from).collect())
}

/// The holder's assignment `id`, if it has it.
pub async fn find(
    db: &PgPool,
    organization: OrganizationId,
    holder: Holder,
    id: AssignmentId,
) -> Result<Option<Assignment>, Error> {
    let (team_id, principal_id) = holder_columns(holder);
    let row: Option<Row> = sqlx::query_as(
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

/// The assignments on one control plane.
pub async fn on(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    control_plane: ControlPlaneId,
) -> Result<Vec<AssignmentId>, Error> {
    let rows: Vec<(SqlId<kinds::Assignment>,)> = sqlx::query_as(
        "SELECT id FROM replicated.assignment WHERE organization_id = $1 AND entity_id = $2 ORDER BY id",
    )
    .bind(SqlId(organization))
    .bind(control_plane.to_string())
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}
