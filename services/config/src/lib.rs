//! config: control planes, their gateway entities, and the nodes that hold them. Everything here is regional.
//!
//! A change goes one way: handler → [committer](entities::committer) → Postgres → [`feed`] → [stream](streams) → node,
//! whose acknowledgement ends in the [`nodes`] registry.

mod acme;
mod app;
mod audit_logs;
mod audit_webhooks;
mod control_planes;
mod documentation;
mod documents;
mod enrolment;
mod entities;
mod error;
mod feed;
mod grouped;
mod imports;
mod nodes;
mod pins;
mod rows;
pub mod settings;
mod streams;
#[cfg(test)]
mod upgrade;
mod validation;

use std::{path::PathBuf, sync::Arc};

use ::settings::sections::{Audit as Kept, Public};
use access::{Access, RemoteDecisions, RemoteSessions, unguarded};
use anyhow::Context as _;
use audit_log::{Linker, Linking, Place as AuditPlace, Source};
use axum::Router;
use clock::Clock;
use ids::{ControlPlaneId, OrganizationId, Region, ServiceName};
use proto::{
    audit::v1::audit_client::AuditClient, authz::v1::authz_client::AuthzClient,
    identity::v1::identity_client::IdentityClient,
};
use random::Random;
use replication::Signer;
use rustls::ServerConfig;
use seal::SealKey;
use service::{
    Guard, Identity, Process, Weight, api_router, channel, connect_nats, consistency_key, keep_audit_log,
    nats_is_connected, show_verified,
};
use sqlx::{PgPool, migrate::Migrator};
use telemetry::TracedChannel;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use web::Api;

pub use crate::{
    acme::Options as AcmeOptions, audit_webhooks::Options as WebhookOptions, enrolment::ca::RegionCa,
    entities::Limits,
};

use crate::{
    acme::Acme,
    app::App,
    audit_logs::AuditLogs,
    audit_webhooks::Webhooks,
    control_planes::ControlPlanes,
    documents::Documents,
    enrolment::Enrolment,
    entities::{Entities, expiry, revocations},
    feed::Feed,
    imports::Imports,
    nodes::Nodes,
    pins::Pins,
    settings::{Retention, Settings, Snapshots},
    streams::Plane,
    validation::Validation,
};

/// The name of the service.
pub const SERVICE: ServiceName = ServiceName::Config;

/// The schema of this service's database.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/config");

/// The table of endpoints.
fn api(guard: Guard<App>) -> Api<App> {
    let api = Api::new("Landbridge config", guard);
    let api = control_planes::http::endpoints(api);
    let api = entities::http::endpoints(api);
    let api = documents::http::endpoints(api);
    let api = acme::http::endpoints(api);
    let api = imports::http::endpoints(api);
    let api = nodes::http::endpoints(api);
    let api = nodes::propagation::endpoints(api);
    let api = enrolment::http::endpoints(api);
    let api = pins::http::endpoints(api);
    let api = audit_logs::http::endpoints(api);
    let api = audit_webhooks::http::endpoints(api);
    documentation::files(api)
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(api(Box::new(unguarded)).document()?)
}

/// Brings the database to the newest schema.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    postgres::migrate(&postgres::connect(&settings.database, &settings.tls), &MIGRATIONS).await
}

/// Verifies the audit log in the service's database, and says so on standard output.
pub async fn verify_audit(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let linking = linking(&db, &settings.region, &SealKey::from_file(&settings.secrets.key_file)?);
    show_verified(audit_log::verify_database(&db, &linking.place, &linking.keys, false).await?)
}

/// The public key that the audit log is signed with.
pub fn log_key(settings: &Settings) -> anyhow::Result<String> {
    let seal = SealKey::from_file(&settings.secrets.key_file)?;
    Ok(audit_signer(&seal).public().to_string())
}

/// Checks that webhooks of the audit log could be called.
pub fn check_webhooks(settings: &Settings) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    webhook_options(&settings.audit).map(drop)
}

