//! Path parameters. A path that does not parse names nothing (404).

use axum::{
    extract::{FromRequestParts, path::ErrorKind, rejection::PathRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::Problem;

/// Parameters of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error))
                if !matches!(
                    error.kind(),
                    ErrorKind::UnsupportedType { .. } | ErrorKind::WrongNumberOfParameters { .. }
                ) =>
            {
                Err(Problem::not_found("resource"))
            }
            Err(rejection) => Err(Problem::internal(rejection)),
        }
    }
}
