//! The changes that make an index, and the rows in it.
//!
//! A change says what is now so, in the terms of the authz service's own rows. Changes about different rows commute;
//! changes about the same row are applied in the order of the log. Two rules make replay and early revocations safe:
//! every change can be applied twice, and a removed principal, team, policy or session stays removed, whichever of the two
//! comes first. Memberships and assignments come and go: their ids say what they are, and a later grant is a new one.

use ids::{AssignmentId, PrincipalId, TeamId, TokenId};
use uuid::Uuid;

use crate::{PolicyId, PredefinedTeam, Role, Scope};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationStatus {
    Active,
    /// Everything is denied.
    Suspended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    User,
    SystemAccount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    pub kind: PrincipalKind,
    pub active: bool,
    /// Credentials issued before this are void. Unix seconds. It never goes back: the latest value known holds.
    pub not_before: Option<i64>,
}

/// Who holds a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    Team(TeamId),
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
    pub id: AssignmentId,
    pub holder: Holder,
    pub role: Role,
    pub scope: Scope,
}

/// A change in one organization. The organization stands beside it: see [`Index::apply`](crate::Index::apply).
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    OrganizationPut {
        status: OrganizationStatus,
    },
    PrincipalPut {
        id: PrincipalId,
        principal: Principal,
    },
    /// Also ends its memberships and assignments.
    PrincipalRemoved {
        id: PrincipalId,
    },
    SessionRevoked {
        session: TokenId,
    },
    /// A predefined team brings its assignments with it.
    TeamPut {
        id: TeamId,
        predefined: Option<PredefinedTeam>,
    },
    /// Also ends its memberships and assignments.
    TeamRemoved {
        id: TeamId,
    },
    /// Grants as soon as both are known, whichever comes first.
    MemberAdded {
        team: TeamId,
        principal: PrincipalId,
    },
    MemberRemoved {
        team: TeamId,
        principal: PrincipalId,
    },
    AssignmentPut(Assignment),
    AssignmentRemoved {
        id: AssignmentId,
    },
    /// The text of one custom policy, in Cedar. It has passed [`Index::check_policy`](crate::Index::check_policy) where
    /// it was written; one that this version cannot use is handled as [`crate::custom`] says.
    PolicyPut {
        id: PolicyId,
        text: String,
    },
    PolicyRemoved {
        id: PolicyId,
    },
    /// Forgets that an id was removed or a session revoked. Sent once no earlier change about it can arrive and, for a
    /// session, once its last credential has expired; so the memory of removals stays bounded.
    Forgotten {
        id: Uuid,
    },
}
