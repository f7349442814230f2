//! Names of things: typed ids, regions, services, the subjects of NATS, and what people may call a thing. Used by every crate;
//! knows nothing of any of them.

#![warn(missing_docs)]

mod id;
pub mod name;
mod region;
mod service;
pub mod subject;

pub use id::{Id, InvalidId};
pub use region::{InvalidRegion, Region};
pub use service::{InvalidServiceName, ServiceName};

/// Kinds of thing that an [`Id`] can name. Never constructed.
pub mod kinds {
    /// A customer of the product, with its people and control planes.
    pub enum Organization {}
    /// A person of an organization.
    pub enum User {}
    /// A program of an organization that calls the API.
    pub enum SystemAccount {}
    /// A user or a system account.
    pub enum Principal {}
    /// A group of principals that roles are assigned to.
    pub enum Team {}
    /// A principal's place in a team.
    pub enum Membership {}
    /// An access token, or the session that is made from it.
    pub enum Token {}
    /// A role that is assigned to a team or a principal.
    pub enum Assignment {}
    /// A configuration of gateway entities, with its nodes.
    pub enum ControlPlane {}
    /// An enrolled gateway.
    pub enum Node {}
    /// What a gateway enrols with.
    pub enum EnrolmentToken {}
    /// A certificate of a customer's own by which gateways are known.
    pub enum PinnedCertificate {}
}

/// A customer of the product.
pub type OrganizationId = Id<kinds::Organization>;
/// A person of an organization.
pub type UserId = Id<kinds::User>;
/// A program of an organization that calls the API.
pub type SystemAccountId = Id<kinds::SystemAccount>;
/// A user or a system account, where it does not matter which. The two share one id space.
pub type PrincipalId = Id<kinds::Principal>;
/// A group of principals.
pub type TeamId = Id<kinds::Team>;
/// That a principal is a member of a team.
pub type MembershipId = Id<kinds::Membership>;
/// A personal or system access token; also the session that is made from it.
pub type TokenId = Id<kinds::Token>;
/// A role that is assigned to a team or a principal.
pub type AssignmentId = Id<kinds::Assignment>;
/// A configuration of gateway entities, with its nodes.
pub type ControlPlaneId = Id<kinds::ControlPlane>;
/// An enrolled gateway, as its control plane knows it.
pub type NodeId = Id<kinds::Node>;
/// What a gateway enrols with.
pub type EnrolmentTokenId = Id<kinds::EnrolmentToken>;
/// A certificate of a customer's own by which gateways are known.
pub type PinnedCertificateId = Id<kinds::PinnedCertificate>;
