//! Rows of control planes.

use std::collections::HashMap;

use access::Visible;
use ids::{ControlPlaneId, OrganizationId, kinds};
use postgres::{Row, SqlId};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;

use super::{ControlPlane, ControlPlaneError, Labels, filter::Filter};
use crate::rows::RowError;

const TABLE: &str = "regional.control_plane";

/// A control plane, as its row says.
#[derive(Clone, FromRow)]
pub struct ControlPlaneRow {
    id: SqlId<kinds::ControlPlane>,
    organization_id: SqlId<kinds::Organization>,
    name: String,
    description: String,
    labels: String,
    auth_type: String,
    epoch: i64,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<ControlPlaneRow> for ControlPlane {
    type Error = RowError;

    fn try_from(row: ControlPlaneRow) -> Result<Self, RowError> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            description: row.description,
            labels: serde_json::from_str(&row.labels).map_err(|error| RowError::unreadable(TABLE, error))?,
            auth_type: row.auth_type,
            incarnation: row.epoch.cast_unsigned(),
            version: row.version.cast_unsigned(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Found by the organization that it belongs to, and its id.
impl Row for ControlPlaneRow {
    type Key = (OrganizationId, ControlPlaneId);
    type Error = RowError;

    async fn read(
        connection: &mut PgConnection,
        keys: Vec<Self::Key>,
    ) -> Result<HashMap<Self::Key, Self>, RowError> {
        let (organizations, ids): (Vec<_>, Vec<_>) =
            keys.into_iter().map(|(organization, id)| (SqlId(organization), SqlId(id))).unzip();
        let rows: Vec<Self> = sqlx::query_as(
            "SELECT c.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted (organization_id, id) CROSS JOIN LATERAL (
                 SELECT id, organization_id, name, description, labels, auth_type, epoch, version, created_at, updated_at
                 FROM regional.control_plane WHERE id = wanted.id AND organization_id = wanted.organization_id OFFSET 0
             ) AS c",
        )
        .bind(organizations)
        .bind(ids)
        .fetch_all(connection)
        .await?;
        Ok(rows.into_iter().map(|row| ((row.organization_id.into(), row.id.into()), row)).collect())
    }
}

/// The page that `filter` names of the control planes that the caller may see, and how many there are on all pages.
pub async fn list(
    db: &PgPool,
    organization: OrganizationId,
    visible: &Visible,
    filter: &Filter,
) -> Result<(Vec<ControlPlane>, u64), RowError> {
    const VISIBLE: &str = "organization_id = $1 AND ($2 OR id = ANY($3))
         AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR strpos(name, $5) > 0)
         AND ($6::text IS NULL OR name <> $6) AND ($7::uuid[] IS NULL OR id = ANY($7))
         AND ($8 = '{}' OR labels::jsonb @> $8::jsonb) AND (cardinality($9::text[]) = 0 OR labels::jsonb ?& $9)";
    if filter.none {
        return Ok((Vec::new(), 0));
    }
    let sql = |ids: &[ControlPlaneId]| ids.iter().copied().map(SqlId).collect::<Vec<_>>();
    let labels = encode(&filter.labels)?;
    let (visible_ids, ids) = (sql(&visible.ids), filter.ids.as_deref().map(sql));
    let rows: Vec<ControlPlaneRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT * FROM regional.control_plane WHERE {VISIBLE} ORDER BY {} LIMIT $10 OFFSET $11",
        filter.order
    )))
    .bind(SqlId(organization))
    .bind(visible.all)
    .bind(&visible_ids)
    .bind(&filter.name.eq)
    .bind(&filter.name.contains)
    .bind(&filter.name_not)
    .bind(&ids)
    .bind(&labels)
    .bind(&filter.label_names)
    .bind(i64::from(filter.page.size))
    .bind(filter.page.offset())
    .fetch_all(db)
    .await?;
    let (total,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FROM regional.control_plane WHERE {VISIBLE}"
    )))
    .bind(SqlId(organization))
    .bind(visible.all)
    .bind(visible_ids)
    .bind(&filter.name.eq)
    .bind(&filter.name.contains)
    .bind(&filter.name_not)
    .bind(ids)
    .bind(labels)
    .bind(&filter.label_names)
    .fetch_one(db)
    .await?;
    let rows = rows.into_iter().map(ControlPlane::try_from).collect::<Result<_, _>>()?;
    Ok((rows, total.cast_unsigned()))
}

