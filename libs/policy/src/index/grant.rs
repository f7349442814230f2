//! Who may give what: nobody hands out more than they hold.
//!
//! The rule: a grantor needs `iam:AssignRoles`, and its own assignments have to hold, at the same scope or a wider one,
//! every action of the role that it gives. The Organization Admin team holds everything, so its members may give
//! everything. An Identity Admin who holds no role on control planes can give Identity Admin and nothing else. What a
//! custom policy permits is no one's to give; what it forbids a grantor at that moment (`iam:AssignRoles`) counts.

use std::collections::BTreeSet;

use super::{Index, Subject};
use crate::{Action, Caller, Holder, Resource, ResourceKind, Role, Scope, system::system};

impl Index {
    /// Whether the caller may give the role at the scope. Taking it away needs `iam:AssignRoles` only: a grant that
    /// should not be can be ended by whoever manages roles.
    pub fn may_grant(&self, caller: &Caller, role: Role, scope: &Scope) -> bool {
        self.decide(caller, Action::IamAssignRoles, &Resource::Iam).is_allowed()
            && self.authenticate(caller).is_some_and(|subject| holds(&subject, role, scope))
    }

    /// Whether the caller holds all that a team or principal holds, directly and through teams. Asked in addition to the
    /// action itself before the caller adds a member to the team, or makes a token for the system account: either hands
    /// over everything at once.
    pub fn may_confer(&self, caller: &Caller, holder: Holder) -> bool {
        let Some(subject) = self.authenticate(caller) else {
            return false;
        };
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
        given.into_iter().all(|(role, scope)| holds(&subject, role, scope))
    }
}

/// Whether the subject's assignments at the scope or wider hold every action of the role.
fn holds(subject: &Subject<'_>, role: Role, scope: &Scope) -> bool {
    let mut held: BTreeSet<Role> = BTreeSet::new();
    for reach in scope.and_wider() {
        for holder in subject.holders() {
            held.extend(subject.organization.held_at(holder, &reach).map(|(role, _)| role));
        }
    }
    let is_held = |action, kind| held.iter().any(|role| system().grants(*role, action, kind));
    ResourceKind::ALL.into_iter().all(|kind| role.actions(kind).all(|action| is_held(action, kind)))
}
