//! A replica of config: its API and its streams, called within this process.

use std::{fs, sync::Arc};

use access::{Access, OpaqueToken, Rates, TokenKey, TokenKind};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use clock::Clock;
use config::{
    AcmeOptions, Base, Limits, RegionCa, Service, WebhookOptions,
    settings::{Retention, Snapshots},
};
use http_body_util::BodyExt as _;
use ids::{ControlPlaneId, Region};
use random::Random;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use seal::SealKey;
use serde_json::Value;
use settings::sections::{Certificate, Public};
use sqlx::{PgPool, postgres::PgPoolOptions};
use sync::{CONSISTENCY, Place, Places};
use telemetry::TraceContext;
use tempfile::TempDir;
use test_database::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{service::interceptor::InterceptedService, transport::Endpoint};
use tower::ServiceExt as _;

use crate::peers::Peers;

/// What nodes call the replicas: the number follows.
pub const ENDPOINT: &str = "replica-";
/// How long what is deleted is remembered, in seconds.
pub const RETENTION: u32 = 120;
const CONNECTIONS_MAX: u32 = 6;

/// What replicas share: the region's keys, and its peers.
pub struct Site {
    folder: TempDir,
    peers: Arc<Peers>,
    pub region: Region,
}

impl Site {
    pub fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
            peers: Arc::new(Peers::new()),
            region: "us".parse().expect("a region"),
        };
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let files = site.ca();
        fs::write(&files.certificate, certificate.pem()).expect("write");
        fs::write(&files.key, key.serialize_pem()).expect("write");
        site
    }

    fn ca(&self) -> Certificate {
        Certificate { certificate: self.folder.path().join("ca.pem"), key: self.folder.path().join("ca.key") }
    }

    fn base(&self, db: &PgPool, clock: &Clock, random: Random) -> Base {
        let authz = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Base {
            region: self.region.clone(),
            public: Public {
                api: "https://api.us.example".to_owned(),
                sync: (0..2).map(|number| format!("{ENDPOINT}{number}")).collect(),
            },
            db: db.clone(),
            seal: SealKey::new(&[1; 32]),
            ca: RegionCa::load(&self.ca(), &self.region, random.clone()).expect("a CA"),
            authz: InterceptedService::new(authz, TraceContext),
            // The simulation gives hints.
            nats: None,
            acme: AcmeOptions::default(),
            audit: Vec::new(),
            webhooks: WebhookOptions::load(None, false).expect("usable"),
            // Every document is written aside.
            limits: Limits { at_once_max: 0, ..Limits::default() },
            snapshots: Snapshots::default(),
            retention: Retention {
                tombstones_seconds: RETENTION,
                revocations_seconds: RETENTION,
                ..Retention::default()
            },
            validation_threads: 2,
            documents: self.folder.path().to_owned(),
            clock: clock.clone(),
            random,
        }
    }
}

/// A process of config.
pub struct Replica {
    pub service: Service,
    pub db: PgPool,
    pub streams: Router,
    api: Router,
    drain: CancellationToken,
    following: JoinHandle<()>,
}

/// What was answered to a write.
pub struct Answer {
    pub status: StatusCode,
    /// Of the write, if the answer names one.
    pub place: Option<Place>,
    /// Null where the body is empty, or not JSON.
    pub body: Value,
}

impl Replica {
    pub fn start(site: &Site, database: &Database, clock: Clock, seed: u64) -> Self {
        let db = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).connect_lazy_with(database.options());
        let drain = CancellationToken::new();
        let service = Service::new(site.base(&db, &clock, Random::seeded(seed)), drain.clone());
        let key = TokenKey::from_hex(&"ab".repeat(32)).expect("a key");
        let access = Access::new(site.peers.clone(), site.peers.clone(), key, &Rates::default());
        let (_, streams) = service.streams().expect("streams");
        let following = service.follow(drain.clone());
        let following = tokio::spawn(async { following.await.expect("no NATS that fails") });
        let (api, streams) = (service.api(access), streams.into_axum_router());
        Self { service, db, streams, api, drain, following }
    }

    /// Ends as by SIGKILL: whoever is connected to it is not told, and nothing that waits is done.
    pub async fn kill(self) {
        self.following.abort();
        self.db.close().await;
    }

    /// Ends as by SIGTERM: nodes are told to go elsewhere.
    pub async fn stop(self) {
        self.drain.cancel();
        let _ = self.following.await;
    }

    pub async fn hint(&self, control_plane: ControlPlaneId) {
        self.service.hinted(control_plane).await;
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let token = OpaqueToken::plain(TokenKind::System, &"us".parse().expect("a region"), 0, [7; 24]);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .expect("a request");
        let (parts, body) = self.api.clone().oneshot(request).await.expect("infallible").into_parts();
        let place = parts.headers.get(CONSISTENCY).and_then(|token| {
            let (_, places) = sync::split(token.to_str().ok()?);
            let control_plane = path.split('/').nth(3)?.parse().ok()?;
            Places::read(places?).ok()?.of(control_plane)
        });
        let body = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status: parts.status, place, body }
    }
}