fn webhook_options(settings: &settings::Audit) -> anyhow::Result<audit_webhooks::Options> {
    let ca = settings.webhook_ca.as_deref();
    audit_webhooks::Options::load(ca, settings.webhook_private_addresses).context("audit.webhook_ca")
}

/// The operator's word that the database was put back to an earlier copy: every control plane begins a new incarnation, and its nodes
/// compare what they hold with it. Running services notice within a second.
pub async fn accept_restore(settings: &Settings) -> anyhow::Result<()> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let begun = feed::history::begin_all(&mut *db.acquire().await?).await?;
    tracing::info!(control_planes = begun, "every control plane has begun a new incarnation");
    Ok(())
}

/// Everything that the service needs from outside. `serve` makes it from settings; tests make it with a database, peers and a clock of their own.
pub struct Base {
    /// The region that this service is part of.
    pub region: Region,
    /// Where clients and nodes reach the region.
    pub public: Public,
    /// The service's own database, migrated.
    pub db: PgPool,
    /// Seals the secrets of entities at rest.
    pub seal: SealKey,
    /// Signs the certificates of nodes.
    pub ca: RegionCa,
    /// Where decisions are asked for.
    pub authz: TracedChannel,
    /// Over it replicas tell each other of commits. `None`: each looks at the database every 250 ms.
    pub nats: Option<async_nats::Client>,
    /// The ACME servers of the region.
    pub acme: acme::Options,
    /// Where the audit log of the region's other services is read.
    pub audit: Vec<Source>,
    /// How webhooks of the audit log are called.
    pub webhooks: audit_webhooks::Options,
    /// How much one control plane may hold.
    pub limits: Limits,
    /// Snapshots that are sent to nodes at the same time.
    pub snapshots: Snapshots,
    /// How long is kept what nodes that were away need.
    pub retention: Retention,
    /// Threads that read bodies, and as many that read documents; two at least.
    pub validation_threads: usize,
    /// Where documents are kept that do not fit in memory.
    pub documents: PathBuf,
    /// The time of day, for the expiry of tokens and certificates.
    pub clock: Clock,
    /// For secrets and serial numbers that nobody may predict.
    pub random: Random,
}

/// The assembled service, without listeners.
pub struct Service {
    app: App,
    db: PgPool,
    feed: Feed,
    retention: Retention,
    plane: Plane,
    ca: Arc<RegionCa>,
    clock: Clock,
    linking: Linking,
}

/// What the audit log is signed with. It follows from the key that seals secrets: config has no log of its own.
fn audit_signer(seal: &SealKey) -> Signer {
    Signer::from_seed(&seal.derived(b"audit log")).expect("any 32 bytes are the seed of a key")
}

/// What the audit log of this service is linked with.
fn linking(db: &PgPool, region: &Region, seal: &SealKey) -> Linking {
    let signer = audit_signer(seal);
    let keys = vec![signer.public().clone()];
    let place = AuditPlace { service: SERVICE, region: region.clone() };
    Linking { db: db.clone(), place, signer: Arc::new(signer), keys, keeps_clients: false }
}

