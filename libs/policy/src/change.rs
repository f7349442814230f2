//! The changes that make an index, and the rows in it.
//!
//! A change says what is now so, in the terms of the authz service's own rows. Changes about different rows commute;
//! changes about the same row are applied in the order of the log. Two rules make replay and early revocations safe:
//! every change can be applied twice, and a removed principal, team, policy or session stays removed, whichever of the two
//! comes first. Memberships and assignments come and go: their ids say what they are, and a later grant is a new one.

use ids::{AssignmentId, PrincipalId, TeamId, TokenId};
use uuid::Uuid;

use crate::{PolicyId, PredefinedTeam, Role, Scope};

/// Whether an organization may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationStatus {
    /// Decisions are made.
    Active,
    /// Everything is denied.
    Suspended,
    /// It is gone for ever, with everything in it; whatever else is heard of it counts no more.
    Removed,
}

/// What a principal is. Policies can tell the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program.
    SystemAccount,
}

/// What a decision reads of a principal itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// A user or a system account.
    pub kind: PrincipalKind,
    /// Whether its credentials open anything.
    pub active: bool,
    /// Credentials issued before this are void. Unix seconds. It never goes back: the latest value known holds.
    pub not_before: Option<i64>,
}

/// Who holds a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// Everybody in the team.
    Team(TeamId),
    /// One user or system account.
    Principal(PrincipalId),
}

impl Holder {
    pub(crate) const fn uuid(self) -> Uuid {
        match self {
            Self::Team(id) => id.uuid(),
            Self::Principal(id) => id.uuid(),
        }
    }
}

/// A role, given to a holder, somewhere. Never changes; only comes and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Derived from organization, holder, role and scope: the same grant has one id everywhere.
    pub id: AssignmentId,
    /// Who has the role.
    pub holder: Holder,
    /// Which role.
    pub role: Role,
    /// Where it holds.
    pub scope: Scope,
}

/// A change in one organization. The organization stands beside it: see [`Index::apply`](crate::Index::apply).
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The organization exists, in this state.
    OrganizationPut {
        /// From now on.
        status: OrganizationStatus,
    },
    /// The principal exists, in this state.
    PrincipalPut {
        /// Which one.
        id: PrincipalId,
        /// What it is now.
        principal: Principal,
    },
    /// Also ends its memberships and assignments.
    PrincipalRemoved {
        /// Which one. The id is not used again.
        id: PrincipalId,
    },
    /// Requests with this access token are unauthenticated.
    SessionRevoked {
        /// The id of the access token.
        session: TokenId,
    },
    /// A predefined team brings its assignments with it.
    TeamPut {
        /// Which one.
        id: TeamId,
        /// `None` for a team that somebody made.
        predefined: Option<PredefinedTeam>,
    },
    /// Also ends its memberships and assignments.
    TeamRemoved {
        /// Which one. The id is not used again.
        id: TeamId,
    },
    /// Grants as soon as both are known, whichever comes first.
    MemberAdded {
        /// The team.
        team: TeamId,
        /// The member.
        principal: PrincipalId,
    },
    /// The principal is no member any more.
    MemberRemoved {
        /// The team.
        team: TeamId,
        /// The member.
        principal: PrincipalId,
    },
    /// The role is assigned. It counts once its holder is known.
    AssignmentPut(Assignment),
    /// The role is not assigned any more.
    AssignmentRemoved {
        /// Which one.
        id: AssignmentId,
    },
    /// The text of one custom policy, in Cedar. It has passed [`Index::check_policy`](crate::Index::check_policy) where
    /// it was written; one that this version cannot use is handled as [`crate::custom`] says.
    PolicyPut {
        /// Which one.
        id: PolicyId,
        /// One policy in Cedar's language.
        text: String,
    },
    /// The custom policy is gone.
    PolicyRemoved {
        /// Which one. The id is not used again.
        id: PolicyId,
    },
    /// Forgets that an id was removed or a session revoked. Sent once no earlier change about it can arrive and, for a
    /// session, once its last credential has expired; so the memory of removals stays bounded.
    Forgotten {
        /// Of a principal, team, policy or session.
        id: Uuid,
    },
}
