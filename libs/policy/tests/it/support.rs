//! Names instead of ids: `id("team/sre")` is the same id everywhere.

use std::collections::BTreeMap;

use ids::{AssignmentId, ControlPlaneId, Id, OrganizationId, PrincipalId, Region};
use policy::{
    Action, Assignment, Caller, Change, Decision, Holder, Index, OrganizationStatus, Principal,
    PrincipalKind, Resource, Role, Scope,
};
use uuid::Uuid;

pub fn id<K>(name: &str) -> Id<K> {
    Id::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}

pub fn organization() -> OrganizationId {
    id("organization")
}

pub fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// When callers got their credentials, in Unix seconds.
pub const ISSUED_AT: i64 = 1_000;

pub fn caller(principal: &str) -> Caller {
    Caller { organization: organization(), principal: id(principal), session: None, issued_at: ISSUED_AT }
}

pub fn control_plane(name: &str, in_region: &str) -> Resource {
    Resource::ControlPlane { id: id(name), region: region(in_region), labels: BTreeMap::new() }
}

pub fn one(name: &str, in_region: &str) -> Scope {
    Scope::ControlPlane {
        region: region(in_region),
        id: id::<ids::kinds::ControlPlane>(name) as ControlPlaneId,
    }
}

pub fn user(name: &str) -> Change {
    let principal = Principal { kind: PrincipalKind::User, active: true, not_before: None };
    Change::PrincipalPut { id: id::<ids::kinds::Principal>(name) as PrincipalId, principal }
}

pub fn team(name: &str) -> Change {
    Change::TeamPut { id: id(name), predefined: None }
}

pub fn member(team: &str, principal: &str) -> Change {
    Change::MemberAdded { team: id(team), principal: id(principal) }
}

pub fn to_principal(name: &str) -> Holder {
    Holder::Principal(id(name))
}

pub fn to_team(name: &str) -> Holder {
    Holder::Team(id(name))
}

pub fn assignment_id(holder: Holder, role: Role, scope: &Scope) -> AssignmentId {
    id(&format!("{holder:?} {role:?} {scope:?}"))
}

pub fn assign(holder: Holder, role: Role, scope: Scope) -> Change {
    Change::AssignmentPut(Assignment { id: assignment_id(holder, role, &scope), holder, role, scope })
}

pub fn custom(name: &str, text: &str) -> Change {
    Change::PolicyPut { id: id(name), text: text.to_owned() }
}

/// The changes of the one organization of a test.
pub fn own(changes: impl IntoIterator<Item = Change>) -> impl Iterator<Item = (OrganizationId, Change)> {
    changes.into_iter().map(|change| (organization(), change))
}

/// An active organization after these changes.
pub fn index(changes: impl IntoIterator<Item = Change>) -> Index {
    let active = Change::OrganizationPut { status: OrganizationStatus::Active };
    Index::default().apply(own([active])).apply(own(changes))
}

pub fn allows(index: &Index, principal: &str, action: Action, resource: &Resource) -> bool {
    index.decide(&caller(principal), action, resource).is_allowed()
}

pub fn reasons(decision: &Decision) -> Vec<String> {
    decision.reasons.iter().map(ToString::to_string).collect()
}
