//! What a service makes of operations.

use std::pin::Pin;

use ids::OrganizationId;
use postgres::Error;
use replication::Entry;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgConnection;

use crate::stored;

/// A service's operations: an enum that serde represents as `{"kind": …, "body": …}`. The names of its kinds and the forms of
/// their bodies are stored for ever and read by other releases.
pub trait Operation: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Whether it takes something away. A revocation denies as soon as it is received, even before its turn.
    fn is_revocation(&self) -> bool;
}

/// An entry was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Database(#[from] Error),
    /// Its operation is of a kind that this release does not know, or is malformed. Its log stops here, visibly.
    #[error("the operation cannot be read: {0}")]
    Unreadable(String),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// How a service turns operations into rows: its own and those of other regions alike, in the transaction that stores the
/// entry. The same entry may come twice, and concurrent ones in any order; the rows end equal.
pub trait Apply: Send + Sync + 'static {
    type Operation: Operation;
    /// What an entry changed in this database, for those who follow. Stored as JSON, and never as a JSON string.
    type Effects: Serialize + DeserializeOwned + Send + 'static;

    /// Changes the rows as `operation` says. `entry` is its envelope.
    fn apply(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Self::Operation,
    ) -> impl Future<Output = Result<Self::Effects, ApplyError>> + Send;

    /// Takes away what a revocation takes away, before its turn. Nothing else of it is kept: its turn still comes, unless its
    /// origin loses it.
    fn deny(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Self::Operation,
    ) -> impl Future<Output = Result<Self::Effects, ApplyError>> + Send;

    /// Deletes the organization's replicated rows. Its entries are applied again after that.
    fn clear(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Digest of the organization's replicated rows: equal in all regions that have applied the same entries.
    fn digest(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> impl Future<Output = Result<[u8; 32], Error>> + Send;
}

/// Effects as `log_applied` stores them.
pub type StoredEffects = String;

type Answer<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// [`Apply`] without its types, for what handles the entries of any service.
pub trait ErasedApply: Send + Sync {
    fn apply<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        entry: &'a Entry,
    ) -> Answer<'a, StoredEffects, ApplyError>;

    fn deny<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        entry: &'a Entry,
    ) -> Answer<'a, StoredEffects, ApplyError>;

    fn clear<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> Answer<'a, (), Error>;

    fn digest<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> Answer<'a, [u8; 32], Error>;

    /// `false` for what this release cannot read.
    fn is_revocation(&self, entry: &Entry) -> bool;
}

impl<A: Apply> ErasedApply for A {
    fn apply<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        entry: &'a Entry,
    ) -> Answer<'a, StoredEffects, ApplyError> {
        Box::pin(async move {
            let operation = stored::operation(entry)?;
            Ok(stored::effects(&Apply::apply(self, connection, entry, operation).await?)?)
        })
    }

    fn deny<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        entry: &'a Entry,
    ) -> Answer<'a, StoredEffects, ApplyError> {
        Box::pin(async move {
            let operation = stored::operation(entry)?;
            Ok(stored::effects(&Apply::deny(self, connection, entry, operation).await?)?)
        })
    }

    fn clear<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> Answer<'a, (), Error> {
        Box::pin(Apply::clear(self, connection, organization))
    }

    fn digest<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> Answer<'a, [u8; 32], Error> {
        Box::pin(Apply::digest(self, connection, organization))
    }

    fn is_revocation(&self, entry: &Entry) -> bool {
        stored::operation::<A::Operation>(entry).is_ok_and(|operation| operation.is_revocation())
    }
}