impl Service {
    /// Streams of nodes end with `drain`.
    pub fn new(base: Base, drain: CancellationToken) -> Self {
        let Base {
            region,
            public,
            db,
            seal,
            ca,
            authz,
            nats,
            acme,
            audit,
            webhooks,
            limits,
            snapshots,
            retention,
            validation_threads,
            documents,
            clock,
            random,
        } = base;
        let linking = linking(&db, &region, &seal);
        let mut sources = vec![Source::Here(db.clone(), linking.place.clone())];
        sources.extend(audit);
        let audit_logs = AuditLogs::new(sources);
        let webhooks = Webhooks::new(db.clone(), seal.clone(), audit_logs.clone(), webhooks, random.clone());
        let (ca, public) = (Arc::new(ca), Arc::new(public));
        let feed = Feed::new(db.clone(), nats, region.clone());
        let authz = AuthzClient::new(authz);
        let endpoint = public.sync_endpoint();
        let (limits, validation) =
            (Limits { acme: acme.offer(), ..limits }, Validation::new(validation_threads));
        let entities = Entities::new(
            db.clone(),
            seal.clone(),
            feed.clone(),
            limits.clone(),
            validation.clone(),
            (clock.clone(), random.clone()),
        );
        let keys = (db.clone(), seal.clone());
        let documents = Documents::new(keys, feed.clone(), limits, validation, documents, random.clone());
        let app = App {
            control_planes: ControlPlanes::new(db.clone(), region.clone(), &endpoint, authz, feed.clone()),
            acme: Acme::new(db.clone(), seal.clone(), entities.clone(), acme, random.clone()),
            entities,
            documents,
            imports: Imports::new(db.clone()),
            nodes: Nodes::new(db.clone(), feed.clone(), retention),
            pins: Pins::new(
                db.clone(),
                feed.clone(),
                (region.clone(), public.clone()),
                ca.clone(),
                clock.clone(),
            ),
            enrolment: Enrolment::new(
                db.clone(),
                region.clone(),
                public,
                ca.clone(),
                (clock.clone(), random),
            ),
            audit_logs,
            webhooks,
        };
        let plane = Plane::new(
            db.clone(),
            feed.clone(),
            (ca.clone(), seal),
            region,
            clock.clone(),
            &snapshots,
            drain,
        );
        Self { app, db, feed, retention, plane, ca, clock, linking }
    }

    /// The API, behind the guard that `access` makes.
    pub fn api(&self, access: Access) -> Router {
        api_router(self.app.clone(), &self.db, access, None, api)
    }

    /// The streams of nodes, and the TLS that they are served with: a certificate of the region's CA is demanded, or a pinned one.
    pub fn streams(&self) -> anyhow::Result<(Arc<ServerConfig>, Routes)> {
        let tls = self.ca.server_tls(self.clock.now(), self.app.pins.known.clone())?;
        Ok((tls, self.plane.clone().routes()))
    }

    /// Follows what other replicas commit, until `drain`.
    pub fn follow(
        &self,
        drain: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        self.feed.clone().run(drain)
    }

    /// What a hint of another replica does, for a simulation that has replicas without NATS.
    pub async fn hinted(&self, control_plane: ControlPlaneId) {
        self.feed.hinted(control_plane).await;
    }

    /// Looks how far nodes have come while requests wait for that, until `drain`.
    pub fn watch_nodes(
        &self,
        drain: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        self.app.nodes.progress.clone().run(drain)
    }

    /// Learns which certificates are pinned, until `drain`.
    pub fn know_pins(
        &self,
        drain: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        self.app.pins.known.clone().run(drain)
    }

    /// How far the region's connected nodes are behind: the longest lag in seconds, and how many are.
    pub async fn lag_of_nodes(&self) -> anyhow::Result<(f64, i64)> {
        let lag = nodes::lag::read(&self.db).await?;
        Ok((lag.seconds, lag.nodes))
    }

    /// What links the audit log of this service.
    pub fn linker(&self) -> Linker {
        Linker::new(self.linking.clone())
    }

    /// Delivers the audit log, once, to the webhooks that are due.
    pub async fn deliver_audit(&self) -> anyhow::Result<()> {
        Ok(audit_webhooks::round(&self.app.webhooks, &self.clock).await?)
    }

    /// Orders certificates until `drain`, as a replica.
    pub fn order_certificates(
        &self,
        drain: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        acme::reconcile::run(self.app.acme.clone(), drain)
    }

    /// Deletes all control planes of an organization that is being deleted.
    pub async fn delete_control_planes_of(&self, organization: OrganizationId) -> anyhow::Result<()> {
        Ok(control_planes::purge::delete_of(&self.db, &self.feed, organization).await?)
    }

    /// Completes, once, the deletes of revoked entities whose process ended before they were committed.
    pub async fn sweep_revocations(&self) -> anyhow::Result<()> {
        Ok(revocations::sweep_once(&self.app.entities).await?)
    }

    /// Deletes, once, the entities whose time has come.
    pub async fn sweep_expired(&self) -> anyhow::Result<()> {
        Ok(expiry::sweep_once(&self.app.entities).await?)
    }

