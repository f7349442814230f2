//! The rows of one organization, and how a change alters them.
//!
//! Invariants: `by_holder` and `by_scope` hold exactly the rows of `assignments`; `members` and `memberships` are the
//! same pairs in two orders; nothing names an id that is in `removed`. Scans rely on the order of the keys, so each
//! access path is a range of one map.

use std::sync::Arc;

use ids::{AssignmentId, ControlPlaneId, OrganizationId, PrincipalId, Region, TeamId};
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use crate::{
    Assignment, Change, Holder, OrganizationStatus, PolicyId, PredefinedTeam, Principal, Role, Scope,
    custom::Custom,
};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Organization {
    /// `None` until the organization's own record arrives.
    pub status: Option<OrganizationStatus>,
    /// People and system accounts that exist, active or not.
    pub principals: OrdMap<PrincipalId, Principal>,
    /// Teams that exist; a predefined team with which one it is.
    pub teams: OrdMap<TeamId, Option<PredefinedTeam>>,
    /// Custom policies, parsed.
    pub policies: OrdMap<PolicyId, Arc<Custom>>,
    /// Ids of removed records and revoked sessions. A removal wins over anything else about its id, in any order.
    pub removed: OrdSet<Uuid>,
    assignments: OrdMap<AssignmentId, Assignment>,
    by_holder: OrdMap<(Holder, Scope, AssignmentId), Role>,
    by_scope: OrdSet<(Scope, AssignmentId)>,
    members: OrdSet<(TeamId, PrincipalId)>,
    memberships: OrdSet<(PrincipalId, TeamId)>,
}

impl Organization {
    /// Takes in one change of the organization `id`. Changes may come in any order and more than once: what is removed
    /// stays removed.
    pub fn apply(&mut self, id: OrganizationId, change: Change) {
        if self.status == Some(OrganizationStatus::Removed) {
            return;
        }
        match change {
            Change::OrganizationPut { status: OrganizationStatus::Removed } => {
                *self = Self { status: Some(OrganizationStatus::Removed), ..Self::default() };
            }
            Change::OrganizationPut { status } => self.status = Some(status),
            Change::PrincipalPut { id, principal } => self.put_principal(id, principal),
            Change::PrincipalRemoved { id } => {
                self.removed.insert(id.uuid());
                self.principals.remove(&id);
                self.end_assignments_of(Holder::Principal(id));
                let teams: Vec<TeamId> = self.all_teams_of(id).collect();
                teams.into_iter().for_each(|team| self.remove_member(team, id));
            }
            Change::SessionRevoked { session } => {
                self.removed.insert(session.uuid());
            }
            Change::TeamPut { id, predefined } => self.put_team(id, predefined),
            Change::TeamRemoved { id } => {
                self.removed.insert(id.uuid());
                self.teams.remove(&id);
                self.end_assignments_of(Holder::Team(id));
                let members: Vec<PrincipalId> = self.members_of(id).collect();
                members.into_iter().for_each(|principal| self.remove_member(id, principal));
            }
            Change::MemberAdded { team, principal } => {
                if !self.is_removed(team.uuid()) && !self.is_removed(principal.uuid()) {
                    self.members.insert((team, principal));
                    self.memberships.insert((principal, team));
                }
            }
            Change::MemberRemoved { team, principal } => self.remove_member(team, principal),
            Change::AssignmentPut(assignment) => self.put_assignment(assignment),
            Change::AssignmentRemoved { id } => self.end_assignment(id),
            Change::PolicyPut { id: policy, text } => {
                if !self.is_removed(policy.uuid()) {
                    self.policies.insert(policy, Arc::new(Custom::read(id, policy, &text)));
                }
            }
            Change::PolicyRemoved { id } => {
                self.removed.insert(id.uuid());
                self.policies.remove(&id);
            }
            Change::Forgotten { id } => {
                self.removed.remove(&id);
            }
        }
    }

    fn is_removed(&self, id: Uuid) -> bool {
        self.removed.contains(&id)
    }

    fn put_principal(&mut self, id: PrincipalId, mut principal: Principal) {
        if self.is_removed(id.uuid()) {
            return;
        }
        let known = self.principals.get(&id).and_then(|known| known.not_before);
        principal.not_before = principal.not_before.max(known);
        self.principals.insert(id, principal);
    }

    fn put_team(&mut self, id: TeamId, predefined: Option<PredefinedTeam>) {
        if self.is_removed(id.uuid()) {
            return;
        }
        let before = self.teams.insert(id, predefined).flatten();
        for assignment in before.into_iter().flat_map(|team| team.assignments(id)) {
            self.end_assignment(assignment.id);
        }
        for assignment in predefined.into_iter().flat_map(|team| team.assignments(id)) {
            self.put_assignment(assignment);
        }
    }

