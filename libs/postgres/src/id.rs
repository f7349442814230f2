//! Typed ids as Postgres `uuid`.

use std::{fmt, ops::Deref};

use ids::Id;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef},
};
use uuid::Uuid;

/// An [`Id`] as it goes to and comes from Postgres.
pub struct SqlId<K>(pub Id<K>);

impl<K> Clone for SqlId<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for SqlId<K> {}

impl<K> fmt::Debug for SqlId<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K> Deref for SqlId<K> {
    type Target = Id<K>;

    fn deref(&self) -> &Id<K> {
        &self.0
    }
}

impl<K> From<SqlId<K>> for Id<K> {
    fn from(id: SqlId<K>) -> Self {
        id.0
    }
}

impl<K> Type<Postgres> for SqlId<K> {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl<K> PgHasArrayType for SqlId<K> {
    fn array_type_info() -> PgTypeInfo {
        <Uuid as PgHasArrayType>::array_type_info()
    }
}

impl<K> Encode<'_, Postgres> for SqlId<K> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Uuid as Encode<Postgres>>::encode_by_ref(&self.0.uuid(), buffer)
    }
}

impl<'r, K> Decode<'r, Postgres> for SqlId<K> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(Id::from_uuid(<Uuid as Decode<Postgres>>::decode(value)?)))
    }
}
