//! What can go wrong with a write besides its work, and how a client is told.

use std::time::Duration;

use oplog::{ApplyError, NotWritten};
use web::{BODY_BYTES_MAX, Problem, ProblemType};

use crate::idempotency::KEY_BYTES_MAX;

/// A write was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] postgres::Error),
    #[error(transparent)]
    Log(#[from] NotWritten),
    /// An operation of our own making could not be applied: a fault of ours.
    #[error("the operation cannot be applied: {0}")]
    Inapplicable(String),
    #[error("Idempotency-Key is empty or longer than {KEY_BYTES_MAX} bytes")]
    InvalidKey,
    /// The body is too long to be compared with that of an earlier request.
    #[error("the body is longer than {BODY_BYTES_MAX} bytes")]
    BodyTooLarge,
    /// The key came with another body before.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A request with the key is still running.
    #[error("a request with this idempotency key is still running")]
    KeyInUse,
    /// The kept answer cannot be opened or read.
    #[error("the kept answer cannot be read: {0}")]
    Answer(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Database(error) => Self::Database(error),
            ApplyError::Unreadable(reason) => Self::Inapplicable(reason),
        }
    }
}

/// How the error is answered. Every service answers these alike.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => database(&error),
            Error::Log(not_written) => log(&not_written),
            error @ (Error::Inapplicable(_) | Error::Answer(_)) => Self::internal(error),
            Error::InvalidKey => Self::new(
                ProblemType::InvalidParameter,
                format!("Idempotency-Key: send 1 to {KEY_BYTES_MAX} characters, a UUID for example"),
            ),
            Error::BodyTooLarge => Self::new(
                ProblemType::BodyTooLarge,
                format!("a body with Idempotency-Key may be at most {BODY_BYTES_MAX} bytes"),
            ),
            Error::KeyReused => Self::new(
                ProblemType::IdempotencyKeyReused,
                "this Idempotency-Key came with another body before; use a new key for a new request",
            ),
            Error::KeyInUse => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(
                    ProblemType::IdempotencyKeyInUse,
                    "a request with this Idempotency-Key is still running; try again",
                )
            },
        }
    }
}

fn database(error: &postgres::Error) -> Problem {
    match error {
        postgres::Error::Unavailable(cause) => {
            Problem::unavailable("the database cannot be asked now; try again").because(cause)
        }
        postgres::Error::Fault(cause) => Problem::internal(cause),
    }
}

fn log(not_written: &NotWritten) -> Problem {
    match not_written {
        NotWritten::QueueFull => Problem::unavailable("too many writes wait; try again"),
        NotWritten::Stopping => Problem::unavailable("the service is stopping; try again"),
        NotWritten::Fenced => Problem::unavailable(
            "this region does not take writes until another one has confirmed that its database is whole",
        ),
        NotWritten::Database(error) => database(error),
        NotWritten::Unconfirmed(error) => Problem::unavailable(
            "the database did not confirm the write; try again with the same Idempotency-Key",
        )
        .because(error),
        NotWritten::Panicked => Problem::internal(not_written),
    }
}
