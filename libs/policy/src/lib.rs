//! Who may do what. An index finds the rows that matter for a question; Cedar decides on them.
//!
//! An [`Index`] holds, for each organization, what a decision reads: principals, teams, memberships, role assignments
//! and custom policies. For one question it finds the few rows that can matter, and hands them to Cedar as a small policy
//! set with three entities. Cedar evaluates every policy that it is given; so it is not given all of an organization's.
//! Cedar checks each of them again. So a row that the index finds by mistake permits nothing.
//!
//! Three layers make a decision: the system's policies (`cedar/system.cedar`), permits from assignments
//! (`cedar/roles.cedar`), and the organization's own policies ([`custom`]). Any matching forbid denies.
//!
//! Pure: no I/O, clock or randomness. The authz service keeps an index behind an atomic pointer: one writer applies
//! changes, many readers decide on snapshots without waiting. Every other service uses the names of [`Action`] only.

#![warn(missing_docs)]

mod action;
mod change;
pub mod custom;
mod decision;
pub mod index;
mod reason;
mod role;
mod scope;
mod system;

pub use action::{Action, UnknownAction};
pub use change::{Assignment, Change, Holder, OrganizationStatus, Principal, PrincipalKind};
pub use custom::PolicyRefused;
pub use decision::{Caller, Decision, Resource, ResourceKind, Verdict};
pub use index::{Access, Index, Visible};
pub use reason::{Reason, UnknownReason};
pub use role::{EntityType, PredefinedTeam, Role};
pub use scope::{AssignedRole, EVERY, InvalidAssignment, Scope};

/// Never constructed: it makes [`PolicyId`] a type of its own.
pub enum CustomPolicyKind {}

/// The id of a custom policy.
pub type PolicyId = ids::Id<CustomPolicyKind>;
