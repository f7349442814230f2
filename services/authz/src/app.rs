//! What the handlers of authz share.

use access::{Caller, TokenKey};
use axum::extract::FromRef;
use clock::Clock;
use futures::future::BoxFuture;
use ids::Region;
use mutation::{LoggedTx, Mutation};
use oplog::Log;
use proto::identity::v1::identity_client::IdentityClient;
use replication_runtime::Replication;
use sqlx::PgPool;
use telemetry::TracedChannel;

use crate::{Answer, SERVICE, apply::Rows, index::LiveIndex};

/// The log's transaction, as handlers have it.
pub type Tx<'t> = LoggedTx<'t, Rows>;

/// What handlers share. Cheap to clone.
#[derive(Clone, FromRef)]
pub struct App {
    pub db: PgPool,
    pub region: Region,
    pub log: Log<Rows>,
    pub index: LiveIndex,
    pub replication: Replication,
    pub identity: IdentityClient<TracedChannel>,
    pub key: TokenKey,
    pub clock: Clock,
}

impl App {
    /// Makes a write of what is replicated. `work` runs in the next group commit of the log; what it did is kept if it succeeds,
    /// and nothing of it if it fails.
    pub async fn write<T: Send + 'static>(
        &self,
        mutation: Mutation,
        work: impl for<'w, 't> FnOnce(&'w mut Tx<'t>) -> BoxFuture<'w, Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        mutation.write_log(&self.log, work).await
    }

    /// Waits until decisions of this replica see what `caller` has written; no longer than two seconds.
    pub async fn wait_visible_to(&self, caller: &Caller) {
        self.index.wait_visible(&caller.seen().of_service(SERVICE)).await;
    }
}
