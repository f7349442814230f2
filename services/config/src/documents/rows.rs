//! What writing a document asks of the database, beside what every write does. Why `(SELECT $1)`, `entities/store/learn.rs` says.

use std::collections::HashMap;

use gateway_model::Kind;
use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    entities::known::EntityId,
    rows::{self, RowError},
};

const TABLE: &str = "regional.entity";
/// Ids that are read at a time.
pub const IDS_MAX: usize = 10_000;

/// Locks those of the rows that are there, tombstones included, against other writers. Answers the version of each.
pub async fn lock(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    ids: &[EntityId],
) -> Result<HashMap<EntityId, u64>, RowError> {
    let (kinds, ids): (Vec<&str>, Vec<Uuid>) = ids.iter().map(|id| (id.kind.name(), id.id)).unzip();
    let found: Vec<(String, Uuid, i64)> = sqlx::query_as(
        "SELECT e.* FROM unnest($2::text[], $3::uuid[]) AS wanted (kind, id) CROSS JOIN LATERAL (
             SELECT kind, id, version FROM regional.entity
             WHERE control_plane_id = (SELECT $1::uuid) AND kind = wanted.kind AND id = wanted.id FOR NO KEY UPDATE
         ) AS e",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let version = |(kind, id, version): (String, Uuid, i64)| {
        Ok((EntityId { kind: rows::kind(TABLE, &kind)?, id }, version.cast_unsigned()))
    };
    found.into_iter().map(version).collect()
}

/// The next live entities of a kind that have all of the tags, after `after`: at most [`IDS_MAX`].
pub async fn owned(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    (kind, after): (Kind, Uuid),
    tags: &[String],
) -> Result<Vec<Uuid>, RowError> {
    let found: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT id FROM regional.entity
         WHERE control_plane_id = (SELECT $1::uuid) AND kind = $2 AND id > $3 AND NOT deleted
           AND (cardinality($4::text[]) = 0 OR coalesce(body::jsonb -> 'tags', '[]') ?& $4)
         ORDER BY id LIMIT $5",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(after)
    .bind(tags)
    .bind(IDS_MAX as i64)
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// The entities that changed after version `after`, up to `last`.
pub async fn changed(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    after: u64,
    last: u64,
) -> Result<Vec<EntityId>, RowError> {
    let found: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT kind, id FROM regional.entity WHERE control_plane_id = $1 AND version > $2 AND version <= $3
         ORDER BY version",
    )
    .bind(SqlId(control_plane))
    .bind(after.cast_signed())
    .bind(last.cast_signed())
    .fetch_all(connection)
    .await?;
    found.into_iter().map(|(kind, id)| Ok(EntityId { kind: rows::kind(TABLE, &kind)?, id })).collect()
}

/// Whether an entity refers to one that is not there, where one of the two is among these.
pub async fn leave_a_gap(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    ids: &[EntityId],
) -> Result<bool, RowError> {
    let (kinds, ids): (Vec<&str>, Vec<Uuid>) = ids.iter().map(|id| (id.kind.name(), id.id)).unzip();
    let (gap,): (bool,) = sqlx::query_as(
        "WITH looked_at AS (SELECT * FROM unnest($2::text[], $3::uuid[]) AS looked_at (kind, id)),
              refs AS (
             SELECT r.* FROM looked_at CROSS JOIN LATERAL (
                 SELECT to_kind, to_id FROM regional.entity_ref
                 WHERE control_plane_id = (SELECT $1::uuid) AND from_kind = kind AND from_id = id OFFSET 0) AS r
             UNION ALL
             SELECT r.* FROM looked_at CROSS JOIN LATERAL (
                 SELECT to_kind, to_id FROM regional.entity_ref
                 WHERE control_plane_id = (SELECT $1::uuid) AND to_kind = kind AND to_id = id OFFSET 0) AS r)
         SELECT EXISTS (SELECT FROM refs WHERE NOT EXISTS (
             SELECT FROM regional.entity WHERE control_plane_id = $1 AND kind = to_kind AND id = to_id AND NOT deleted))",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(ids)
    .fetch_one(connection)
    .await?;
    Ok(gap)
}
