//! Reads for planning: the same few statements for a whole batch, however many writes it has.

use std::collections::HashMap;

use gateway_model::{Entity, Kind, OnDelete};
use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::EntityRow;
use crate::{
    entities::{
        known::{EntityId, Key, Known, Referrer, Want},
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
            Want::Count => learn_count(connection, control_plane, known).await?,
            Want::PathCost => learn_path_cost(connection, control_plane, known).await?,
            Want::Everything => return learn_everything(connection, control_plane, sealing, known).await,
        }
    }
    if !entities.is_empty() {
        learn_entities(connection, control_plane, sealing, &entities, known).await?;
    }
    if !keys.is_empty() {
        learn_keys(connection, control_plane, keys, known).await?;
    }
    if !targets.is_empty() {
        learn_referrers(connection, control_plane, &targets, known).await?;
    }
    Ok(())
}

async fn learn_everything(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    sealing: &Sealing,
    known: &mut Known,
) -> Result<(), RowError> {
    let rows: Vec<EntityRow> = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
         WHERE control_plane_id = $1 AND NOT deleted",
    )
    .bind(SqlId(control_plane))
    .fetch_all(connection)
    .await?;
    // The runtime moves the other tasks of this thread to another thread.
    tokio::task::block_in_place(|| {
        let rows = rows.into_iter().map(|row| row.stored(sealing)).collect::<Result<_, _>>()?;
        known.learn_everything(rows);
        Ok(())
    })
}

async fn learn_entities(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    sealing: &Sealing,
    wanted: &[EntityId],
    known: &mut Known,
) -> Result<(), RowError> {
    let (kinds, ids) = columns(wanted);
    let rows: Vec<EntityRow> = sqlx::query_as(
        "SELECT e.kind, e.id, version, body, secret, created_at, updated_at
         FROM unnest($2::text[], $3::uuid[]) AS wanted (kind, id)
         JOIN regional.entity AS e ON e.control_plane_id = $1 AND e.kind = wanted.kind AND e.id = wanted.id
         WHERE NOT deleted",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut found = rows.into_iter().map(|row| row.stored(sealing)).collect::<Result<HashMap<_, _>, _>>()?;
    for id in wanted {
        known.learn_entity(*id, found.remove(id));
    }
    Ok(())
}

async fn learn_keys(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    keys: Vec<Key>,
    known: &mut Known,
) -> Result<(), RowError> {
    let kinds: Vec<&str> = keys.iter().map(|(kind, _)| kind.name()).collect();
    let fields: Vec<&str> = keys.iter().map(|(_, key)| key.field).collect();
    let values: Vec<&str> = keys.iter().map(|(_, key)| key.value.as_str()).collect();
    let rows: Vec<(i64, Uuid)> = sqlx::query_as(
        "SELECT ordinal, k.entity_id
         FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS wanted (kind, field, value, ordinal)
         JOIN regional.entity_key AS k
           ON k.control_plane_id = $1 AND k.kind = wanted.kind AND k.field = wanted.field AND k.value = wanted.value",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(fields)
    .bind(values)
    .fetch_all(connection)
    .await?;
    let found: HashMap<i64, Uuid> = rows.into_iter().collect();
    for (position, key) in (1..).zip(keys) {
        known.learn_key(key, found.get(&position).copied());
    }
    Ok(())
}

async fn learn_referrers(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    targets: &[EntityId],
    known: &mut Known,
) -> Result<(), RowError> {
    let (kinds, ids) = columns(targets);
    let rows: Vec<(String, Uuid, String, Uuid, bool)> = sqlx::query_as(
        "SELECT to_kind, to_id, from_kind, from_id, cascade
         FROM unnest($2::text[], $3::uuid[]) AS wanted (kind, id)
         JOIN regional.entity_ref ON control_plane_id = $1 AND to_kind = wanted.kind AND to_id = wanted.id",
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
    for target in targets {
        known.learn_referrers(*target, found.remove(target).unwrap_or_default());
    }
    Ok(())
}

/// Counts only where the control plane's row does not tell: after an upgrade, and after a release without counts wrote.
async fn learn_count(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    known: &mut Known,
) -> Result<(), RowError> {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM regional.entity WHERE control_plane_id = $1 AND NOT deleted")
            .bind(SqlId(control_plane))
            .fetch_one(connection)
            .await?;
    known.learn_count(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(())
}

/// Reads every route with a regular expression, where the control plane's row does not tell what they cost: after an upgrade.
async fn learn_path_cost(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    known: &mut Known,
) -> Result<(), RowError> {
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
    known.learn_path_cost(cost.map_err(|error| RowError::unreadable("regional.entity", error))?);
    Ok(())
}

fn columns(ids: &[EntityId]) -> (Vec<&'static str>, Vec<Uuid>) {
    ids.iter().map(|id| (id.kind.name(), id.id)).unzip()
}
