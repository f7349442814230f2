//! identity: organizations, people, system accounts and their tokens.
//!
//! People are resident (schema `resident`): their data never leaves the organization's home region. What every region needs to
//! authenticate callers is replicated (schema `replicated`): handlers append [`operation`]s to this region's log, and [`apply`]
//! turns them, and those of other regions, into rows. authz learns of principals from this region's log, through [`outbox`].
//!
//! This file only assembles. Each noun has a folder with its types and rules (`mod.rs`), its SQL (`store.rs`) and its handlers
//! (`http.rs`); what handlers share is in [`app`], and how errors are answered in [`error`]. Modules are public for the tests in
//! `tests/it`.

pub mod app;
pub mod apply;
pub mod arrivals;
pub mod authentication_settings;
pub mod bootstrap;
pub mod console;
pub mod credential;
pub mod domains;
pub mod error;
pub mod grpc;
pub mod home;
pub mod identity_providers;
pub mod invites;
pub mod mail;
pub mod operation;
pub mod operator;
pub mod organizations;
pub mod outbox;
pub mod passwords;
pub mod principal;
pub mod revocations;
pub mod second_factor;
pub mod sessions;
pub mod settings;
pub mod signing_keys;
pub mod single_sign_on;
pub mod sweep;
pub mod system_accounts;
pub mod tenant;
pub mod tokens;
pub mod users;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ::settings::sections::Audit;
use access::{Access, Rates, RemoteDecisions, TokenFormat, TokenKey, unguarded};
pub use app::SERVICE;
use audit_log::{Linking, Place};
use axum::{Extension, Router, middleware::from_fn_with_state};
pub use bootstrap::{Bootstrap, bootstrap};
use clock::Clock;
use ids::Region;
pub use operator::token::{CreateOperatorToken, create_operator_token};
use oplog::Log;
use proto::{
    authz::v1::authz_client::AuthzClient, identity::v1::identity_server::IdentityServer,
    replication::v1::replication_server::ReplicationServer, residence::v1::residence_server::ResidenceServer,
};
use random::Random;
use replication::{Origin, PublicKey};
use replication_runtime::Replication;
use seal::SealKey;
use service::{
    Forwarder, Guard, Identity, Process, Weight, api_router, channel, connect_nats, consistency_key,
    keep_audit_log, log_keyring, log_signer, nats_is_connected, only_callers, own_log_keys, show_verified,
    with_grpc,
};
use sqlx::migrate::Migrator;
use telemetry::TracedChannel;
use tokio::sync::{Notify, Semaphore};
use tonic::service::Routes;
use web::Api;

use crate::{
    app::App,
    apply::Rows,
    arrivals::Arrivals,
    console::origins::Origins,
    domains::Dns,
    mail::MailQueue,
    organizations::http::Directory,
    passwords::Hasher,
    revocations::Announcer,
    sessions::LocalSessions,
    settings::Settings,
    signing_keys::Opening,
    single_sign_on::SingleSignOn,
    tokens::{
        names::{
            self, Prints,
            carrier::{self, Carrier, Homes, Residence},
        },
        uses::Uses,
    },
};

/// The migrations of the service's own tables. Those of the log come after them: see `oplog::migrate`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/identity");

/// Pause before a start is tried again while the database is away.
const START_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge identity", guard);
    let api = signing_keys::http::endpoints(api);
    let api = organizations::http::endpoints(api);
    let api = operator::http::endpoints(api);
    let api = users::http::endpoints(api);
    let api = invites::http::endpoints(api);
    let api = passwords::http::endpoints(api);
    let api = second_factor::http::endpoints(api);
    let api = console::http::endpoints(api);
    let api = single_sign_on::http::endpoints(api);
    let api = authentication_settings::endpoints(api);
    let api = identity_providers::http::endpoints(api);
    let api = domains::http::endpoints(api);
    let api = system_accounts::http::endpoints(api);
    tokens::http::endpoints(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).document()?)
}

/// Brings the database to the newest schema.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    postgres::migrate(&db, &MIGRATIONS).await?;
    oplog::migrate(&db).await
}

/// The operator's decision that a restored database is complete.
pub async fn accept_restore(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let (origin, signer) = (Origin::new(SERVICE, &settings.region), log_signer(&settings.log)?);
    let prints = Prints::new(&consistency_key(&settings.consistency)?);
    let rows = Rows { region: settings.region.clone(), prints };
    let (log, _) = Log::open(db, origin, rows, Clock::system(), signer);
    service::accept_restore(log.replica()).await
}

/// Verifies the audit log in the service's database, and says so on standard output.
pub async fn verify_audit(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let place = Place { service: SERVICE, region: settings.region.clone() };
    let keys = own_log_keys(&settings.log)?;
    show_verified(audit_log::verify_database(&db, &place, &keys, true).await?)
}

