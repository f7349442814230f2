//! A region in memory: what its identity and authz know, and a small API behind the guard.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
    routing::{get, post},
};
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use ids::{ControlPlaneId, OrganizationId, PrincipalId, ServiceName, TokenId};
use policy::{Action, Resource, Verdict};
use replication::{Origin, Position, TokenKey, Vector};
use tokio::{sync::watch, time::timeout};
use tower::ServiceExt as _;
use web::{ClientAddress, Endpoint, Protection, RawBody};

use crate::{
    Access, Authority, CONSISTENCY, Caller, Decided, Decisions, KeySet, OpaqueToken, PrincipalKind, Rates,
    Refusal, Session, Sessions, TokenKind, Turns, Unavailable, Visible, guard, region_of_key,
};

/// The deployment's key of consistency tokens.
pub const KEY: &str = "abababababababababababababababababababababababababababababababab";
/// Longest time that a test waits for something to happen.
const DEADLINE: Duration = Duration::from_secs(10);

pub fn at(seq: u64) -> Position {
    Position { epoch: 0, seq }
}

pub fn vector(entries: &[(&str, u64)]) -> Vector {
    entries.iter().map(|(origin, seq)| (origin.parse().expect("origin"), at(*seq))).collect()
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Region {
    known: Arc<Known>,
    router: Router,
    bearer: String,
    pub session: Session,
    /// Calls of `reach` so far.
    pub waits: Arc<AtomicUsize>,
    /// Decisions so far.
    pub decisions: Arc<AtomicUsize>,
    /// Which requests are worked on.
    pub turns: Turns,
}

struct Known {
    applied: watch::Sender<Vector>,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    jwks: Mutex<String>,
    /// Regions whose signing keys are all known.
    complete: Mutex<Vec<String>>,
    decided: Mutex<Result<Decided, Unavailable>>,
    floor: Mutex<Vector>,
    asked_by: Mutex<Option<Session>>,
    waits: Arc<AtomicUsize>,
    decisions: Arc<AtomicUsize>,
}

pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().expect("text").to_owned())
    }
}

impl Region {
    pub fn new() -> Self {
        Self::limited(&Rates::default())
    }

