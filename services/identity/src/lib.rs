//! identity: organizations, people, system accounts and their tokens.
//!
//! People are resident (schema `resident`): they never leave the home region. What every region needs to know a caller
//! by is replicated (schema `replicated`): handlers append [`operation`]s to the log, and [`apply`] makes rows of them, of
//! other regions' operations too. authz learns of principals from this region's log, through [`outbox`].

mod app;
mod apply;
mod arrivals;
mod bootstrap;
mod error;
mod exchange;
mod grpc;
mod operation;
mod organizations;
mod outbox;
mod revocations;
mod sessions;
pub mod settings;
mod signing_keys;
mod system_accounts;
#[cfg(test)]
mod testing;
mod tokens;
#[cfg(test)]
mod upgrade;
mod users;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use access::{Access, RemoteDecisions, unguarded};
pub use bootstrap::{Bootstrap, bootstrap};
use clock::Clock;
pub use error::{Answer, Error};
use ids::Region;
use oplog::Log;
use proto::{
    authz::v1::authz_client::AuthzClient, identity::v1::identity_server::IdentityServer,
    replication::v1::replication_server::ReplicationServer,
};
use replication::Origin;
use seal::SealKey;
use service::{
    Forwarder, Guard, Identity, Process, Weight, api_router, channel, connect_nats, consistency_key,
    nats_is_connected, only_services, with_grpc,
};
use sqlx::migrate::Migrator;
use tonic::service::Routes;
use web::Api;

use crate::{
    app::App, apply::Rows, arrivals::Arrivals, organizations::Directory, sessions::LocalSessions,
    settings::Settings, signing_keys::Opening,
};

pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/identity");

/// Name of the service, in certificates and origins.
pub const SERVICE: &str = "identity";
/// Pause before a start is tried again while the database is away.
const START_RETRY_DELAY: Duration = Duration::from_millis(500);
/// Services that may call this one.
const CALLERS: &[&str] = &["authz", "config"];

/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge identity", guard);
    let api = exchange::endpoints(api);
    let api = organizations::endpoints(api);
    let api = users::endpoints(api);
    let api = system_accounts::http::endpoints(api);
    tokens::http::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).document()?)
}

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    postgres::migrate(&db, &MIGRATIONS).await?;
    oplog::migrate(&db).await
}

/// The operator's decision that a restored database is all there is.
pub async fn accept_restore(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let (log, _) = Log::open(db, Origin::new(SERVICE, &settings.region), Rows, Clock::system());
    service::accept_restore(log.replica()).await
}

pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start(SERVICE, &settings.telemetry)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let seal = SealKey::from_file(&settings.secrets.key_file)?;
    let db = postgres::connect(&settings.database, &settings.tls);
    process.check("database", Weight::Required, postgres::probe(&db));
    let clock = Clock::system();
    let origin = Origin::new(SERVICE, &settings.region);
    let (log, committer) = Log::open(db.clone(), origin, Rows, clock.clone());
    until_database_answers(&log).await;
    process.task("log", committer.run(process.drain.clone()));
    let nats = connect_nats(&settings.nats, &identity, SERVICE).await?;
    process.check("nats", Weight::Shown, nats_is_connected(&nats));
    let (replication, replication_server) = replication_runtime::start(
        &mut process,
        replication_runtime::Options {
            log: log.replica().clone(),
            regions: settings.regions.clone(),
            identity: identity.clone(),
            nats: nats.clone(),
            public: settings.public.clone(),
        },
    )?;

    let authz = channel(&settings.peers.authz, &identity)?;
    let (outbox, sender) = outbox::start(log.replica().clone(), AuthzClient::new(authz.clone()));
    process.task("outbox", sender.run(process.drain.clone()));
    process.task(
        "idempotency sweep",
        mutation::idempotency::sweep(db.clone(), process.drain.clone().cancelled_owned()),
    );
    process.task(
        "announcing revocations",
        revocations::follow(log.clone(), nats.clone(), settings.region.clone(), process.drain.clone()),
    );
    let regions: BTreeSet<Region> = settings.regions.keys().cloned().collect();
    let (keys, opening) = Opening::new(log.clone(), replication.clone(), regions.clone(), seal);
    process.task("signing key", opening.run(process.drain.clone()));

    let arrivals = Arrivals::new(log.replica().clone(), replication.clone(), regions);
    let sessions = Arc::new(LocalSessions {
        log: log.replica().clone(),
        keys: keys.clone(),
        replication: replication.clone(),
        arrivals,
        clock: clock.clone(),
    });
    let key = consistency_key(&settings.consistency)?;
    let access = Access::new(sessions.clone(), Arc::new(RemoteDecisions::new(authz)), key);
    let following = access.clone().follow_revocations(nats.clone(), settings.region.clone());
    process.hint("token revocations", following);

    let region = settings.region.clone();
    let app = App { db, region, log, keys, outbox, replication, nats, clock };
    let internal = IdentityServer::with_interceptor(
        grpc::Internal(sessions),
        only_services(settings.region.as_str(), CALLERS),
    );
    process.grpc(settings.listen.internal, &identity, Routes::new(internal)).await?;
    listen(&mut process, &settings, &identity, app, access, replication_server).await?;
    process.run().await
}

/// Serves the public API, to clients and to the other regions' identity.
async fn listen(
    process: &mut Process,
    settings: &Settings,
    identity: &Identity,
    app: App,
    access: Access,
    replication: ReplicationServer<replication_runtime::Server>,
) -> anyhow::Result<()> {
    let homes = Arc::new(Directory(app.db.clone()));
    let forwarder = Forwarder::new(&settings.region, SERVICE, homes, &settings.regions, identity)?;
    let db = app.db.clone();
    let router = api_router(app, &db, access, Some(forwarder), api);
    let peers = with_grpc(router.clone(), Routes::new(replication));
    process.peers(settings.listen.peers, identity, &settings.regions, SERVICE, peers).await?;
    process.https(settings.listen.api, &settings.api_tls, router).await
}

/// A service is ready once its database has answered.
async fn until_database_answers(log: &Log<Rows>) {
    while let Err(error) = log.replica().read_state().await {
        tracing::warn!(%error, "not started yet; trying again");
        tokio::time::sleep(START_RETRY_DELAY).await;
    }
}
