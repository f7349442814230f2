//! The operations of authz's log, and the ids of edges. The names of operations and the forms of their bodies are stored for ever.

use std::str::FromStr;

use ids::{AssignmentId, OrganizationId, PrincipalId, Region, TeamId, TokenId};
use policy::{
    AssignedRole, Assignment, Change, Holder, OrganizationStatus, PredefinedTeam, Principal, PrincipalKind,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::labels::Labels;

/// One change to replicated data. A release that meets an unknown one stops reading that log, visibly.
///
/// In an entry it says what the writer did. Among the effects of an entry it says what changed in this database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Operation {
    /// The organization is there, with these properties.
    #[serde(rename = "organization.put")]
    OrganizationPut { suspended: bool, home_region: Region },
    /// The organization is gone for ever, and with it everything of it, also what arrives later.
    #[serde(rename = "organization.removed")]
    OrganizationRemoved {},
    /// The principal is there, with these properties. `not_before`: Unix seconds; credentials issued earlier count no longer.
    #[serde(rename = "principal.put")]
    PrincipalPut { id: PrincipalId, kind: Kind, active: bool, not_before: Option<i64> },
    /// The principal is gone for ever, and with it its memberships and assignments.
    #[serde(rename = "principal.removed")]
    PrincipalRemoved { id: PrincipalId },
    /// The session has ended before its time. `expires_at`, when it would have expired: Unix seconds.
    #[serde(rename = "session.revoked")]
    SessionRevoked { id: TokenId, expires_at: i64 },
    /// The session would have expired by now, so nobody needs to remember that it was revoked.
    #[serde(rename = "session.forgotten")]
    SessionForgotten { id: TokenId },
    /// The team is there, with these properties.
    #[serde(rename = "team.put")]
    TeamPut(TeamPut),
    /// The team is gone for ever, and with it its memberships and assignments.
    #[serde(rename = "team.removed")]
    TeamRemoved { id: TeamId },
    /// Grants a membership.
    #[serde(rename = "member.added")]
    MemberAdded { team_id: TeamId, principal_id: PrincipalId },
    /// Revokes a membership.
    #[serde(rename = "member.removed")]
    MemberRemoved { team_id: TeamId, principal_id: PrincipalId },
    /// Grants an assignment.
    #[serde(rename = "assignment.put")]
    AssignmentPut { holder: HolderId, role: AssignedRole },
    /// Revokes an assignment.
    #[serde(rename = "assignment.removed")]
    AssignmentRemoved { id: AssignmentId },
}

/// A team as it is from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeamPut {
    /// The team.
    pub id: TeamId,
    /// Its name.
    pub name: String,
    /// What it is for. `None` if nobody has said so, which releases before [`LABELS_GENERATION`] cannot read.
    pub description: Option<String>,
    /// Whether it is the team that administers the organization.
    pub predefined: bool,
    /// Its labels, which releases before [`LABELS_GENERATION`] would drop.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// The generation of entries since which a team has labels, and may have no description.
pub const LABELS_GENERATION: u32 = 4;

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    User,
    SystemAccount,
}

impl Kind {
    /// As its column has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::SystemAccount => "system_account",
        }
    }
}

/// Whether an organization may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    /// Everything is denied.
    Suspended,
    /// Its data is deleted. Identity never writes this word: see [`Operation::OrganizationRemoved`].
    #[serde(skip)]
    Removed,
}

/// A status of organizations that this release does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status of an organization")]
pub struct UnknownStatus(String);

impl Status {
    /// The status of an organization that is `suspended` or not.
    pub const fn of(suspended: bool) -> Self {
        if suspended { Self::Suspended } else { Self::Active }
    }

    /// As its column has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Removed => "removed",
        }
    }

    /// As [`Operation::OrganizationPut`] says it.
    pub const fn is_suspended(self) -> bool {
        match self {
            Self::Active => false,
            Self::Suspended | Self::Removed => true,
        }
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            "removed" => Ok(Self::Removed),
            _ => Err(UnknownStatus(text.to_owned())),
        }
    }
}

/// A kind of principal that this release does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of principal")]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "user" => Ok(Self::User),
            "system_account" => Ok(Self::SystemAccount),
            _ => Err(UnknownKind(text.to_owned())),
        }
    }
}

/// Who holds an assignment, in its stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderId {
    Team(TeamId),
    Principal(PrincipalId),
}

impl From<HolderId> for Holder {
    fn from(id: HolderId) -> Self {
        match id {
            HolderId::Team(id) => Self::Team(id),
            HolderId::Principal(id) => Self::Principal(id),
        }
    }
}

impl From<Holder> for HolderId {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Team(id) => Self::Team(id),
            Holder::Principal(id) => Self::Principal(id),
        }
    }
}

/// The id of a membership. It follows from the membership's content, so it is the same in whichever region it is made.
pub fn membership_id(organization: OrganizationId, team: TeamId, principal: PrincipalId) -> Uuid {
    Uuid::new_v5(&organization.uuid(), format!("membership {team} {principal}").as_bytes())
}

/// The id of an assignment. It follows from the assignment's content, so it is the same in whichever region it is made.
pub fn assignment_id(organization: OrganizationId, holder: Holder, role: &AssignedRole) -> AssignmentId {
    let holder = match holder {
        Holder::Team(id) => format!("team {id}"),
        Holder::Principal(id) => format!("principal {id}"),
    };
    // A role's name may have spaces in it. Line feeds, which no part has, keep the parts apart.
    let AssignedRole { role_name, entity_type_name, entity_id, entity_region } = role;
    let name = ["assignment", &holder, role_name, entity_type_name, entity_id, entity_region].join("\n");
    AssignmentId::from_uuid(Uuid::new_v5(&organization.uuid(), name.as_bytes()))
}

