//! What the handlers of identity share.

use access::Unavailable;
use axum::extract::FromRef;
use clock::Clock;
use futures::future::BoxFuture;
use ids::Region;
use mutation::{LoggedTx, Mutation};
use oplog::Log;
use replication_runtime::Replication;
use sqlx::PgPool;
use std::time::Duration;

use crate::{Answer, apply::Rows, outbox::Outbox, signing_keys::SigningKeys};

/// Longest wait before something is called absent.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// The log's transaction, as handlers have it.
pub type Tx<'t> = LoggedTx<'t, Rows>;

/// What handlers share. Cheap to clone.
#[derive(Clone, FromRef)]
pub struct App {
    pub db: PgPool,
    pub region: Region,
    pub log: Log<Rows>,
    pub keys: SigningKeys,
    pub outbox: Outbox,
    pub replication: Replication,
    pub nats: async_nats::Client,
    pub clock: Clock,
}

impl App {
    /// Makes a write of what is replicated: see [`write()`].
    pub async fn write<T: Send + 'static>(
        &self,
        mutation: Mutation,
        work: impl for<'w, 't> FnOnce(&'w mut Tx<'t>) -> BoxFuture<'w, Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        write(&self.log, mutation, work).await
    }

    /// Goes on once this region has applied everything that other regions have announced: before something is called absent.
    pub async fn settle(&self) -> Answer<()> {
        let announced = self.replication.tips();
        let applied = self.log.replica().watch_applied();
        let settled = self.replication.reach(&announced, applied, SETTLE_MAX).await;
        Ok(settled.map_err(Unavailable::not_yet)?)
    }
}

/// Runs `work` in the next group commit of the log. What it did is kept if it succeeds, and nothing of it if it fails.
pub async fn write<T: Send + 'static>(
    log: &Log<Rows>,
    mutation: Mutation,
    work: impl for<'w, 't> FnOnce(&'w mut Tx<'t>) -> BoxFuture<'w, Answer<T>> + Send + 'static,
) -> Answer<T> {
    mutation.write_log(log, work).await
}
