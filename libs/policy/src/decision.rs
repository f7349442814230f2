//! The question and the answer: who asks, about what, and what came of it.

use std::collections::BTreeMap;

use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, TokenId};

use crate::{Reason, Scope};

/// Who asks, as an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The organization that the caller belongs to. Nothing of another one is ever allowed.
    pub organization: OrganizationId,
    /// The user or system account.
    pub principal: PrincipalId,
    /// The session or access token behind the request, if it can be revoked by itself.
    pub session: Option<TokenId>,
    /// When the credential was issued, in Unix seconds.
    pub issued_at: i64,
}

/// What the request is about. The service that owns the resource states its attributes, and has already found that it
/// belongs to the caller's organization (other organizations' ids are not found).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// One control plane and all that is in it.
    ControlPlane {
        /// Which one.
        id: ControlPlaneId,
        /// Where it lies.
        region: Region,
        /// Its labels, which custom policies can look at.
        labels: BTreeMap<String, String>,
    },
    /// The control planes of a region as a collection: to create one in it.
    ControlPlanes {
        /// Where the new one would lie.
        region: Region,
    },
    /// The organization's identity configuration.
    Iam,
}

/// The kinds of [`Resource`]. An action applies to some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// [`Resource::ControlPlane`].
    ControlPlane,
    /// [`Resource::ControlPlanes`].
    ControlPlanes,
    /// [`Resource::Iam`].
    Identity,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ControlPlane, Self::ControlPlanes, Self::Identity];
}

impl Resource {
    /// Which kind of resource it is.
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::ControlPlane { .. } => ResourceKind::ControlPlane,
            Self::ControlPlanes { .. } => ResourceKind::ControlPlanes,
            Self::Iam => ResourceKind::Identity,
        }
    }

    /// The scopes whose roles reach the resource, narrowest first.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::ControlPlane { id, region, .. } => {
                Scope::ControlPlane { region: region.clone(), id: *id }.and_wider()
            }
            Self::ControlPlanes { region } => Scope::Region(region.clone()).and_wider(),
            Self::Iam => Scope::Identity.and_wider(),
        }
    }
}

/// What a decision comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The caller may.
    Allow,
    /// The caller is known and may not.
    Deny,
    /// The caller is known, and its organization is suspended: nobody of it may do anything.
    Suspended,
    /// The credential is worth nothing: its principal is unknown or not active, its session is revoked, or it was
    /// issued before the principal's `not_before`.
    Unauthenticated,
}

/// A verdict and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the caller may.
    pub verdict: Verdict,
    /// What led to the verdict, sorted, for audit and explanation. Empty when nothing permits the request. Holds at most
    /// [`LINKS_MAX`](crate::index::LINKS_MAX) assignments.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Whether the verdict is [`Verdict::Allow`].
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    pub(crate) fn deny(reasons: Vec<Reason>) -> Self {
        Self { verdict: Verdict::Deny, reasons }
    }
}