/// The id of the predefined team that administers an organization.
pub fn administrators_id(organization: OrganizationId) -> TeamId {
    let name = PredefinedTeam::OrganizationAdmin.name();
    TeamId::from_uuid(Uuid::new_v5(&organization.uuid(), name.as_bytes()))
}

impl oplog::Operation for Operation {
    fn is_revocation(&self) -> bool {
        match self {
            Self::PrincipalPut { active, .. } => !active,
            Self::OrganizationRemoved {}
            | Self::PrincipalRemoved { .. }
            | Self::SessionRevoked { .. }
            | Self::TeamRemoved { .. }
            | Self::MemberRemoved { .. }
            | Self::AssignmentRemoved { .. } => true,
            Self::OrganizationPut { .. }
            | Self::SessionForgotten { .. }
            | Self::TeamPut(_)
            | Self::MemberAdded { .. }
            | Self::AssignmentPut { .. } => false,
        }
    }
}

impl Operation {
    /// The change of the index that this operation means as an effect in `organization`; an error if the index has no such role.
    pub fn change(self, organization: OrganizationId) -> Result<Change, policy::InvalidAssignment> {
        Ok(match self {
            Self::OrganizationPut { suspended, .. } => Change::OrganizationPut {
                status: if suspended { OrganizationStatus::Suspended } else { OrganizationStatus::Active },
            },
            Self::OrganizationRemoved {} => Change::OrganizationPut { status: OrganizationStatus::Removed },
            Self::PrincipalPut { id, kind, active, not_before } => {
                Change::PrincipalPut { id, principal: Principal { kind: kind.into(), active, not_before } }
            }
            Self::PrincipalRemoved { id } => Change::PrincipalRemoved { id },
            Self::SessionRevoked { id, .. } => Change::SessionRevoked { session: id },
            Self::SessionForgotten { id } => Change::Forgotten { id: id.uuid() },
            Self::TeamPut(TeamPut { id, predefined, .. }) => {
                Change::TeamPut { id, predefined: predefined.then_some(PredefinedTeam::OrganizationAdmin) }
            }
            Self::TeamRemoved { id } => Change::TeamRemoved { id },
            Self::MemberAdded { team_id, principal_id } => {
                Change::MemberAdded { team: team_id, principal: principal_id }
            }
            Self::MemberRemoved { team_id, principal_id } => {
                Change::MemberRemoved { team: team_id, principal: principal_id }
            }
            Self::AssignmentPut { holder, role } => {
                let holder = holder.into();
                let id = assignment_id(organization, holder, &role);
                let (role, scope) = role.parse()?;
                Change::AssignmentPut(Assignment { id, holder, role, scope })
            }
            Self::AssignmentRemoved { id } => Change::AssignmentRemoved { id },
        })
    }
}

impl From<Kind> for PrincipalKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::User,
            Kind::SystemAccount => Self::SystemAccount,
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::{OrganizationId, PrincipalId, TeamId};
    use policy::{AssignedRole, Holder, Role, Scope};
    use serde_json::json;

    use super::{Kind, Operation, assignment_id};

    #[test]
    fn has_the_stable_form_of_the_log() {
        let id = PrincipalId::generate();
        let operation =
            Operation::PrincipalPut { id, kind: Kind::SystemAccount, active: true, not_before: None };
        let body = json!({"id": id, "kind": "system_account", "active": true, "not_before": null});
        let form = json!({"kind": "principal.put", "body": body});
        assert_eq!(serde_json::to_value(&operation).expect("JSON"), form);
        assert_eq!(serde_json::from_value::<Operation>(form).expect("readable"), operation);
        let unknown = serde_json::from_value::<Operation>(json!({"kind": "principal.cloned", "body": body}));
        assert!(unknown.is_err(), "an unknown operation stops the reader");
    }

    #[test]
    fn a_team_of_an_earlier_release_is_read_and_written_as_it_was() {
        let id = TeamId::generate();
        let body = json!({"id": id, "name": "ops", "description": "", "predefined": false});
        let form = json!({"kind": "team.put", "body": body});
        let operation: Operation = serde_json::from_value(form.clone()).expect("readable");
        assert_eq!(serde_json::to_value(&operation).expect("JSON"), form);
        let Operation::TeamPut(team) = operation else { panic!("{operation:?}") };
        assert_eq!((team.description.as_deref(), team.labels.len()), (Some(""), 0));
    }

    #[test]
    fn the_same_grant_has_the_same_id_and_another_has_not() {
        let (organization, ada) = (OrganizationId::generate(), PrincipalId::generate());
        let role = |scope| AssignedRole::new(Role::ControlPlaneViewer, &scope);
        let id = |organization, scope| assignment_id(organization, Holder::Principal(ada), &role(scope));
        let first = id(organization, Scope::AllRegions);
        assert_eq!(first, id(organization, Scope::AllRegions));
        assert_ne!(first, id(organization, Scope::Region("eu".parse().expect("region"))));
        assert_ne!(first, id(OrganizationId::generate(), Scope::AllRegions));
    }
}
