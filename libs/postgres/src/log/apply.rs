//! What a service makes of operations.

use futures::future::BoxFuture;
use ids::OrganizationId;
use replication::Operation;
use sqlx::PgConnection;
use web::Problem;

use crate::Error;

/// What an operation changed here, as JSON, for those who follow `log_applied`.
pub type Effects = String;

/// Effects that tell a follower to read the organization's rows anew.
pub const RELOAD: &str = r#""reload""#;

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Database(#[from] Error),
    /// Of a kind that this release does not know, or malformed. Its origin stops here, visibly.
    #[error("the operation cannot be read: {0}")]
    Unreadable(String),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Database(error) => error.into(),
            ApplyError::Unreadable(reason) => Problem::internal(reason),
        }
    }
}

/// How a service turns operations into rows: its own and those of other regions alike, in the transaction that stores
/// them. The same operation may come twice, and concurrent ones in any order; the rows end equal.
pub trait Apply: Send + Sync + 'static {
    fn apply<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Effects, ApplyError>>;

    /// Whether it takes something away: then it denies on receipt, even before its turn.
    fn revokes(&self, operation: &Operation) -> bool;

    /// What a revocation takes away, before its turn. It is not remembered as an operation: that is for its turn, which
    /// does not come if its origin loses it.
    fn deny<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Effects, ApplyError>>;

    /// Deletes the organization's replicated rows; its operations are applied again after that.
    fn clear<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> BoxFuture<'a, Result<(), ApplyError>>;

    /// Digest of the organization's replicated rows: equal in all regions that have applied the same operations.
    fn digest<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> BoxFuture<'a, Result<[u8; 32], Error>>;
}
