//! authz: who may do what. Owns all that a decision reads; everything here is of the replicated class.
//!
//! Rows in Postgres are the truth; each write also appends to this origin's log, and every replica's index follows that
//! log, its own writes included. Decisions read the index alone. Principals come from identity's log.

mod assigned_roles;
mod check;
mod grpc;
mod index;
mod operation;
mod principals;
mod roles;
pub mod settings;
mod teams;

use std::{sync::Arc, time::Duration};

use access::{Access, Decisions, RemoteSessions, unguarded};
use axum::extract::FromRef;
use ids::Region;
use proto::authz::v1::authz_server::AuthzServer;
use service::{Guard, Identity, Process, api_router, channel, connect_nats, only_services};
use sqlx::{PgPool, migrate::Migrator};
use tonic::service::Routes;
use web::Api;

use crate::{index::LiveIndex, settings::Settings};

pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/authz");

/// Pause before a start is tried again while the database is away.
const START_RETRY_DELAY: Duration = Duration::from_millis(500);
/// Services that may call this one.
const CALLERS: &[&str] = &["identity", "config"];

/// What handlers share.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub db: PgPool,
    pub region: Region,
    pub index: LiveIndex,
}

/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge authz", guard);
    let api = roles::endpoints(api);
    let api = teams::http::endpoints(api);
    let api = assigned_roles::http::endpoints(api);
    check::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).openapi().to_pretty_json()? + "\n")
}

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    postgres::migrate(&postgres::connect(&settings.database, &settings.tls), &MIGRATIONS).await
}

pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start("authz", &settings.telemetry)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let db = postgres::connect(&settings.database, &settings.tls);
    let nats = connect_nats(&settings.nats, &identity, "authz").await?;

    let (index, follower) = open_index(&db).await;
    process.task("index", follower.run(process.drain.clone()));
    process.task(
        "idempotency sweep",
        postgres::idempotency::sweep(db.clone(), process.drain.clone().cancelled_owned()),
    );

    process.task(
        "session sweep",
        principals::sweep_sessions(db.clone(), process.drain.clone().cancelled_owned()),
    );

    let app = App { db, region: settings.region.clone(), index };
    let sessions = Arc::new(RemoteSessions::new(channel(&settings.peers.identity, &identity)?));
    let decisions: Arc<dyn Decisions> = Arc::new(check::LocalDecisions(app.clone()));
    let access = Access::new(sessions, decisions);
    let following = access.clone().follow_revocations(nats, settings.region.clone());
    process.hint("token revocations", following);

    let internal = AuthzServer::with_interceptor(
        grpc::Internal(app.clone()),
        only_services(settings.region.as_str(), CALLERS),
    );
    process.grpc(settings.listen.internal, &identity, Routes::new(internal)).await?;
    process
        .https(settings.listen.api, &settings.api_tls, api_router(app.clone(), &app.db, access, api))
        .await?;
    process.run().await
}

/// Waits until the database answers and the index holds what it says.
async fn open_index(db: &PgPool) -> (LiveIndex, index::Follower) {
    loop {
        match index::open(db).await {
            Ok(opened) => return opened,
            Err(error) => tracing::warn!(error = format!("{error:#}"), "not started yet; trying again"),
        }
        tokio::time::sleep(START_RETRY_DELAY).await;
    }
}
