//! The second step of a deletion: what an organization has in this database is deleted, in every region.
//!
//! The first step suspends the organization for good (state `deleting`). Its home region then writes `organization.removed`, which deletes
//! its rows wherever it is applied ([`delete_rows`]). Both are entries of the log, so a process that ends between them leaves nothing half
//! done: the next one finds the organization in the state `deleting`. config deletes control planes of such organizations by itself, in each
//! region, once it hears of them here.

use std::time::Duration;

use ids::{OrganizationId, Region};
use mutation::Mutation;
use postgres::{Error, SqlId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::{app, apply::Rows, error::Answer, operation::Operation, system_accounts, tokens};

/// Pause between two looks for organizations to be deleted.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Organizations that one look deletes.
const AT_ONCE: i64 = 16;

/// What only this region has of an organization.
const ROWS_OF_REGION: [&str; 13] = [
    "DELETE FROM resident.mail WHERE organization_id = $1",
    "DELETE FROM resident.audit_client WHERE organization_id = $1",
    "DELETE FROM resident.invite WHERE organization_id = $1",
    "DELETE FROM resident.password_reset WHERE organization_id = $1",
    "DELETE FROM resident.session WHERE organization_id = $1",
    "DELETE FROM regional.token_use WHERE organization_id = $1",
    "DELETE FROM resident.token_name WHERE organization_id = $1",
    "DELETE FROM resident.identity_link WHERE organization_id = $1",
    "DELETE FROM resident.identity_provider WHERE organization_id = $1",
    "DELETE FROM resident.domain WHERE organization_id = $1",
    "DELETE FROM resident.authentication_settings WHERE organization_id = $1",
    "DELETE FROM resident.person WHERE organization_id = $1",
    "DELETE FROM regional.token_name_underway WHERE organization_id = $1",
];

/// Removes the organizations of `region` that are being deleted, until `drain`.
pub async fn run(log: oplog::Log<Rows>, region: Region, drain: CancellationToken) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    pace::every(LOOK_INTERVAL, "organizations are deleted", stop, || once(&log, &region)).await;
    Ok(())
}

/// Removes those that are being deleted now.
pub async fn once(log: &oplog::Log<Rows>, region: &Region) -> Answer<()> {
    for id in store::to_remove(log.db(), region, AT_ONCE).await? {
        let work = app::write(log, Mutation::by_operator(id, "organization.purge"), move |tx| {
            Box::pin(async move {
                // Another process may have done it meanwhile.
                if !store::is_removed(tx.connection(), id).await? {
                    tx.append(Operation::OrganizationRemoved {}).await?;
                    tx.audit(&id.to_string()).await?;
                }
                Ok(())
            })
        });
        work.await?;
    }
    Ok(())
}

/// Applies `organization.removed`: all rows of the organization go, whatever their class.
pub async fn delete_rows(
    connection: &mut PgConnection,
    id: OrganizationId,
    at: OffsetDateTime,
    region: &Region,
) -> Result<(), Error> {
    store::removed(connection, id, at, region).await?;
    system_accounts::store::clear(connection, id).await?;
    tokens::apply::clear(connection, id).await?;
    for statement in ROWS_OF_REGION {
        sqlx::query(statement).bind(SqlId(id)).execute(&mut *connection).await?;
    }
    Ok(())
}
