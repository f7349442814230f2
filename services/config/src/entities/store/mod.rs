//! Rows of entities: what the API reads is here, what planning reads in [`mod@learn`], what the committer writes in [`mod@write`].
//! Why control planes are asked for by `(SELECT $1)`, [`mod@learn`] says.

mod columns;
mod learn;
mod lookup;
mod turn;
mod write;

use std::collections::BTreeMap;

use gateway_model::{Entity, Kind, UniqueKey};
use ids::ControlPlaneId;
pub use learn::{count, holders, learn, path_cost, referrers, stored};
pub use lookup::Wanted;
use postgres::SqlId;
use serde_json::json;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use sync::{Digest, entity_digest};
use time::OffsetDateTime;
pub use turn::{document_ends, plan_anew, take_turn, wait_little};
use uuid::Uuid;
pub use write::{Batch, move_head, write, write_part};

use super::{
    committer::Shown,
    known::{EntityId, Stored},
    secrets::Sealing,
};
use crate::rows::{self, RowError};

const TABLE: &str = "regional.entity";

/// The newest version of a control plane.
#[derive(Clone, Debug)]
pub struct Head {
    /// The incarnation in which the version counts.
    pub incarnation: u64,
    /// Counts the commits; the next one gets `version + 1`.
    pub version: u64,
    /// Of all live entities.
    pub digest: Digest,
    /// How many live entities there are, if the row tells.
    pub entities: Option<usize>,
    /// What the regular expressions of all routes take to compile, if the row tells.
    pub path_cost: Option<u64>,
    /// The database's time at the start of the transaction.
    pub now: OffsetDateTime,
    /// Whether another transaction is writing a document, which may hold rows until its end.
    pub meets_document: bool,
}

#[derive(FromRow)]
struct ControlPlaneRow {
    incarnation: i64,
    version: i64,
    digest: Vec<u8>,
    entities: Option<i64>,
    path_cost: Option<i64>,
    now: OffsetDateTime,
    meets_document: bool,
}

/// Reads the head of control plane `$1`. Counts are valid only for the version that they were written with: a release before that changed the
/// version alone.
macro_rules! select_head {
    ($meets_document:literal) => {
        concat!(
            "SELECT epoch AS incarnation, version, digest, now() AS now,
                    CASE WHEN entities_version = version THEN entities END AS entities,
                    CASE WHEN path_cost_version = version THEN path_cost END AS path_cost, ",
            $meets_document,
            " AS meets_document FROM regional.control_plane WHERE id = $1"
        )
    };
}

/// Locks the control plane's configuration until the transaction ends; `None` if there is no such control plane. Rows that only
/// refer to it, such as revocations, can still be written by others. No document begins to be written meanwhile.
pub async fn lock(connection: &mut PgConnection, id: ControlPlaneId) -> Result<Option<Head>, RowError> {
    let select = concat!(select_head!("NOT pg_try_advisory_xact_lock_shared($2)"), " FOR NO KEY UPDATE");
    let row: Option<ControlPlaneRow> =
        sqlx::query_as(select).bind(SqlId(id)).bind(turn::key(id)).fetch_optional(connection).await?;
    row.map(Head::try_from).transpose()
}

/// The same without a lock.
pub async fn head(connection: &mut PgConnection, id: ControlPlaneId) -> Result<Option<Head>, RowError> {
    let row: Option<ControlPlaneRow> =
        sqlx::query_as(select_head!("false")).bind(SqlId(id)).fetch_optional(connection).await?;
    row.map(Head::try_from).transpose()
}

impl TryFrom<ControlPlaneRow> for Head {
    type Error = RowError;

    fn try_from(row: ControlPlaneRow) -> Result<Self, RowError> {
        let digest = Digest::from_slice(&row.digest)
            .ok_or_else(|| RowError::unreadable("regional.control_plane", "a digest is 32 bytes"))?;
        // Nobody has counted what was never written.
        let counted = |count: Option<i64>| count.or((row.version == 0).then_some(0));
        Ok(Self {
            incarnation: row.incarnation.cast_unsigned(),
            version: row.version.cast_unsigned(),
            digest,
            entities: counted(row.entities).and_then(|count| usize::try_from(count).ok()),
            path_cost: counted(row.path_cost).and_then(|cost| u64::try_from(cost).ok()),
            now: row.now,
            meets_document: row.meets_document,
        })
    }
}

/// A live entity, as the API reads it.
#[derive(Clone, FromRow)]
pub struct EntityRow {
    kind: String,
    /// Unique within its control plane and kind.
    pub id: Uuid,
    version: i64,
    body: String,
    secret: Option<Vec<u8>>,
    /// When the entity was created.
    pub created_at: OffsetDateTime,
    /// When it was last written.
    pub updated_at: OffsetDateTime,
}

