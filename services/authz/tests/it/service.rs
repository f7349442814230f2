//! authz as it is served, in one process: the guard, the handlers, a real database, and an identity that a test decides about.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use access::{
    Access, KeySet, OpaqueToken, PrincipalKind, Rates, Refusal, Session, Sessions, TokenKind, Unavailable,
};
use authz::{
    app::App,
    apply::Rows,
    check::Known,
    decisions::{Decider, LocalDecisions},
    grpc::Internal,
    index,
    operation::administrators_id,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use clock::Clock;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use ids::{OrganizationId, PrincipalId, ServiceName, TeamId, TokenId};
use oplog::Log;
use proto::{
    authz::v1::Operation as IdentityOperation,
    identity::v1::{self as identity, identity_client::IdentityClient, identity_server},
};
use replication::{Origin, Position, Tip, TokenKey, Vector};
use replication_runtime::Replication;
use serde_json::{Value, json};
use settings::sections::Public;
use telemetry::TraceContext;
use test_database::Database;
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Response as GrpcResponse, Status,
    service::interceptor::InterceptedService,
    transport::{Endpoint, Server},
};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::support::{acme, database, region, signer};

/// The deployment's key of consistency tokens.
pub const KEY: &str = "abababababababababababababababababababababababababababababababab";

/// One replica of authz in the region us.
pub struct Service {
    pub app: App,
    pub internal: Internal,
    pub clock: Clock,
    pub identity: Identity,
    router: Router,
    tokens: Arc<Tokens>,
    _running: DropGuard,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The end of the problem's stable name.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|name| name.rsplit(':').next()).unwrap_or_default()
    }

    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:?}")).to_owned()
    }
}

impl Service {
    /// A new database, which holds the organization and its owner.
    pub async fn start() -> (Database, Self) {
        let database = database().await;
        let service = Self::open(&database).await;
        service.app.log.replica().confirm().await.expect("confirm");
        service.found(acme(), owner()).await;
        (database, service)
    }

    /// Another replica on a database, or the same one after a restart.
    pub async fn open(database: &Database) -> Self {
        let running = CancellationToken::new();
        let clock = Clock::manual(datetime!(2030-01-01 00:00 UTC));
        let us = region("us");
        let (log, committer) =
            Log::open(database.pool(), Origin::new(ServiceName::Authz, &us), Rows, clock.clone(), signer());
        let (index, follower) = index::open(&log).await.expect("the index loads");
        tokio::spawn(committer.run(running.clone()));
        tokio::spawn(follower.run(running.clone()));
        let public = ["us", "eu"].map(|name| {
            (region(name), Public { api: format!("https://{name}.example"), sync: vec![format!("{name}:1")] })
        });
        let replication = Replication::without_tasks(log.replica().clone(), public.into_iter().collect());
        let identity = Identity::default();
        let key = TokenKey::from_hex(KEY).expect("key");
        let app = App {
            db: database.pool(),
            region: us,
            decider: Decider::new(index, replication),
            known: Known::default(),
            log,
            identity: identity.serve().await,
            key: key.clone(),
            clock: clock.clone(),
        };
        let tokens = Arc::new(Tokens::default());
        let decisions = Arc::new(LocalDecisions(app.clone()));
        let access = Access::new(tokens.clone(), decisions, key, &Rates::default());
        Self {
            router: authz::router(app.clone(), access, None),
            internal: Internal(app.clone()),
            app,
            clock,
            identity,
            tokens,
            _running: running.drop_guard(),
        }
    }

    /// Takes operations of identity's log in; panics if they are refused.
    pub async fn feed(&self, first_seq: u64, operations: Vec<(OrganizationId, &str, Value)>) {
        let operations: Vec<IdentityOperation> = operations
            .into_iter()
            .zip(first_seq..)
            .map(|((organization, kind, body), seq)| identity_operation(seq, organization, kind, body))
            .collect();
        let applied = authz::principals::apply(&self.app.log, "identity.us", &operations).await;
        let logged = Vector::from_iter([(
            self.app.log.origin().clone(),
            self.app.log.replica().read_state().await.expect("read").tips[self.app.log.origin()].position,
        )]);
        assert_eq!(applied.expect("identity's operations"), first_seq + operations.len() as u64 - 1);
        self.app.decider.index.wait_visible(&logged).await;
    }

    /// The first operations of identity's log: an organization, its owner, and a person and an account without roles.
    async fn found(&self, organization: OrganizationId, owner: PrincipalId) {
        let put = |id: PrincipalId, kind: &str| {
            (
                organization,
                "principal.put",
                json!({"id": id, "kind": kind, "active": true, "not_before": null}),
            )
        };
        let founded = json!({"owner_id": owner.uuid(), "home_region": "us", "state": "active"});
        self.feed(
            1,
            vec![
                (organization, "organization.put", founded),
                put(owner, "user"),
                put(ada(), "user"),
                put(bot(), "system_account"),
            ],
        )
        .await;
    }

    /// A token of `principal` in a session of its own.
    pub fn token(&self, principal: PrincipalId) -> String {
        self.token_of(self.session(principal))
    }

