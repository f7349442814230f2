//! From operations to rows. This region's operations and those of other regions take the same path.
//!
//! * Records (organizations, principals, teams) are written in one region, their home; the last write counts. A removal is for
//!   ever. Example: a team that was removed does not come back, also if its creation arrives after its removal.
//! * Sessions only end.
//! * Edges (memberships, assignments) are written in any region and merged by the rule of `replication::merge`. Example: us
//!   removes a member while eu adds the same one; the member is removed in both.
//!
//! The rows do not depend on the order in which concurrent entries arrive. The effects of an entry are operations again: what the
//! index has to change.

mod digest;
mod edges;
mod records;

pub use edges::holder_columns;
use ids::OrganizationId;
use oplog::{Apply, ApplyError};
use postgres::{Error, SqlId};
use replication::Entry;
use sqlx::PgConnection;

use self::edges::Edge;
use crate::operation::{Operation, membership_id};

/// Replicated tables with rows of an organization. Revoked sessions stay: forgetting one would let it in again, and nothing brings
/// one back wrongly.
const TABLES_OF_ORGANIZATION: [&str; 8] = [
    "DELETE FROM replicated.organization WHERE id = $1",
    "DELETE FROM replicated.principal WHERE organization_id = $1",
    "DELETE FROM replicated.team WHERE organization_id = $1",
    "DELETE FROM replicated.membership WHERE organization_id = $1",
    "DELETE FROM replicated.assignment WHERE organization_id = $1",
    "DELETE FROM replicated.edge_grant WHERE organization_id = $1",
    "DELETE FROM replicated.revocation WHERE organization_id = $1",
    "DELETE FROM replicated.removed WHERE organization_id = $1",
];

/// Revoked sessions of an organization that is gone: nothing that they could let in is left.
const SESSIONS_OF_ORGANIZATION: &str = "DELETE FROM replicated.revoked_session WHERE organization_id = $1";

/// The replicated rows of authz. The effects of an operation are operations again: what the index has to change.
#[derive(Clone, Copy, Debug)]
pub struct Rows;

impl Apply for Rows {
    type Operation = Operation;
    type Effects = Vec<Operation>;

    async fn apply(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<Operation>, ApplyError> {
        if let Operation::AssignmentPut { role, .. } = &operation {
            // A role of a later release: the index could not take it.
            role.parse().map_err(|error| ApplyError::Unreadable(error.to_string()))?;
        }
        apply(connection, entry, operation).await
    }

    async fn deny(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<Operation>, ApplyError> {
        let organization = entry.organization;
        if records::is_organization_removed(connection, organization).await? {
            return Ok(Vec::new());
        }
        match operation {
            Operation::OrganizationRemoved {} => Ok(remove_organization(connection, entry).await?),
            Operation::MemberRemoved { team_id, principal_id } => {
                let edge = membership_id(organization, team_id, principal_id);
                Ok(edges::delete(connection, organization, &[edge]).await?)
            }
            Operation::AssignmentRemoved { id } => {
                Ok(edges::delete(connection, organization, &[id.uuid()]).await?)
            }
            Operation::PrincipalPut { active: false, .. }
            | Operation::PrincipalRemoved { .. }
            | Operation::SessionRevoked { .. }
            | Operation::TeamRemoved { .. } => Ok(records::apply(connection, entry, &operation).await?),
            // No revocations: they wait for their turn.
            Operation::OrganizationPut { .. }
            | Operation::PrincipalPut { active: true, .. }
            | Operation::SessionForgotten { .. }
            | Operation::TeamPut(_)
            | Operation::MemberAdded { .. }
            | Operation::AssignmentPut { .. } => Ok(Vec::new()),
        }
    }

    async fn clear(&self, connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
        for statement in TABLES_OF_ORGANIZATION {
            sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn digest(
        &self,
        connection: &mut PgConnection,
        organization: OrganizationId,
    ) -> Result<[u8; 32], Error> {
        digest::of(connection, organization).await
    }
}

/// Which memberships come from groups, in the organization's home region.
const MAPPED_OF_ORGANIZATION: &str = "DELETE FROM regional.mapped_membership WHERE organization_id = $1";

/// Deletes all rows of the organization, and notes that its id is used up.
async fn remove_organization(connection: &mut PgConnection, entry: &Entry) -> Result<Vec<Operation>, Error> {
    for statement in
        TABLES_OF_ORGANIZATION.into_iter().chain([SESSIONS_OF_ORGANIZATION, MAPPED_OF_ORGANIZATION])
    {
        sqlx::query(statement).bind(SqlId(entry.organization)).execute(&mut *connection).await?;
    }
    records::put_removed_organization(connection, entry).await?;
    Ok(vec![Operation::OrganizationRemoved {}])
}

/// Changes the rows; answers what changed.
async fn apply(
    connection: &mut PgConnection,
    entry: &Entry,
    operation: Operation,
) -> Result<Vec<Operation>, ApplyError> {
    // Written before its author heard of the end.
    if records::is_organization_removed(connection, entry.organization).await? {
        return Ok(Vec::new());
    }
    // What takes something away from a subject: an edge, a principal, a session or a team.
    let revoked = match operation {
        Operation::OrganizationRemoved {} => return Ok(remove_organization(connection, entry).await?),
        Operation::MemberAdded { team_id, principal_id } => {
            return edges::grant(connection, entry, Edge::Membership { team_id, principal_id }).await;
        }
        Operation::AssignmentPut { holder, role } => {
            return edges::grant(connection, entry, Edge::Assignment { holder, role }).await;
        }
        Operation::OrganizationPut { .. } | Operation::SessionForgotten { .. } | Operation::TeamPut(_) => {
            None
        }
        // Whether a principal is active is merged like an edge: what somebody grants while another region deactivates it is void.
        Operation::PrincipalPut { id, active: true, .. } => {
            edges::note_grant(connection, entry, id.uuid()).await?;
            None
        }
        Operation::PrincipalPut { id, active: false, .. } | Operation::PrincipalRemoved { id } => {
            Some(id.uuid())
        }
        Operation::SessionRevoked { id, .. } => Some(id.uuid()),
        Operation::TeamRemoved { id } => Some(id.uuid()),
        Operation::MemberRemoved { team_id, principal_id } => {
            Some(membership_id(entry.organization, team_id, principal_id))
        }
        Operation::AssignmentRemoved { id } => Some(id.uuid()),
    };
    let mut changed = records::apply(connection, entry, &operation).await?;
    if let Some(subject) = revoked {
        changed.extend(edges::revoke(connection, entry, subject).await?);
    }
    Ok(changed)
}
