//! What can go wrong when rows of this service's database are read or written.

use std::sync::Arc;

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error(transparent)]
    Database(#[from] postgres::Error),
    /// A row that this service did not write, or that was damaged since.
    #[error("a row of {table} cannot be read: {reason}")]
    Unreadable { table: &'static str, reason: String },
    /// A row that a newer release wrote. It is never skipped: what it says would be lost.
    #[error("a row of {table} has the kind `{kind}`, which this release does not know")]
    UnknownKind { table: &'static str, kind: String },
    /// The same of a statement that several requests share.
    #[error(transparent)]
    Shared(#[from] Arc<RowError>),
}

impl RowError {
    /// The error for a row of `table` that is not as this service writes it.
    pub fn unreadable(table: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Unreadable { table, reason: reason.to_string() }
    }
}

impl From<sqlx::Error> for RowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// The kind that a row of `table` names.
pub fn kind(table: &'static str, name: &str) -> Result<gateway_model::Kind, RowError> {
    gateway_model::Kind::from_name(name).ok_or_else(|| RowError::UnknownKind { table, kind: name.to_owned() })
}
