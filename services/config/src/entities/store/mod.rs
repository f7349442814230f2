//! Rows of entities: what the API reads is here, what planning reads in [`learn`], what the committer writes in [`write`].

mod learn;
mod write;

use gateway_model::{Entity, Kind, UniqueKey};
use ids::ControlPlaneId;
pub use learn::learn;
use postgres::{Error, SqlId};
use seal::SealKey;
use sqlx::{FromRow, PgConnection, PgExecutor};
use sync::Digest;
use time::OffsetDateTime;
use uuid::Uuid;
pub use write::write;

use super::known::{Name, Stored};

/// A control plane's head, as its row says.
#[derive(Clone, Debug)]
pub struct Head {
    pub epoch: u64,
    pub version: u64,
    pub digest: Digest,
    /// The database's time at the start of the transaction.
    pub now: OffsetDateTime,
}

#[derive(FromRow)]
struct HeadRow {
    epoch: i64,
    version: i64,
    digest: Vec<u8>,
    now: OffsetDateTime,
}

/// Locks the control plane's configuration until the transaction ends; `None` if there is no such control plane.
/// Rows that refer to it, revocations first of all, can be written meanwhile.
pub async fn lock(connection: &mut PgConnection, id: ControlPlaneId) -> Result<Option<Head>, Error> {
    let row: Option<HeadRow> = sqlx::query_as(
        "SELECT epoch, version, digest, now() AS now FROM regional.control_plane WHERE id = $1 FOR NO KEY UPDATE",
    )
    .bind(SqlId(id))
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let digest = Digest::from_slice(&row.digest).ok_or_else(|| fault("a digest is 32 bytes"))?;
        Ok(Head {
            epoch: row.epoch.cast_unsigned(),
            version: row.version.cast_unsigned(),
            digest,
            now: row.now,
        })
    })
    .transpose()
}

fn fault(what: &str) -> Error {
    sqlx::Error::Decode(what.into()).into()
}

/// A live entity, as the API reads it.
#[derive(FromRow)]
pub struct Row {
    pub kind: String,
    pub id: Uuid,
    pub version: i64,
    pub body: String,
    pub secret: Option<Vec<u8>>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Row {
    pub fn name(&self) -> Result<Name, Error> {
        let kind = Kind::from_name(&self.kind).ok_or_else(|| fault("a kind of a newer release"))?;
        Ok((kind, self.id))
    }

    /// The entity, with its secret where it has one.
    pub fn entity(&self, seal: &SealKey) -> Result<Entity, Error> {
        let (kind, id) = self.name()?;
        let secret = self.secret.as_deref().map(|sealed| seal.open(id.as_bytes(), sealed)).transpose();
        let secret = secret.map_err(|error| fault(&format!("{kind:?} {id}: {error}")))?;
        Entity::from_wire_with_secret(kind, self.body.as_bytes(), secret.as_deref())
            .map_err(|error| fault(&format!("{kind:?} {id}: {error}")))
    }

    fn stored(self, seal: &SealKey) -> Result<(Name, Stored), Error> {
        let entity = self.entity(seal)?;
        let name = self.name()?;
        let version = self.version.cast_unsigned();
        Ok((name, Stored { entity, wire: self.body.into_bytes(), version, created_at: self.created_at }))
    }
}

/// One live entity.
pub async fn get(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    id: Uuid,
) -> Result<Option<Row>, Error> {
    let row = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
         WHERE control_plane_id = $1 AND kind = $2 AND id = $3 AND NOT deleted",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(id)
    .fetch_optional(executor)
    .await?;
    Ok(row)
}

/// The id behind a unique key.
pub async fn holder(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    key: &UniqueKey,
) -> Result<Option<Uuid>, Error> {
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
    /// Only entities with all of these tags.
    pub tags: Vec<String>,
}

/// At most `limit` live entities of a kind after the id `after`, by id.
pub async fn list(
    executor: impl PgExecutor<'_>,
    control_plane: ControlPlaneId,
    kind: Kind,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Row>, Error> {
    let rows = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity AS e
         WHERE control_plane_id = $1 AND kind = $2 AND NOT deleted AND ($3::uuid IS NULL OR id > $3)
           AND ($5::text IS NULL OR EXISTS (
               SELECT FROM regional.entity_ref AS r
               WHERE r.control_plane_id = $1 AND r.from_kind = $2 AND r.from_id = e.id AND r.field = $5 AND r.to_id = $6))
           AND (cardinality($7::text[]) = 0 OR coalesce(body::jsonb -> 'tags', '[]') ?& $7)
         ORDER BY id LIMIT $4",
    )
    .bind(SqlId(control_plane))
    .bind(kind.name())
    .bind(after)
    .bind(limit)
    .bind(filter.parent.map(|(field, _)| field))
    .bind(filter.parent.map(|(_, id)| id))
    .bind(&filter.tags)
    .fetch_all(executor)
    .await?;
    Ok(rows)
}
