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
use futures::future::BoxFuture;
use ids::OrganizationId;
use postgres::{Apply, ApplyError, Effects, Error, SqlId};
use replication::Operation as Logged;
use sqlx::PgConnection;

use self::edges::Edge;
use crate::operation::Operation;

/// Applies operations to authz's rows.
pub struct Rows;

impl Apply for Rows {
    fn apply<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        operation: &'a Logged,
    ) -> BoxFuture<'a, Result<Effects, ApplyError>> {
        Box::pin(async move {
            let what = read(operation)?;
            effects(&apply(connection, operation, what).await?)
        })
    }

    fn revokes(&self, operation: &Logged) -> bool {
        read(operation).is_ok_and(|what| match what {
            Operation::PrincipalPut { active, .. } => !active,
            Operation::PrincipalRemoved { .. }
            | Operation::SessionRevoked { .. }
            | Operation::TeamRemoved { .. }
            | Operation::MemberRemoved { .. }
            | Operation::AssignmentRemoved { .. } => true,
            _ => false,
        })
    }

    fn deny<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        operation: &'a Logged,
    ) -> BoxFuture<'a, Result<Effects, ApplyError>> {
        Box::pin(async move {
            let what = read(operation)?;
            let denied = match Edge::ended_by(operation.organization, &what) {
                Some(edge) => edges::delete(connection, operation.organization, &[edge]).await?,
                None => records::apply(connection, operation, &what).await?,
            };
            effects(&denied)
        })
    }

    fn clear<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            // Revoked sessions stay: forgetting one would let it in again, and nothing brings it back wrongly.
            const TABLES: [&str; 7] = [
                "DELETE FROM replicated.organization WHERE id = $1",
                "DELETE FROM replicated.principal WHERE organization_id = $1",
                "DELETE FROM replicated.team WHERE organization_id = $1",
                "DELETE FROM replicated.membership WHERE organization_id = $1",
                "DELETE FROM replicated.assignment WHERE organization_id = $1",
                "DELETE FROM replicated.edge_grant WHERE organization_id = $1",
                "DELETE FROM replicated.revocation WHERE organization_id = $1",
            ];
            for statement in TABLES {
                sqlx::query(statement).bind(SqlId(organization)).execute(&mut *connection).await?;
            }
            let removed = "DELETE FROM replicated.removed WHERE organization_id = $1";
            sqlx::query(removed).bind(SqlId(organization)).execute(connection).await?;
            Ok(())
        })
    }

    fn digest<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        organization: OrganizationId,
    ) -> BoxFuture<'a, Result<[u8; 32], Error>> {
        Box::pin(digest::of(connection, organization))
    }
}

fn read(operation: &Logged) -> Result<Operation, ApplyError> {
    let what = Operation::read(&operation.kind, &operation.body);
    let what = what.map_err(|error| ApplyError::Unreadable(error.to_string()))?;
    if let Operation::AssignmentPut { role, .. } = &what {
        // A role of a later release: the index could not take it.
        role.parse().map_err(|error| ApplyError::Unreadable(error.to_string()))?;
    }
    Ok(what)
}

fn effects(effects: &[Operation]) -> Result<Effects, ApplyError> {
    serde_json::to_string(effects).map_err(|error| sqlx::Error::Encode(error.into()).into())
}

/// Changes the rows; answers what changed.
async fn apply(
    connection: &mut PgConnection,
    operation: &Logged,
    what: Operation,
) -> Result<Vec<Operation>, ApplyError> {
    let organization = operation.organization;
    let mut changed = match Edge::granted_by(organization, &what) {
        Some(edge) => return edges::grant(connection, operation, edge, what).await,
        None => records::apply(connection, operation, &what).await?,
    };
    match what {
        // Active or not is the history of an edge too: what somebody grants while being deactivated elsewhere is void.
        Operation::PrincipalPut { id, active: true, .. } => {
            edges::note_grant(connection, operation, id.uuid()).await?;
        }
        Operation::PrincipalPut { id, active: false, .. } | Operation::PrincipalRemoved { id } => {
            changed.extend(edges::revoke(connection, operation, id.uuid()).await?);
        }
        Operation::SessionRevoked { id, .. } => {
            changed.extend(edges::revoke(connection, operation, id.uuid()).await?);
        }
        Operation::TeamRemoved { id } => {
            changed.extend(edges::revoke(connection, operation, id.uuid()).await?);
        }
        what => {
            if let Some(edge) = Edge::ended_by(organization, &what) {
                changed.extend(edges::revoke(connection, operation, edge.id).await?);
            }
        }
    }
    Ok(changed)
}
