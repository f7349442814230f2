//! Role assignments: a role for a holder (a team, a user or a system account), on one control plane or all of them, in one region
//! or all of them. An assignment is an edge that any region may write.

pub mod http;
mod store;

use ids::AssignmentId;
use policy::{AssignedRole, InvalidAssignment};
use serde::Serialize;
use utoipa::ToSchema;

/// A request about an assignment was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such assigned role")]
    NotFound,
    #[error("this role is assigned already")]
    AssignedAlready,
    #[error("a predefined team's roles cannot be changed")]
    OfPredefinedTeam,
    #[error("you can assign only roles that you hold yourself, there or more widely")]
    HoldsLess,
    /// What allowed the write was revoked in another region before the write was logged.
    #[error("what allowed this was taken back in the same moment")]
    AuthorityRevoked,
    /// There is no such role, or it cannot be given there.
    #[error(transparent)]
    Invalid(#[from] InvalidAssignment),
}

/// An assignment as users see it, in Konnect's shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assignment {
    /// Derived from the assignment's content: the same assignment made twice has one id.
    pub id: AssignmentId,
    /// The role, and what it is held on.
    #[serde(flatten)]
    pub role: AssignedRole,
}
