//! Reads for planning: the same few statements for a whole batch, however many writes it has.
//!
//! Each finds rows by whole keys, and says so: `LATERAL … OFFSET 0` looks up one key after another, and `(SELECT $1)` keeps Postgres from
//! guessing by the value. Left to itself, it takes a control plane of which it has no statistics yet for an empty one, and then reads all of
//! its rows for each key.

use std::collections::HashMap;

use gateway_model::{Entity, Kind, OnDelete};
use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::EntityRow;
use crate::{
    entities::{
        known::{EntityId, Key, Known, Referrer, Stored, Want},
        secrets::Sealing,
    },
    rows::{self, RowError},
};

/// Reads what `wants` names into `known`.
pub async fn learn(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    sealing: &Sealing,
    wants: &[Want],
    known: &mut Known,
) -> Result<(), RowError> {
    let (mut entities, mut keys, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for want in wants {
        match want {
            Want::Entity(id) => entities.push(*id),
            Want::Key(key) => keys.push(key.clone()),
            Want::Referrers(id) => targets.push(*id),
            Want::Count => known.learn_count(count(connection, control_plane).await?),
            Want::PathCost => known.learn_path_cost(path_cost(connection, control_plane).await?),
        }
    }
    let mut found = stored(connection, control_plane, sealing, &entities).await?;
    for id in entities {
        known.learn_entity(id, found.remove(&id));
    }
    let found = holders(connection, control_plane, keys.clone()).await?;
    for key in keys {
        let holder = found.get(&key).copied();
        known.learn_key(key, holder);
    }
    let mut found = referrers(connection, control_plane, &targets).await?;
    for target in targets {
        known.learn_referrers(target, found.remove(&target).unwrap_or_default());
    }
    Ok(())
}

/// Those of the entities that are live.
pub async fn stored(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    sealing: &Sealing,
    wanted: &[EntityId],
) -> Result<HashMap<EntityId, Stored>, RowError> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let (kinds, ids) = columns(wanted);
    let rows: Vec<EntityRow> = sqlx::query_as(
        "SELECT e.* FROM unnest($2::text[], $3::uuid[]) AS wanted (kind, id) CROSS JOIN LATERAL (
             SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
             WHERE control_plane_id = (SELECT $1::uuid) AND kind = wanted.kind AND id = wanted.id AND NOT deleted OFFSET 0
         ) AS e",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.stored(sealing)).collect()
}

/// Which entities hold those of the unique keys that are taken.
pub async fn holders(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    keys: Vec<Key>,
) -> Result<HashMap<Key, Uuid>, RowError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let kinds: Vec<&str> = keys.iter().map(|(kind, _)| kind.name()).collect();
    let fields: Vec<&str> = keys.iter().map(|(_, key)| key.field).collect();
    let values: Vec<&str> = keys.iter().map(|(_, key)| key.value.as_str()).collect();
    let rows: Vec<(i64, Uuid)> = sqlx::query_as(
        "SELECT ordinal, k.entity_id
         FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS wanted (kind, field, value, ordinal)
         CROSS JOIN LATERAL (
             SELECT entity_id FROM regional.entity_key
             WHERE control_plane_id = (SELECT $1::uuid) AND kind = wanted.kind AND field = wanted.field AND value = wanted.value OFFSET 0
         ) AS k",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(fields)
    .bind(values)
    .fetch_all(connection)
    .await?;
    let found: HashMap<i64, Uuid> = rows.into_iter().collect();
    Ok((1..).zip(keys).filter_map(|(ordinal, key)| Some((key, *found.get(&ordinal)?))).collect())
}

/// Who refers to those of the entities that somebody refers to.
pub async fn referrers(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    targets: &[EntityId],
) -> Result<HashMap<EntityId, Vec<Referrer>>, RowError> {
    if targets.is_empty() {
        return Ok(HashMap::new());
    }
    let (kinds, ids) = columns(targets);
    let rows: Vec<(String, Uuid, String, Uuid, bool)> = sqlx::query_as(
        "SELECT r.* FROM unnest($2::text[], $3::uuid[]) AS wanted (kind, id) CROSS JOIN LATERAL (
             SELECT to_kind, to_id, from_kind, from_id, cascade FROM regional.entity_ref
             WHERE control_plane_id = (SELECT $1::uuid) AND to_kind = wanted.kind AND to_id = wanted.id OFFSET 0
         ) AS r",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<EntityId, Vec<Referrer>> = HashMap::new();
    for (to_kind, to_id, from_kind, from_id, cascade) in rows {
        let id = |kind: &str, id| rows::kind("regional.entity_ref", kind).map(|kind| EntityId { kind, id });
        let on_delete = if cascade { OnDelete::Cascade } else { OnDelete::Restrict };
        let referrer = Referrer { id: id(&from_kind, from_id)?, on_delete };
        found.entry(id(&to_kind, to_id)?).or_default().push(referrer);
    }
    Ok(found)
}

/// Counts only where the control plane's row does not tell: after an upgrade, and after a release without counts wrote.
pub async fn count(connection: &mut PgConnection, control_plane: ControlPlaneId) -> Result<usize, RowError> {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM regional.entity WHERE control_plane_id = $1 AND NOT deleted")
            .bind(SqlId(control_plane))
            .fetch_one(connection)
            .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Reads every route with a regular expression, where the control plane's row does not tell what they cost: after an upgrade.
pub async fn path_cost(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
) -> Result<u64, RowError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        r#"SELECT body FROM regional.entity
           WHERE control_plane_id = $1 AND kind = $2 AND NOT deleted AND strpos(body, '"~') > 0"#,
    )
    .bind(SqlId(control_plane))
    .bind(Kind::Route.name())
    .fetch_all(connection)
    .await?;
    let count = move || -> u64 {
        let routes = rows.iter().filter_map(|(body,)| Entity::from_wire(Kind::Route, body.as_bytes()).ok());
        routes.map(|route| route.path_cost()).fold(0, u64::saturating_add)
    };
    // A count that fails would be a fault of ours; the write then fails.
    let cost = tokio::task::spawn_blocking(count).await;
    cost.map_err(|error| RowError::unreadable("regional.entity", error))
}

fn columns(ids: &[EntityId]) -> (Vec<&'static str>, Vec<Uuid>) {
    ids.iter().map(|id| (id.kind.name(), id.id)).unzip()
}
