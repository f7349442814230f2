//! The questions asked backwards: which control planes does a caller see, and who reaches a resource.

use std::collections::BTreeSet;

use ids::{AssignmentId, ControlPlaneId, OrganizationId, Region};

use super::{
    Index, Subject,
    slice::{principal_line, scope_uid},
};
use crate::{
    Action, Caller, Holder, Resource, ResourceKind, Role, Scope, Verdict,
    custom::{Scoped, Standing},
    system::system,
};

/// Most ids in a [`Visible`]. Whoever sees more single control planes than this gets every row rechecked instead.
pub const VISIBLE_IDS_MAX: usize = 10_000;

/// A filter for the control planes of a region that a caller may list, for the service that owns the rows.
///
/// It never leaves out a row that may be listed. With `recheck` it may let too many through, so each row of a page is
/// still asked about with [`Index::decide`] and [`Action::CpList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// `Allow` for every authenticated caller of an active organization: nothing visible is an empty list, no denial.
    pub verdict: Verdict,
    /// Every control plane of the region. `ids` is empty then.
    pub all: bool,
    /// Those visible, ascending.
    pub ids: Vec<ControlPlaneId>,
    /// Each row of a page has to be asked about: see above.
    pub recheck: bool,
}

/// An assignment that reaches a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its id.
    pub assignment: AssignmentId,
    /// Who has the role.
    pub holder: Holder,
    /// Which role.
    pub role: Role,
    /// The resource itself or a scope that it lies in.
    pub scope: Scope,
}

impl Visible {
    fn nothing(verdict: Verdict) -> Self {
        Self { verdict, all: false, ids: Vec::new(), recheck: false }
    }
}

/// What an organization's custom policies may do to a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Influence {
    None,
    Narrows,
    Widens,
}

impl Index {
    /// The control planes of a region that the caller may list.
    pub fn visible_control_planes(&self, caller: &Caller, region: &Region) -> Visible {
        let Some(subject) = self.authenticate(caller) else {
            return Visible::nothing(Verdict::Unauthenticated);
        };
        if let Some(verdict) = subject.barred() {
            return Visible::nothing(verdict);
        }
        let influence = influence(&subject, region);
        let recheck = influence != Influence::None;
        if influence == Influence::Widens || sees_all(&subject, region) {
            return Visible { verdict: Verdict::Allow, all: true, ids: Vec::new(), recheck };
        }
        match visible_ids(&subject, region) {
            Some(ids) => Visible { verdict: Verdict::Allow, all: false, ids, recheck },
            None => Visible { verdict: Verdict::Allow, all: true, ids: Vec::new(), recheck: true },
        }
    }

    /// The assignments that reach the resource with at least one action, narrowest scope first; at most `limit`. Custom
    /// policies may give more or take away. Holders whose own record is missing are left out; inactive principals are
    /// not, since their roles come back with them.
    pub fn who_has_access(
        &self,
        organization: OrganizationId,
        resource: &Resource,
        limit: usize,
    ) -> Vec<Access> {
        let Some(organization) = self.organization(organization) else {
            return Vec::new();
        };
        let reaches = |role: Role| role.actions(resource.kind()).next().is_some();
        let mut found = Vec::new();
        for scope in resource.scopes() {
            let assigned = organization.assigned_at(&scope);
            let alive = assigned.filter(|row| reaches(row.role) && organization.knows(row.holder));
            found.extend(alive.take(limit.saturating_sub(found.len())).map(|row| Access {
                assignment: row.id,
                holder: row.holder,
                role: row.role,
                scope: row.scope.clone(),
            }));
        }
        found
    }
}

fn lists_rows(role: Role) -> bool {
    system().grants(role, Action::CpList, ResourceKind::ControlPlane)
}

fn sees_all(subject: &Subject<'_>, region: &Region) -> bool {
    let wide = Scope::Region(region.clone()).and_wider();
    subject.holders().any(|holder| {
        wide.iter().any(|scope| subject.organization.held_at(holder, scope).any(|(role, _)| lists_rows(role)))
    })
}

/// `None` if there are more than [`VISIBLE_IDS_MAX`].
fn visible_ids(subject: &Subject<'_>, region: &Region) -> Option<Vec<ControlPlaneId>> {
    let mut ids = BTreeSet::new();
    for holder in subject.holders() {
        let held = subject.organization.held_in(holder, region);
        for (id, _) in held.filter(|(_, role)| lists_rows(*role)) {
            ids.insert(id);
            if ids.len() > VISIBLE_IDS_MAX {
                return None;
            }
        }
    }
    Some(ids.into_iter().collect())
}

fn influence(subject: &Subject<'_>, region: &Region) -> Influence {
    let system = system();
    let action = system.action(Action::CpList);
    let principal = principal_line(system, subject);
    let scopes: Vec<_> = Scope::Region(region.clone())
        .and_wider()
        .iter()
        .map(|scope| scope_uid(system, subject, scope))
        .collect();
    let matches = |scoped: &Scoped| scoped.may_match_rows(&principal, action, &system.types, &scopes);
    let mut influence = Influence::None;
    for policy in subject.organization.policies.values() {
        match &policy.standing {
            Standing::Sound(scoped) if matches(scoped) => match scoped.policy.effect() {
                cedar_policy::Effect::Permit => return Influence::Widens,
                cedar_policy::Effect::Forbid => influence = Influence::Narrows,
            },
            Standing::UnsoundForbid(scoped) if matches(scoped) => influence = Influence::Narrows,
            Standing::Unreadable => influence = Influence::Narrows,
            Standing::Sound(_) | Standing::UnsoundForbid(_) | Standing::UnsoundPermit => {}
        }
    }
    influence
}