impl EntityRow {
    /// The version of the control plane at which the entity was last written.
    pub fn version(&self) -> u64 {
        self.version.cast_unsigned()
    }

    /// What the row adds to the digest of its control plane.
    pub fn digest(&self) -> Digest {
        entity_digest(&self.kind, self.id, self.version(), self.body.as_bytes())
    }

    /// The entity, with its secrets in clear.
    pub fn entity(&self, sealing: &Sealing) -> Result<Entity, RowError> {
        let (kind, id) = (rows::kind(TABLE, &self.kind)?, self.id);
        let unreadable = |error: &dyn std::fmt::Display| {
            RowError::unreadable(TABLE, format!("{} {id}: {error}", kind.name()))
        };
        let entity = sealing.open(kind, id, self.body.as_bytes(), self.secret.as_deref());
        entity.map_err(|error| unreadable(&error))
    }

    /// The entity as the API shows it.
    pub fn shown(&self, sealing: &Sealing) -> Result<Shown, RowError> {
        let entity = self.entity(sealing)?;
        let id = EntityId { kind: entity.kind(), id: self.id };
        let version = self.version();
        Ok(Shown { id, entity, version, created_at: self.created_at, updated_at: self.updated_at })
    }

    fn stored(self, sealing: &Sealing) -> Result<(EntityId, Stored), RowError> {
        let entity = self.entity(sealing)?;
        let (version, digest) = (self.version(), self.digest());
        let id = EntityId { kind: entity.kind(), id: self.id };
        Ok((id, Stored { entity, version, digest, created_at: self.created_at }))
    }
}

/// One live entity.
pub async fn get(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    id: Uuid,
) -> Result<Option<EntityRow>, RowError> {
    let row = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
         WHERE control_plane_id = (SELECT $1::uuid) AND kind = $2 AND id = $3 AND NOT deleted",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(id)
    .fetch_optional(executor)
    .await?;
    Ok(row)
}

/// The version of a control plane, and all its live entities of these kinds that have all of the tags, by kind and id, as they are at
/// that version.
pub async fn export(
    db: &PgPool,
    control_plane: ControlPlaneId,
    kinds: &[Kind],
    tags: &[String],
) -> Result<(u64, Vec<EntityRow>), RowError> {
    let mut snapshot = db.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *snapshot).await?;
    let (version,): (i64,) = sqlx::query_as("SELECT version FROM regional.control_plane WHERE id = $1")
        .bind(SqlId(control_plane))
        .fetch_one(&mut *snapshot)
        .await?;
    let rows = everything(&mut *snapshot, control_plane, kinds, tags).await?;
    Ok((version.cast_unsigned(), rows))
}

async fn everything(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kinds: &[Kind],
    tags: &[String],
) -> Result<Vec<EntityRow>, RowError> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let rows = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
         WHERE control_plane_id = $1 AND kind = ANY($2) AND NOT deleted
           AND (cardinality($3::text[]) = 0 OR coalesce(body::jsonb -> 'tags', '[]') ?& $3)
         ORDER BY kind, id",
    )
    .bind(SqlId(control_plane))
    .bind(kinds)
    .bind(tags)
    .fetch_all(executor)
    .await?;
    Ok(rows)
}

/// Those of the entities `ids` of a kind that are live.
pub async fn get_many(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    ids: &[Uuid],
) -> Result<Vec<EntityRow>, RowError> {
    let rows = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
         WHERE control_plane_id = (SELECT $1::uuid) AND kind = $2 AND id = ANY($3) AND NOT deleted",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(ids)
    .fetch_all(executor)
    .await?;
    Ok(rows)
}