/// What a new control plane is made of.
pub struct NewControlPlane<'a> {
    /// Chosen by the caller of [`insert`].
    pub id: ControlPlaneId,
    /// Checked; must be unique in the organization and region.
    pub name: &'a str,
    /// Free text.
    pub description: &'a str,
    /// Checked labels.
    pub labels: &'a Labels,
    /// Checked.
    pub auth_type: &'a str,
}

/// Makes a control plane with an empty configuration.
pub async fn insert(
    connection: &mut PgConnection,
    organization: OrganizationId,
    new: NewControlPlane<'_>,
) -> Result<ControlPlane, ControlPlaneError> {
    require_free(connection, organization, new.id, new.name).await?;
    let inserted: Result<ControlPlaneRow, _> = sqlx::query_as(
        "INSERT INTO regional.control_plane (id, organization_id, name, description, labels, auth_type)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
    )
    .bind(SqlId(new.id))
    .bind(SqlId(organization))
    .bind(new.name)
    .bind(new.description)
    .bind(encode(new.labels)?)
    .bind(new.auth_type)
    .fetch_one(&mut *connection)
    .await;
    Ok(inserted.map_err(taken)?.try_into()?)
}

/// What changes in a control plane. `None` leaves a field as it is.
pub struct Changes<'a> {
    /// The new name; must be unique in the organization and region.
    pub name: Option<&'a str>,
    /// The new text.
    pub description: Option<&'a str>,
    /// All labels from now on: they replace those that were there.
    pub labels: Option<&'a Labels>,
    /// How nodes authenticate, checked.
    pub auth_type: Option<&'a str>,
}

/// Changes a control plane of the organization. Returns it with the changes. Where there are none, it was not changed now.
pub async fn update(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: ControlPlaneId,
    changes: Changes<'_>,
) -> Result<ControlPlane, ControlPlaneError> {
    if let Some(name) = changes.name {
        require_free(connection, organization, id, name).await?;
    }
    let updated: Result<Option<ControlPlaneRow>, _> = sqlx::query_as(
        "UPDATE regional.control_plane SET name = coalesce($2, name), description = coalesce($3, description),
             labels = coalesce($4, labels), auth_type = coalesce($5, auth_type),
             updated_at = CASE WHEN (coalesce($2, name), coalesce($3, description), coalesce($4, labels),
                                     coalesce($5, auth_type))
                                  = (name, description, labels, auth_type) THEN updated_at ELSE now() END
         WHERE id = $1 RETURNING *",
    )
    .bind(SqlId(id))
    .bind(changes.name)
    .bind(changes.description)
    .bind(changes.labels.map(encode).transpose()?)
    .bind(changes.auth_type)
    .fetch_optional(connection)
    .await;
    let row = updated.map_err(taken)?.ok_or(ControlPlaneError::NotFound)?;
    Ok(row.try_into()?)
}

/// Goes on only if no other control plane of the organization has this name, which is normalized. Names that were given before
/// names were normalized are compared too; among newer ones the table's constraint decides.
async fn require_free(
    connection: &mut PgConnection,
    organization: OrganizationId,
    id: ControlPlaneId,
    name: &str,
) -> Result<(), ControlPlaneError> {
    let (taken,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM regional.control_plane
                        WHERE organization_id = $1 AND id <> $2 AND normalize(name, NFC) = $3)",
    )
    .bind(SqlId(organization))
    .bind(SqlId(id))
    .bind(name)
    .fetch_one(connection)
    .await
    .map_err(RowError::from)?;
    if taken { Err(ControlPlaneError::NameTaken) } else { Ok(()) }
}

/// Deletes the control plane with all that belongs to it.
pub async fn delete(connection: &mut PgConnection, id: ControlPlaneId) -> Result<(), ControlPlaneError> {
    let deleted = sqlx::query("DELETE FROM regional.control_plane WHERE id = $1")
        .bind(SqlId(id))
        .execute(connection)
        .await
        .map_err(RowError::from)?;
    if deleted.rows_affected() == 1 { Ok(()) } else { Err(ControlPlaneError::NotFound) }
}

fn encode(labels: &Labels) -> Result<String, RowError> {
    serde_json::to_string(labels).map_err(|error| RowError::unreadable(TABLE, error))
}

fn taken(error: sqlx::Error) -> ControlPlaneError {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    if constraint == Some("control_plane_name") {
        ControlPlaneError::NameTaken
    } else {
        RowError::from(error).into()
    }
}