/// What the service is assembled from, in a process and in a test.
pub struct Parts {
    /// This region's log, whose committer runs.
    pub log: Log<Rows>,
    /// Replication with the other regions.
    pub replication: Replication,
    /// The other regions of the deployment.
    pub regions: BTreeSet<Region>,
    /// The region's NATS.
    pub nats: async_nats::Client,
    /// The region's authz.
    pub authz: TracedChannel,
    /// Seals private keys.
    pub seal: SealKey,
    /// Seals consistency tokens, and the places in access tokens.
    pub consistency: TokenKey,
    /// The mail server; `None` where no mail is sent.
    pub mail: Option<mail::Server>,
    /// Where the console's pages come from.
    pub origins: Origins,
    /// Signs people on by identity providers.
    pub single_sign_on: SingleSignOn,
    /// Asks DNS whether domains are their organizations'.
    pub dns: Dns,
    /// How much anybody may ask.
    pub rates: Rates,
    /// The service's audit log.
    pub audit: Audit,
    /// Public keys that this region's log is and was signed with.
    pub log_keys: Vec<PublicKey>,
    /// Most tokens of one principal that are neither revoked nor expired.
    pub tokens_max: usize,
    /// identity in the other regions.
    pub homes: Homes,
    /// The time of day.
    pub clock: Clock,
    /// Where ids and secrets come from.
    pub random: Random,
}

/// The service, ready to be served.
pub struct Assembled {
    /// What handlers share.
    pub app: App,
    /// How requests are authenticated and decided.
    pub access: Access,
    /// What other services of the region ask.
    pub sessions: Arc<LocalSessions>,
}

/// Puts the service together, and adds what it runs to `process`.
pub fn assemble(process: &mut Process, parts: Parts) -> Assembled {
    let Parts {
        log,
        replication,
        regions,
        nats,
        authz,
        seal,
        consistency,
        mail: server,
        origins,
        single_sign_on,
        dns,
        rates,
        audit,
        log_keys,
        tokens_max,
        homes,
        clock,
        random,
    } = parts;
    let (db, region) = (log.db().clone(), log.origin().region().clone());
    let announcer = Announcer::new(nats, &region);

    let (outbox, sender) = outbox::start(log.replica().clone(), AuthzClient::new(authz.clone()));
    process.task("outbox", sender.run(process.drain.clone()));
    let sweep = mutation::idempotency::sweep(db.clone(), process.drain.clone().cancelled_owned());
    process.task("idempotency sweep", sweep);
    process.task("sweep of people's rows", sweep::run(db.clone(), clock.clone(), process.drain.clone()));
    let mail = MailQueue::new(seal.clone(), random.clone(), server.is_some());
    if let Some(server) = server {
        let sender = mail::Sender::new(db.clone(), clock.clone(), mail.clone(), server);
        process.task("mail", sender.run(process.drain.clone()));
    }
    let following = revocations::follow(log.clone(), announcer.clone(), process.drain.clone());
    process.task("announcing revocations", following);
    let (prints, wake) = (Prints::new(&consistency), Arc::new(Notify::new()));
    let carrier = Carrier { db: db.clone(), seal: seal.clone(), homes, wake: wake.clone() };
    process.task("names of tokens", carrier.run(process.drain.clone()));
    let purge = organizations::purge::run(log.clone(), region.clone(), process.drain.clone());
    process.task("deleted organizations", purge);
    let (keys, opening) = Opening::new(log.clone(), replication.clone(), regions.clone(), seal.clone());
    process.task("signing key", opening.run(process.drain.clone()));

    let uses = Uses::default();
    process.task("last use of tokens", uses.clone().run(db.clone(), process.drain.clone()));
    let sessions = Arc::new(LocalSessions {
        log: log.replica().clone(),
        tokens: postgres::Lookups::new(db.clone()),
        keys: keys.clone(),
        replication: replication.clone(),
        arrivals: Arrivals::new(log.replica().clone(), replication.clone(), regions),
        strangers: Semaphore::new(sessions::STRANGERS_MAX),
        clock: clock.clone(),
        uses: uses.clone(),
    });
    let tokens = TokenFormat::new(&consistency);
    let members = AuthzClient::new(authz.clone());
    let decisions = Arc::new(RemoteDecisions::new(authz));
    process.hint("remembered decisions", decisions.clone().remember());
    let linking = Linking {
        db: db.clone(),
        place: Place { service: SERVICE, region: region.clone() },
        signer: log.replica().shared_signer(),
        keys: log_keys,
        keeps_clients: true,
    };
    let reporter = keep_audit_log(process, linking, audit);
    let access = Access::new(sessions.clone(), decisions, consistency, &rates).reporting(reporter.clone());
    let access = access.keeping_clients(region.clone());
    let names = wake;
    let app = App {
        db,
        region,
        log,
        tokens,
        tokens_max,
        prints,
        seal,
        hasher: Hasher::new(random.clone()),
        mail,
        origins,
        single_sign_on,
        dns,
        authz: members,
        names,
        keys,
        outbox,
        replication,
        reporter,
        announcer,
        clock,
        random,
    };
    Assembled { app, access, sessions }
}

