//! One entity of a configuration as the two ends exchange it. A received one is checked before anything is done with it.

use bytes::Bytes;
use prost::Message;
use proto::sync::v1 as wire;
use uuid::Uuid;

use crate::{
    Digest, bucket, entity_digest,
    limits::{DELTA_BYTES_MAX, ENTITY_BYTES_MAX, KIND_BYTES_MAX},
};

/// The state of one entity after its last change: its body, or that it was deleted (a tombstone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityState {
    /// Name of the kind, as in `key_auth`: 1 to [`KIND_BYTES_MAX`] lower-case letters, digits and `_`. This build may not know
    /// the kind.
    pub kind: String,
    /// Unique in the control plane among the entities of its kind.
    pub id: Uuid,
    /// Version of the control plane that the last change made, from 1.
    pub version: u64,
    /// JSON, exactly as it is sent: 1 to [`ENTITY_BYTES_MAX`] bytes; empty if and only if the entity is deleted.
    pub body: Bytes,
    /// Whether this is a tombstone.
    pub deleted: bool,
}

/// Why a received entity breaks the protocol. The whole message is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidEntity {
    /// The bytes are not a batch at all.
    #[error("the batch is not an encoded EntityBatch")]
    Malformed,
    /// A packed batch is larger than a message may be.
    #[error("the batch has more than {DELTA_BYTES_MAX} bytes when it is unpacked")]
    TooLarge,
    /// The name of the kind is too long, empty or has other characters.
    #[error("a kind must be 1 to {KIND_BYTES_MAX} lower-case letters, digits or underscores")]
    Kind,
    /// The id is not a UUID. `length` is in bytes.
    #[error("the id of a {kind} is {length} bytes long, not 16")]
    Id { kind: String, length: usize },
    /// Versions count from 1.
    #[error("{kind} {id} has version 0")]
    Version { kind: String, id: Uuid },
    /// A live entity without a body or with one that is too large, or a tombstone with a body.
    #[error("{kind} {id}: a live entity has a body of 1 to {ENTITY_BYTES_MAX} bytes, a deleted one has none")]
    Body { kind: String, id: Uuid },
}

impl EntityState {
    /// The bucket that the entity is part of, see [`bucket()`].
    #[must_use]
    pub fn bucket(&self) -> u8 {
        bucket(&self.kind, self.id)
    }

    /// What the entity adds to the digest of its set; `None` for a tombstone, which adds nothing.
    pub fn digest(&self) -> Option<Digest> {
        (!self.deleted).then(|| entity_digest(&self.kind, self.id, self.version, &self.body))
    }

    /// Whether this state replaces the one that is held of the same entity. `held_version` is the version of that; `None` if
    /// none is held. Equal versions are the same state, and replace each other.
    #[must_use]
    pub fn replaces(&self, held_version: Option<u64>) -> bool {
        held_version.is_none_or(|held| held <= self.version)
    }
}

impl From<EntityState> for wire::Entity {
    fn from(entity: EntityState) -> wire::Entity {
        wire::Entity {
            kind: entity.kind,
            id: Bytes::copy_from_slice(entity.id.as_bytes()),
            version: entity.version,
            body: entity.body,
            deleted: entity.deleted,
        }
    }
}

impl TryFrom<wire::Entity> for EntityState {
    type Error = InvalidEntity;

    fn try_from(entity: wire::Entity) -> Result<EntityState, InvalidEntity> {
        let wire::Entity { kind, id, version, body, deleted } = entity;
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        if kind.is_empty() || kind.len() > KIND_BYTES_MAX || !kind.bytes().all(allowed) {
            return Err(InvalidEntity::Kind);
        }
        let Ok(id) = Uuid::from_slice(&id) else {
            return Err(InvalidEntity::Id { kind, length: id.len() });
        };
        if version == 0 {
            return Err(InvalidEntity::Version { kind, id });
        }
        if deleted != body.is_empty() || body.len() > ENTITY_BYTES_MAX {
            return Err(InvalidEntity::Body { kind, id });
        }
        Ok(EntityState { kind, id, version, body, deleted })
    }
}

/// An encoded `EntityBatch`. The config service encodes each batch once, and sends the same bytes to every node that needs it.
#[must_use]
pub fn encode_batch(entities: impl IntoIterator<Item = EntityState>) -> Bytes {
    let entities = entities.into_iter().map(wire::Entity::from).collect();
    wire::EntityBatch { entities }.encode_to_vec().into()
}

/// Inverse of [`encode_batch`]. Fails at the first entity that breaks the protocol. The bodies are not copied: each keeps the
/// memory of the whole `batch` alive.
pub fn decode_batch(batch: Bytes) -> Result<Vec<EntityState>, InvalidEntity> {
    let batch = wire::EntityBatch::decode(batch).map_err(|_| InvalidEntity::Malformed)?;
    batch.entities.into_iter().map(EntityState::try_from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entity() -> EntityState {
        EntityState {
            kind: "key_auth".into(),
            id: Uuid::from_u128(1),
            version: 5,
            body: Bytes::from_static(b"{}"),
            deleted: false,
        }
    }

    #[test]
    fn a_batch_travels_whole() {
        let deleted = EntityState { body: Bytes::new(), deleted: true, ..entity() };
        let (kind, body) = ("k".repeat(KIND_BYTES_MAX), vec![b' '; ENTITY_BYTES_MAX].into());
        let largest = EntityState { kind, body, ..entity() };
        let entities = vec![entity(), deleted, largest];
        assert_eq!(decode_batch(encode_batch(entities.clone())), Ok(entities));
        assert_eq!(decode_batch(Bytes::new()), Ok(vec![]));
    }

    #[test]
    fn a_bad_row_is_refused() {
        let id = Uuid::from_u128(1);
        let refused =
            |entity: EntityState| EntityState::try_from(wire::Entity::from(entity)).expect_err("refused");
        for kind in ["", "Route", "ro\0ute", "ro ute", &"k".repeat(65)] {
            assert_eq!(
                refused(EntityState { kind: kind.into(), ..entity() }),
                InvalidEntity::Kind,
                "{kind:?}"
            );
        }
        let kind = || "key_auth".to_owned();
        assert_eq!(
            refused(EntityState { version: 0, ..entity() }),
            InvalidEntity::Version { kind: kind(), id }
        );
        let body = InvalidEntity::Body { kind: kind(), id };
        assert_eq!(refused(EntityState { deleted: true, ..entity() }), body);
        assert_eq!(refused(EntityState { body: Bytes::new(), ..entity() }), body);
        assert_eq!(refused(EntityState { body: vec![b' '; ENTITY_BYTES_MAX + 1].into(), ..entity() }), body);
        let short = wire::Entity { id: Bytes::from_static(b"short"), ..entity().into() };
        assert_eq!(EntityState::try_from(short), Err(InvalidEntity::Id { kind: kind(), length: 5 }));
    }

    #[test]
    fn only_something_newer_stays() {
        assert!(entity().replaces(None) && entity().replaces(Some(4)) && entity().replaces(Some(5)));
        assert!(!entity().replaces(Some(6)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_danger(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(entities) = decode_batch(bytes.into()) {
                prop_assert_eq!(decode_batch(encode_batch(entities.clone())), Ok(entities));
            }
        }
    }
}
