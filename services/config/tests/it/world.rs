//! A config service over a database of its own, with an identity and an authz in memory.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use access::{
    Access, Action, Decided, Decisions, KeySet, OpaqueToken, PrincipalKind, Rates, Refusal, Resource,
    Session, Sessions, TokenKey, TokenKind, Unavailable, Vector, Verdict, Visible,
};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header, response::Parts},
};
use clock::Clock;
use config::{
    AcmeOptions, Base, Limits, MIGRATIONS, RegionCa, Service,
    settings::{Acme as AcmeSettings, AcmeDirectory, DnsHook, Retention, Snapshots},
};
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, TokenId};
use random::Random;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use seal::SealKey;
use serde_json::{Value, json};
use settings::sections::{Certificate, Public};
use sqlx::PgPool;
use telemetry::TraceContext;
use test_database::Database;
use tokio_util::sync::CancellationToken;
use tonic::{service::interceptor::InterceptedService, transport::Endpoint};
use tower::ServiceExt as _;

/// Longest time that a test waits for something to happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Awaits `work`, and fails where it takes longer than [`DEADLINE`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// The service, its database and its peers.
pub struct World {
    pub service: Service,
    pub peers: Arc<Peers>,
    pub clock: Clock,
    pub db: PgPool,
    pub drain: CancellationToken,
    router: Router,
    _database: Database,
}

/// Who is who, and who may do what.
pub struct Peers {
    session: Session,
    denied: Mutex<HashSet<Action>>,
    /// Answers what somebody may list.
    pub visible: Mutex<Visible>,
    pub creators: Mutex<Vec<ControlPlaneId>>,
    ended: AtomicBool,
}

impl Peers {
    /// From now on nobody may do `action`.
    pub fn deny(&self, action: Action) {
        self.denied.lock().expect("lock").insert(action);
    }

    /// The session has ended: its access token was revoked, say.
    pub fn end_session(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn decided(&self, action: Option<Action>) -> Decided {
        if self.ended.load(Ordering::Acquire) {
            let verdict = Verdict::Unauthenticated;
            return Decided { verdict, authority: Vec::new(), seen: Vector::default() };
        }
        let denied = action.is_some_and(|action| self.denied.lock().expect("lock").contains(&action));
        let verdict = if denied { Verdict::Deny } else { Verdict::Allow };
        Decided { verdict, authority: Vec::new(), seen: Vector::default() }
    }
}

impl Sessions for Peers {
    fn resolve<'a>(
        &'a self,
        _token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>> {
        Box::pin(async { Ok(Ok(self.session.clone())) })
    }

    fn signing_keys<'a>(&'a self, _wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(async { Ok(KeySet::parse(r#"{"keys":[]}"#).expect("no keys")) })
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }
}

impl Decisions for Peers {
    fn check<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        action: Action,
        _resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move { Ok(self.decided(Some(action))) })
    }

    fn visible<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        let visible = self.visible.lock().expect("lock").clone();
        Box::pin(async { Ok((Verdict::Allow, visible, Vector::default())) })
    }

    fn check_confer<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async { Ok(self.decided(None)) })
    }

    fn assign_creator<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        control_plane: ControlPlaneId,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        self.creators.lock().expect("lock").push(control_plane);
        Box::pin(async { Ok(Vector::default()) })
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null where the body is empty.
    pub body: Value,
}

