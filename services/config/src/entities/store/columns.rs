//! The rows of a batch, as columns: entities, their unique keys and their references, each written by one statement. As in [`mod@super::learn`],
//! rows are found by whole keys.

use gateway_model::{Entity, Kind, OnDelete, UniqueKey};
use ids::ControlPlaneId;
use postgres::SqlId;
use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TABLE;
use crate::{
    entities::{
        known::{EntityId, Pending, target_of},
        secrets::AtRest,
    },
    rows::RowError,
};

/// Why an entity cannot be stored: a fault of ours, since it was planned.
pub(super) fn unfit(reason: impl std::fmt::Display) -> RowError {
    RowError::unreadable(TABLE, reason)
}

/// The rows of a batch, column by column, as `unnest` takes them.
#[derive(Default)]
pub(super) struct Columns {
    kinds: Vec<&'static str>,
    ids: Vec<Uuid>,
    buckets: Vec<i16>,
    bodies: Vec<String>,
    secrets: Vec<Option<Vec<u8>>>,
    deleted: Vec<bool>,
    created: Vec<OffsetDateTime>,
    expires: Vec<Option<OffsetDateTime>>,
    /// Keys that are new.
    pub keys: Keys,
    /// Kinds and ids of the entities whose references go.
    stale_refs: (Vec<&'static str>, Vec<Uuid>),
    refs: References,
}

#[derive(Default)]
pub(super) struct Keys {
    kinds: Vec<&'static str>,
    fields: Vec<&'static str>,
    values: Vec<String>,
    ids: Vec<Uuid>,
}

#[derive(Default)]
struct References {
    from_kinds: Vec<&'static str>,
    from_ids: Vec<Uuid>,
    fields: Vec<&'static str>,
    to_kinds: Vec<&'static str>,
    to_ids: Vec<Uuid>,
    cascades: Vec<bool>,
}

impl Keys {
    /// The keys that the changed entities give up.
    pub fn before(changes: &[(EntityId, &Pending)]) -> Self {
        let mut keys = Self::default();
        for (id, change) in changes {
            let (before, after) = (keys_of(change.before()), keys_of(change.after.as_ref()));
            for key in before.into_iter().filter(|key| !after.contains(key)) {
                keys.push(id.kind, key, id.id);
            }
        }
        keys
    }

    pub async fn delete(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
    ) -> Result<(), RowError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "DELETE FROM regional.entity_key WHERE ctid = ANY (ARRAY(
             SELECT k.ctid FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[]) AS old (kind, field, value, entity_id)
             CROSS JOIN LATERAL (
                 SELECT ctid FROM regional.entity_key AS k
                 WHERE control_plane_id = (SELECT $1::uuid) AND k.kind = old.kind AND k.field = old.field AND k.value = old.value
                   AND k.entity_id = old.entity_id OFFSET 0
             ) AS k))",
        )
        .bind(SqlId(control_plane))
        .bind(self.kinds)
        .bind(self.fields)
        .bind(self.values)
        .bind(self.ids)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn insert(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
    ) -> Result<(), RowError> {
        self.write(connection, control_plane, "").await
    }

    async fn write(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
        on_conflict: &'static str,
    ) -> Result<(), RowError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO regional.entity_key (control_plane_id, kind, field, value, entity_id)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[]) {on_conflict}"
        )))
        .bind(SqlId(control_plane))
        .bind(self.kinds)
        .bind(self.fields)
        .bind(self.values)
        .bind(self.ids)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Inserts these keys, and takes those that others hold.
    pub async fn take(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
    ) -> Result<(), RowError> {
        self.write(
            connection,
            control_plane,
            "ON CONFLICT (control_plane_id, kind, field, value) DO UPDATE SET entity_id = excluded.entity_id",
        )
        .await
    }

    fn push(&mut self, kind: Kind, key: UniqueKey, id: Uuid) {
        self.kinds.push(kind.name());
        self.fields.push(key.field);
        self.values.push(key.value);
        self.ids.push(id);
    }
}

