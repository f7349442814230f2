//! From operations to rows: own ones and those of other regions alike.
//!
//! Records (organizations, principals, teams, sessions) are last-writer-wins in the order of their one home, and a removal
//! is for ever. Edges (memberships, assignments) follow the merge rule of `replication::merge`. Either way the rows do not
//! depend on the order in which concurrent operations come. The effects are operations again, resolved: what the index has
//! to do.

mod digest;
mod edges;
mod records;

pub use edges::columns;
use ids::OrganizationId;
use oplog::{Apply, ApplyError};
use postgres::{Error, SqlId};
use replication::Entry;
use sqlx::PgConnection;

use self::edges::Edge;
use crate::operation::Operation;

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

/// The replicated rows of authz. The effects of an operation are operations again, resolved: what the index has to do.
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
        Ok(match Edge::ended_by(entry.organization, &operation) {
            Some(edge) => edges::delete(connection, entry.organization, &[edge]).await?,
            None => records::apply(connection, entry, &operation).await?,
        })
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

/// Changes the rows; answers what changed.
async fn apply(
    connection: &mut PgConnection,
    entry: &Entry,
    what: Operation,
) -> Result<Vec<Operation>, ApplyError> {
    let organization = entry.organization;
    let mut changed = match Edge::granted_by(organization, &what) {
        Some(edge) => return edges::grant(connection, entry, edge, what).await,
        None => records::apply(connection, entry, &what).await?,
    };
    match what {
        // Active or not is the history of an edge too: what somebody grants while being deactivated elsewhere is void.
        Operation::PrincipalPut { id, active: true, .. } => {
            edges::note_grant(connection, entry, id.uuid()).await?;
        }
        Operation::PrincipalPut { id, active: false, .. } | Operation::PrincipalRemoved { id } => {
            changed.extend(edges::revoke(connection, entry, id.uuid()).await?);
        }
        Operation::SessionRevoked { id, .. } => {
            changed.extend(edges::revoke(connection, entry, id.uuid()).await?);
        }
        Operation::TeamRemoved { id } => {
            changed.extend(edges::revoke(connection, entry, id.uuid()).await?);
        }
        what => {
            if let Some(edge) = Edge::ended_by(organization, &what) {
                changed.extend(edges::revoke(connection, entry, edge.id).await?);
            }
        }
    }
    Ok(changed)
}
