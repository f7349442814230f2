//! Database errors, and what clients are told of them.

use web::Problem;

use crate::log::ApplyError;

/// What can go wrong with a statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be asked now, or gave up on this transaction; nothing is known to be written.
    #[error("database unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A row that should not be: a fault of ours.
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
            sqlx::Error::Database(inner) if inner.code().is_some_and(|code| transient(&code)) => {
                Self::Unavailable(error)
            }
            _ => Self::Fault(error),
        }
    }
}

/// SQLSTATE classes of what another try may cure: connection, rollback, resources, operator intervention, lock timeout.
fn transient(code: &str) -> bool {
    ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "55P03"
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(cause) => {
                tracing::warn!(%cause, "database unavailable");
                Problem::unavailable("the database cannot be asked now; try again")
            }
            Error::Fault(cause) => Problem::internal(cause),
        }
    }
}

impl Error {
    /// Whether the row's `constraint` was violated.
    fn violates(&self, constraint: &str) -> bool {
        let (Self::Unavailable(cause) | Self::Fault(cause)) = self;
        cause.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
    }
}

/// Answers `problem` where `result` violates the constraint named `constraint`.
pub fn on_constraint<T, E: Into<ApplyError>>(
    result: Result<T, E>,
    constraint: &str,
    problem: impl FnOnce() -> Problem,
) -> Result<T, Problem> {
    result.map_err(|error| match error.into() {
        ApplyError::Database(error) if error.violates(constraint) => problem(),
        error => error.into(),
    })
}
