//! What the handlers of authz share.

use std::time::Duration;

use access::{Caller, TokenKey};
use axum::extract::FromRef;
use clock::Clock;
use futures::future::BoxFuture;
use ids::{OrganizationId, Region, ServiceName};
use mutation::{LoggedTx, Mutation};
use oplog::Log;
use postgres::SqlId;
use proto::identity::v1::identity_client::IdentityClient;
use service::Homes;
use sqlx::PgPool;
use telemetry::TracedChannel;
use tokio::time::{Instant, timeout_at};
use web::Problem;

use crate::{Answer, Error, apply::Rows, check::Known, decisions::Decider};

/// Name of the service, in certificates and origins.
pub const SERVICE: ServiceName = ServiceName::Authz;

/// Longest wait for the record of an organization.
const ARRIVAL_WAIT: Duration = Duration::from_secs(1);

/// The log's transaction, as handlers have it.
pub type Tx<'t> = LoggedTx<'t, Rows>;

/// What handlers share. Cheap to clone. A handler that needs one part takes that part as its state.
#[derive(Clone, FromRef)]
pub struct App {
    /// authz's database in this region.
    pub db: PgPool,
    /// The region that this process is part of.
    pub region: Region,
    /// The log that this process writes.
    pub log: Log<Rows>,
    /// Answers who may do what.
    pub decider: Decider,
    /// The control planes that questions are about.
    pub known: Known,
    /// A client of the region's identity.
    pub identity: IdentityClient<TracedChannel>,
    /// Seals consistency tokens.
    pub key: TokenKey,
    /// The time of day.
    pub clock: Clock,
}

impl App {
    /// Makes a write of replicated data. `work` runs in the next group commit of the log. What it did is kept if it succeeds, and
    /// nothing of it if it fails.
    pub async fn write<T: Send + 'static>(
        &self,
        mutation: Mutation,
        work: impl for<'w, 't> FnOnce(&'w mut Tx<'t>) -> BoxFuture<'w, Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        mutation.write_log(&self.log, work).await
    }

    /// Waits until decisions of this replica see what `caller` has written; no longer than two seconds.
    pub async fn wait_visible_to(&self, caller: &Caller) {
        self.decider.index.wait_visible(&caller.seen().of_service(SERVICE)).await;
    }

    /// The home region of `organization`. A new organization's record may be on its way from identity: it is waited for, at most
    /// a second; then [`Error::OrganizationNotArrived`].
    pub async fn home_of(&self, organization: OrganizationId) -> Answer<Region> {
        let mut applied = self.log.replica().watch_applied();
        let deadline = Instant::now() + ARRIVAL_WAIT;
        loop {
            applied.mark_unchanged();
            if let Some(home) = find_home(&self.db, organization).await? {
                return Ok(home);
            }
            if !matches!(timeout_at(deadline, applied.changed()).await, Ok(Ok(()))) {
                return Err(Error::OrganizationNotArrived);
            }
        }
    }
}

async fn find_home(db: &PgPool, organization: OrganizationId) -> Result<Option<Region>, postgres::Error> {
    let home: Option<(String,)> =
        sqlx::query_as("SELECT home_region FROM replicated.organization WHERE id = $1")
            .bind(SqlId(organization))
            .fetch_optional(db)
            .await?;
    home.map(|(home,)| home.parse().map_err(postgres::Error::undecodable)).transpose()
}

impl Homes for App {
    fn home(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Region, Problem>> {
        Box::pin(async move { Ok(self.home_of(organization).await?) })
    }
}
