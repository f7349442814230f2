//! authz: who may do what. It owns everything that a decision reads, and all of that is replicated data.
//!
//! * Every write is an operation of this region's log ([`operation`]). It is applied to the rows in the transaction that appends it
//!   ([`apply`]). Operations of other regions arrive by replication and are applied by the same code.
//! * Every process keeps an index of the rows in memory and follows what entries change ([`index`]). Decisions read the index only
//!   ([`decisions`]).
//! * Principals come from identity's log of this region ([`principals`]).
//!
//! Here the parts are put together; no part imports this file.

pub mod app;
pub mod apply;
pub mod assigned_roles;
pub mod check;
pub mod control_planes;
pub mod decisions;
mod error;
pub mod grpc;
pub mod index;
pub mod operation;
pub mod principals;
mod problems;
pub mod regions;
pub mod roles;
pub mod settings;
pub mod teams;
#[cfg(test)]
mod upgrade;

use std::{sync::Arc, time::Duration};

use access::{Access, Decisions, RemoteSessions, unguarded};
pub use app::SERVICE;
use audit_log::{Linking, Place};
use axum::Router;
use clock::Clock;
pub use error::{Answer, Error};
use oplog::Log;
use proto::{authz::v1::authz_server::AuthzServer, identity::v1::identity_client::IdentityClient};
use random::Random;
use replication::Origin;
use service::{
    Forwarder, Guard, Identity, Process, Weight, api_router, channel, connect_nats, consistency_key,
    keep_audit_log, log_keyring, log_signer, nats_is_connected, only_callers, own_log_keys, show_verified,
    with_grpc,
};
use sqlx::migrate::Migrator;
use tonic::service::Routes;
use web::Api;

use crate::{
    app::App,
    apply::Rows,
    check::Known,
    decisions::{Decider, LocalDecisions},
    index::LiveIndex,
    settings::Settings,
};

/// The migrations of authz's database. Those of the log (`oplog::MIGRATIONS`) come after them.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/authz");

/// Pause before a start is tried again while the database is away.
const START_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge authz", guard);
    let api = roles::http::endpoints(api);
    let api = teams::http::endpoints(api);
    let api = assigned_roles::http::endpoints(api);
    let api = regions::http::endpoints(api);
    check::http::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).document()?)
}

/// The public API as it is served: every endpoint behind the guard. `forwarder` takes requests to an organization's home region;
/// without one, every request is served here.
pub fn router(app: App, access: Access, forwarder: Option<Forwarder>) -> Router {
    let db = app.db.clone();
    api_router(app, &db, access, forwarder, api)
}

/// Brings the database to the newest schema.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    postgres::migrate(&db, &MIGRATIONS).await?;
    oplog::migrate(&db).await
}

/// The operator's decision after a restore: writes go on from what the database holds, though no other region has confirmed that it
/// lacks nothing.
pub async fn accept_restore(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let (origin, signer) = (Origin::new(SERVICE, &settings.region), log_signer(&settings.log)?);
    let (log, _) = Log::open(db, origin, Rows, Clock::system(), signer);
    service::accept_restore(log.replica()).await
}

/// Verifies the audit log in the service's database, and says so on standard output.
pub async fn verify_audit(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let place = Place { service: SERVICE, region: settings.region.clone() };
    let keys = own_log_keys(&settings.log)?;
    show_verified(audit_log::verify_database(&db, &place, &keys, false).await?)
}

/// Runs the service until the process is told to stop.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start(SERVICE, &settings.telemetry, &settings.connections)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let db = postgres::connect(&settings.database, &settings.tls);
    process.check("database", Weight::Required, postgres::probe(&db));
    let (clock, random) = (Clock::system(), Random::system());
    let nats = connect_nats(&settings.nats, &identity, (SERVICE, &settings.region), random.clone()).await?;
    process.check("nats", Weight::Shown, nats_is_connected(&nats));

    let origin = Origin::new(SERVICE, &settings.region);
    let (log, committer) = Log::open(db.clone(), origin, Rows, clock.clone(), log_signer(&settings.log)?);
    let (index, follower) = open_index(&log).await;
    process.task("committer", committer.run(process.drain.clone()));
    process.task("index", follower.run(process.drain.clone()));
    let (checked, committed) = (index.clone(), log.replica().watch_applied());
    process.check("index", Weight::Required, move || {
        let (index, committed) = (checked.clone(), committed.borrow().of_service(SERVICE));
        async move {
            index.reach(&committed).await;
            Ok(())
        }
    });
    let stop = process.drain.clone().cancelled_owned();
    process.task("idempotency sweep", mutation::idempotency::sweep(db.clone(), stop));
    let stop = process.drain.clone().cancelled_owned();
    process.task("session sweep", principals::sweep_sessions(log.clone(), clock.clone(), stop));
    let (replication, replicated) = replication_runtime::start(
        &mut process,
        replication_runtime::Options {
            log: log.replica().clone(),
            keys: log_keyring(SERVICE, &settings.region, &settings.log, &settings.regions)?,
            regions: settings.regions.clone(),
            identity: identity.clone(),
            nats: nats.clone(),
            public: settings.public.clone(),
            clock: clock.clone(),
            random,
        },
    )?;

    let peer = channel(&settings.peers.identity, &identity)?;
    let key = consistency_key(&settings.consistency)?;
    let app = App {
        db,
        region: settings.region.clone(),
        log,
        decider: Decider::new(index, replication),
        known: Known::default(),
        identity: IdentityClient::new(peer.clone()),
        key: key.clone(),
        clock,
    };
    let decisions: Arc<dyn Decisions> = Arc::new(LocalDecisions(app.clone()));
    let place = Place { service: SERVICE, region: settings.region.clone() };
    let linking = Linking {
        db: app.db.clone(),
        place: place.clone(),
        signer: app.log.replica().shared_signer(),
        keys: own_log_keys(&settings.log)?,
        keeps_clients: false,
    };
    let reporter = keep_audit_log(&mut process, linking, settings.audit);
    let access = Access::new(Arc::new(RemoteSessions::new(peer)), decisions, key, &settings.rates);
    let access = access.reporting(reporter);
    let following = access.clone().follow_revocations(nats, settings.region.clone());
    process.hint("token revocations", following);

    let audit = audit_log::Server { db: app.db.clone(), place, keeps_clients: false };
    let internal = Routes::new(AuthzServer::new(grpc::Internal(app.clone()))).add_service(audit.server());
    let internal = only_callers(&settings.region, grpc::CALLERS, internal);
    process.internal(settings.listen.internal, &identity, internal).await?;
    let homes = Arc::new(app.clone());
    let forwarder = Forwarder::new(&settings.region, SERVICE, homes, &settings.regions, &identity)?;
    let router = router(app, access, Some(forwarder));
    let Settings { listen, api_tls, region, .. } = &settings;
    process.https(listen.api, api_tls, &identity, region, router.clone()).await?;
    let router = with_grpc(router, Routes::new(replicated));
    process.peers(settings.listen.peers, &identity, &settings.regions, SERVICE, router).await?;
    process.run().await
}

/// Waits until the database answers and the index holds what it says.
async fn open_index(log: &Log<Rows>) -> (LiveIndex, index::IndexFollower) {
    loop {
        match index::open(log).await {
            Ok(opened) => return opened,
            Err(error) => tracing::warn!(error = format!("{error:#}"), "not started yet; trying again"),
        }
        tokio::time::sleep(START_RETRY_DELAY).await;
    }
}
