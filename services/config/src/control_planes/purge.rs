//! Deletes the control planes of organizations that are being deleted. Identity knows which those are, in every region, once it has heard
//! of it; so each region's config asks its own identity. The streams of their nodes end as with any control plane that is deleted. A process
//! that ends in between leaves the rest to the next look.

use std::time::Duration;

use ids::{ControlPlaneId, OrganizationId, kinds};
use mutation::Mutation;
use postgres::SqlId;
use proto::identity::v1::{EndingOrganizationsRequest, identity_client::IdentityClient};
use sqlx::PgPool;
use telemetry::TracedChannel;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{ControlPlaneError, store};
use crate::{feed::Feed, rows::RowError};

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// Organizations that one question is about. Identity answers no more.
const ASKED_MAX: i64 = 1000;
/// Control planes of an organization that are looked for at once; each is deleted in a transaction of its own.
const AT_ONCE: i64 = 16;

/// Control planes of organizations that are being deleted are not deleted yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Rows(#[from] RowError),
    /// The write failed.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// Identity could not be asked, or has answered something else.
    #[error("identity did not say which organizations are being deleted: {0}")]
    NotTold(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Rows(error.into())
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::NotTold(status.to_string())
    }
}

/// Looks every five seconds, until `drain`.
pub async fn run(
    db: PgPool,
    feed: Feed,
    identity: IdentityClient<TracedChannel>,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    let look = || once(&db, &feed, &identity);
    pace::every(INTERVAL, "control planes of deleted organizations are deleted", stop, look).await;
    Ok(())
}

/// Looks once at all organizations that have control planes here.
async fn once(db: &PgPool, feed: &Feed, identity: &IdentityClient<TracedChannel>) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page: Vec<(SqlId<kinds::Organization>,)> = sqlx::query_as(
            "SELECT DISTINCT organization_id FROM regional.control_plane
             WHERE $1::uuid IS NULL OR organization_id > $1 ORDER BY organization_id LIMIT $2",
        )
        .bind(after.map(SqlId))
        .bind(ASKED_MAX)
        .fetch_all(db)
        .await?;
        let page: Vec<OrganizationId> = page.into_iter().map(|(id,)| id.into()).collect();
        let Some(last) = page.last().copied() else { return Ok(()) };
        after = Some(last);
        let asked =
            EndingOrganizationsRequest { organizations: page.iter().map(ToString::to_string).collect() };
        let told = identity.clone().ending_organizations(asked).await?.into_inner();
        for id in told.organizations {
            let id = id.parse().map_err(|_| Error::NotTold("an id cannot be read".to_owned()))?;
            delete_of(db, feed, id).await?;
        }
    }
}

/// Deletes all control planes that `organization` has here.
pub async fn delete_of(db: &PgPool, feed: &Feed, organization: OrganizationId) -> Result<(), Error> {
    loop {
        let found: Vec<(SqlId<kinds::ControlPlane>,)> = sqlx::query_as(
            "SELECT id FROM regional.control_plane WHERE organization_id = $1 ORDER BY id LIMIT $2",
        )
        .bind(SqlId(organization))
        .bind(AT_ONCE)
        .fetch_all(db)
        .await?;
        if found.is_empty() {
            return Ok(());
        }
        for (id,) in found {
            let id = ControlPlaneId::from(id);
            let mut write = Mutation::by_operator(organization, "control-plane.purge").begin(db).await?;
            match store::delete(write.connection(), id).await {
                Ok(()) => write.commit(&id.to_string()).await?,
                // Another process did it.
                Err(ControlPlaneError::NotFound | ControlPlaneError::NameTaken) => {}
                Err(ControlPlaneError::Rows(error)) => return Err(error.into()),
            }
            feed.notice(id).await;
        }
    }
}
