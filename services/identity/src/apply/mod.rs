//! Turns operations into rows: this region's own and those of other regions alike, in the transaction that stores the entry.
//! An entry may be applied twice and, where entries can be concurrent, in any order; the rows end equal.

mod digest;

use clock::at_microseconds;
use ids::{OrganizationId, PrincipalId, Region, TokenId};
use oplog::{Apply, ApplyError};
use postgres::Error;
use replication::Entry;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    operation::Operation,
    organizations,
    revocations::ANY,
    signing_keys, system_accounts,
    tenant::Tenant,
    tokens::{self, names::Prints},
};

/// The replicated rows of identity. The effects of an entry are the ids of the access tokens whose sessions it ended;
/// [`ANY`] among them says that any session may be worth something else now.
pub struct Rows {
    /// The region of this database: the names of tokens are kept where it is an organization's home.
    pub region: Region,
    /// Makes fingerprints of names that stand in clear in entries of earlier releases.
    pub prints: Prints,
}

impl Apply for Rows {
    type Operation = Operation;
    type Effects = Vec<TokenId>;

    async fn apply(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<TokenId>, ApplyError> {
        Ok(self.write(connection, entry, operation).await?)
    }

    /// A revocation writes a tombstone, which says the same before the entry's turn and in it.
    async fn deny(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<TokenId>, ApplyError> {
        Ok(self.write(connection, entry, operation).await?)
    }

    async fn clear(&self, connection: &mut PgConnection, stored: OrganizationId) -> Result<(), Error> {
        match Tenant::of_stored(stored) {
            Tenant::Organization(id) => {
                organizations::store::clear(connection, id).await?;
                system_accounts::store::clear(connection, id).await?;
                tokens::apply::clear(connection, id).await
            }
            Tenant::Deployment => {
                // The platform operator's.
                tokens::apply::clear(connection, stored).await?;
                signing_keys::store::clear(connection).await
            }
        }
    }

    async fn digest(&self, connection: &mut PgConnection, stored: OrganizationId) -> Result<[u8; 32], Error> {
        digest::digest(connection, Tenant::of_stored(stored)).await
    }
}

impl Rows {
    /// Writes the rows; answers the tokens whose sessions have ended by it.
    async fn write(
        &self,
        connection: &mut PgConnection,
        entry: &Entry,
        operation: Operation,
    ) -> Result<Vec<TokenId>, Error> {
        let (organization, at) = (entry.organization, at_microseconds(entry.at));
        let is_of_directory =
            matches!(operation, Operation::OrganizationPut(_) | Operation::OrganizationRemoved {});
        // Written before its author heard of the organization's end.
        if !is_of_directory && organizations::store::is_removed(connection, organization).await? {
            return Ok(Vec::new());
        }
        match operation {
            Operation::OrganizationPut(put) => {
                let changed = organizations::store::put(connection, organization, at, &put).await?;
                return Ok(if changed { vec![ANY] } else { Vec::new() });
            }
            Operation::OrganizationRemoved {} => {
                let home = entry.origin.region();
                organizations::purge::delete_rows(connection, organization, at, home).await?;
                return Ok(vec![ANY]);
            }
            Operation::SystemAccountPut(put) => {
                system_accounts::store::put(connection, organization, at, &put).await?;
            }
            Operation::SystemAccountRemoved { id } => {
                return remove(connection, organization, at, id.cast()).await;
            }
            // Only authz reads it.
            Operation::PrincipalPut { .. } => {}
            Operation::PrincipalRemoved { id } => return remove(connection, organization, at, id).await,
            Operation::TokenMinted(minted) => {
                return tokens::apply::minted(connection, organization, at, &minted, self).await;
            }
            Operation::TokenRenamed { id, name } => {
                tokens::apply::renamed(connection, organization, at, id, &name).await?;
            }
            Operation::TokenRevoked { id, .. } => {
                return tokens::apply::revoked(connection, organization, at, id).await;
            }
            Operation::SigningKeyPut { id, jwk } => {
                signing_keys::store::put(connection, at, &id, &jwk).await?
            }
        }
        Ok(Vec::new())
    }
}

/// Removes a principal for ever; answers the tokens whose sessions have ended by it.
async fn remove(
    connection: &mut PgConnection,
    organization: OrganizationId,
    at: OffsetDateTime,
    id: PrincipalId,
) -> Result<Vec<TokenId>, Error> {
    system_accounts::store::removed(connection, organization, id.cast()).await?;
    tokens::apply::principal_removed(connection, organization, at, id).await
}
