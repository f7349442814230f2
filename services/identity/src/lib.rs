//! identity: organizations, people, system accounts and their tokens.
//!
//! People are resident (schema `resident`): they never leave the home region. What every region needs to know a caller
//! by is replicated (schema `replicated`). authz learns of principals from this service's log, through [`relay`].

mod bootstrap;
mod exchange;
mod organizations;
mod relay;
mod sessions;
pub mod settings;
mod signing_keys;
mod system_accounts;
mod tokens;
mod users;

use std::{sync::Arc, time::Duration};

use ::settings::sections::Tls;
use access::{Access, RemoteDecisions, unguarded};
use axum::extract::FromRef;
pub use bootstrap::{Bootstrap, bootstrap};
use ids::Region;
use postgres::seal::SealKey;
use proto::{authz::v1::authz_client::AuthzClient, identity::v1::identity_server::IdentityServer};
use service::{Guard, Identity, Process, api_router, channel, connect_nats, only_services};
use sqlx::{PgPool, migrate::Migrator};
use tonic::service::Routes;
use web::Api;

use crate::{relay::Relay, sessions::LocalSessions, settings::Settings, signing_keys::SigningKeys};

pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/identity");

/// Pause before a start is tried again while the database is away.
const START_RETRY_DELAY: Duration = Duration::from_millis(500);
/// Services that may call this one.
const CALLERS: &[&str] = &["authz", "config"];

/// What handlers share.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub db: PgPool,
    pub region: Region,
    pub keys: Arc<SigningKeys>,
    pub relay: Relay,
    pub nats: async_nats::Client,
}

/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge identity", guard);
    let api = exchange::endpoints(api);
    let api = organizations::endpoints(api);
    let api = users::endpoints(api);
    let api = system_accounts::endpoints(api);
    tokens::http::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).openapi().to_pretty_json()? + "\n")
}

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    postgres::migrate(&postgres::connect(&settings.database, &settings.tls), &MIGRATIONS).await
}

pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start("identity", &settings.telemetry)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let (db, keys) =
        open_database(&settings.database, &settings.tls, &SealKey::from_file(&settings.secrets.key_file)?)
            .await;
    let nats = connect_nats(&settings.nats, &identity, "identity").await?;
    let authz = channel(&settings.peers.authz, &identity)?;

    let (relay, relaying) =
        relay::start(db.clone(), format!("identity.{}", settings.region), AuthzClient::new(authz.clone()));
    process.task("relay", relaying.run(process.drain.clone()));
    process.task(
        "idempotency sweep",
        postgres::idempotency::sweep(db.clone(), process.drain.clone().cancelled_owned()),
    );

    let keys = Arc::new(keys);
    let sessions = Arc::new(LocalSessions::new(db.clone(), keys.clone()));
    let access = Access::new(sessions.clone(), Arc::new(RemoteDecisions::new(authz)));
    let following = access.clone().follow_revocations(nats.clone(), settings.region.clone());
    process.hint("token revocations", following);

    let app = App { db, region: settings.region.clone(), keys, relay, nats };
    let internal = IdentityServer::with_interceptor(
        sessions::Internal(sessions),
        only_services(settings.region.as_str(), CALLERS),
    );
    process.grpc(settings.listen.internal, &identity, Routes::new(internal)).await?;
    process
        .https(settings.listen.api, &settings.api_tls, api_router(app.clone(), &app.db, access, api))
        .await?;
    process.run().await
}

/// Waits until the database answers and this region's signing key is there.
async fn open_database(
    database: &::settings::sections::Database,
    tls: &Tls,
    seal: &SealKey,
) -> (PgPool, SigningKeys) {
    let db = postgres::connect(database, tls);
    loop {
        match SigningKeys::open(&db, seal).await {
            Ok(keys) => return (db, keys),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "not started yet; trying again"),
        }
        tokio::time::sleep(START_RETRY_DELAY).await;
    }
}