impl Columns {
    pub fn push(
        &mut self,
        EntityId { kind, id }: EntityId,
        change: &Pending,
        AtRest { wire, secret }: AtRest,
        now: OffsetDateTime,
    ) -> Result<(), RowError> {
        self.kinds.push(kind.name());
        self.ids.push(id);
        self.buckets.push(sync::bucket(kind.name(), id).into());
        self.bodies.push(String::from_utf8(wire).map_err(unfit)?);
        self.secrets.push(secret);
        self.deleted.push(change.after.is_none());
        let end = change.after.as_ref().and_then(Entity::expires_at);
        let end = end.and_then(|end| OffsetDateTime::from_unix_timestamp(i64::try_from(end).ok()?).ok());
        self.expires.push(end);
        self.created.push(change.before.as_ref().map_or(now, |before| before.created_at));
        let (before, after) = (keys_of(change.before()), keys_of(change.after.as_ref()));
        for key in after.into_iter().filter(|key| !before.contains(key)) {
            self.keys.push(kind, key, id);
        }
        let (before, after) = (references_of(change.before())?, references_of(change.after.as_ref())?);
        if before == after {
            return Ok(());
        }
        if !before.is_empty() {
            self.stale_refs.0.push(kind.name());
            self.stale_refs.1.push(id);
        }
        for (field, to, cascade) in after {
            self.refs.from_kinds.push(kind.name());
            self.refs.from_ids.push(id);
            self.refs.fields.push(field);
            self.refs.to_kinds.push(to.kind.name());
            self.refs.to_ids.push(to.id);
            self.refs.cascades.push(cascade);
        }
        Ok(())
    }

    pub async fn write(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
        version: u64,
        now: OffsetDateTime,
    ) -> Result<u64, RowError> {
        let id = SqlId(control_plane);
        let (new,): (i64,) = sqlx::query_as(
            "WITH written AS (
             INSERT INTO regional.entity
             (control_plane_id, kind, id, bucket, version, body, secret, deleted, created_at, updated_at, expires_at)
             SELECT $1, kind, id, bucket, $2, body, secret, deleted, created, $3, expires
             FROM unnest($4::text[], $5::uuid[], $6::int2[], $7::text[], $8::bytea[], $9::bool[], $10::timestamptz[],
                         $11::timestamptz[])
               AS input (kind, id, bucket, body, secret, deleted, created, expires)
             ON CONFLICT (control_plane_id, kind, id) DO UPDATE SET
               version = excluded.version, body = excluded.body, secret = excluded.secret, deleted = excluded.deleted,
               created_at = excluded.created_at, updated_at = excluded.updated_at,
               expires_at = excluded.expires_at
             -- A row that nothing has locked is a new one.
             RETURNING xmax = 0 AS is_new)
             SELECT count(*) FROM written WHERE is_new",
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
        .bind(self.expires)
        .fetch_one(&mut *connection)
        .await?;
        self.keys.insert(connection, control_plane).await?;
        if !self.stale_refs.1.is_empty() {
            sqlx::query(
                "DELETE FROM regional.entity_ref WHERE ctid = ANY (ARRAY(
                 SELECT r.ctid FROM unnest($2::text[], $3::uuid[]) AS old (kind, id) CROSS JOIN LATERAL (
                     SELECT ctid FROM regional.entity_ref
                     WHERE control_plane_id = (SELECT $1::uuid) AND from_kind = old.kind AND from_id = old.id OFFSET 0
                 ) AS r))",
            )
            .bind(id)
            .bind(self.stale_refs.0)
            .bind(self.stale_refs.1)
            .execute(&mut *connection)
            .await?;
        }
        self.refs.insert(connection, control_plane).await?;
        Ok(new.cast_unsigned())
    }
}

impl References {
    async fn insert(
        self,
        connection: &mut PgConnection,
        control_plane: ControlPlaneId,
    ) -> Result<(), RowError> {
        if self.from_ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO regional.entity_ref (control_plane_id, from_kind, from_id, field, to_kind, to_id, cascade)
             SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::bool[])",
        )
        .bind(SqlId(control_plane))
        .bind(self.from_kinds)
        .bind(self.from_ids)
        .bind(self.fields)
        .bind(self.to_kinds)
        .bind(self.to_ids)
        .bind(self.cascades)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The unique keys of an entity; none where there is no entity.
fn keys_of(entity: Option<&Entity>) -> Vec<UniqueKey> {
    entity.map(Entity::unique_keys).unwrap_or_default()
}

/// A reference, resolved: its field, its target, and whether its entity goes with that.
type Resolved = (&'static str, EntityId, bool);

/// The references of an entity; none where there is no entity.
fn references_of(entity: Option<&Entity>) -> Result<Vec<Resolved>, RowError> {
    let references = entity.map(Entity::references).unwrap_or_default().into_iter();
    let resolved = references.map(|reference| {
        let to = target_of(&reference).ok_or_else(|| unfit("an unresolved reference"))?;
        Ok((reference.field, to, reference.on_delete == OnDelete::Cascade))
    });
    resolved.collect()
}
