//! Rows of entities: read for planning and for the API, written by the committer.

use std::collections::{BTreeMap, HashMap};

use gateway_model::{Entity, Kind, OnDelete, UniqueKey};
use ids::ControlPlaneId;
use postgres::{Error, SqlId, seal::SealKey};
use sqlx::{FromRow, PgConnection, PgExecutor};
use sync::{Digest, entity_digest};
use time::OffsetDateTime;
use uuid::Uuid;

use super::known::{Key, Known, Name, Pending, Referrer, Stored, Want};

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
pub async fn lock(connection: &mut PgConnection, id: ControlPlaneId) -> Result<Option<Head>, Error> {
    let row: Option<HeadRow> = sqlx::query_as(
        "SELECT epoch, version, digest, now() AS now FROM regional.control_plane WHERE id = $1 FOR UPDATE",
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

/// Reads what `wants` names into `known`.
pub async fn learn(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    seal: &SealKey,
    wants: &[Want],
    known: &mut Known,
) -> Result<(), Error> {
    let (mut names, mut keys, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for want in wants {
        match want {
            Want::Entity(name) => names.push(*name),
            Want::Key(key) => keys.push(key.clone()),
            Want::Referrers(name) => targets.push(*name),
            Want::Everything => return learn_everything(connection, control_plane, seal, known).await,
        }
    }
    if !names.is_empty() {
        learn_entities(connection, control_plane, seal, &names, known).await?;
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
    seal: &SealKey,
    known: &mut Known,
) -> Result<(), Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
         WHERE control_plane_id = $1 AND NOT deleted",
    )
    .bind(SqlId(control_plane))
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| row.stored(seal)).collect::<Result<_, _>>()?;
    known.learn_everything(rows);
    Ok(())
}

async fn learn_entities(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    seal: &SealKey,
    names: &[Name],
    known: &mut Known,
) -> Result<(), Error> {
    let (kinds, ids) = columns(names);
    let rows: Vec<Row> = sqlx::query_as(
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
    let mut found = rows.into_iter().map(|row| row.stored(seal)).collect::<Result<HashMap<_, _>, _>>()?;
    for name in names {
        known.learn_entity(*name, found.remove(name));
    }
    Ok(())
}

async fn learn_keys(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    keys: Vec<Key>,
    known: &mut Known,
) -> Result<(), Error> {
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
    targets: &[Name],
    known: &mut Known,
) -> Result<(), Error> {
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
    let mut found: HashMap<Name, Vec<Referrer>> = HashMap::new();
    for (to_kind, to_id, from_kind, from_id, cascade) in rows {
        let kind = |name: &str| Kind::from_name(name).ok_or_else(|| fault("a kind of a newer release"));
        let on_delete = if cascade { OnDelete::Cascade } else { OnDelete::Restrict };
        let referrer = Referrer { name: (kind(&from_kind)?, from_id), on_delete };
        found.entry((kind(&to_kind)?, to_id)).or_default().push(referrer);
    }
    for name in targets {
        known.learn_referrers(*name, found.remove(name).unwrap_or_default());
    }
    Ok(())
}

fn columns(names: &[Name]) -> (Vec<&'static str>, Vec<Uuid>) {
    names.iter().map(|(kind, id)| (kind.name(), *id)).unzip()
}

/// Writes what a batch came to as `version`, and moves the head there.
pub async fn write(
    connection: &mut PgConnection,
    control_plane: ControlPlaneId,
    seal: &SealKey,
    head: &Head,
    version: u64,
    pending: &BTreeMap<Name, Pending>,
) -> Result<(), Error> {
    let mut digest = head.digest;
    let mut rows = Columns::default();
    for (name, change) in pending {
        if let Some(before) = &change.before {
            digest.sub(&entity_digest(name.0.name(), name.1, before.version, &before.wire));
        }
        let wire = match &change.after {
            Some(entity) => entity.to_wire().map_err(|error| fault(&error.to_string()))?,
            None => Vec::new(),
        };
        if change.after.is_some() {
            digest.add(&entity_digest(name.0.name(), name.1, version, &wire));
        }
        rows.push(*name, change, wire, seal, head.now)?;
    }
    rows.write(connection, control_plane, version, head.now).await?;
    sqlx::query(
        "UPDATE regional.control_plane SET version = $2, digest = $3, committed_at = clock_timestamp() WHERE id = $1",
    )
    .bind(SqlId(control_plane))
    .bind(version.cast_signed())
    .bind(&digest.as_bytes()[..])
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows of a batch, column by column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    kinds: Vec<&'static str>,
    ids: Vec<Uuid>,
    buckets: Vec<i16>,
    bodies: Vec<String>,
    secrets: Vec<Option<Vec<u8>>>,
    deleted: Vec<bool>,
    created: Vec<OffsetDateTime>,
    keys: (Vec<&'static str>, Vec<&'static str>, Vec<String>, Vec<Uuid>),
    old_keys: (Vec<&'static str>, Vec<&'static str>, Vec<String>, Vec<Uuid>),
    refs: (Vec<&'static str>, Vec<Uuid>, Vec<&'static str>, Vec<&'static str>, Vec<Uuid>, Vec<bool>),
}

impl Columns {
    fn push(
        &mut self,
        (kind, id): Name,
        change: &Pending,
        wire: Vec<u8>,
        seal: &SealKey,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        self.kinds.push(kind.name());
        self.ids.push(id);
        self.buckets.push(sync::bucket(kind.name(), id).into());
        self.bodies.push(String::from_utf8(wire).map_err(|_| fault("the wire form is text"))?);
        let secret = change.after.as_ref().and_then(Entity::secret);
        self.secrets.push(secret.map(|secret| seal.seal(id.as_bytes(), &secret)));
        self.deleted.push(change.after.is_none());
        self.created.push(change.before.as_ref().map_or(now, |before| before.created_at));
        for key in change.before.iter().flat_map(|before| before.entity.unique_keys()) {
            push_key(&mut self.old_keys, kind, key, id);
        }
        if let Some(entity) = &change.after {
            for key in entity.unique_keys() {
                push_key(&mut self.keys, kind, key, id);
            }
            for reference in entity.references() {
                let target = reference.target.id().ok_or_else(|| fault("an unresolved reference"))?;
                self.refs.0.push(kind.name());
                self.refs.1.push(id);
                self.refs.2.push(reference.field);
                self.refs.3.push(reference.kind.name());
                self.refs.4.push(target);
                self.refs.5.push(reference.on_delete == OnDelete::Cascade);
            }
        }
        Ok(())
    }

    async fn write(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
        version: u64,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let id = SqlId(control_plane);
        sqlx::query(
            "INSERT INTO regional.entity
             (control_plane_id, kind, id, bucket, version, body, secret, deleted, created_at, updated_at)
             SELECT $1, kind, id, bucket, $2, body, secret, deleted, created, $3
             FROM unnest($4::text[], $5::uuid[], $6::int2[], $7::text[], $8::bytea[], $9::bool[], $10::timestamptz[])
               AS input (kind, id, bucket, body, secret, deleted, created)
             ON CONFLICT (control_plane_id, kind, id) DO UPDATE SET
               version = excluded.version, body = excluded.body, secret = excluded.secret, deleted = excluded.deleted,
               created_at = excluded.created_at, updated_at = excluded.updated_at",
        )
        .bind(id)
        .bind(version.cast_signed())
        .bind(now)
        .bind(&self.kinds)
        .bind(&self.ids)
        .bind(self.buckets)
        .bind(self.bodies)
        .bind(self.secrets)
        .bind(self.deleted)
        .bind(self.created)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "DELETE FROM regional.entity_key AS k
             USING unnest($2::text[], $3::text[], $4::text[], $5::uuid[]) AS old (kind, field, value, entity_id)
             WHERE k.control_plane_id = $1 AND k.kind = old.kind AND k.field = old.field AND k.value = old.value
               AND k.entity_id = old.entity_id",
        )
        .bind(id)
        .bind(self.old_keys.0)
        .bind(self.old_keys.1)
        .bind(self.old_keys.2)
        .bind(self.old_keys.3)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO regional.entity_key (control_plane_id, kind, field, value, entity_id)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[])",
        )
        .bind(id)
        .bind(self.keys.0)
        .bind(self.keys.1)
        .bind(self.keys.2)
        .bind(self.keys.3)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "DELETE FROM regional.entity_ref AS r USING unnest($2::text[], $3::uuid[]) AS old (kind, id)
             WHERE r.control_plane_id = $1 AND r.from_kind = old.kind AND r.from_id = old.id",
        )
        .bind(id)
        .bind(self.kinds)
        .bind(self.ids)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO regional.entity_ref (control_plane_id, from_kind, from_id, field, to_kind, to_id, cascade)
             SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::bool[])",
        )
        .bind(id)
        .bind(self.refs.0)
        .bind(self.refs.1)
        .bind(self.refs.2)
        .bind(self.refs.3)
        .bind(self.refs.4)
        .bind(self.refs.5)
        .execute(connection)
        .await?;
        Ok(())
    }
}

fn push_key(
    columns: &mut (Vec<&'static str>, Vec<&'static str>, Vec<String>, Vec<Uuid>),
    kind: Kind,
    key: UniqueKey,
    id: Uuid,
) {
    columns.0.push(kind.name());
    columns.1.push(key.field);
    columns.2.push(key.value);
    columns.3.push(id);
}
