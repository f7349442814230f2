//! Writes of a batch: rows, unique keys, references and head, in a fixed number of statements.

use std::collections::BTreeMap;

use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::PgConnection;
use sync::{Digest, entity_digest};
use time::OffsetDateTime;

use super::{
    Head,
    columns::{Columns, Keys, unfit},
};
use crate::{
    entities::{
        known::{EntityId, Pending},
        secrets::{AtRest, Sealing},
    },
    rows::RowError,
    validation::in_place,
};

/// Rows that are encoded and sealed without giving way to other requests.
const PREPARED_AT_ONCE_MAX: usize = 1000;
/// Rows of one statement. Whoever waits for many of them learns after each how far the work has come.
const PART_ROWS_MAX: usize = 5000;

/// What a batch came to.
pub struct Batch<'a> {
    /// The version that it makes.
    pub version: u64,
    /// Every row that changes, by its id.
    pub pending: &'a BTreeMap<EntityId, Pending>,
    /// Live entities afterwards, if they were counted.
    pub entities: Option<usize>,
    /// What all regular expressions take to compile afterwards, if that was counted.
    pub path_cost: Option<u64>,
}

/// Writes a batch and moves the head to its version. Tells `written` of rows that are written.
pub async fn write(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    sealing: &Sealing,
    head: &Head,
    batch: Batch<'_>,
    written: &(dyn Fn(usize) + Sync),
) -> Result<(), RowError> {
    let Batch { version, pending, entities, path_cost } = batch;
    let changes: Vec<(EntityId, &Pending)> = pending.iter().map(|(id, change)| (*id, change)).collect();
    // A key may go from one entity to another: all are given up before one is taken.
    for part in changes.chunks(PART_ROWS_MAX) {
        Keys::before(part).delete(connection, control_plane).await?;
    }
    let mut digest = head.digest;
    for part in changes.chunks(PART_ROWS_MAX) {
        let rows = prepared(part, sealing, head.now, version, &mut digest)?;
        rows.write(connection, control_plane, version, head.now).await?;
        written(part.len());
    }
    move_head(connection, control_plane, version, &digest, entities, path_cost).await
}

/// Writes some of the changes of a version, before the head moves to it, and without its lock. Keys that other entities hold are taken from
/// them. The digest changes by the rows. Answers how many of them are new, tombstones included.
pub async fn write_part(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    sealing: &Sealing,
    (version, now): (u64, OffsetDateTime),
    part: &[(EntityId, &Pending)],
    digest: &mut Digest,
) -> Result<u64, RowError> {
    let mut rows = prepared(part, sealing, now, version, digest)?;
    Keys::before(part).delete(connection, control_plane).await?;
    std::mem::take(&mut rows.keys).take(connection, control_plane).await?;
    rows.write(connection, control_plane, version, now).await
}

/// The rows of some changes. The runtime moves the other tasks of this thread to another thread, if there are many.
fn prepared(
    part: &[(EntityId, &Pending)],
    sealing: &Sealing,
    now: OffsetDateTime,
    version: u64,
    digest: &mut Digest,
) -> Result<Columns, RowError> {
    let mut prepare = || prepare(part, sealing, now, version, digest);
    if part.len() > PREPARED_AT_ONCE_MAX { in_place(prepare) } else { prepare() }
}

/// Moves the head to a version whose rows are written. `entities` and `path_cost` are those of the whole configuration, if they are known.
pub async fn move_head(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    version: u64,
    digest: &Digest,
    entities: Option<usize>,
    path_cost: Option<u64>,
) -> Result<(), RowError> {
    sqlx::query(
        "UPDATE regional.control_plane SET version = $2, digest = $3, committed_at = clock_timestamp(), traceparent = $4,
             entities = $5, entities_version = $2, path_cost = $6, path_cost_version = $2
         WHERE id = $1",
    )
    .bind(SqlId(control_plane))
    .bind(version.cast_signed())
    .bind(&digest.as_bytes()[..])
    .bind(telemetry::traceparent())
    .bind(entities.and_then(|count| i64::try_from(count).ok()))
    .bind(path_cost.and_then(|cost| i64::try_from(cost).ok()))
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows of some changes, which also change the digest of all live entities.
fn prepare(
    changes: &[(EntityId, &Pending)],
    sealing: &Sealing,
    now: OffsetDateTime,
    version: u64,
    digest: &mut Digest,
) -> Result<Columns, RowError> {
    let mut rows = Columns::default();
    for (id, change) in changes {
        if let Some(before) = &change.before {
            digest.sub(&before.digest);
        }
        let at_rest = match &change.after {
            Some(entity) => sealing.seal(*id, entity).map_err(unfit)?,
            None => AtRest { wire: Vec::new(), secret: None },
        };
        if change.after.is_some() {
            digest.add(&entity_digest(id.kind.name(), id.id, version, &at_rest.wire));
        }
        rows.push(*id, change, at_rest, now)?;
    }
    Ok(rows)
}
