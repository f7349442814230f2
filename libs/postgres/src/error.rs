//! What can go wrong with a statement.

/// A statement, or the connection for it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be asked now, or gave up on this transaction. Trying again may help. Unless a commit was under
    /// way, nothing is written.
    #[error("database unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A statement or a row that should not be: a fault of ours, which trying again does not cure.
    #[error("database: {0}")]
    Fault(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(inner) if inner.code().is_some_and(|code| is_transient(&code)) => {
                Self::Unavailable(error)
            }
            _ => Self::Fault(error),
        }
    }
}

/// SQLSTATE classes of what another try may cure: connection, rollback, resources, operator intervention, lock timeout.
fn is_transient(code: &str) -> bool {
    ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "55P03"
}

impl Error {
    /// A stored value that this release cannot read.
    pub fn undecodable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(sqlx::Error::Decode(error.into()))
    }

    /// A value that cannot be stored.
    pub fn unencodable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(sqlx::Error::Encode(error.into()))
    }

    /// Whether other transactions caused it, so that another try may find them gone: a lock that was not to be had, a deadlock, a unique
    /// key that was taken in the meantime.
    pub fn is_conflict(&self) -> bool {
        let (Self::Unavailable(cause) | Self::Fault(cause)) = self;
        let code = cause.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| ["55P03", "40P01", "40001", "23505"].contains(&&*code))
    }

    /// Whether the statement would have violated the constraint of this name.
    pub fn violates(&self, constraint: &str) -> bool {
        let (Self::Unavailable(cause) | Self::Fault(cause)) = self;
        cause.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
    }
}
