//! What decisions read, for all organizations: persistent, so that a snapshot is a clone of a pointer.
//!
//! [`Index::apply`] makes a new index that shares all but the changed paths with the old one, in O(log n) for each
//! change. The authz service keeps the newest behind an atomic pointer; a decision runs on the snapshot that it took.

mod decide;
mod grant;
mod organization;
mod reverse;
mod slice;

use std::sync::Arc;

use ids::{AssignmentId, OrganizationId, PrincipalId, TeamId};
use imbl::OrdMap;

pub use reverse::{Access, VISIBLE_IDS_MAX, Visible};
pub use slice::LINKS_MAX;

use self::organization::Organization;
use crate::{
    Caller, Change, Holder, OrganizationStatus, PolicyId, Principal, Verdict,
    custom::{self, POLICIES_BYTES_MAX, POLICIES_MAX, PolicyRefused},
};

/// Everything that decisions read. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    organizations: OrdMap<OrganizationId, Arc<Organization>>,
}

/// A caller whose credential counts.
struct Subject<'a> {
    organization_id: OrganizationId,
    organization: &'a Organization,
    id: PrincipalId,
    principal: Principal,
    /// The teams that exist.
    teams: Vec<TeamId>,
}

impl Subject<'_> {
    /// Those whose assignments the caller holds.
    fn holders(&self) -> impl Iterator<Item = Holder> {
        std::iter::once(Holder::Principal(self.id)).chain(self.teams.iter().copied().map(Holder::Team))
    }

    /// What is answered to everything that the caller asks, if its organization is not active. One whose own record has not arrived
    /// may do nothing, and is not called suspended.
    fn barred(&self) -> Option<Verdict> {
        match self.organization.status {
            Some(OrganizationStatus::Active) => None,
            Some(OrganizationStatus::Suspended) => Some(Verdict::Suspended),
            Some(OrganizationStatus::Removed) | None => Some(Verdict::Deny),
        }
    }
}

impl Index {
    /// The index after the changes, in order. `self` stays as it is.
    #[must_use]
    pub fn apply(&self, changes: impl IntoIterator<Item = (OrganizationId, Change)>) -> Self {
        let mut after = self.clone();
        for (id, change) in changes {
            Arc::make_mut(after.organizations.entry(id).or_default()).apply(id, change);
        }
        after
    }

    /// Who holds an assignment.
    pub fn holder(&self, organization: OrganizationId, id: AssignmentId) -> Option<Holder> {
        self.organization(organization)?.holder(id)
    }

    /// Whether an organization may have this policy, as a new one or in place of another. Rules: [`crate::custom`].
    /// Teams and principals that it names have to be known.
    pub fn check_policy(
        &self,
        organization: OrganizationId,
        replaced: Option<PolicyId>,
        text: &str,
    ) -> Result<(), PolicyRefused> {
        let scoped = custom::check(organization, text)?;
        let empty = Organization::default();
        let state = self.organization(organization).unwrap_or(&empty);

        let others = || state.policies.iter().filter(|(id, _)| Some(**id) != replaced);
        if others().count() >= POLICIES_MAX {
            return Err(PolicyRefused::TooMany);
        }
        let bytes = others().fold(text.len(), |sum, (_, policy)| sum.saturating_add(policy.bytes));
        if bytes > POLICIES_BYTES_MAX {
            return Err(PolicyRefused::TooLargeTogether { bytes });
        }

        match custom::members(&scoped).into_iter().find(|holder| !state.knows(*holder)) {
            Some(Holder::Team(team)) => Err(PolicyRefused::Foreign(format!("team {team}"))),
            Some(Holder::Principal(principal)) => {
                Err(PolicyRefused::Foreign(format!("principal {principal}")))
            }
            None => Ok(()),
        }
    }

    fn organization(&self, id: OrganizationId) -> Option<&Organization> {
        self.organizations.get(&id).map(AsRef::as_ref)
    }

    /// Whether the principal has been heard of, be it active or not. One that has not, and yet has a valid credential, is
    /// still on its way here.
    pub fn has_heard_of(&self, organization: OrganizationId, principal: PrincipalId) -> bool {
        self.organization(organization).is_some_and(|organization| {
            organization.principals.contains_key(&principal)
                || organization.removed.contains(&principal.uuid())
                || organization.status == Some(OrganizationStatus::Removed)
        })
    }

    /// The caller, if its credential counts. The signature has been checked by whoever made the [`Caller`].
    fn authenticate(&self, caller: &Caller) -> Option<Subject<'_>> {
        let organization = self.organization(caller.organization)?;
        let principal = *organization.principals.get(&caller.principal)?;
        let is_revoked = caller.session.is_some_and(|session| organization.removed.contains(&session.uuid()));
        let is_outdated = principal.not_before.is_some_and(|not_before| caller.issued_at < not_before);
        if !principal.active || is_revoked || is_outdated {
            return None;
        }
        Some(Subject {
            organization_id: caller.organization,
            organization,
            id: caller.principal,
            principal,
            teams: organization.teams_of(caller.principal).collect(),
        })
    }
}
