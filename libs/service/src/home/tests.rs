use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
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
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header, request::Builder},
    response::{IntoResponse as _, Response},
};
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, ServiceName, TokenId};
use settings::sections::{Database, Tls};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use web::{Answer, Api, Endpoint, Parameter, Protection};

use super::{Forwarder, Homes, Inner, Link};
use crate::{
    api_router,
    testing::{Authority, region, serve_peers},
};

/// Longest time that a test waits for something to happen.
const DEADLINE: Duration = Duration::from_secs(10);

/// One organization and its session, known in both regions; every decision allows.
struct World {
    session: Session,
    home: Region,
}

impl Sessions for World {
    fn resolve<'a>(
        &'a self,
        _token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>> {
        Box::pin(async { Ok(Ok(self.session.clone())) })
    }

    fn signing_keys<'a>(&'a self, _wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(async { Ok(KeySet::default()) })
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }
}

fn allowed() -> Decided {
    Decided { verdict: Verdict::Allow, authority: Vec::new(), seen: Vector::default() }
}

impl Decisions for World {
    fn check<'a>(
        &'a self,
        _session: &'a Session,
        _floor: &'a Vector,
        _action: Action,
        _resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async { Ok(allowed()) })
    }

    fn visible<'a>(
        &'a self,
        _session: &'a Session,
        _floor: &'a Vector,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        Box::pin(async { Ok((Verdict::Allow, Visible::default(), Vector::default())) })
    }

    fn check_confer<'a>(
        &'a self,
        _session: &'a Session,
        _floor: &'a Vector,
        _principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(async { Ok(allowed()) })
    }

    fn assign_creator<'a>(
        &'a self,
        _session: &'a Session,
        _floor: &'a Vector,
        _control_plane: ControlPlaneId,
        _region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        Box::pin(async { Ok(Vector::default()) })
    }

    fn reach<'a>(&'a self, _vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }
}

impl Homes for World {
    fn home(&self, _organization: OrganizationId) -> BoxFuture<'_, Answer<Region>> {
        Box::pin(async { Ok(self.home.clone()) })
    }
}

fn world(home: &str) -> Arc<World> {
    let session = Session {
        organization: OrganizationId::generate(),
        principal: PrincipalId::generate(),
        kind: PrincipalKind::User,
        id: TokenId::generate(),
        issued_at: 0,
        expires_at: i64::MAX,
        ends_at: i64::MAX,
        vector: Vector::default(),
        limits: access::Limits::default(),
    };
    Arc::new(World { session, home: region(home) })
}

/// A database that nobody answers at: what touches it fails.
fn no_database() -> postgres::PgPool {
    let database = Database {
        host: "127.0.0.1".to_owned(),
        port: 1,
        name: "none".to_owned(),
        user: "none".to_owned(),
        connections_max: 1,
    };
    let tls = Tls { certificate: "none".into(), key: "none".into(), ca: "none".into() };
    postgres::connect(&database, &tls)
}

/// The API of a region, as `api_router` serves it. `served` counts the requests that reached a handler here.
fn router(world: &Arc<World>, forwarder: Option<Forwarder>, served: &Arc<AtomicUsize>) -> Router {
    let key = TokenKey::from_hex(&"ab".repeat(32)).expect("key");
    let access = Access::new(world.clone(), world.clone(), key, &Rates::default());
    let count = {
        let served = served.clone();
        async move || {
            served.fetch_add(1, Ordering::AcqRel);
        }
    };
    let never = {
        let served = served.clone();
        async move || {
            served.fetch_add(1, Ordering::AcqRel);
            std::future::pending::<()>().await;
        }
    };
    api_router((), &no_database(), access, forwarder, move |guard| {
        let own =
            |endpoint: Endpoint| endpoint.protection(Protection::Caller).answers::<bool>(StatusCode::OK);
        Api::new("test", guard)
            .endpoint(
                own(Endpoint::post("/home", "at home"))
                    .query_parameters(["a", "b"].map(|name| Parameter::text(name, "any", "1")).into())
                    .home(),
                count.clone(),
            )
            .endpoint(own(Endpoint::get("/home/never", "at home, some day")).home(), never)
            .endpoint(own(Endpoint::post("/here", "here")), count.clone())
            .endpoint(
                own(Endpoint::post("/named/{organization_id}", "by path")).at_named_home(),
                count.clone(),
            )
            .endpoint(
                own(Endpoint::post("/named", "by body")).body::<serde_json::Value>().at_named_home(),
                count.clone(),
            )
            .endpoint(
                own(Endpoint::post("/some/{id}", "at home for some"))
                    .home_when(|_organization, path| path == "/some/1"),
                count,
            )
    })
}

