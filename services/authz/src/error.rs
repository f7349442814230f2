//! What can go wrong in this service. Each noun has an error of its own; here they come together.
//!
//! `problems.rs` says how they are answered over HTTP, `grpc.rs` how over gRPC.

use access::Unavailable;
use web::Problem;

use crate::{assigned_roles, check, control_planes, regions, teams};

/// What a handler answers.
pub type Answer<T> = Result<T, Error>;

/// A request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The write failed, or the database did.
    #[error(transparent)]
    Mutation(#[from] mutation::Error),
    /// This region does not know now what the answer depends on.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The organization's record has not arrived in this region.
    #[error("the organization has not arrived in this region")]
    OrganizationNotArrived,
    #[error(transparent)]
    Team(#[from] teams::Error),
    #[error(transparent)]
    AssignedRole(#[from] assigned_roles::Error),
    #[error(transparent)]
    Check(#[from] check::Error),
    #[error(transparent)]
    ControlPlane(#[from] control_planes::Error),
    #[error(transparent)]
    Regions(#[from] regions::Error),
    /// The guard or the reading of the request refused it, in the words of the API.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Mutation(error.into())
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
