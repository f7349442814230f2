//! config: control planes, their gateway entities, and the nodes that hold them. Everything here is regional.
//!
//! A change goes one way: handler → [committer](entities::committer) → Postgres → [`feed`] → [stream](streams) → node,
//! whose acknowledgement ends in the [`nodes`] registry.

mod app;
mod control_planes;
mod enrolment;
mod entities;
mod error;
mod feed;
mod nodes;
mod rows;
pub mod settings;
mod streams;
#[cfg(test)]
mod upgrade;

use std::sync::Arc;

use access::{Access, RemoteDecisions, RemoteSessions, unguarded};
use proto::authz::v1::authz_client::AuthzClient;
use seal::SealKey;
use service::{
    Guard, Identity, Process, Weight, api_router, channel, connect_nats, consistency_key, nats_is_connected,
};
use sqlx::migrate::Migrator;
use web::Api;

use crate::{
    app::App,
    control_planes::ControlPlanes,
    enrolment::{Enrolment, ca::RegionCa},
    entities::{Entities, Limits, revocations},
    feed::Feed,
    nodes::Nodes,
    settings::Settings,
    streams::Plane,
};

/// The schema of this service's database.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/config");

/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge config", guard);
    let api = control_planes::http::endpoints(api);
    let api = entities::http::endpoints(api);
    let api = nodes::http::endpoints(api);
    let api = nodes::propagation::endpoints(api);
    enrolment::http::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).document()?)
}

/// Brings the database to the newest schema.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    postgres::migrate(&postgres::connect(&settings.database, &settings.tls), &MIGRATIONS).await
}

/// Runs the service until it is told to stop.
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
    let entities = Entities::new(db.clone(), seal, feed.clone(), Limits::default());
    process.task("revocation sweep", revocations::sweep(entities.clone(), process.drain.clone()));
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

    let region = settings.region.clone();
    let endpoint = settings.public.sync_endpoint();
    let authz = AuthzClient::new(authz);
    let public = Arc::new(settings.public.clone());
    let app = App {
        control_planes: ControlPlanes::new(db.clone(), region.clone(), &endpoint, authz, feed.clone()),
        entities,
        nodes: Nodes::new(db.clone(), feed.clone()),
        enrolment: Enrolment::new(db.clone(), region.clone(), public, ca.clone()),
    };
    let plane = Plane::new(db.clone(), feed, ca.clone(), region, process.drain.clone());
    process.grpc_with("sync", settings.listen.sync, ca.server_tls()?, plane.routes()).await?;
    process.https(settings.listen.api, &settings.api_tls, api_router(app, &db, access, None, api)).await?;
    process.run().await
}