/// The home region `us`, which serves `router` to `eu`; and a forwarder of `eu`.
struct Pair {
    us: Authority,
    eu: Authority,
    address: SocketAddr,
    _drain: tokio_util::sync::DropGuard,
}

async fn serve(router: Router) -> Pair {
    let (us, eu) = (Authority::new(), Authority::new());
    let nowhere = "127.0.0.1:1".parse().expect("address");
    let regions = BTreeMap::from([(region("eu"), eu.peer_region(nowhere))]);
    let own = us.service(ServiceName::Identity, &region("us"));
    let drain = CancellationToken::new();
    let address = serve_peers(&own, &regions, router, drain.clone()).await;
    Pair { us, eu, address, _drain: drain.drop_guard() }
}

impl Pair {
    fn link(&self) -> Link {
        let peer = self.us.peer_region(self.address);
        let identity = self.eu.service(ServiceName::Identity, &region("eu"));
        Link::new(&region("us"), ServiceName::Identity, &peer, &identity).expect("a link")
    }
}

fn forwarder(own: &str, world: &Arc<World>, links: impl IntoIterator<Item = Link>) -> Forwarder {
    let links = links.into_iter().map(|link| (link.home.clone(), link)).collect();
    Forwarder(Arc::new(Inner { region: region(own), homes: world.clone(), links }))
}

fn request(method: Method, path: &str) -> Builder {
    let token = OpaqueToken::plain(TokenKind::Personal, &region("eu"), 1, [1; 24]);
    axum::http::Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
}

