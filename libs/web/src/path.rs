//! Path and query parameters. A path that does not parse names nothing (404); a query that does not parse is refused.

use axum::{
    extract::{FromRequestParts, path::ErrorKind, rejection::PathRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::{FieldError, Problem, ProblemType};

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

/// Parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|rejection| {
            let reason = std::error::Error::source(&rejection)
                .map_or_else(|| rejection.to_string(), ToString::to_string);
            let mut problem = Problem::new(ProblemType::InvalidParameter, format!("query: {reason}"));
            problem.fields.push(FieldError { field: "query".to_owned(), reason });
            problem
        })
    }
}
