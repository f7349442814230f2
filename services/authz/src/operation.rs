//! The operations of authz's log: what changed, as it is written beside the rows and read by every index.

use ids::{AssignmentId, OrganizationId, PrincipalId, TeamId, TokenId};
use policy::{
    AssignedRole, Assignment, Change, Holder, OrganizationStatus, PredefinedTeam, Principal, PrincipalKind,
};
use postgres::Error;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// One change, in words that every release understands. A reader that meets an unknown one stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Operation {
    #[serde(rename = "organization.put")]
    OrganizationPut { suspended: bool },
    #[serde(rename = "principal.put")]
    PrincipalPut { id: PrincipalId, kind: Kind, active: bool, not_before: Option<i64> },
    #[serde(rename = "principal.removed")]
    PrincipalRemoved { id: PrincipalId },
    #[serde(rename = "session.revoked")]
    SessionRevoked { id: TokenId },
    /// The session would have expired by now: it need not be remembered as revoked.
    #[serde(rename = "session.forgotten")]
    SessionForgotten { id: TokenId },
    #[serde(rename = "team.put")]
    TeamPut { id: TeamId, predefined: bool },
    #[serde(rename = "team.removed")]
    TeamRemoved { id: TeamId },
    #[serde(rename = "member.added")]
    MemberAdded { team_id: TeamId, principal_id: PrincipalId },
    #[serde(rename = "member.removed")]
    MemberRemoved { team_id: TeamId, principal_id: PrincipalId },
    #[serde(rename = "assignment.put")]
    AssignmentPut {
        id: AssignmentId,
        team_id: Option<TeamId>,
        principal_id: Option<PrincipalId>,
        role: AssignedRole,
    },
    #[serde(rename = "assignment.removed")]
    AssignmentRemoved { id: AssignmentId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    User,
    SystemAccount,
}

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("operation {seq}: {cause}")]
    Malformed { seq: i64, cause: serde_json::Error },
    #[error("operation {seq}: the assignment names {cause}")]
    Assignment { seq: i64, cause: policy::InvalidAssignment },
    #[error("operation {seq}: an assignment without a holder")]
    NoHolder { seq: i64 },
}

impl Operation {
    /// Appends this to the log, in the transaction of `connection`; answers its sequence number.
    pub async fn append(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> Result<u64, Error> {
        let tagged = serde_json::to_value(self).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let kind = tagged["kind"].as_str().unwrap_or_default();
        postgres::append(connection, organization, kind, &tagged["body"]).await
    }

    /// The operation in a row of the log.
    pub fn read(row: &postgres::Operation) -> Result<Self, Unreadable> {
        let malformed = |cause| Unreadable::Malformed { seq: row.seq, cause };
        let body: serde_json::Value = serde_json::from_str(&row.body).map_err(malformed)?;
        serde_json::from_value(serde_json::json!({"kind": row.kind, "body": body})).map_err(malformed)
    }

    /// What this means for the index. `seq` names the operation in an error.
    pub fn change(self, seq: i64) -> Result<Change, Unreadable> {
        Ok(match self {
            Self::OrganizationPut { suspended } => Change::OrganizationPut {
                status: if suspended { OrganizationStatus::Suspended } else { OrganizationStatus::Active },
            },
            Self::PrincipalPut { id, kind, active, not_before } => {
                Change::PrincipalPut { id, principal: Principal { kind: kind.into(), active, not_before } }
            }
            Self::PrincipalRemoved { id } => Change::PrincipalRemoved { id },
            Self::SessionRevoked { id } => Change::SessionRevoked { session: id },
            Self::SessionForgotten { id } => Change::Forgotten { id: id.uuid() },
            Self::TeamPut { id, predefined } => {
                Change::TeamPut { id, predefined: predefined.then_some(PredefinedTeam::OrganizationAdmin) }
            }
            Self::TeamRemoved { id } => Change::TeamRemoved { id },
            Self::MemberAdded { team_id, principal_id } => {
                Change::MemberAdded { team: team_id, principal: principal_id }
            }
            Self::MemberRemoved { team_id, principal_id } => {
                Change::MemberRemoved { team: team_id, principal: principal_id }
            }
            Self::AssignmentPut { id, team_id, principal_id, role } => {
                let holder = match (team_id, principal_id) {
                    (Some(team), None) => Holder::Team(team),
                    (None, Some(principal)) => Holder::Principal(principal),
                    _ => return Err(Unreadable::NoHolder { seq }),
                };
                let (role, scope) = role.parse().map_err(|cause| Unreadable::Assignment { seq, cause })?;
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
    use super::{Kind, Operation};

    #[test]
    fn has_the_stable_form_of_the_log() {
        let id = ids::PrincipalId::generate();
        let operation =
            Operation::PrincipalPut { id, kind: Kind::SystemAccount, active: true, not_before: None };
        let row = postgres::Operation {
            seq: 7,
            organization_id: postgres::SqlId(ids::OrganizationId::generate()),
            kind: "principal.put".to_owned(),
            body: format!(r#"{{"id":"{id}","kind":"system_account","active":true,"not_before":null}}"#),
            traceparent: String::new(),
        };
        assert_eq!(Operation::read(&row).expect("readable"), operation);

        let unknown = postgres::Operation { kind: "principal.cloned".to_owned(), ..row };
        assert!(Operation::read(&unknown).is_err(), "an unknown operation stops the reader");
    }
}