/// What other regions tell this one about its own people.
pub fn residence(app: &App) -> ResidenceServer<Residence> {
    Residence { db: app.db.clone(), region: app.region.clone(), prints: app.prints.clone() }.server()
}

/// The public API. Without a `forwarder` every request is served here, wherever the organization's home is.
pub fn router(app: App, access: Access, forwarder: Option<Forwarder>) -> Router {
    let (db, origins) = (app.db.clone(), app.origins.clone());
    let router = api_router(app, &db, access, forwarder.clone(), api);
    // For handlers that find the organization in the body.
    let router = match forwarder {
        Some(forwarder) => router.layer(Extension(forwarder)),
        None => router,
    };
    router.layer(from_fn_with_state(origins, console::origins::share))
}

/// Runs the service until a signal ends it.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start(SERVICE, &settings.telemetry, &settings.connections)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let seal = SealKey::from_file(&settings.secrets.key_file)?;
    let consistency = consistency_key(&settings.consistency)?;
    let db = postgres::connect(&settings.database, &settings.tls);
    process.check("database", Weight::Required, postgres::probe(&db));
    let (clock, random) = (Clock::system(), Random::system());
    let origin = Origin::new(SERVICE, &settings.region);
    let prints = Prints::new(&consistency);
    let rows = Rows { region: settings.region.clone(), prints: prints.clone() };
    let (log, committer) = Log::open(db, origin, rows, clock.clone(), log_signer(&settings.log)?);
    until_database_answers(&log).await;
    let moved = names::move_out(log.db(), &settings.region, &prints).await?;
    if moved > 0 {
        tracing::info!(moved, "names of people's tokens were moved out of the replicated rows");
    }
    process.task("log", committer.run(process.drain.clone()));
    let nats = connect_nats(&settings.nats, &identity, (SERVICE, &settings.region), random.clone()).await?;
    process.check("nats", Weight::Shown, nats_is_connected(&nats));
    let options = replication_runtime::Options {
        log: log.replica().clone(),
        keys: log_keyring(SERVICE, &settings.region, &settings.log, &settings.regions)?,
        regions: settings.regions.clone(),
        identity: identity.clone(),
        nats: nats.clone(),
        public: settings.public.clone(),
        clock: clock.clone(),
        random: random.clone(),
    };
    let (replication, replication_server) = replication_runtime::start(&mut process, options)?;
    let parts = Parts {
        log,
        replication,
        regions: settings.regions.keys().cloned().collect(),
        nats: nats.clone(),
        authz: channel(&settings.peers.authz, &identity)?,
        seal,
        consistency,
        mail: settings.mail.as_ref().map(mail::Server::new).transpose()?,
        origins: Origins::new(&settings.console.origins)?,
        single_sign_on: settings.single_sign_on()?,
        dns: Dns::new(&settings.single_sign_on.name_servers),
        rates: settings.rates.clone(),
        audit: settings.audit,
        log_keys: own_log_keys(&settings.log)?,
        tokens_max: settings.limits.access_tokens_max.get(),
        homes: carrier::homes(&settings.regions, &identity)?,
        clock,
        random,
    };
    let assembled = assemble(&mut process, parts);
    let following = assembled.access.clone().follow_revocations(nats, settings.region.clone());
    process.hint("token revocations", following);
    listen(&mut process, &settings, &identity, assembled, replication_server).await?;
    process.run().await
}

/// Serves the public API, to clients and to the other regions' identity, and gRPC to the region's other services.
async fn listen(
    process: &mut Process,
    settings: &Settings,
    identity: &Identity,
    assembled: Assembled,
    replication: ReplicationServer<replication_runtime::Server>,
) -> anyhow::Result<()> {
    let Assembled { app, access, sessions } = assembled;
    let place = Place { service: SERVICE, region: settings.region.clone() };
    let audit = audit_log::Server { db: app.db.clone(), place, keeps_clients: true };
    let internal = Routes::new(IdentityServer::new(grpc::Internal(sessions))).add_service(audit.server());
    let internal = only_callers(&settings.region, grpc::CALLERS, internal);
    process.internal(settings.listen.internal, identity, internal).await?;
    let homes = Arc::new(Directory(app.db.clone()));
    let forwarder = Forwarder::new(&settings.region, SERVICE, homes, &settings.regions, identity)?;
    let residence = residence(&app);
    let router = router(app, access, Some(forwarder));
    let peers = with_grpc(router.clone(), Routes::new(replication).add_service(residence));
    process.peers(settings.listen.peers, identity, &settings.regions, SERVICE, peers).await?;
    process.https(settings.listen.api, &settings.api_tls, identity, &settings.region, router).await
}

/// A service is ready once its database has answered.
async fn until_database_answers(log: &Log<Rows>) {
    while let Err(error) = log.replica().read_state().await {
        tracing::warn!(%error, "not started yet; trying again");
        tokio::time::sleep(START_RETRY_DELAY).await;
    }
}