impl Answer {
    /// The body of an answer with this status; anything else fails the test.
    #[track_caller]
    pub fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The name of the problem, as in `conflict`, and its detail.
    #[track_caller]
    pub fn problem(self, status: StatusCode) -> (String, String) {
        let body = self.expect(status);
        let name = body["type"].as_str().and_then(|name| name.strip_prefix("urn:landbridge:problem:"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (name.unwrap_or_else(|| panic!("no problem: {body}")).to_owned(), text(&body["detail"]))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// A request on its way.
pub struct Call<'a> {
    world: &'a World,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Call<'_> {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub fn text(mut self, content_type: &str, body: impl Into<String>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// For an answer that is not JSON: its headers and its text.
    pub async fn send_for_text(self) -> (HeaderMap, String) {
        let (parts, bytes) = self.exchange().await;
        assert_eq!(parts.status, StatusCode::OK);
        (parts.headers, String::from_utf8(bytes.to_vec()).expect("text"))
    }

    pub async fn send(self) -> Answer {
        let (parts, bytes) = self.exchange().await;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("not JSON: {bytes:?}"))
        };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn exchange(self) -> (Parts, Bytes) {
        let token = OpaqueToken::plain(TokenKind::System, &"us".parse().expect("a region"), 0, [7; 24]);
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).expect("a request");
        let answered = within("an answer", self.world.router.clone().oneshot(request)).await;
        let (parts, body) = answered.expect("infallible").into_parts();
        (parts, body.collect().await.expect("a body").to_bytes())
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        // One that is not there, for whoever only writes entities.
        let acme =
            acme(&[("letsencrypt", "https://127.0.0.1:1/directory", None)], Some("https://127.0.0.1:1/"));
        Self::with(limits, acme).await
    }

    pub async fn with(limits: Limits, acme: AcmeOptions) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let database = test_database::create(&MIGRATIONS).await;
        let db = database.pool();
        let region: Region = "us".parse().expect("a region");
        let clock = Clock::manual(Clock::system().now());
        let drain = CancellationToken::new();
        let authz = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let base = Base {
            region: region.clone(),
            public: Public {
                api: "https://api.us.example".to_owned(),
                sync: vec!["sync.us.example:443".to_owned()],
            },
            db: db.clone(),
            seal: SealKey::new(&[1; 32]),
            ca: ca(&region),
            authz: InterceptedService::new(authz, TraceContext),
            nats: None,
            acme,
            limits,
            snapshots: Snapshots::default(),
            retention: Retention::default(),
            validation_threads: 2,
            clock: clock.clone(),
            random: Random::seeded(1),
        };
        let service = Service::new(base, drain.clone());
        tokio::spawn(service.watch_nodes(drain.clone()));
        let session = Session {
            organization: OrganizationId::generate(),
            principal: PrincipalId::generate(),
            kind: PrincipalKind::SystemAccount,
            id: TokenId::generate(),
            issued_at: 0,
            expires_at: i64::MAX,
            ends_at: i64::MAX,
            vector: Vector::default(),
        };
        let visible = Mutex::new(Visible { all: true, ..Visible::default() });
        let peers = Arc::new(Peers {
            session,
            denied: Mutex::default(),
            visible,
            creators: Mutex::default(),
            ended: AtomicBool::default(),
        });
        let key = TokenKey::from_hex(&"ab".repeat(32)).expect("a key");
        let router = service.api(Access::new(peers.clone(), peers.clone(), key, &Rates::default()));
        Self { service, peers, clock, db, drain, router, _database: database }
    }

    pub fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call { world: self, method, path: path.into(), headers: Vec::new(), body: String::new() }
    }

    pub async fn get(&self, path: impl Into<String>) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub async fn delete(&self, path: impl Into<String>) -> Answer {
        self.call(Method::DELETE, path).send().await
    }

    pub async fn post(&self, path: impl Into<String>, body: &Value) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    pub async fn put(&self, path: impl Into<String>, body: &Value) -> Answer {
        self.call(Method::PUT, path).json(body).send().await
    }

    pub async fn patch(&self, path: impl Into<String>, body: &Value) -> Answer {
        self.call(Method::PATCH, path).json(body).send().await
    }

    /// A new control plane: the path of it.
    pub async fn plane(&self, name: &str) -> String {
        let made = self.post("/v2/control-planes", &json!({ "name": name })).await;
        let made = made.expect(StatusCode::CREATED);
        format!("/v2/control-planes/{}", made["id"].as_str().expect("an id"))
    }

    /// What the audit log says, oldest first: action, and whether a person did it.
    pub async fn audit(&self) -> Vec<(String, bool)> {
        sqlx::query_as("SELECT action, actor_id IS NOT NULL FROM audit ORDER BY id")
            .fetch_all(&self.db)
            .await
            .expect("read")
    }

    /// Runs a statement of the test's own.
    pub async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(&self.db).await.expect("a statement");
    }
}

/// The ACME servers of a region: name, URL, and file of the CA. And the URL of its hook.
pub fn acme(servers: &[(&str, &str, Option<&Path>)], hook: Option<&str>) -> AcmeOptions {
    let directories = servers.iter().map(|(name, url, ca)| {
        ((*name).to_owned(), AcmeDirectory { url: (*url).to_owned(), ca: ca.map(Path::to_owned) })
    });
    let hook = hook.map(|url| DnsHook { url: url.to_owned(), token_file: None, ca: None, wait_seconds: 0 });
    let settings = AcmeSettings { directories: directories.collect(), default: None, dns_hook: hook };
    AcmeOptions::load(&settings).expect("usable")
}

fn ca(region: &Region) -> RegionCa {
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    let files = Certificate { certificate: folder.path().join("ca.pem"), key: folder.path().join("ca.key") };
    fs::write(&files.certificate, certificate.pem()).expect("write");
    fs::write(&files.key, key.serialize_pem()).expect("write");
    RegionCa::load(&files, region, Random::seeded(2)).expect("a CA")
}
