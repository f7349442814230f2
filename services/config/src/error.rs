//! What can go wrong in a handler, and what the client is told of it. The only file outside of `http` files that knows
//! statuses.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use gateway_model::Invalid;
use web::{FieldError, Problem, ProblemType};

use crate::{
    control_planes::ControlPlaneError,
    enrolment::EnrolmentError,
    entities::{CommitError, Refusal},
    imports::ImportError,
    pins::PinError,
    rows::RowError,
    validation::Unread,
};

/// What a handler answers.
pub type Answer<T> = Result<T, Error>;

/// Why a handler answers a problem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is a problem already: from the guard, a parameter or a body.
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Rows(#[from] RowError),
    /// The idempotency key, the audit entry or the kept answer.
    #[error(transparent)]
    Mutation(#[from] mutation::Error),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    ControlPlane(#[from] ControlPlaneError),
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The input was not read.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// An entity or a document that breaks its rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl From<FieldError> for Error {
    fn from(field: FieldError) -> Self {
        Self::Problem(field.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Problem(problem) => problem,
            Error::Rows(error) => rows(&error),
            Error::Mutation(error) => error.into(),
            Error::Commit(error) => commit(error),
            Error::ControlPlane(error) => control_plane(error),
            Error::Enrolment(error) => enrolment(error),
            Error::Import(error) => import(error),
            Error::Pin(error) => pin(error),
            Error::Unread(error) => unread(error),
            Error::Invalid(invalid) => refused_fields(&invalid),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn unread(error: Unread) -> Problem {
    match error {
        Unread::TooMany(too_many) => too_many.into(),
        Unread::Failed => Problem::internal(error),
    }
}

fn rows(error: &RowError) -> Problem {
    match error {
        RowError::Database(postgres::Error::Unavailable(cause)) => away(cause),
        RowError::Database(postgres::Error::Fault(_))
        | RowError::Unreadable { .. }
        | RowError::UnknownKind { .. } => Problem::internal(error),
        RowError::Shared(error) => rows(error),
    }
}

fn away(cause: impl std::fmt::Display) -> Problem {
    Problem::unavailable("the database cannot be asked now; try again").because(cause)
}

fn commit(error: CommitError) -> Problem {
    match error {
        CommitError::NoControlPlane => Problem::not_found("control plane"),
        CommitError::Refused(refusal) => refused(&refusal),
        CommitError::QueueFull | CommitError::Contended | CommitError::HeldByDocument => {
            Problem::too_many_requests(error.to_string(), Duration::from_secs(1))
        }
        CommitError::Unanswered => Problem::unavailable(error.to_string()),
        CommitError::KeyInUse => mutation::Error::KeyInUse.into(),
        CommitError::Failed(error) => match error.database() {
            Some(postgres::Error::Unavailable(cause)) => away(cause),
            Some(postgres::Error::Fault(_)) | None => Problem::internal(error),
        },
    }
}

fn refused(refusal: &Refusal) -> Problem {
    let kind = match refusal {
        Refusal::NoTarget(missing) => {
            let fields = missing.iter().map(|(field, kind)| FieldError {
                field: (*field).to_owned(),
                reason: format!("no such {}; create it first", kind.label()),
            });
            return Problem::invalid(fields.collect());
        }
        Refusal::Document(invalid) | Refusal::NotOffered(invalid) => return refused_fields(invalid),
        Refusal::Operation { place, refusal } => {
            let mut problem = refused(refusal);
            for field in problem.fields.iter_mut().map(|error| &mut error.field) {
                *field = format!("body.{field}");
            }
            return in_operation(*place, problem);
        }
        Refusal::PathCost { .. } => return Problem::invalid_field("paths", refusal.to_string()),
        Refusal::KeyTaken { kind, key } => {
            let taken = FieldError { field: key.field.to_owned(), reason: kind.taken(key) };
            return Problem { fields: vec![taken], ..Problem::conflict(refusal.to_string()) };
        }
        Refusal::IdTaken(_) => ProblemType::Conflict,
        Refusal::OtherVersion | Refusal::OtherConfiguration => ProblemType::PreconditionFailed,
        Refusal::InUse { .. } | Refusal::CascadeTooLarge(_) => ProblemType::InUse,
        Refusal::LimitReached(_) => ProblemType::LimitReached,
    };
    Problem::new(kind, refusal.to_string())
}

/// The problem of one of several operations of a request: its fields are those of that operation.
pub fn in_operation(place: usize, mut problem: Problem) -> Problem {
    for field in problem.fields.iter_mut().map(|error| &mut error.field) {
        *field = format!("operations[{place}].{field}");
    }
    problem.detail = format!("operations[{place}]: {}", problem.detail);
    problem
}

fn refused_fields(invalid: &Invalid) -> Problem {
    let fields = invalid.fields.iter();
    Problem::invalid(
        fields
            .map(|error| FieldError { field: error.field.clone(), reason: error.message.clone() })
            .collect(),
    )
}

fn control_plane(error: ControlPlaneError) -> Problem {
    match error {
        ControlPlaneError::NotFound => Problem::not_found("control plane"),
        ControlPlaneError::NameTaken => Problem::conflict(error.to_string()),
        ControlPlaneError::Rows(error) => rows(&error),
    }
}

fn import(error: ImportError) -> Problem {
    match error {
        ImportError::OtherContent | ImportError::Runs(_) => Problem::conflict(error.to_string()),
        ImportError::Rows(error) => rows(&error),
    }
}

fn pin(error: PinError) -> Problem {
    match error {
        PinError::Unusable(reason) => Problem::invalid_field("cert", reason),
        PinError::Taken => Problem::conflict(error.to_string()),
        PinError::TooMany => Problem::new(ProblemType::LimitReached, error.to_string()),
        PinError::Rows(error) => rows(&error),
    }
}

fn enrolment(error: EnrolmentError) -> Problem {
    match error {
        EnrolmentError::Refused | EnrolmentError::BadToken(_) => Problem::unauthenticated(error.to_string()),
        EnrolmentError::Removed => Problem::forbidden(error.to_string()),
        EnrolmentError::OtherKey => Problem::conflict(error.to_string()),
        EnrolmentError::UnusableRequest(error) => Problem::invalid_field("csr_pem", error.to_string()),
        EnrolmentError::Rows(error) => rows(&error),
    }
}
