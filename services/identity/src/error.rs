//! What can go wrong in this service, and how clients are told: the one mapping to HTTP.

use access::Unavailable;
use axum::response::{IntoResponse, Response};
use web::Problem;

/// What a handler answers.
pub type Answer<T> = Result<T, Error>;

/// A request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The write failed, or the database did.
    #[error(transparent)]
    Mutation(#[from] mutation::Error),
    /// What the answer depends on is not known in this region now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Refused in the words of the API.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Mutation(error.into())
    }
}

impl From<web::FieldError> for Error {
    fn from(error: web::FieldError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<oplog::NotWritten> for Error {
    fn from(error: oplog::NotWritten) -> Self {
        Self::Mutation(error.into())
    }
}

impl From<oplog::ApplyError> for Error {
    fn from(error: oplog::ApplyError) -> Self {
        Self::Mutation(error.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Mutation(error) => error.into(),
            Error::Unavailable(error) => error.into(),
            Error::Refused(problem) => problem,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
