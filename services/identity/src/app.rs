//! What the handlers of identity share.

use std::{sync::Arc, time::Duration};

use access::{Reporter, SEALED_TOKENS_GENERATION, TokenFormat, Unavailable};
use clock::Clock;
use futures::future::BoxFuture;
use ids::{Region, ServiceName};
use mutation::{LoggedTx, Mutation};
use oplog::Log;
use proto::authz::v1::authz_client::AuthzClient;
use random::Random;
use replication_runtime::{Fenced, Replication};
use seal::SealKey;
use sqlx::PgPool;
use telemetry::TracedChannel;
use tokio::sync::Notify;

use crate::{
    apply::Rows,
    console::origins::Origins,
    domains::Dns,
    error::Answer,
    mail::MailQueue,
    outbox::Outbox,
    passwords::Hasher,
    revocations::Announcer,
    signing_keys::SigningKeys,
    single_sign_on::SingleSignOn,
    tokens::{Maker, names::Prints},
};

/// The name of the service, in certificates and in the names of logs.
pub const SERVICE: ServiceName = ServiceName::Identity;

/// Longest wait for what other regions have announced, before something is called absent.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// A transaction of this region's log, as handlers have it.
pub type Tx<'t> = LoggedTx<'t, Rows>;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The service's database.
    pub db: PgPool,
    /// The region of this service.
    pub region: Region,
    /// This region's log.
    pub log: Log<Rows>,
    /// Writes the texts of access tokens.
    pub tokens: TokenFormat,
    /// Most tokens of one principal that are neither revoked nor expired.
    pub tokens_max: usize,
    /// Makes fingerprints of what people call their tokens.
    pub prints: Prints,
    /// Seals what people call their tokens, on its way home.
    pub seal: SealKey,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Takes mail to people.
    pub mail: MailQueue,
    /// Where the console's pages come from.
    pub origins: Origins,
    /// Signs people on by identity providers.
    pub single_sign_on: SingleSignOn,
    /// Asks DNS whether domains are their organizations'.
    pub dns: Dns,
    /// The region's authz, which writes memberships.
    pub authz: AuthzClient<TracedChannel>,
    /// Told when such a name was written.
    pub names: Arc<Notify>,
    /// Signs short-lived tokens.
    pub keys: SigningKeys,
    /// Knows how far authz has applied this region's log.
    pub outbox: Outbox,
    /// Knows what other regions have announced.
    pub replication: Replication,
    /// Tells the audit log of what is written nowhere else.
    pub reporter: Reporter,
    /// Tells the region's services which sessions have ended.
    pub announcer: Announcer,
    /// The time of day.
    pub clock: Clock,
    /// Where ids and secrets come from.
    pub random: Random,
}

impl App {
    /// What makes access tokens here and now.
    pub fn maker(&self) -> Maker {
        Maker {
            region: self.region.clone(),
            random: self.random.clone(),
            format: self.tokens.clone(),
            seals: self.replication.all_read(SEALED_TOKENS_GENERATION),
            prints: self.prints.clone(),
            seal: self.seal.clone(),
            per_principal_max: self.tokens_max,
        }
    }

    /// Runs `work` in the next group commit of the log: see [`write()`].
    pub async fn write<T: Send + 'static>(
        &self,
        mutation: Mutation,
        work: impl for<'w, 't> FnOnce(&'w mut Tx<'t>) -> BoxFuture<'w, Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        write(&self.log, mutation, work).await
    }

    /// Waits until this region has applied all operations that other regions have announced by now, at most one second. To
    /// be called before something is called absent: it may be on its way. An error if the operations do not arrive in time, and
    /// while the region's database may have forgotten some.
    pub async fn settle(&self) -> Answer<()> {
        let announced = self.replication.needed_to_deny().await.map_err(|Fenced| Unavailable::Unconfirmed)?;
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