    /// Removes, once, nodes, tokens, revocations and tombstones that are no longer needed.
    pub async fn sweep_nodes(&self) -> anyhow::Result<()> {
        Ok(nodes::sweep::sweep(&self.db, &self.retention).await?)
    }
}

/// Runs the service until it is told to stop.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut process = Process::start(SERVICE, &settings.telemetry, &settings.connections)?;
    process.operator(settings.listen.operator).await?;
    let identity = Identity::load(&settings.tls)?;
    let db = postgres::connect(&settings.database, &settings.tls);
    process.check("database", Weight::Required, postgres::probe(&db));
    let (clock, random) = (Clock::system(), Random::system());
    let nats = connect_nats(&settings.nats, &identity, (SERVICE, &settings.region), random.clone()).await?;
    process.check("nats", Weight::Shown, nats_is_connected(&nats));
    let authz = channel(&settings.peers.authz, &identity)?;
    let to_identity = channel(&settings.peers.identity, &identity)?;
    let audit = vec![
        Source::There(ServiceName::Identity, AuditClient::new(to_identity.clone())),
        Source::There(ServiceName::Authz, AuditClient::new(authz.clone())),
    ];
    let service = Service::new(
        Base {
            region: settings.region.clone(),
            public: settings.public.clone(),
            db: db.clone(),
            seal: SealKey::from_file(&settings.secrets.key_file)?,
            ca: RegionCa::load(&settings.region_ca, &settings.region, random.clone())?,
            authz: authz.clone(),
            nats: Some(nats.clone()),
            acme: acme::Options::load(&settings.acme)?,
            audit,
            webhooks: webhook_options(&settings.audit)?,
            limits: settings.limits.entities(),
            snapshots: settings.limits.snapshots,
            retention: settings.retention,
            validation_threads: settings.limits.validation_threads(),
            documents: settings.limits.documents_directory.clone(),
            clock,
            random,
        },
        process.drain.clone(),
    );
    process.task("feed", service.feed.clone().run(process.drain.clone()));
    let entities = service.app.entities.clone();
    process.task("ACME orders", acme::reconcile::run(service.app.acme.clone(), process.drain.clone()));
    process.task("revocation sweep", revocations::sweep(entities.clone(), process.drain.clone()));
    process.task("expiry sweep", expiry::sweep(entities, process.drain.clone()));
    let progress = service.app.nodes.progress.clone();
    process.task("progress of nodes", progress.run(process.drain.clone()));
    process.task("lag of nodes", nodes::lag::run(db.clone(), process.drain.clone()));
    process.task("pinned certificates", service.know_pins(process.drain.clone()));
    let sweep = nodes::sweep::run(db.clone(), settings.retention, process.drain.clone());
    process.task("node sweep", sweep);
    process
        .task("idempotency sweep", mutation::idempotency::sweep(db, process.drain.clone().cancelled_owned()));

    let webhooks = service.app.webhooks.clone();
    let deliveries = audit_webhooks::run(webhooks, service.clock.clone(), process.drain.clone());
    process.task("audit webhooks", deliveries);
    let kept = Kept { retention_days: settings.audit.retention_days };
    let reporter = keep_audit_log(&mut process, service.linking.clone(), kept);

    let purge = control_planes::purge::run(
        service.db.clone(),
        service.feed.clone(),
        IdentityClient::new(to_identity.clone()),
        process.drain.clone(),
    );
    process.task("deleted organizations", purge);
    let sessions = Arc::new(RemoteSessions::new(to_identity));
    let decisions = Arc::new(RemoteDecisions::new(authz));
    process.hint("remembered decisions", decisions.clone().remember());
    let access = Access::new(sessions, decisions, consistency_key(&settings.consistency)?, &settings.rates);
    let access = access.reporting(reporter);
    process.hint("token revocations", access.clone().follow_revocations(nats, settings.region.clone()));

    let (tls, streams) = service.streams()?;
    let Settings { listen, api_tls, region, .. } = &settings;
    process.sync(listen.sync, tls, settings.sync_balancers(), streams::PER_CONNECTION_MAX, streams).await?;
    process.https(listen.api, api_tls, &identity, region, service.api(access)).await?;
    process.run().await
}