async fn send(router: &Router, request: Request) -> Response {
    let answer = timeout(DEADLINE, router.clone().oneshot(request)).await;
    answer.expect("an answer in time").expect("infallible")
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.expect("body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

/// What a home region shows of a request: method, path, headers, body.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("body").to_bytes();
    let mut shown = format!("{} {}\n", parts.method, parts.uri);
    let mut names: Vec<_> = parts.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    for name in names {
        for value in parts.headers.get_all(name) {
            shown += &format!("{name}: {}\n", value.to_str().expect("text"));
        }
    }
    shown += &format!("\n{}", String::from_utf8_lossy(&body));
    let mut headers = HeaderMap::new();
    headers.insert("landbridge-consistency", "of-home".parse().expect("value"));
    headers.insert(header::ETAG, "\"7\"".parse().expect("value"));
    headers.insert("connection", "keep-alive".parse().expect("value"));
    (StatusCode::OK, headers, shown).into_response()
}

#[tokio::test]
async fn a_request_goes_home_and_its_answer_comes_back_whole() {
    let home = serve(Router::new().fallback(echo)).await;
    let world = world("us");
    let served = Arc::default();
    let eu = router(&world, Some(forwarder("eu", &world, [home.link()])), &served);
    let asked = request(Method::POST, "/home?a=%2F&b=1")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::IF_MATCH, "\"6\"")
        .header("idempotency-key", "once")
        .header("x-request-id", "r1")
        .header("cookie", "secret")
        .header("x-forwarded-for", "10.0.0.1")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("landbridge-forwarded", "sa")
        .header("landbridge-deadline", "1");
    let answer = send(&eu, asked.body(Body::from("{\"n\":1}")).expect("request")).await;

    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["landbridge-consistency"], "of-home");
    assert_eq!(answer.headers()[header::ETAG], "\"7\"");
    assert_eq!(answer.headers()["x-request-id"], "r1");
    assert!(!answer.headers().contains_key("connection"));
    let shown = text(answer).await;
    let (head, body) = shown.split_once("\n\n").expect("head and body");
    assert_eq!(body, "{\"n\":1}");
    let (line, headers) = head.split_once('\n').expect("headers");
    assert!(line.starts_with("POST https://") && line.ends_with("/home?a=%2F&b=1"), "{line}");
    let value = |name: &str| {
        headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    assert!(value("authorization").is_some_and(|bearer| bearer.starts_with("Bearer lbp_eu_1_")));
    assert_eq!(value("content-type").as_deref(), Some("application/json"));
    assert_eq!(value("if-match").as_deref(), Some("\"6\""));
    assert_eq!(value("idempotency-key").as_deref(), Some("once"), "the key is claimed at home, not here");
    assert_eq!(value("x-request-id").as_deref(), Some("r1"));
    assert_eq!(value("landbridge-forwarded").as_deref(), Some("eu"));
    let left: u64 = value("landbridge-deadline").and_then(|text| text.parse().ok()).expect("a deadline");
    assert!((5_000..10_000).contains(&left), "{left}");
    for name in ["cookie", "x-forwarded-for", "x-hop", "connection", "transfer-encoding"] {
        assert_eq!(value(name), None, "{name} does not go on");
    }
    assert_eq!(served.load(Ordering::Acquire), 0);
}

