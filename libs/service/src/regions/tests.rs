use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Extension, Router, body::Body, http::Request, routing::get};
use http_body_util::BodyExt as _;
use ids::ServiceName;
use proto::replication::v1::{
    ExchangeRequest, ExchangeResponse, FetchRequest, FetchResponse,
    replication_client::ReplicationClient,
    replication_server::{Replication, ReplicationServer},
};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status, service::Routes};

use super::{check, peer_channel};
use crate::{
    Identity, Peer,
    home::Link,
    testing::{Authority, region, serve_peers},
    with_grpc,
};

/// The identity of a region, which listens for those of `eu` and `ap`.
struct Listening {
    us: Authority,
    eu: Authority,
    ap: Authority,
    address: SocketAddr,
    /// Requests that got through.
    served: Arc<AtomicUsize>,
    drain: CancellationToken,
}

struct Answering(Arc<AtomicUsize>);

#[tonic::async_trait]
impl Replication for Answering {
    async fn exchange(
        &self,
        request: tonic::Request<ExchangeRequest>,
    ) -> Result<Response<ExchangeResponse>, Status> {
        self.0.fetch_add(1, Ordering::AcqRel);
        let peer = request.extensions().get::<Peer>();
        assert_eq!(peer, Some(&Peer { region: region("eu"), service: ServiceName::Identity }));
        Ok(Response::new(ExchangeResponse::default()))
    }

    async fn fetch(&self, _request: tonic::Request<FetchRequest>) -> Result<Response<FetchResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }
}

async fn listen() -> Listening {
    let (us, eu, ap) = (Authority::new(), Authority::new(), Authority::new());
    let nowhere = "127.0.0.1:1".parse().expect("address");
    let regions =
        BTreeMap::from([(region("eu"), eu.peer_region(nowhere)), (region("ap"), ap.peer_region(nowhere))]);
    let own = us.service(ServiceName::Identity, &region("us"));
    let served = Arc::<AtomicUsize>::default();
    let counted = served.clone();
    let who = async move |Extension(peer): Extension<Peer>| {
        counted.fetch_add(1, Ordering::AcqRel);
        format!("{}/{}", peer.region, peer.service)
    };
    let api = Router::new().route("/who", get(who)).fallback(async || "no such path");
    let router = with_grpc(api, Routes::new(ReplicationServer::new(Answering(served.clone()))));
    let drain = CancellationToken::new();
    let address = serve_peers(&own, &regions, router, drain.clone()).await;
    Listening { us, eu, ap, address, served, drain }
}

impl Listening {
    /// What `GET path` answers to a client that shows `identity` and expects `service` of `us`.
    async fn get(&self, path: &str, identity: &Identity, service: ServiceName) -> Option<String> {
        let peer = self.us.peer_region(self.address);
        let link = Link::new(&region("us"), service, &peer, identity).expect("a link");
        let request = Request::get(path).body(Body::empty()).expect("request");
        let response = link.forward(&region("eu"), ids::OrganizationId::generate(), request).await.ok()?;
        let body = response.into_body().collect().await.expect("body").to_bytes();
        Some(String::from_utf8(body.to_vec()).expect("text"))
    }
}

#[tokio::test]
async fn lets_in_the_same_service_of_configured_regions_and_nobody_else() {
    let listening = listen().await;
    let (eu, ap, us) = (region("eu"), region("ap"), region("us"));
    let answer =
        listening.get("/who", &listening.eu.service(ServiceName::Identity, &eu), ServiceName::Identity).await;
    assert_eq!(answer.as_deref(), Some("eu/identity"));
    let answer =
        listening.get("/who", &listening.ap.service(ServiceName::Identity, &ap), ServiceName::Identity).await;
    assert_eq!(answer.as_deref(), Some("ap/identity"));
    assert_eq!(listening.served.load(Ordering::Acquire), 2);

    let stranger = Authority::new();
    let refused = [
        ("another service", listening.eu.service(ServiceName::Authz, &eu)),
        ("a region that is not configured", listening.eu.service(ServiceName::Identity, &region("sa"))),
        ("a region that another's authority speaks for", listening.eu.service(ServiceName::Identity, &ap)),
        ("this region, by another's authority", listening.eu.service(ServiceName::Identity, &us)),
        ("another region, by this one's authority", listening.us.service(ServiceName::Identity, &eu)),
        ("this region itself", listening.us.service(ServiceName::Identity, &us)),
        ("an unknown authority", stranger.service(ServiceName::Identity, &eu)),
        ("no service", listening.eu.identity("identity.eu.landbridge.internal", None)),
        ("a node", listening.eu.identity("x", Some("spiffe://landbridge/region/eu/control-plane/1/node/2"))),
    ];
    for (who, identity) in refused {
        assert_eq!(listening.get("/who", &identity, ServiceName::Identity).await, None, "{who}");
    }
    assert_eq!(listening.served.load(Ordering::Acquire), 2, "none got through");
    listening.drain.cancel();
}

#[tokio::test]
async fn dials_only_what_carries_the_name_and_the_regions_authority() {
    let listening = listen().await;
    let identity = listening.eu.service(ServiceName::Identity, &region("eu"));
    assert_eq!(
        listening.get("/who", &identity, ServiceName::Authz).await,
        None,
        "the server is another service"
    );
    let peer = listening.ap.peer_region(listening.address);
    let link = Link::new(&region("us"), ServiceName::Identity, &peer, &identity).expect("a link");
    let request = Request::get("/who").body(Body::empty()).expect("request");
    assert!(
        link.forward(&region("eu"), ids::OrganizationId::generate(), request).await.is_err(),
        "the server's authority is another"
    );
    assert_eq!(listening.served.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn serves_grpc_and_http_side_by_side() {
    let listening = listen().await;
    let identity = listening.eu.service(ServiceName::Identity, &region("eu"));
    let peer = listening.us.peer_region(listening.address);
    let channel = peer_channel(&peer, &region("us"), ServiceName::Identity, &identity).expect("a channel");
    ReplicationClient::new(channel).exchange(ExchangeRequest::default()).await.expect("an answer");
    assert_eq!(listening.served.load(Ordering::Acquire), 1);
    let answer = listening.get("/nowhere", &identity, ServiceName::Identity).await;
    assert_eq!(answer.as_deref(), Some("no such path"), "the API answers for unknown paths");

    let other = listening.eu.service(ServiceName::Authz, &region("eu"));
    let channel = peer_channel(&peer, &region("us"), ServiceName::Identity, &other).expect("a channel");
    assert!(ReplicationClient::new(channel).exchange(ExchangeRequest::default()).await.is_err());
    assert_eq!(listening.served.load(Ordering::Acquire), 1);
}

#[test]
fn settings_are_checked_before_they_are_used() {
    let (us, eu) = (Authority::new(), Authority::new());
    let own = us.service(ServiceName::Identity, &region("us"));
    let good = eu.peer_region("127.0.0.1:1".parse().expect("address"));
    let checked = |peer| check(&own, ServiceName::Identity, &BTreeMap::from([(region("eu"), peer)]));
    checked(good.clone()).expect("valid");
    let mut bad = good.clone();
    bad.service = "not a URL".to_owned();
    assert!(checked(bad).expect_err("no URL").to_string().contains("regions.eu.service"));
    let mut bad = good;
    bad.ca = "/nonexistent/ca.pem".into();
    assert!(checked(bad).expect_err("no file").to_string().contains("/nonexistent/ca.pem"));
}
