//! Who may give what: nobody hands out more than they hold.
//!
//! The rule: a grantor needs `iam:AssignRoles`, and its own assignments have to hold, at the same scope or a wider one,
//! every action of the role that it gives. The Organization Admin team holds everything, so its members may give
//! everything. An Identity Admin who holds no role on control planes can give Identity Admin and nothing else. What a
//! custom policy permits is no one's to give; what it forbids a grantor at that moment (`iam:AssignRoles`) counts.

use std::collections::{BTreeMap, BTreeSet};

use ids::AssignmentId;

use super::{Index, Subject};
use crate::{Action, Caller, Holder, Resource, ResourceKind, Role, Scope, system::system};

impl Index {
    /// Whether the caller may give the role at the scope. Taking it away needs `iam:AssignRoles` only: a grant that
    /// should not be can be ended by whoever manages roles.
    pub fn may_grant(&self, caller: &Caller, role: Role, scope: &Scope) -> bool {
        self.grant_rests_on(caller, role, scope).is_some()
    }

    /// The assignments of the caller that it takes to give the role at the scope; `None` if it may not.
    pub fn grant_rests_on(
        &self,
        caller: &Caller,
        role: Role,
        scope: &Scope,
    ) -> Option<BTreeSet<AssignmentId>> {
        if !self.decide(caller, Action::IamAssignRoles, &Resource::Iam).is_allowed() {
            return None;
        }
        holds(&self.authenticate(caller)?, role, scope)
    }

    /// Whether the caller holds all that a team or principal holds, directly and through teams. Asked in addition to the
    /// action itself before the caller adds a member to the team, or makes a token for the system account: either hands
    /// over everything at once.
    pub fn may_confer(&self, caller: &Caller, holder: Holder) -> bool {
        self.confer_rests_on(caller, holder).is_some()
    }

    /// The assignments of the caller that it takes to hand over all that a team or principal holds; `None` if it may not.
    pub fn confer_rests_on(&self, caller: &Caller, holder: Holder) -> Option<BTreeSet<AssignmentId>> {
        let subject = self.authenticate(caller)?;
        let organization = subject.organization;
        let mut holders = vec![holder];
        if let Holder::Principal(id) = holder {
            holders.extend(organization.teams_of(id).map(Holder::Team));
        }
        let given: BTreeSet<(Role, &Scope)> = holders
            .into_iter()
            .flat_map(|holder| organization.held_by(holder))
            .map(|(scope, role, _)| (role, scope))
            .collect();
        let mut rests_on = BTreeSet::new();
        for (role, scope) in given {
            rests_on.extend(holds(&subject, role, scope)?);
        }
        Some(rests_on)
    }
}

/// Assignments of the subject at the scope or wider that together hold every action of the role; `None` if there are none
/// such.
fn holds(subject: &Subject<'_>, role: Role, scope: &Scope) -> Option<BTreeSet<AssignmentId>> {
    let mut held: BTreeMap<Role, AssignmentId> = BTreeMap::new();
    for reach in scope.and_wider() {
        for holder in subject.holders() {
            for (role, id) in subject.organization.held_at(holder, &reach) {
                held.entry(role).or_insert(id);
            }
        }
    }
    let holding =
        |action, kind| held.iter().find(|(role, _)| system().grants(**role, action, kind)).map(|(_, id)| *id);
    let needed =
        ResourceKind::ALL.into_iter().flat_map(|kind| role.actions(kind).map(move |action| (action, kind)));
    needed.map(|(action, kind)| holding(action, kind)).collect()
}
