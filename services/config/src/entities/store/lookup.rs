//! Single entities that requests ask for, by id or by name: of any control plane and kind, many in one statement.
//! Why keys are looked up by `LATERAL … OFFSET 0`, [`mod@super::learn`] says.

use std::collections::HashMap;

use gateway_model::{Kind, UniqueKey};
use ids::ControlPlaneId;
use postgres::{Row, SqlId};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::EntityRow;
use crate::{entities::plan::Selector, rows::RowError};

/// Which entity is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Its control plane.
    control_plane: ControlPlaneId,
    kind: Kind,
    by: By,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum By {
    Id(Uuid),
    Key(UniqueKey),
}

impl Wanted {
    /// The entity of `kind` that `selector` names; `None` if none can have such a name.
    pub fn new(control_plane: ControlPlaneId, kind: Kind, selector: &Selector) -> Option<Self> {
        let by = match selector {
            Selector::Id(id) => By::Id(*id),
            Selector::Name(name) => By::Key(kind.name_key(name)?),
        };
        Some(Self { control_plane, kind, by })
    }

    fn id(&self) -> Option<Uuid> {
        match &self.by {
            By::Id(id) => Some(*id),
            By::Key(_) => None,
        }
    }

    fn key(&self) -> Option<&UniqueKey> {
        match &self.by {
            By::Id(_) => None,
            By::Key(key) => Some(key),
        }
    }
}

#[derive(FromRow)]
struct FoundRow {
    ordinal: i64,
    #[sqlx(flatten)]
    entity: EntityRow,
}

impl Row for EntityRow {
    type Key = Wanted;
    type Error = RowError;

    async fn read(
        connection: &mut PgConnection,
        keys: Vec<Wanted>,
    ) -> Result<HashMap<Wanted, Self>, RowError> {
        let rows: Vec<FoundRow> = sqlx::query_as(
            "SELECT ordinal, e.*
             FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[]) WITH ORDINALITY
                 AS wanted (control_plane_id, kind, id, field, value, ordinal)
             CROSS JOIN LATERAL (
                 SELECT coalesce(wanted.id, (
                     SELECT entity_id FROM regional.entity_key
                     WHERE control_plane_id = wanted.control_plane_id AND kind = wanted.kind
                       AND field = wanted.field AND value = wanted.value)) AS id OFFSET 0
             ) AS named
             CROSS JOIN LATERAL (
                 SELECT kind, id, version, body, secret, created_at, updated_at FROM regional.entity
                 WHERE control_plane_id = wanted.control_plane_id AND kind = wanted.kind AND id = named.id
                   AND NOT deleted OFFSET 0
             ) AS e",
        )
        .bind(keys.iter().map(|key| SqlId(key.control_plane)).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.kind.name()).collect::<Vec<_>>())
        .bind(keys.iter().map(Wanted::id).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key().map(|key| key.field)).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key().map(|key| key.value.as_str())).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
        let mut found: HashMap<i64, Self> = rows.into_iter().map(|row| (row.ordinal, row.entity)).collect();
        Ok((1..).zip(keys).filter_map(|(ordinal, key)| Some((key, found.remove(&ordinal)?))).collect())
    }
}