/// The id behind a unique key.
pub async fn holder(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    key: &UniqueKey,
) -> Result<Option<Uuid>, RowError> {
    let row: Option<(Uuid,)> = sqlx::query_as(
        "SELECT entity_id FROM regional.entity_key WHERE control_plane_id = $1 AND kind = $2 AND field = $3 AND value = $4",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(key.field)
    .bind(&key.value)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|(id,)| id))
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only entities whose reference `field` points at this one.
    pub parent: Option<(&'static str, Uuid)>,
    /// Only entities with these tags.
    pub tags: Tags,
    /// Only the entity that has all of these keys.
    pub keys: Vec<UniqueKey>,
    /// Only entities each of whose fields contains the text, in the same case. Each field occurs once.
    pub contains: Vec<UniqueKey>,
    /// Only entities with these values in fields that are not unique.
    pub values: Vec<(&'static str, String)>,
    /// Only entities each of whose fields, which are not unique, contains the text, in the same case.
    pub parts: Vec<(&'static str, String)>,
}

/// The tags that an entity has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Each of these.
    All(Vec<String>),
    /// One of these at least.
    Any(Vec<String>),
}

impl Default for Tags {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// A page ends with the entity whose body goes beyond this. Example: 1,000 routes may hold 128 paths of 1 KiB each.
const PAGE_BYTES_MAX: i64 = 2 * 1024 * 1024;

/// Some entities, in order of their ids.
pub struct Listed {
    /// At least one, if there is any.
    pub rows: Vec<EntityRow>,
    /// Whether there are more behind them.
    pub more: bool,
}

#[derive(FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    row: EntityRow,
    /// How many entities were found, up to one more than were asked for.
    found: i64,
}

/// At most `limit` live entities of a kind after the id `after`, by id; fewer where their bodies are large.
pub async fn list(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Listed, RowError> {
    let columns = |keys: &[UniqueKey]| -> (Vec<&'static str>, Vec<String>) {
        keys.iter().map(|key| (key.field, key.value.clone())).unzip()
    };
    let ((key_fields, key_values), (fields, texts)) = (columns(&filter.keys), columns(&filter.contains));
    let (tags, any_tag) = match &filter.tags {
        Tags::All(tags) => (tags, false),
        Tags::Any(tags) => (tags, true),
    };
    let values: BTreeMap<_, _> = filter.values.iter().map(|(field, value)| (*field, value)).collect();
    let (part_fields, parts): (Vec<_>, Vec<_>) =
        filter.parts.iter().map(|(field, part)| (*field, part.as_str())).unzip();
    // An entity has one value per field, so it fits if it is found once for each condition.
    let mut rows: Vec<ListedRow> = sqlx::query_as(
        "SELECT * FROM (
           SELECT page.*, count(*) OVER () AS found,
                  sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS bytes_before
           FROM (
         SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity AS e
         WHERE control_plane_id = (SELECT $1::uuid) AND kind = $2 AND NOT deleted AND ($3::uuid IS NULL OR id > $3)
           AND ($5::text IS NULL OR EXISTS (
               SELECT FROM regional.entity_ref AS r
               WHERE r.control_plane_id = $1 AND r.from_kind = $2 AND r.from_id = e.id AND r.field = $5 AND r.to_id = $6))
           AND (cardinality($7::text[]) = 0 OR CASE WHEN $13 THEN coalesce(body::jsonb -> 'tags', '[]') ?| $7
                                                    ELSE coalesce(body::jsonb -> 'tags', '[]') ?& $7 END)
           AND ($14 = '{}' OR body::jsonb @> $14::jsonb)
           AND NOT EXISTS (SELECT FROM unnest($15::text[], $16::text[]) AS wanted (field, part)
                           WHERE strpos(coalesce(body::jsonb ->> wanted.field, ''), wanted.part) = 0)
           AND (cardinality($8::text[]) = 0 OR id IN (
               SELECT k.entity_id FROM unnest($8::text[], $9::text[]) AS wanted (field, value)
               JOIN regional.entity_key AS k
                 ON k.control_plane_id = $1 AND k.kind = $2 AND k.field = wanted.field AND k.value = wanted.value
               GROUP BY k.entity_id HAVING count(*) = cardinality($8::text[])))
           AND (cardinality($10::text[]) = 0 OR id IN (
               SELECT k.entity_id FROM unnest($10::text[], $11::text[]) AS wanted (field, value)
               JOIN regional.entity_key AS k
                 ON k.control_plane_id = $1 AND k.kind = $2 AND k.field = wanted.field AND strpos(k.value, wanted.value) > 0
               GROUP BY k.entity_id HAVING count(*) = cardinality($10::text[])))
         ORDER BY id LIMIT $4) AS page) AS measured
         WHERE bytes_before < $12 ORDER BY id",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(after)
    .bind(limit.saturating_add(1))
    .bind(filter.parent.map(|(field, _)| field))
    .bind(filter.parent.map(|(_, id)| id))
    .bind(tags)
    .bind(key_fields)
    .bind(key_values)
    .bind(fields)
    .bind(texts)
    .bind(PAGE_BYTES_MAX)
    .bind(any_tag)
    .bind(json!(values).to_string())
    .bind(part_fields)
    .bind(parts)
    .fetch_all(executor)
    .await?;
    rows.truncate(usize::try_from(limit).unwrap_or(0));
    let more =
        rows.first().is_some_and(|first| usize::try_from(first.found).is_ok_and(|found| found > rows.len()));
    Ok(Listed { rows: rows.into_iter().map(|listed| listed.row).collect(), more })
}
