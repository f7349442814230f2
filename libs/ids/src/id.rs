//! A UUID that knows what it names, so that a team's id never stands where a user's is meant.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use uuid::Uuid;

/// The id of a `K`: a UUID, written in lower case with hyphens.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// The text is not a UUID in lower or upper case with hyphens.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a UUID")]
pub struct InvalidId;

impl<K> Id<K> {
    /// A new id. Ids made later sort later (UUID version 7, RFC 9562).
    pub fn generate() -> Self {
        Self::from_uuid(Uuid::now_v7())
    }

    /// The id with this UUID. Nothing checks that it names a `K`.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The UUID, for storage and for what does not care about the kind.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The 16 bytes of the UUID, in network order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The same id, seen as the id of another kind: a user is also a principal.
    pub const fn cast<L>(self) -> Id<L> {
        Id(self.0, PhantomData)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K> FromStr for Id<K> {
    type Err = InvalidId;

    /// Accepts the hyphenated form only: one id has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != 36 {
            return Err(InvalidId);
        }
        Uuid::parse_str(text).map(Self::from_uuid).map_err(|_| InvalidId)
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K> utoipa::PartialSchema for Id<K> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .into()
    }
}

impl<K> utoipa::ToSchema for Id<K> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Id")
    }
}

#[cfg(test)]
mod tests {
    use std::{cmp::Ordering, collections::HashSet};

    use utoipa::ToSchema as _;
    use uuid::Uuid;

    use crate::{InvalidId, TeamId};

    #[test]
    fn is_its_uuid() {
        let uuid = Uuid::from_u128(0x0123_4567_89ab_7def_8123_4567_89ab_cdef);
        let id = TeamId::from_uuid(uuid);
        assert_eq!((id.uuid(), id.as_bytes()), (uuid, uuid.as_bytes()));
        assert_eq!(id.to_string(), "01234567-89ab-7def-8123-456789abcdef");
        assert_eq!(format!("{id:?}"), id.to_string());
        assert_eq!(TeamId::name(), "Id", "the schema that every id shares");
    }

    #[test]
    fn ids_compare_as_their_uuids() {
        let (low, high) = (TeamId::from_uuid(Uuid::from_u128(1)), TeamId::from_uuid(Uuid::from_u128(2)));
        assert_ne!(low, high);
        assert_eq!((low.partial_cmp(&high), low.cmp(&high)), (Some(Ordering::Less), Ordering::Less));
        assert_eq!(HashSet::from([low, high, low]).len(), 2);
        let hash = |id: &TeamId| {
            use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
            BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
        };
        assert_ne!(hash(&low), hash(&high));
    }

    #[test]
    fn has_one_spelling() {
        let id = TeamId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.uuid().simple().to_string().parse::<TeamId>(), Err(InvalidId));
        assert_eq!("".parse::<TeamId>(), Err(InvalidId));
    }
}
