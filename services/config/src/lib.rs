//! config: control planes, their gateway entities, and the nodes that hold them. Everything here is regional.
//!
//! A change goes one way: handler → [`entities::committer`] → Postgres → [`feed`] → [`sync`](sync_service) stream → node,
//! whose acknowledgement ends in the [`nodes`] registry.

mod control_planes;
mod enrolment;
mod entities;
mod feed;
mod nodes;
mod propagation;
pub mod settings;
#[path = "sync/mod.rs"]
mod sync_service;
#[cfg(test)]
mod upgrade;

use std::sync::Arc;

use ::settings::sections::Public;
use access::{Access, RemoteDecisions, RemoteSessions, unguarded};
use axum::extract::FromRef;
use ids::Region;
use proto::authz::v1::authz_client::AuthzClient;
use seal::SealKey;
use service::{
    Guard, Identity, Process, Weight, api_router, channel, connect_nats, consistency_key, nats_is_connected,
};
use sqlx::{PgPool, migrate::Migrator};
use telemetry::TracedChannel;
use web::Api;

use crate::{
    enrolment::ca::RegionCa,
    entities::{committer::Committers, revocations},
    feed::Feed,
    settings::Settings,
};

pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/config");

/// What handlers share.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub db: PgPool,
    pub region: Region,
    pub public: Arc<Public>,
    pub authz: AuthzClient<TracedChannel>,
    pub committers: Committers,
    pub feed: Feed,
    pub seal: SealKey,
    pub ca: Arc<RegionCa>,
}

/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge config", guard);
    let api = control_planes::http::endpoints(api);
    let api = entities::http::endpoints(api);
    let api = nodes::http::endpoints(api);
    let api = propagation::endpoints(api);
    enrolment::http::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).document()?)
}

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    postgres::migrate(&postgres::connect(&settings.database, &settings.tls), &MIGRATIONS).await
}

pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start("config", &settings.telemetry)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let seal = SealKey::from_file(&settings.secrets.key_file)?;
    let ca = Arc::new(RegionCa::load(&settings.region_ca, &settings.region)?);
    let db = postgres::connect(&settings.database, &settings.tls);
    process.check("database", Weight::Required, postgres::probe(&db));
    let nats = connect_nats(&settings.nats, &identity, "config").await?;
    process.check("nats", Weight::Shown, nats_is_connected(&nats));

    let feed = Feed::new(db.clone(), nats.clone(), settings.region.clone());
    process.task("feed", feed.clone().run(process.drain.clone()));
    let committers = Committers::new(db.clone(), seal.clone(), feed.clone());
    process
        .task("revocation sweep", revocations::sweep(db.clone(), committers.clone(), process.drain.clone()));
    process.task("node sweep", nodes::sweep::run(db.clone(), process.drain.clone()));
    process.task(
        "idempotency sweep",
        mutation::idempotency::sweep(db.clone(), process.drain.clone().cancelled_owned()),
    );

    let authz = channel(&settings.peers.authz, &identity)?;
    let sessions = Arc::new(RemoteSessions::new(channel(&settings.peers.identity, &identity)?));
    let decisions = Arc::new(RemoteDecisions::new(authz.clone()));
    let access = Access::new(sessions, decisions, consistency_key(&settings.consistency)?);
    process.hint("token revocations", access.clone().follow_revocations(nats, settings.region.clone()));

    let app = App {
        db,
        region: settings.region.clone(),
        public: Arc::new(settings.public.clone()),
        authz: AuthzClient::new(authz),
        committers,
        feed,
        seal,
        ca,
    };
    let plane = sync_service::Plane::new(&app, process.drain.clone());
    process.grpc_with("sync", settings.listen.sync, app.ca.server_tls()?, plane.routes()).await?;
    process
        .https(settings.listen.api, &settings.api_tls, api_router(app.clone(), &app.db, access, None, api))
        .await?;
    process.run().await
}