    pub fn session(&self, principal: PrincipalId) -> Session {
        Session {
            organization: acme(),
            principal,
            kind: PrincipalKind::User,
            id: TokenId::generate(),
            issued_at: 0,
            expires_at: i64::MAX,
            ends_at: i64::MAX,
            vector: Vector::default(),
            limits: access::Limits::default(),
        }
    }

    pub fn token_of(&self, session: Session) -> String {
        let mut secret = [0; 24];
        secret[..16].copy_from_slice(session.id.uuid().as_bytes());
        let token = OpaqueToken::plain(TokenKind::Personal, &region("us"), 0, secret);
        self.tokens.0.lock().expect("lock").insert(token.sha256(), session);
        token.expose().to_owned()
    }

    /// Another region tells that it holds the log of authz there up to `seq`.
    pub fn hears_of(&self, name: &str, seq: u64) {
        let tip = Tip { position: Position { epoch: 1, seq }, hash: [1; 32] };
        let held = BTreeMap::from([(Origin::new(ServiceName::Authz, &region(name)), tip)]);
        self.app.decider.replication.hear(&region(name), held);
    }

    /// Another region tells of which generation its release is.
    pub fn hears_of_generation(&self, name: &str, generation: u32) {
        self.app.decider.replication.hear_generation(&region(name), generation);
    }

    /// The database was started anew: this region's log is fenced.
    pub async fn suspect(&self) {
        self.app.log.replica().suspect().await.expect("fenced");
        self.app.decider.replication.look().await.expect("looked");
    }

    pub async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        self.call_with(method, path, token, body, &[]).await
    }

    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response =
            self.router.clone().oneshot(request.body(body).expect("request")).await.expect("answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, Value::Null).await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call("POST", path, token, body).await
    }

    pub async fn delete(&self, path: &str, token: &str) -> Answer {
        self.call("DELETE", path, token, Value::Null).await
    }

    pub async fn count(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&self.app.db).await.expect("count")
    }
}

/// Administers the organization.
pub fn owner() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(0x0123))
}

/// A person without roles.
pub fn ada() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(0xada))
}

/// A system account without roles.
pub fn bot() -> PrincipalId {
    PrincipalId::from_uuid(Uuid::from_u128(0xb07))
}

/// The predefined team.
pub fn administrators() -> TeamId {
    administrators_id(acme())
}

/// An operation of identity's log, as it is sent.
pub fn identity_operation(
    seq: u64,
    organization: OrganizationId,
    kind: &str,
    body: Value,
) -> IdentityOperation {
    IdentityOperation {
        seq,
        organization_id: organization.to_string(),
        kind: kind.to_owned(),
        body: body.to_string().into_bytes().into(),
        traceparent: String::new(),
    }
}

/// Sessions by the hash of their tokens.
#[derive(Default)]
struct Tokens(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions for Tokens {
    fn resolve<'a>(
        &'a self,
        token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>> {
        let session = self.0.lock().expect("lock").get(&token.sha256()).cloned();
        Box::pin(std::future::ready(Ok(session.ok_or(Refusal::Unknown))))
    }

    fn signing_keys<'a>(&'a self, _wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(std::future::ready(Ok(KeySet::parse(r#"{"keys":[]}"#).expect("a key set"))))
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The region's identity, which a test may stop.
#[derive(Clone, Default)]
pub struct Identity {
    pub regions: Arc<Mutex<Vec<identity::Region>>>,
    pub away: Arc<Mutex<bool>>,
}

impl Identity {
    async fn serve(&self) -> IdentityClient<telemetry::TracedChannel> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("address");
        let server = Server::builder().add_service(identity_server::IdentityServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("URL");
        IdentityClient::new(InterceptedService::new(endpoint.connect_lazy(), TraceContext))
    }
}

type Reply<T> = Result<GrpcResponse<T>, Status>;

#[tonic::async_trait]
impl identity_server::Identity for Identity {
    async fn resolve_token(
        &self,
        _request: tonic::Request<identity::ResolveTokenRequest>,
    ) -> Reply<identity::ResolveTokenResponse> {
        Err(Status::unimplemented("tokens are resolved in memory"))
    }

    async fn reach(
        &self,
        _request: tonic::Request<identity::ReachRequest>,
    ) -> Reply<identity::ReachResponse> {
        Ok(GrpcResponse::new(identity::ReachResponse {}))
    }

    async fn regions(
        &self,
        _request: tonic::Request<identity::RegionsRequest>,
    ) -> Reply<identity::RegionsResponse> {
        if *self.away.lock().expect("lock") {
            return Err(Status::unavailable("away"));
        }
        let regions = self.regions.lock().expect("lock").clone();
        Ok(GrpcResponse::new(identity::RegionsResponse { regions }))
    }

    async fn ending_organizations(
        &self,
        _request: tonic::Request<identity::EndingOrganizationsRequest>,
    ) -> Reply<identity::EndingOrganizationsResponse> {
        Err(Status::unimplemented("config asks"))
    }

    async fn signing_keys(
        &self,
        _request: tonic::Request<identity::SigningKeysRequest>,
    ) -> Reply<identity::SigningKeysResponse> {
        Err(Status::unimplemented("keys are in memory"))
    }
}
