//! Names of things: typed ids and regions. Used by every crate; knows nothing of any of them.

mod id;
mod region;

pub use id::{Id, InvalidId};
pub use region::{InvalidRegion, Region};

/// Kinds of thing that an [`Id`] can name. Never constructed.
pub mod kinds {
    pub enum Organization {}
    pub enum User {}
    pub enum SystemAccount {}
    pub enum Principal {}
    pub enum Team {}
    pub enum Token {}
    pub enum Assignment {}
    pub enum ControlPlane {}
    pub enum Node {}
    pub enum EnrolmentToken {}
}

pub type OrganizationId = Id<kinds::Organization>;
pub type UserId = Id<kinds::User>;
pub type SystemAccountId = Id<kinds::SystemAccount>;
/// A user or a system account, where it does not matter which. The two share one id space.
pub type PrincipalId = Id<kinds::Principal>;
pub type TeamId = Id<kinds::Team>;
/// A personal or system access token; also the session that is made from it.
pub type TokenId = Id<kinds::Token>;
pub type AssignmentId = Id<kinds::Assignment>;
pub type ControlPlaneId = Id<kinds::ControlPlane>;
pub type NodeId = Id<kinds::Node>;
pub type EnrolmentTokenId = Id<kinds::EnrolmentToken>;
