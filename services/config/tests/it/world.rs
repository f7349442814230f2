//! A config service over a database of its own, with an identity and an authz in memory. It has two replicas, which requests come to in
//! turn: so every test here also says what holds with several. The two have no NATS, and learn of each other's commits by looking.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use access::{
    Access, Action, Decided, Decisions, KeySet, OpaqueToken, PrincipalKind, Rates, Refusal, Reporter,
    Reports, Resource, Session, Sessions, TokenKey, TokenKind, Unavailable, Vector, Verdict, Visible,
};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header, response::Parts},
};
use clock::Clock;
use config::{
    AcmeOptions, Base, Limits, MIGRATIONS, RegionCa, Service, WebhookOptions,
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
use tempfile::TempDir;
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
    /// Of both replicas.
    routers: [Router; 2],
    /// How many requests came.
    requests: AtomicUsize,
    /// What requests tell the audit log; taken by the test that keeps it.
    pub reports: Mutex<Option<Reports>>,
    pub database: Database,
}

/// With this label, a control plane can be changed, and nothing else can be done with it.
pub const BARRED: &str = "barred";

/// Who is who, and who may do what.
pub struct Peers {
    session: Session,
    /// What the platform operator has set for the organization.
    pub limits: Mutex<access::Limits>,
    denied: Mutex<HashSet<Action>>,
    /// Answers what somebody may list.
    pub visible: Mutex<Visible>,
    pub creators: Mutex<Vec<ControlPlaneId>>,
    ended: AtomicBool,
}

impl Peers {
    /// Who calls.
    pub fn organization(&self) -> OrganizationId {
        self.session.organization
    }

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
        let limits = *self.limits.lock().expect("lock");
        Box::pin(async move { Ok(Ok(Session { limits, ..self.session.clone() })) })
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
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        let labels = match resource {
            Resource::ControlPlane { labels, .. } => Some(labels),
            Resource::ControlPlanes { .. } | Resource::Iam => None,
        };
        let barred = action != Action::CpUpdate && labels.is_some_and(|labels| labels.contains_key(BARRED));
        let mut decided = self.decided(Some(action));
        if barred && decided.verdict == Verdict::Allow {
            decided.verdict = Verdict::Deny;
        }
        Box::pin(async move { Ok(decided) })
    }

    fn visible<'a>(
        &'a self,
        _session: &'a Session,
        _minimum: &'a Vector,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        let (verdict, visible) = (self.decided(None).verdict, self.visible.lock().expect("lock").clone());
        Box::pin(async move { Ok((verdict, visible, Vector::default())) })
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
    /// Which replica it comes to; `None`: whose turn it is.
    replica: Option<usize>,
}

impl Call<'_> {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// To the first replica, 0, or to the second.
    pub fn to(self, replica: usize) -> Self {
        Self { replica: Some(replica), ..self }
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
        let turn = self.replica.unwrap_or_else(|| self.world.requests.fetch_add(1, Ordering::Relaxed));
        let router = self.world.routers[turn % 2].clone();
        let answered = within("an answer", router.oneshot(request)).await;
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
        Self::assembled(limits, acme, WebhookOptions::load(None, false).expect("usable")).await
    }

    /// A world that calls webhooks in this way.
    pub async fn with_webhooks(webhooks: WebhookOptions) -> Self {
        Self::assembled(Limits::default(), AcmeOptions::default(), webhooks).await
    }

    async fn assembled(limits: Limits, acme: AcmeOptions, webhooks: WebhookOptions) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let database = test_database::create(&MIGRATIONS).await;
        let db = database.pool();
        let clock = Clock::manual(Clock::system().now());
        let drain = CancellationToken::new();
        let authority = Authority::new();
        let replica = |number| {
            let base = base(&db, &clock, &authority, number);
            let (limits, acme, webhooks) = (limits.clone(), acme.clone(), webhooks.clone());
            let base = Base { limits, acme, webhooks, ..base };
            Service::new(base, drain.clone())
        };
        let (service, second) = (replica(0), replica(1));
        for replica in [&service, &second] {
            tokio::spawn(replica.follow(drain.clone()));
            tokio::spawn(replica.watch_nodes(drain.clone()));
            tokio::spawn(replica.know_pins(drain.clone()));
        }
        let session = Session {
            organization: OrganizationId::generate(),
            principal: PrincipalId::generate(),
            kind: PrincipalKind::SystemAccount,
            id: TokenId::generate(),
            issued_at: 0,
            expires_at: i64::MAX,
            ends_at: i64::MAX,
            vector: Vector::default(),
            limits: access::Limits::default(),
        };
        let visible = Mutex::new(Visible { all: true, ..Visible::default() });
        let peers = Arc::new(Peers {
            session,
            limits: Mutex::default(),
            denied: Mutex::default(),
            visible,
            creators: Mutex::default(),
            ended: AtomicBool::default(),
        });
        let key = TokenKey::from_hex(&"ab".repeat(32)).expect("a key");
        let (reporter, reports) = Reporter::new();
        let api = |service: &Service| {
            let access = Access::new(peers.clone(), peers.clone(), key.clone(), &Rates::default());
            service.api(access.reporting(reporter.clone()))
        };
        let routers = [api(&service), api(&second)];
        let (requests, reports) = (AtomicUsize::new(0), Mutex::new(Some(reports)));
        Self { service, peers, clock, db, drain, routers, requests, reports, database }
    }

    pub fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call {
            world: self,
            method,
            path: path.into(),
            headers: Vec::new(),
            body: String::new(),
            replica: None,
        }
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

/// The region's CA, as every replica reads it.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a folder") };
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let files = authority.files();
        fs::write(&files.certificate, certificate.pem()).expect("write");
        fs::write(&files.key, key.serialize_pem()).expect("write");
        authority
    }

    fn files(&self) -> Certificate {
        let folder = self.folder.path();
        Certificate { certificate: folder.join("ca.pem"), key: folder.join("ca.key") }
    }
}

/// What a replica is made of.
fn base(db: &PgPool, clock: &Clock, authority: &Authority, number: u64) -> Base {
    let region: Region = "us".parse().expect("a region");
    let authz = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let random = Random::seeded(1 + number);
    Base {
        region: region.clone(),
        public: Public {
            api: "https://api.us.example".to_owned(),
            sync: vec!["sync.us.example:443".to_owned()],
        },
        db: db.clone(),
        seal: SealKey::new(&[1; 32]),
        ca: RegionCa::load(&authority.files(), &region, random.clone()).expect("a CA"),
        authz: InterceptedService::new(authz, TraceContext),
        nats: None,
        acme: AcmeOptions::default(),
        audit: Vec::new(),
        webhooks: WebhookOptions::load(None, false).expect("usable"),
        limits: Limits::default(),
        snapshots: Snapshots::default(),
        retention: Retention::default(),
        validation_threads: 2,
        documents: std::env::temp_dir(),
        clock: clock.clone(),
        random,
    }
}