    pub fn limited(rates: &Rates) -> Self {
        let session = Session {
            organization: OrganizationId::generate(),
            principal: PrincipalId::generate(),
            kind: PrincipalKind::SystemAccount,
            id: TokenId::generate(),
            issued_at: 0,
            expires_at: i64::MAX,
            ends_at: i64::MAX,
            vector: Vector::default(),
            limits: crate::Limits::default(),
        };
        let (waits, decisions) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let allow = Decided { verdict: Verdict::Allow, authority: Vec::new(), seen: Vector::default() };
        let known = Arc::new(Known {
            applied: watch::Sender::default(),
            sessions: Mutex::default(),
            jwks: Mutex::new(r#"{"keys":[]}"#.to_owned()),
            complete: Mutex::default(),
            decided: Mutex::new(Ok(allow)),
            floor: Mutex::default(),
            asked_by: Mutex::default(),
            waits: waits.clone(),
            decisions: decisions.clone(),
        });
        let key = TokenKey::from_hex(KEY).expect("key");
        let access = Access::new(known.clone(), known.clone(), key, rates);
        let (turns, router) = (access.turns.clone(), api(access));
        let mut region = Self { known, router, bearer: String::new(), session, waits, decisions, turns };
        region.bearer = format!("Bearer {}", region.mint("us", 0).expose());
        region
    }

    /// A token of the session, at a place of a region's log.
    pub fn mint(&self, region: &str, seq: u64) -> OpaqueToken {
        let token = self.unknown(region, seq);
        self.known.sessions.lock().expect("lock").insert(token.sha256(), self.session.clone());
        token
    }

    /// A token that nobody made.
    pub fn unknown(&self, region: &str, seq: u64) -> OpaqueToken {
        OpaqueToken::plain(TokenKind::System, &region.parse().expect("region"), seq, [7; 24])
    }

    /// `token` opens `session`.
    pub fn knows(&self, token: &OpaqueToken, session: &Session) {
        self.known.sessions.lock().expect("lock").insert(token.sha256(), session.clone());
    }

    pub fn forget_sessions(&self) {
        self.known.sessions.lock().expect("lock").clear();
    }

    /// The region applies all of `vector`.
    pub fn applied(&self, vector: &Vector) {
        self.known.applied.send_modify(|applied| applied.merge(vector));
    }

    pub fn sees(&self, seen: &Vector) {
        self.known.change(|decided| decided.seen = seen.clone());
    }

    pub fn decides(&self, verdict: Verdict) {
        self.known.change(|decided| decided.verdict = verdict);
    }

    pub fn because(&self, authority: &[Authority]) {
        self.known.change(|decided| decided.authority = authority.to_vec());
    }

    /// Decisions cannot be made, for want of `missing`.
    pub fn is_behind(&self, missing: &Vector) {
        *self.known.decided.lock().expect("lock") = Err(Unavailable::not_yet(missing.clone()));
    }

    /// authz does not answer in time.
    pub fn is_busy(&self) {
        *self.known.decided.lock().expect("lock") = Err(Unavailable::Busy { service: ServiceName::Authz });
    }

    /// The floor that the last decision was asked for with.
    pub fn floor(&self) -> Vector {
        self.known.floor.lock().expect("lock").clone()
    }

    /// The session that the last decision was asked for with.
    pub fn asked_by(&self) -> Option<Session> {
        self.known.asked_by.lock().expect("lock").clone()
    }

    pub fn holds_keys(&self, jwks: String) {
        *self.known.jwks.lock().expect("lock") = jwks;
    }

    pub fn knows_all_keys_of(&self, region: &str) {
        self.known.complete.lock().expect("lock").push(region.to_owned());
    }

    /// Returns once so many calls of `reach` have been made.
    pub async fn until_waiting(&self, calls: usize) {
        let reached = async {
            while self.waits.load(Ordering::Acquire) < calls {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, reached).await.expect("requests wait");
    }

    pub async fn send(&self, method: Method, path: &str, consistency: Option<&str>) -> Answer {
        self.send_as(Some(&self.bearer), method, path, consistency).await
    }

    pub async fn send_as(
        &self,
        bearer: Option<&str>,
        method: Method,
        path: &str,
        consistency: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        if let Some(token) = consistency {
            request = request.header(CONSISTENCY, token);
        }
        let mut request = request.body(Body::empty()).expect("request");
        request.extensions_mut().insert(ClientAddress(IpAddr::from([192, 0, 2, 1])));
        self.answer(request).await
    }

    /// The answer to a request that a test has made itself.
    pub async fn answer(&self, request: Request<Body>) -> Answer {
        let answer = timeout(DEADLINE, self.router.clone().oneshot(request)).await;
        let (parts, body) = answer.expect("an answer in time").expect("infallible").into_parts();
        let body = body.collect().await.expect("body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

fn api(access: Access) -> Router {
    let guard = guard(access);
    let endpoint = |protection| Endpoint::get("/", "").protection(protection);
    let read = async |caller: Caller| caller.may(Action::CpCreate, &Resource::Iam).await;
    let twice = async |caller: Caller| {
        caller.may(Action::CpCreate, &Resource::Iam).await?;
        caller.may(Action::CpCreate, &Resource::Iam).await
    };
    let write = async |caller: Caller| {
        caller.may(Action::CpCreate, &Resource::Iam).await?;
        caller.wrote(&vector(&[("authz.us", 8), ("identity.us", 3)]));
        web::Answer::Ok(())
    };
    let authority = async |caller: Caller| {
        caller.allows(Action::CpCreate, &Resource::Iam).await?;
        caller.allows(Action::CpCreate, &Resource::Iam).await?;
        let ids: Vec<String> = caller.authority().iter().map(ToString::to_string).collect();
        web::Answer::Ok(ids.join(" "))
    };
    let length = async |RawBody(body): RawBody<1_000_000>| body.len().to_string();
    let at_home = async |caller: Caller| {
        caller.decides_at_home();
        ([(CONSISTENCY, "of-home")], "answered there")
    };
    Router::new()
        .route("/read", guard(&endpoint(Protection::Decision), get(read)))
        .route("/twice", guard(&endpoint(Protection::Decision), get(twice)))
        .route("/write", guard(&endpoint(Protection::Decision), post(write)))
        .route("/own", guard(&endpoint(Protection::Caller), get(async || "own")))
        .route("/authority", guard(&endpoint(Protection::Decision), get(authority)))
        .route("/forgetful", guard(&endpoint(Protection::Decision), get(async || "secret")))
        .route(
            "/enrol",
            guard(&Endpoint::post("/", "").with_credential("?"), post(async || StatusCode::UNAUTHORIZED)),
        )
        .route("/length", guard(&endpoint(Protection::Caller), post(length)))
        .route("/at-home", guard(&endpoint(Protection::Decision), post(at_home)))
}

impl Known {
    fn change(&self, change: impl FnOnce(&mut Decided)) {
        change(self.decided.lock().expect("lock").as_mut().expect("decisions can be made"));
    }

    fn decide(&self, session: &Session, floor: &Vector) -> Result<Decided, Unavailable> {
        self.decisions.fetch_add(1, Ordering::AcqRel);
        *self.floor.lock().expect("lock") = floor.clone();
        *self.asked_by.lock().expect("lock") = Some(session.clone());
        self.decided.lock().expect("lock").clone()
    }

    async fn until_applied(&self, vector: &Vector) -> Result<(), Unavailable> {
        self.waits.fetch_add(1, Ordering::AcqRel);
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| applied.covers(vector)).await;
        reached.map(drop).map_err(|error| Unavailable::new(ServiceName::Identity, &error))
    }
}

impl Sessions for Known {
    fn resolve<'a>(
        &'a self,
        token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>> {
        Box::pin(async move {
            let minted =
                [(Origin::new(ServiceName::Identity, &token.region), token.position)].into_iter().collect();
            let missing = self.applied.borrow().missing(&minted);
            if token.position.seq > 0 && !missing.is_empty() {
                return Err(Unavailable::not_yet(missing));
            }
            let known = self.sessions.lock().expect("lock").get(&token.sha256()).cloned();
            Ok(known.ok_or(Refusal::Unknown))
        })
    }

    fn signing_keys<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(async move {
            let jwks = self.jwks.lock().expect("lock").clone();
            let complete = self.complete.lock().expect("lock");
            let is_sure =
                region_of_key(wanted).is_none_or(|of| complete.iter().any(|region| region == of.as_str()));
            if is_sure || jwks.contains(wanted) {
                Ok(KeySet::parse(&jwks).expect("a key set"))
            } else {
                Err(Unavailable::not_yet(Vector::default()))
            }
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        assert_eq!(vector, &vector.of_service(ServiceName::Identity));
        Box::pin(self.until_applied(vector))
    }
}

impl Decisions for Known {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        _action: Action,
        _resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move { self.decide(session, floor) })
    }

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        _region: &'a ids::Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        Box::pin(async move {
            let decided = self.decide(session, floor)?;
            Ok((decided.verdict, Visible::default(), decided.seen))
        })
    }

    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        _principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async move { self.decide(session, floor) })
    }

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        _control_plane: ControlPlaneId,
        _region: &'a ids::Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        Box::pin(async move { Ok(self.decide(session, floor)?.seen) })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        assert_eq!(vector, &vector.of_service(ServiceName::Authz));
        Box::pin(self.until_applied(vector))
    }
}