    fn put_assignment(&mut self, assignment: Assignment) {
        if self.is_removed(assignment.holder.uuid()) {
            return;
        }
        let Assignment { id, holder, role, ref scope } = assignment;
        self.end_assignment(id);
        self.by_holder.insert((holder, scope.clone(), id), role);
        self.by_scope.insert((scope.clone(), id));
        self.assignments.insert(id, assignment);
    }

    fn end_assignment(&mut self, id: AssignmentId) {
        if let Some(Assignment { holder, scope, .. }) = self.assignments.remove(&id) {
            self.by_scope.remove(&(scope.clone(), id));
            self.by_holder.remove(&(holder, scope, id));
        }
    }

    fn end_assignments_of(&mut self, holder: Holder) {
        let ids: Vec<AssignmentId> = self.held_by(holder).map(|(_, _, id)| id).collect();
        ids.into_iter().for_each(|id| self.end_assignment(id));
    }

    fn remove_member(&mut self, team: TeamId, principal: PrincipalId) {
        self.members.remove(&(team, principal));
        self.memberships.remove(&(principal, team));
    }
}

/// The access paths.
impl Organization {
    /// The existing teams of a principal.
    pub fn teams_of(&self, principal: PrincipalId) -> impl Iterator<Item = TeamId> {
        self.all_teams_of(principal).filter(|team| self.teams.contains_key(team))
    }

    /// Also teams whose own record has not arrived.
    fn all_teams_of(&self, principal: PrincipalId) -> impl Iterator<Item = TeamId> {
        let start = (principal, TeamId::from_uuid(Uuid::nil()));
        self.memberships
            .range(start..)
            .take_while(move |(member, _)| *member == principal)
            .map(|(_, team)| *team)
    }

    fn members_of(&self, team: TeamId) -> impl Iterator<Item = PrincipalId> {
        let start = (team, PrincipalId::from_uuid(Uuid::nil()));
        self.members.range(start..).take_while(move |(of, _)| *of == team).map(|(_, principal)| *principal)
    }

    /// Everything that a holder holds.
    pub fn held_by(&self, holder: Holder) -> impl Iterator<Item = (&Scope, Role, AssignmentId)> {
        self.held_from(holder, Scope::Identity)
    }

    /// What a holder holds at exactly this scope.
    pub fn held_at(&self, holder: Holder, scope: &Scope) -> impl Iterator<Item = (Role, AssignmentId)> {
        self.held_from(holder, scope.clone())
            .take_while(move |(at, _, _)| *at == scope)
            .map(|(_, role, id)| (role, id))
    }

    /// What a holder holds on single control planes of a region.
    pub fn held_in(&self, holder: Holder, region: &Region) -> impl Iterator<Item = (ControlPlaneId, Role)> {
        let nil = ControlPlaneId::from_uuid(Uuid::nil());
        self.held_from(holder, Scope::ControlPlane { region: region.clone(), id: nil }).map_while(
            move |(scope, role, _)| match scope {
                Scope::ControlPlane { region: at, id } if at == region => Some((*id, role)),
                _ => None,
            },
        )
    }

    fn held_from(&self, holder: Holder, scope: Scope) -> impl Iterator<Item = (&Scope, Role, AssignmentId)> {
        let start = (holder, scope, AssignmentId::from_uuid(Uuid::nil()));
        self.by_holder
            .range(start..)
            .take_while(move |((of, _, _), _)| *of == holder)
            .map(|((_, scope, id), role)| (scope, *role, *id))
    }

    /// Who holds an assignment.
    pub fn holder(&self, id: AssignmentId) -> Option<Holder> {
        self.assignments.get(&id).map(|assignment| assignment.holder)
    }

    /// The assignments at exactly this scope.
    pub fn assigned_at(&self, scope: &Scope) -> impl Iterator<Item = &Assignment> {
        let start = (scope.clone(), AssignmentId::from_uuid(Uuid::nil()));
        self.by_scope
            .range(start..)
            .take_while(move |(at, _)| at == scope)
            .filter_map(|(_, id)| self.assignments.get(id))
    }

    /// Whether the holder's own record has arrived: until then its assignments grant nothing.
    pub fn knows(&self, holder: Holder) -> bool {
        match holder {
            Holder::Team(id) => self.teams.contains_key(&id),
            Holder::Principal(id) => self.principals.contains_key(&id),
        }
    }
}
