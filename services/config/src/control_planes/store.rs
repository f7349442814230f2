//! Rows of control planes.

use access::Visible;
use ids::{ControlPlaneId, OrganizationId};
use postgres::{Error, SqlId};
use sqlx::{PgConnection, PgExecutor, PgPool};
use web::{Answer, Problem};

use super::{ControlPlane, Labels, Row};

fn name_taken(error: sqlx::Error) -> Problem {
    match Error::from(error) {
        error if error.violates("control_plane_name") => {
            Problem::conflict("name: the organization has a control plane with this name in this region")
        }
        error => error.into(),
    }
}

/// 404 unless the control plane is the organization's.
pub async fn find(
    executor: impl PgExecutor<'_>,
    endpoint: &str,
    organization: OrganizationId,
    id: ControlPlaneId,
) -> Answer<ControlPlane> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM regional.control_plane WHERE organization_id = $1 AND id = $2")
            .bind(SqlId(organization))
            .bind(SqlId(id))
            .fetch_optional(executor)
            .await
            .map_err(Error::from)?;
    let row = row.ok_or_else(|| Problem::not_found("control plane"))?;
    Ok(row.control_plane(endpoint)?)
}

/// A numbered page of those that the caller may see, and how many there are.
pub async fn list(
    db: &PgPool,
    endpoint: &str,
    organization: OrganizationId,
    visible: &Visible,
    name: Option<&str>,
    (size, number): (u32, u32),
) -> Result<(Vec<ControlPlane>, u64), Error> {
    const VISIBLE: &str = "organization_id = $1 AND ($2 OR id = ANY($3)) AND ($4::text IS NULL OR name = $4)";
    let ids: Vec<_> = visible.ids.iter().copied().map(SqlId).collect();
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT * FROM regional.control_plane WHERE {VISIBLE} ORDER BY id LIMIT $5 OFFSET $6"
    )))
    .bind(SqlId(organization))
    .bind(visible.all)
    .bind(&ids)
    .bind(name)
    .bind(i64::from(size))
    .bind(i64::from(size) * i64::from(number - 1))
    .fetch_all(db)
    .await?;
    let (total,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FROM regional.control_plane WHERE {VISIBLE}"
    )))
    .bind(SqlId(organization))
    .bind(visible.all)
    .bind(ids)
    .bind(name)
    .fetch_one(db)
    .await?;
    let rows = rows.into_iter().map(|row| row.control_plane(endpoint)).collect::<Result<_, _>>()?;
    Ok((rows, total.cast_unsigned()))
}

pub async fn insert(
    connection: &mut PgConnection,
    endpoint: &str,
    organization: OrganizationId,
    id: ControlPlaneId,
    name: &str,
    description: &str,
    labels: &Labels,
) -> Answer<ControlPlane> {
    let labels = serde_json::to_string(labels).map_err(Problem::internal)?;
    let inserted: Result<Row, _> = sqlx::query_as(
        "INSERT INTO regional.control_plane (id, organization_id, name, description, labels)
         VALUES ($1, $2, $3, $4, $5) RETURNING *",
    )
    .bind(SqlId(id))
    .bind(SqlId(organization))
    .bind(name)
    .bind(description)
    .bind(labels)
    .fetch_one(connection)
    .await;
    Ok(inserted.map_err(name_taken)?.control_plane(endpoint)?)
}

pub async fn update(
    connection: &mut PgConnection,
    endpoint: &str,
    id: ControlPlaneId,
    name: Option<&str>,
    description: Option<&str>,
    labels: Option<&Labels>,
) -> Answer<ControlPlane> {
    let labels = labels.map(serde_json::to_string).transpose().map_err(Problem::internal)?;
    let updated: Result<Option<Row>, _> = sqlx::query_as(
        "UPDATE regional.control_plane SET name = coalesce($2, name), description = coalesce($3, description),
             labels = coalesce($4, labels), updated_at = now()
         WHERE id = $1 RETURNING *",
    )
    .bind(SqlId(id))
    .bind(name)
    .bind(description)
    .bind(labels)
    .fetch_optional(connection)
    .await;
    let row = updated.map_err(name_taken)?;
    let row = row.ok_or_else(|| Problem::not_found("control plane"))?;
    Ok(row.control_plane(endpoint)?)
}

/// Deletes the control plane with all that belongs to it.
pub async fn delete(connection: &mut PgConnection, id: ControlPlaneId) -> Result<bool, Error> {
    let deleted = sqlx::query("DELETE FROM regional.control_plane WHERE id = $1")
        .bind(SqlId(id))
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() == 1)
}
