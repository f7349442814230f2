//! Operations become rows here: this region's own and those of others take one path, in the transaction that stores the
//! operation. Everything is safe to apply twice and, where operations can be concurrent, in any order.

mod digest;

use clock::at_microseconds;
use ids::{OrganizationId, PrincipalId, TokenId};
use oplog::{Apply, ApplyError};
use postgres::{Error, SqlId};
use replication::Entry;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{operation::Operation, organizations, signing_keys, system_accounts, tokens};

/// Replicated tables with rows of an organization.
const TABLES_OF_ORGANIZATION: [&str; 4] = [
    "DELETE FROM replicated.system_account WHERE organization_id = $1",
    "DELETE FROM replicated.token WHERE organization_id = $1",
    "DELETE FROM replicated.revoked_token WHERE organization_id = $1",
    "DELETE FROM replicated.removed WHERE organization_id = $1",
];

/// The replicated rows of identity. The effects of an operation are the sessions that it ended, as a list of ids.
pub struct Rows;

impl Apply for Rows {
    type Operation = Operation;
    type Effects = Vec<TokenId>;

    async fn apply(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<TokenId>, ApplyError> {
        Ok(write(connection, entry, operation).await?)
    }

    /// A tombstone says the same before its turn and in it.
    async fn deny(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<TokenId>, ApplyError> {
        Ok(write(connection, entry, operation).await?)
    }

    async fn clear(&self, connection: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
        if organization == signing_keys::ORGANIZATION {
            sqlx::query("DELETE FROM replicated.signing_key").execute(&mut *connection).await?;
        }
        sqlx::query("DELETE FROM replicated.organization WHERE id = $1")
            .bind(SqlId(organization))
            .execute(&mut *connection)
            .await?;
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
        digest::digest(connection, organization).await
    }
}

/// Writes the rows; answers which sessions have ended by it.
async fn write(
    connection: &mut PgConnection,
    entry: &Entry,
    operation: Operation,
) -> Result<Vec<TokenId>, Error> {
    let (organization, at) = (entry.organization, at_microseconds(entry.at));
    match operation {
        Operation::OrganizationPut(put) => organizations::put(connection, organization, at, &put).await?,
        Operation::SystemAccountPut(put) => system_accounts::put(connection, organization, at, &put).await?,
        Operation::SystemAccountRemoved { id } => {
            return remove(connection, organization, at, id.cast()).await;
        }
        // Decisions read it, in authz.
        Operation::PrincipalPut { .. } => {}
        Operation::PrincipalRemoved { id } => return remove(connection, organization, at, id).await,
        Operation::TokenMinted(minted) => tokens::rows::minted(connection, organization, at, &minted).await?,
        Operation::TokenRevoked { id, .. } => {
            tokens::rows::revoked(connection, organization, at, id).await?;
            return Ok(vec![id]);
        }
        Operation::SigningKeyPut { id, jwk } => signing_keys::put(connection, at, &id, &jwk).await?,
    }
    Ok(Vec::new())
}

/// A principal goes, for ever; answers which sessions have ended by it.
async fn remove(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: PrincipalId,
) -> Result<Vec<TokenId>, Error> {
    system_accounts::removed(connection, organization, id.cast()).await?;
    tokens::rows::principal_removed(connection, organization, at, id).await
}

#[cfg(test)]
mod tests;