/// Of a request of the platform operator, path or body say where it is served.
#[tokio::test]
async fn a_request_goes_where_it_says() {
    let home = serve(Router::new().fallback(echo)).await;
    let (world, served) = (world("us"), Arc::<AtomicUsize>::default());
    let eu = router(&world, Some(forwarder("eu", &world, [home.link()])), &served);
    let post = async |path: &str, body: &str| {
        let asked = request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        send(&eu, asked.body(Body::from(body.to_owned())).expect("request")).await
    };
    let path = format!("/named/{}", OrganizationId::generate());
    for (path, body) in [(path.as_str(), "{}"), ("/named", r#"{"n": 1, "home_region": "us"}"#)] {
        let shown = text(post(path, body).await).await;
        assert!(shown.contains(path) && shown.ends_with(body), "{shown}");
    }
    assert_eq!(served.load(Ordering::Acquire), 0);
    for body in [r#"{"home_region": "eu"}"#, "{}", "no JSON", ""] {
        assert_eq!(post("/named", body).await.status(), StatusCode::OK, "{body}");
    }
    assert_eq!(served.load(Ordering::Acquire), 4, "what names no region is answered here");
    let refused = post("/named", r#"{"home_region": "mars"}"#).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let refused = text(refused).await;
    assert!(refused.contains("home_region") && refused.contains("eu, us"), "{refused}");
    assert_eq!(post("/named/no-id", "{}").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_stream() {
    let (seen, mut first_seen) = mpsc::channel::<()>(1);
    let home = serve(Router::new().fallback(async move |request: Request| {
        let mut body = request.into_body().into_data_stream();
        let mut length = body.next().await.expect("a chunk").expect("data").len();
        seen.send(()).await.expect("the test listens");
        while let Some(chunk) = body.next().await {
            length += chunk.expect("data").len();
        }
        length.to_string()
    }))
    .await;
    let world = world("us");
    let eu = router(&world, Some(forwarder("eu", &world, [home.link()])), &Arc::default());
    let (chunks, body) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let asked = request(Method::POST, "/home").body(Body::from_stream(ReceiverStream::new(body)));
    let answer = tokio::spawn(async move { text(send(&eu, asked.expect("request")).await).await });
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    chunks.send(Ok(chunk.clone())).await.expect("a reader");
    timeout(DEADLINE, first_seen.recv()).await.expect("the first chunk arrives before the last is sent");
    for _ in 0..63 {
        chunks.send(Ok(chunk.clone())).await.expect("a reader");
    }
    drop(chunks);
    assert_eq!(answer.await.expect("no panic"), (64 * 64 * 1024).to_string());
}

#[tokio::test]
async fn is_authenticated_again_and_served_once() {
    let world = world("us");
    let (at_home, in_eu) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let home = serve(router(&world, Some(forwarder("us", &world, [])), &at_home)).await;
    let eu = router(&world, Some(forwarder("eu", &world, [home.link()])), &in_eu);
    let counts = || (at_home.load(Ordering::Acquire), in_eu.load(Ordering::Acquire));
    let post = async |path: &str| {
        let answer = send(&eu, request(Method::POST, path).body(Body::empty()).expect("request")).await;
        assert!(answer.headers().contains_key("landbridge-consistency"), "{path}");
        answer.status()
    };
    assert_eq!(post("/home").await, StatusCode::OK);
    assert_eq!(counts(), (1, 0));
    assert_eq!(post("/here").await, StatusCode::OK);
    assert_eq!(counts(), (1, 1));
    assert_eq!(post("/some/1").await, StatusCode::OK);
    assert_eq!(counts(), (2, 1));
    assert_eq!(post("/some/2").await, StatusCode::OK);
    assert_eq!(counts(), (2, 2));

    // Straight to the home region's listener, without a token: eu's certificate opens nothing by itself.
    let bare = Request::builder().method(Method::POST).uri("/home").body(Body::empty()).expect("request");
    let answer =
        home.link().forward(&region("eu"), OrganizationId::generate(), bare).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(counts(), (2, 2));
}

#[tokio::test]
async fn no_request_goes_in_circles() {
    // us believes that home is sa, eu believes that it is us.
    let (as_us_sees, as_eu_sees) = (world("sa"), world("us"));
    let served = Arc::default();
    let home = serve(router(&as_us_sees, Some(forwarder("us", &as_us_sees, [])), &served)).await;
    let eu = router(&as_eu_sees, Some(forwarder("eu", &as_eu_sees, [home.link()])), &served);
    let answer = send(&eu, request(Method::POST, "/home").body(Body::empty()).expect("request")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    let body = text(answer).await;
    assert!(body.contains("regions disagree"), "{body}");
    assert_eq!(served.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn an_unreachable_home_is_503_and_nothing_was_done() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = closed.local_addr().expect("address");
    drop(closed);
    // Accepts, and never says a word: a link on which nothing flows.
    let hole = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = hole.local_addr().expect("address");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(connection) = hole.accept().await {
            kept.push(connection);
        }
    });
    for address in [nobody, silent] {
        let pair = Pair { address, ..serve(Router::new()).await };
        let world = world("us");
        let eu = router(&world, Some(forwarder("eu", &world, [pair.link()])), &Arc::default());
        let begun = Instant::now();
        let answer = send(&eu, request(Method::POST, "/home").body(Body::empty()).expect("request")).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        let body = text(answer).await;
        assert!(body.contains("us, cannot be reached; nothing was done"), "{body}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }
}

/// A TCP relay to `target` on which nothing flows any more once `cut` says so, though no connection is closed.
async fn relay(target: SocketAddr, cut: watch::Receiver<bool>) -> SocketAddr {
    async fn copy(
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        cut: watch::Receiver<bool>,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer).await {
            if *cut.borrow() {
                std::future::pending::<()>().await;
            }
            if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(target).await.expect("the target listens");
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(copy(near_in, far_out, cut.clone()));
            tokio::spawn(copy(far_in, near_out, cut.clone()));
        }
    });
    address
}

#[tokio::test]
async fn a_connection_that_went_silent_is_found_out() {
    let world = world("us");
    let served = Arc::default();
    let home = serve(router(&world, Some(forwarder("us", &world, [])), &served)).await;
    let (cut, is_cut) = watch::channel(false);
    let relayed = Pair { address: relay(home.address, is_cut).await, ..home };
    let eu = router(&world, Some(forwarder("eu", &world, [relayed.link()])), &Arc::default());
    let post = async || send(&eu, request(Method::POST, "/home").body(Body::empty()).expect("request")).await;
    assert_eq!(post().await.status(), StatusCode::OK);
    cut.send_replace(true);
    let begun = Instant::now();
    let answer = post().await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(begun.elapsed() < Duration::from_secs(4), "pings tell, not the deadline: {:?}", begun.elapsed());
    let body = text(answer).await;
    assert!(body.contains("is not known"), "it may have got through: {body}");
    cut.send_replace(false);
    assert_eq!(post().await.status(), StatusCode::OK, "a new connection is made at once");
}

#[tokio::test]
async fn a_late_or_broken_answer_is_503_and_says_what_is_not_known() {
    let home = serve(Router::new().fallback(async |request: Request| {
        match request.uri().path() {
            "/home" => std::future::pending::<()>().await,
            _ => {
                let half = [Ok(Bytes::from("half")), Err(std::io::Error::other("cut"))];
                return Body::from_stream(tokio_stream::iter(half)).into_response();
            }
        }
        ().into_response()
    }))
    .await;
    let world = world("us");
    let link = home.link().waiting(Duration::from_secs(1));
    let eu = router(&world, Some(forwarder("eu", &world, [link])), &Arc::default());
    let ask = async |request: Request| {
        let answer = send(&eu, request).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        text(answer).await
    };
    let begun = Instant::now();
    let keyed = request(Method::POST, "/home").header("idempotency-key", "once");
    let body = ask(keyed.body(Body::empty()).expect("request")).await;
    assert!(body.contains("is not known; send it again with the same Idempotency-Key"), "{body}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let body = ask(request(Method::POST, "/home").body(Body::empty()).expect("request")).await;
    assert!(body.contains("is not known; look before you send it again"), "{body}");
    let body = ask(request(Method::POST, "/some/1").body(Body::empty()).expect("request")).await;
    assert!(body.contains("is not known"), "an answer that breaks off is none: {body}");
    let body = ask(request(Method::GET, "/home/never").body(Body::empty()).expect("request")).await;
    assert!(body.contains("us, did not answer; try again"), "{body}");
}

#[tokio::test]
async fn the_home_region_honours_the_deadline_of_other_regions_alone() {
    let world = world("us");
    let served = Arc::<AtomicUsize>::default();
    let us = router(&world, Some(forwarder("us", &world, [])), &served);
    let home = serve(us.clone()).await;
    // eu waits 1.5 s: it tells us so, and us gives up before.
    let link = home.link().waiting(Duration::from_millis(1500));
    let eu = router(&world, Some(forwarder("eu", &world, [link])), &served);
    let body =
        text(send(&eu, request(Method::GET, "/home/never").body(Body::empty()).expect("request")).await);
    let body = body.await;
    assert!(body.contains("the request took too long"), "us itself answers: {body}");
    assert_eq!(served.load(Ordering::Acquire), 1);

    let public = request(Method::POST, "/home").header("landbridge-deadline", "0");
    let answer = send(&us, public.body(Body::empty()).expect("request")).await;
    assert_eq!(answer.status(), StatusCode::OK, "a client's own header is nobody's deadline");
}

#[tokio::test]
async fn a_home_that_is_not_configured_is_503() {
    let world = world("sa");
    let served = Arc::default();
    let eu = router(&world, Some(forwarder("eu", &world, [])), &served);
    let answer = send(&eu, request(Method::POST, "/home").body(Body::empty()).expect("request")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(served.load(Ordering::Acquire), 0);
}
