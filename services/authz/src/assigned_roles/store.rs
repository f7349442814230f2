//! Rows of assignments, and the operations that tell of them.

use ids::{AssignmentId, ControlPlaneId, OrganizationId, kinds};
use policy::{AssignedRole, Holder};
use postgres::{Error, SqlId, on_constraint};
use sqlx::{PgConnection, PgPool};
use web::{Answer, Problem};

use super::{Assignment, Row, columns};
use crate::operation::Operation;

/// Inserts an assignment; answers its place in the log. 409 if the holder has the very same already.
pub async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: AssignmentId,
    holder: Holder,
    role: &AssignedRole,
) -> Answer<u64> {
    let (team_id, principal_id) = columns(holder);
    let inserted = sqlx::query(
        "INSERT INTO replicated.assignment
         (id, organization_id, team_id, principal_id, role_name, entity_type_name, entity_id, entity_region)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(team_id.map(SqlId))
    .bind(principal_id.map(SqlId))
    .bind(&role.role_name)
    .bind(&role.entity_type_name)
    .bind(&role.entity_id)
    .bind(&role.entity_region)
    .execute(&mut *connection)
    .await;
    on_constraint(inserted, "assignment_once", || Problem::conflict("this role is assigned already"))?;
    let put = Operation::AssignmentPut { id, team_id, principal_id, role: role.clone() };
    Ok(put.append(connection, organization).await?)
}

/// The holder's assignments, by id.
pub async fn list(
    db: &PgPool,
    organization: OrganizationId,
    holder: Holder,
    after: Option<AssignmentId>,
    limit: i64,
) -> Result<Vec<Assignment>, Error> {
    let (team_id, principal_id) = columns(holder);
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
    let (team_id, principal_id) = columns(holder);
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

/// Deletes one assignment; answers its place in the log, or `None` if it is gone already.
pub async fn delete(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: AssignmentId,
) -> Result<Option<u64>, Error> {
    let deleted = sqlx::query("DELETE FROM replicated.assignment WHERE organization_id = $1 AND id = $2")
        .bind(SqlId(organization))
        .bind(SqlId(id))
        .execute(&mut *connection)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(None);
    }
    Operation::AssignmentRemoved { id }.append(connection, organization).await.map(Some)
}

/// Deletes every assignment on a control plane that is gone; answers the place of the last one in the log.
pub async fn forget(
    connection: &mut PgConnection,
    organization: OrganizationId,
    control_plane: ControlPlaneId,
) -> Result<Option<u64>, Error> {
    let rows: Vec<(SqlId<kinds::Assignment>,)> = sqlx::query_as(
        "DELETE FROM replicated.assignment WHERE organization_id = $1 AND entity_id = $2 RETURNING id",
    )
    .bind(SqlId(organization))
    .bind(control_plane.to_string())
    .fetch_all(&mut *connection)
    .await?;
    let mut last = None;
    for (id,) in rows {
        last = Some(Operation::AssignmentRemoved { id: id.into() }.append(connection, organization).await?);
    }
    Ok(last)
}
