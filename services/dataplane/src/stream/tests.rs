//! The client against a plane in this test: a real tonic server, real mTLS, real store.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use entity_secrets::NodeKey;
use gateway_model::{ByHand, Entity, Kind};
use proto::sync::v1::{
    self as wire, NodeMessage, PlaneMessage,
    node_message::Message as FromNode,
    plane_message::Message as FromPlane,
    sync_server::{Sync, SyncServer},
};
use random::Random;
use serde_json::json;
use sync::{Digest, EntityState, differing, encode_batch};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};
use uuid::Uuid;

use super::*;
use crate::{
    balancing::{self, Groups},
    egress::tests::TestProxy,
    seams::Seams,
    status::{ControlPlaneStatus, Source, Status as NodeStatus, StreamState},
    store::{Store, StoreOptions},
    test_region::{ServerPair, TestRegion, entity, tombstone},
    test_traces::TestTrace,
    view::Live,
};

const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// One stream, as the plane holds it.
pub(crate) struct Connection {
    from_node: Streaming<NodeMessage>,
    to_node: mpsc::Sender<Result<PlaneMessage, Status>>,
    /// The certificate that the node showed, DER.
    certificate: Vec<u8>,
}

struct Accepting(mpsc::Sender<Connection>);

#[tonic::async_trait]
impl Sync for Accepting {
    type FollowStream = ReceiverStream<Result<PlaneMessage, Status>>;

    async fn follow(
        &self,
        request: Request<Streaming<NodeMessage>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let certificates = request.peer_certs().expect("mTLS");
        let certificate = certificates.first().expect("a certificate").to_vec();
        let (to_node, messages) = mpsc::channel(16);
        let connection = Connection { from_node: request.into_inner(), to_node, certificate };
        self.0.send(connection).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// A control plane that accepts streams of nodes.
pub(crate) struct Plane {
    pub(crate) address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
}

pub(crate) async fn plane(region: &TestRegion, server: ServerPair) -> Plane {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let (accepting, connections) = mpsc::channel(16);
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(server.certificate_pem, server.key_pem))
        .client_ca_root(Certificate::from_pem(&region.ca_pem));
    let service =
        SyncServer::new(Accepting(accepting)).send_compressed(tonic::codec::CompressionEncoding::Zstd);
    let server = Server::builder().tls_config(tls).expect("TLS").add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Plane { address, connections }
}

impl Plane {
    async fn connection(&mut self) -> Connection {
        within("a node dials", self.connections.recv()).await.expect("the server runs")
    }

    /// The next stream, past Hello and Welcome. Like a release that tells no key.
    pub(crate) async fn greeted(&mut self) -> (Connection, wire::Hello) {
        self.greeted_with(&[]).await
    }

    /// The same, of a control plane that tells the key of its secrets.
    async fn greeted_with(&mut self, key: &'static [u8]) -> (Connection, wire::Hello) {
        let mut connection = self.connection().await;
        let hello = match connection.next().await {
            FromNode::Hello(hello) => hello,
            other => panic!("the node began with {other:?}"),
        };
        connection
            .send(FromPlane::Welcome(wire::Welcome {
                lease_seconds: 30,
                heartbeat_seconds: 1,
                secrets_key: Bytes::from_static(key),
            }))
            .await;
        (connection, hello)
    }
}

impl Connection {
    async fn send(&self, message: FromPlane) {
        self.to_node.send(Ok(PlaneMessage { message: Some(message) })).await.expect("the node listens");
    }

    /// The node takes its leave.
    pub(crate) async fn left(mut self) {
        assert_eq!(self.next().await, FromNode::Leaving(wire::Leaving {}));
        let end = within("the node's half closes", self.from_node.message()).await;
        assert!(matches!(end, Ok(None)), "{end:?}");
    }

    /// What the node says of the health of targets next.
    async fn health(&mut self) -> wire::Health {
        loop {
            if let FromNode::Health(health) = self.next_of_all().await {
                return health;
            }
        }
    }

    /// The node's next message; heartbeats and reports of health are left out.
    async fn next(&mut self) -> FromNode {
        loop {
            match self.next_of_all().await {
                FromNode::Heartbeat(_) | FromNode::Health(_) => {}
                message => return message,
            }
        }
    }

    async fn next_of_all(&mut self) -> FromNode {
        let message =
            within("a message from the node", self.from_node.message()).await.expect("the stream lives");
        message.expect("not the end").message.expect("a message")
    }

    async fn applied(&mut self) -> wire::Applied {
        match self.next().await {
            FromNode::Applied(applied) => applied,
            other => panic!("{other:?} in place of Applied"),
        }
    }

    async fn delta(&mut self, base: u64, state: &State, entities: &[EntityState]) -> wire::Applied {
        self.send(FromPlane::Delta(state.delta(base, entities))).await;
        self.applied().await
    }

    /// Compares buckets, sends those that differ in pages of one entity, and the delta behind them.
    async fn resync(&mut self, state: &State) -> (usize, wire::Applied) {
        let compare = wire::CompareBuckets {
            incarnation: state.incarnation,
            buckets: 256,
            reason: "test".to_owned(),
            base: state.version,
        };
        self.send(FromPlane::CompareBuckets(compare)).await;
        let theirs = match self.next().await {
            FromNode::Buckets(buckets) => buckets.digests,
            other => panic!("{other:?} in place of Buckets"),
        };
        let mut pages = 0;
        for bucket in differing(&state.buckets(), &theirs) {
            let entities: Vec<EntityState> =
                state.entities.values().filter(|entity| entity.bucket() == bucket).cloned().collect();
            let mut begins = vec![bucket];
            for page in entities.chunks(1).chain(entities.is_empty().then_some(&[][..])) {
                let (begins, entities) = (std::mem::take(&mut begins).into(), encode_batch(page.to_vec()));
                self.send(FromPlane::Page(wire::Page { begins, entities })).await;
                assert_eq!(self.next().await, FromNode::PageStaged(wire::PageStaged {}));
                pages += 1;
            }
        }
        let (incarnation, base) = (state.incarnation, state.version);
        self.send(FromPlane::SnapshotEnd(wire::SnapshotEnd { incarnation, base })).await;
        (pages, self.delta(base, state, &[]).await)
    }
}

/// A control plane's live entities.
#[derive(Clone, Default)]
struct State {
    incarnation: u64,
    version: u64,
    entities: BTreeMap<(String, Uuid), EntityState>,
}

impl State {
    fn commit(&mut self, entities: &[EntityState]) {
        self.version = entities.iter().map(|entity| entity.version).max().unwrap_or(self.version);
        for entity in entities {
            let name = (entity.kind.clone(), entity.id);
            if entity.deleted {
                self.entities.remove(&name)
            } else {
                self.entities.insert(name, entity.clone())
            };
        }
    }

    fn buckets(&self) -> [Digest; 256] {
        let mut buckets = [Digest::default(); 256];
        self.entities
            .values()
            .for_each(|entity| buckets[usize::from(entity.bucket())].add(&entity.digest().expect("live")));
        buckets
    }

    fn digest(&self) -> Digest {
        self.buckets().iter().collect()
    }

    fn delta(&self, base: u64, entities: &[EntityState]) -> wire::Delta {
        wire::Delta {
            incarnation: self.incarnation,
            base,
            version: self.version,
            digest: self.digest().as_bytes().to_vec().into(),
            entities: encode_batch(entities.to_vec()),
            committed_at_ms: 0,
            traceparent: String::new(),
        }
    }
}

/// An enrolled node; its client runs once started.
pub(super) struct Node {
    folder: tempfile::TempDir,
    pub(super) files: NodeFiles,
    pub(super) applier: Applier,
    proxy: Option<EgressProxy>,
    drain: CancellationToken,
    client: Option<JoinHandle<()>>,
}

impl Node {
    /// With a certificate that began `age` ago.
    pub(super) async fn new(region: &TestRegion, endpoints: &[String], age: time::Duration) -> Node {
        let folder = tempfile::tempdir().expect("temporary folder");
        let files = NodeFiles::new(folder.path().join("node"));
        let csr = rcgen::CertificateParams::default()
            .serialize_request(&files.key().expect("key"))
            .expect("request");
        let certificate = region.sign(csr.der(), &region.identity, age, time::Duration::days(6));
        let token = Uuid::from_u128(1);
        files
            .keep(region.identity.clone(), &certificate, &region.ca_pem, endpoints.to_vec(), token)
            .expect("enrolled");
        let applier = start(folder.path()).await;
        Node { folder, files, applier, proxy: None, drain: CancellationToken::new(), client: None }
    }

    async fn following(region: &TestRegion, plane: &Plane) -> Node {
        let mut node = Node::new(region, &[plane.address.to_string()], time::Duration::ZERO).await;
        node.run();
        node
    }

    fn run(&mut self) {
        let (hostname, proxy) = ("host-1".to_owned(), self.proxy.clone());
        let options = StreamOptions { hostname, files: self.files.clone(), proxy };
        self.client = Some(tokio::spawn(run(self.applier.clone(), options, self.drain.clone())));
    }

    async fn stop(&mut self) {
        self.drain.cancel();
        if let Some(client) = self.client.take() {
            within("the client ends", client).await.expect("no panic");
        }
    }

    async fn connected(&self) -> NodeStatus {
        let connected =
            |status: &NodeStatus| matches!(control_plane(status).stream, StreamState::Connected { .. });
        self.status("connected", connected).await
    }

    async fn status(&self, what: &str, is: impl FnMut(&NodeStatus) -> bool) -> NodeStatus {
        let mut status = self.applier.status().subscribe();
        within(what, status.wait_for(is)).await.expect("a status").clone()
    }
}

async fn start(folder: &std::path::Path) -> Applier {
    let store = Store::open(&folder.join("store"), StoreOptions::default()).expect("opens");
    let source = Source::ControlPlane(ControlPlaneStatus::default());
    // Waits between attempts are random: here they end at once.
    let seams = Seams { random: Random::fixed(0), ..Seams::system() };
    let status = NodeStatus::new(store.node(), OffsetDateTime::UNIX_EPOCH, source);
    Applier::start(store, Live::default(), watch::channel(status).0, Groups::default(), seams)
        .await
        .expect("starts")
}

fn control_plane(status: &NodeStatus) -> &ControlPlaneStatus {
    match &status.source {
        Source::ControlPlane(control_plane) => control_plane,
        Source::Declarative(_) => panic!("not declarative"),
    }
}

fn service(id: u128, version: u64) -> EntityState {
    entity(Kind::Service, id, version, &json!({ "name": format!("service-{id}"), "host": "upstream.test" }))
}

fn consumer_with_key(key: &str, version: u64) -> [EntityState; 2] {
    let consumer = entity(Kind::Consumer, 500, version, &json!({ "username": "till" }));
    let key = json!({ "key": key, "consumer": { "id": consumer.id } });
    [consumer, entity(Kind::KeyAuth, 501, version, &key)]
}

/// A certificate with its name, sealed with `key`.
pub(crate) fn certificate(key: &[u8; 32], version: u64) -> [EntityState; 2] {
    let id = Uuid::from_u128(700);
    let mut sealed = Entity::from_api(Kind::Certificate, &Kind::Certificate.example()).expect("valid");
    NodeKey::new(key).seal(id, &mut sealed, None);
    let body = Bytes::from(sealed.to_wire().expect("complete"));
    let name = entity(Kind::Sni, 701, version, &json!({ "name": "a.test", "certificate": { "id": id } }));
    [EntityState { kind: "certificate".to_owned(), id, version, body, deleted: false }, name]
}

#[tokio::test]
async fn secrets_are_opened_with_the_key_that_the_control_plane_tells() {
    const KEY: [u8; 32] = [1; 32];
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    // A control plane of an earlier release.
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 4, ..State::default() };
    state.commit(&certificate(&KEY, 9));
    let (_, applied) = stream.resync(&state).await;
    let [held] = &applied.quarantined[..] else { panic!("{applied:?}") };
    assert!(held.kind == "certificate" && held.reason.contains("has no key"), "{}", held.reason);
    assert!(node.files.secrets_key().expect("readable").is_none());

    // Then it tells the key; what is held is served without another delta, and told with the next.
    let shown = |node: &Node| node.applier.live().load().certificate(Some("a.test")).is_some();
    let quarantined = |count| move |status: &NodeStatus| status.configuration.counts.quarantined == count;
    drop(stream);
    let (mut stream, hello) = plane.greeted_with(&KEY).await;
    assert_eq!(hello.quarantined.len(), 1);
    node.status("opened", quarantined(0)).await;
    assert!(shown(&node));
    assert_eq!(stream.delta(9, &state, &[]).await.quarantined, []);
    assert!(node.files.secrets_key().expect("readable") == Some(NodeKey::new(&KEY)));

    // One that tells none again changes nothing.
    drop(stream);
    let (stream, hello) = plane.greeted().await;
    assert_eq!(hello.quarantined, []);
    assert!(shown(&node));

    // Another key: what was sealed with the old one is not served, until the control plane sends it anew.
    drop(stream);
    let (mut stream, _) = plane.greeted_with(&[2; 32]).await;
    let status = node.status("sealed", quarantined(1)).await;
    assert!(status.configuration.quarantined[0].reason.contains("another key"), "{status:?}");
    let anew = certificate(&[2; 32], 10);
    state.commit(&anew);
    let applied = stream.delta(9, &state, &anew).await;
    assert_eq!((applied.digest_matches, applied.quarantined.len()), (true, 0));
    assert!(shown(&node) && node.files.secrets_key().expect("readable") == Some(NodeKey::new(&[2; 32])));

    // A key that is none ends the stream.
    drop(stream);
    let (_stream, _) = plane.greeted_with(b"short").await;
    let told = |status: &NodeStatus| {
        control_plane(status).last_error.as_ref().is_some_and(|error| error.contains("32 bytes"))
    };
    node.status("told", told).await;
    node.stop().await;
}

#[tokio::test]
async fn follows_from_nothing_to_deltas() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, hello) = plane.greeted().await;
    assert_eq!(hello.hostname, "host-1");
    assert_eq!(
        hello.position.as_ref().map(|position| (position.incarnation, position.version)),
        Some((0, 0))
    );
    assert!(hello.kinds.contains(&"route".to_owned()));
    let status = node.connected().await;
    assert_eq!(control_plane(&status).id, Some(region.identity.control_plane));
    assert!(!node.applier.status().borrow().readiness().ready);

    let mut state = State { incarnation: 4, ..State::default() };
    state.commit(&(1..=300).map(|id| service(id, 9)).collect::<Vec<_>>());
    let (pages, applied) = stream.resync(&state).await;
    assert_eq!((pages, applied.digest_matches, applied.error.as_str()), (300, true, ""));
    assert!(node.applier.status().borrow().readiness().ready);
    assert_eq!(node.applier.live().load().counts().services, 300);

    let entities = [service(1, 10), tombstone(Kind::Service, 2, 10)];
    state.commit(&entities);
    let applied = stream.delta(9, &state, &entities).await;
    assert!(applied.digest_matches && applied.derive_us > 0 && applied.commit_us > 0, "{applied:?}");
    let position = applied.position.expect("a position");
    assert_eq!((position.incarnation, position.version), (4, 10));
    assert_eq!(&position.digest[..], state.digest().as_bytes());
    assert_eq!(node.applier.live().load().counts().services, 299);

    // With nothing to say the node is heard of all the same.
    match stream.next_of_all().await {
        FromNode::Heartbeat(heartbeat) => assert_eq!(heartbeat.position, Some(position)),
        other => panic!("{other:?} in place of a heartbeat"),
    }
}

#[tokio::test]
async fn each_step_of_applying_a_delta_is_in_the_trace_of_its_write() {
    let trace = TestTrace::new(1);
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;

    let entities = [service(2, 2)];
    state.commit(&entities);
    let delta = wire::Delta { traceparent: trace.traceparent(true), ..state.delta(1, &entities) };
    stream.send(FromPlane::Delta(delta)).await;
    assert!(stream.applied().await.digest_matches);
    let apply = trace.span("apply delta").await;
    assert_eq!(apply.parent_span_id, trace.parent());
    for step in ["derive view", "commit to LMDB", "swap view", "acknowledge delta"] {
        let span = trace.span(step).await;
        assert_eq!(span.parent_span_id, apply.span_context.span_id(), "{step}");
    }
    assert_eq!(trace.spans().len(), 5, "{:?}", trace.spans());
    node.stop().await;
}

#[tokio::test]
async fn readiness_does_not_flap_with_the_stream() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;
    let met = |status: &NodeStatus| status.readiness().conditions["stream"].met;
    let connected = node.connected().await;
    assert!(met(&connected) && connected.readiness().ready);

    // From here on every status that the gateway shows is looked at.
    let mut status = node.applier.status().subscribe();
    let always_ready = tokio::spawn(async move {
        let mut lost = false;
        loop {
            let shown = status.borrow_and_update().clone();
            assert!(shown.readiness().ready, "{shown:?}");
            lost |= !met(&shown);
            if lost && met(&shown) {
                return;
            }
            status.changed().await.expect("the gateway runs");
        }
    });
    drop(stream);
    let (_stream, _) = plane.greeted().await;
    within("the stream is lost and comes back", always_ready).await.expect("ready all the time");
    node.stop().await;
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_ends_the_stream() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let compare = |incarnation, buckets| {
        FromPlane::CompareBuckets(wire::CompareBuckets {
            incarnation,
            buckets,
            ..wire::CompareBuckets::default()
        })
    };
    let page = || FromPlane::Page(wire::Page { begins: Bytes::from_static(&[0]), entities: Bytes::new() });
    let end = |incarnation| FromPlane::SnapshotEnd(wire::SnapshotEnd { incarnation, base: 1 });
    let revocation = |seq, kind: &str, id: &'static [u8]| {
        let (kind, id) = (kind.to_owned(), Bytes::from_static(id));
        FromPlane::Revocation(wire::Revocation { seq, kind, id })
    };
    let id: &[u8; 16] = &[7; 16];
    for (messages, reason) in [
        (vec![compare(1, 16)], "16 buckets"),
        (vec![compare(0, 256)], "incarnation 0"),
        (vec![page()], "before buckets were compared"),
        (vec![compare(1, 256), end(2)], "another incarnation"),
        (vec![compare(1, 256), end(1), page()], "after its end"),
        (vec![revocation(1, "route", id)], "route cannot be revoked"),
        (vec![revocation(0, "key_auth", id)], "sequence number 0"),
        (vec![revocation(1, "key_auth", b"short")], "16 bytes"),
    ] {
        let (stream, _) = plane.greeted().await;
        for message in messages {
            stream.send(message).await;
        }
        let shown = node.status(reason, |status| {
            control_plane(status).last_error.as_ref().is_some_and(|error| error.contains(reason))
        });
        shown.await;
    }
    // A kind that this build does not know may be revoked: it serves no entity of it.
    let (mut stream, _) = plane.greeted().await;
    stream.send(revocation(1, "jwt_secret", id)).await;
    assert_eq!(stream.next().await, FromNode::RevocationApplied(wire::RevocationApplied { seq: 1 }));
    node.stop().await;
}

#[tokio::test]
async fn a_differing_digest_is_reported_and_mended_by_buckets() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&(1..=200).map(|id| service(id, 1)).collect::<Vec<_>>());
    stream.resync(&state).await;

    // Something that the node never heard of.
    state.commit(&[service(7, 2), service(900, 2)]);
    let entities = [service(1000, 3)];
    state.commit(&entities);
    let applied = stream.delta(1, &state, &entities).await;
    assert_eq!((applied.digest_matches, applied.error.as_str()), (false, ""));
    assert_eq!(applied.position.map(|position| position.version), Some(1), "nothing of it is applied");
    assert_eq!(node.applier.status().borrow().configuration.digest_matches, Some(false));

    let (pages, applied) = stream.resync(&state).await;
    assert!(applied.digest_matches && pages < 20, "{pages} pages travelled");
    assert_eq!(node.applier.store().position().expect("held").digest, state.digest());
    assert_eq!(node.applier.status().borrow().configuration.digest_matches, Some(true));

    // A delta that does not continue is refused with its reason, and the stream lives on.
    let applied = stream.delta(50, &State { version: 60, ..state.clone() }, &[]).await;
    assert!(!applied.digest_matches && applied.error.contains("does not continue"), "{applied:?}");
    assert!(stream.resync(&state).await.1.digest_matches);
}

#[tokio::test]
async fn health_of_targets_is_told_and_a_state_set_by_hand_is_taken() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    assert_eq!(stream.health().await, wire::Health::default());
    let mut state = State { incarnation: 4, ..State::default() };
    let upstream = entity(Kind::Upstream, 600, 1, &json!({ "name": "orders.internal" }));
    let target = |version, by_hand: Option<ByHand>| {
        let body = json!({ "upstream": { "id": upstream.id }, "target": "192.0.2.1:80" });
        let mut target = entity(Kind::UpstreamTarget, 601, version, &body);
        let mut read = Entity::from_wire(Kind::UpstreamTarget, &target.body).expect("valid");
        if let Entity::UpstreamTarget(target) = &mut read {
            target.by_hand = by_hand;
        }
        target.body = read.to_wire().expect("resolved").into();
        target
    };
    state.commit(&[upstream.clone(), target(1, None)]);
    stream.resync(&state).await;
    let is_up = || node.applier.groups().shown()[0].targets[0].endpoints[0].state;
    assert_eq!(is_up(), balancing::State::Up);
    for (version, is_healthy) in [(2, false), (3, true)] {
        let set = target(version, Some(ByHand { is_healthy, at: version }));
        state.commit(std::slice::from_ref(&set));
        let applied = stream.delta(version - 1, &state, &[set]).await;
        assert!(applied.digest_matches, "{}", applied.error);
        assert_eq!(is_up() == balancing::State::Up, is_healthy);
        let told = stream.health().await;
        let unhealthy = wire::UnhealthyTarget {
            id: Uuid::from_u128(601).as_bytes().to_vec().into(),
            state: wire::unhealthy_target::State::Unhealthy.into(),
            addresses: vec!["192.0.2.1:80".to_owned()],
        };
        assert_eq!(told.targets, if is_healthy { vec![] } else { vec![unhealthy] });
    }
}

#[tokio::test]
async fn quarantine_is_reported() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let _node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    let future = EntityState { body: Bytes::from_static(b"{\"from\":\"the future\"}"), ..service(2, 1) };
    state.commit(&[service(1, 1), future]);
    let (_, applied) = stream.resync(&state).await;
    assert!(applied.digest_matches, "what is not served is held all the same");
    let [quarantined] = &applied.quarantined[..] else { panic!("{applied:?}") };
    assert_eq!(
        (quarantined.kind.as_str(), &quarantined.id[..]),
        ("service", &Uuid::from_u128(2).as_bytes()[..])
    );
    assert!(!quarantined.reason.is_empty());
}

#[tokio::test]
async fn a_revocation_overtakes_the_delta_under_way() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, hello) = plane.greeted().await;
    assert_eq!(hello.revocation_seq, 0);
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&consumer_with_key("k", 1));
    stream.resync(&state).await;
    let store = node.applier.store().clone();
    let found = |store: &Store| {
        store.identify(Kind::KeyAuth, &crate::store::Lookup::key("k"), 0).expect("reads").is_some()
    };
    assert!(found(&store));

    let entities: Vec<EntityState> = (1000..4000).map(|id| service(id, 2)).collect();
    state.commit(&entities);
    stream.send(FromPlane::Delta(state.delta(1, &entities))).await;
    let id = Bytes::copy_from_slice(Uuid::from_u128(501).as_bytes());
    stream.send(FromPlane::Revocation(wire::Revocation { seq: 3, kind: "key_auth".to_owned(), id })).await;
    assert_eq!(stream.next().await, FromNode::RevocationApplied(wire::RevocationApplied { seq: 3 }));
    assert!(!found(&store), "denied before it is acknowledged");
    assert!(stream.applied().await.digest_matches);

    node.stop().await;
    assert_eq!(store.revocation_seq(), 3, "an ended stream leaves nothing unsaved");
    drop(store);
    let Node { folder, applier, files, .. } = node;
    drop(applier);
    let applier = start(folder.path()).await;
    assert!(!found(applier.store()), "and it survives a restart");
    let mut node =
        Node { folder, files, applier, proxy: None, drain: CancellationToken::new(), client: None };
    node.run();
    let (mut stream, hello) = plane.greeted().await;
    assert_eq!(hello.revocation_seq, 3);
    assert_eq!(hello.position.map(|position| position.version), Some(2));
    let entities = [tombstone(Kind::KeyAuth, 501, 4)];
    state.commit(&entities);
    assert!(stream.delta(2, &state, &entities).await.digest_matches);
    node.stop().await;
}

#[tokio::test]
async fn dials_again_at_the_next_endpoint_and_serves_meanwhile() {
    let region = TestRegion::new();
    let mut first = plane(&region, region.server()).await;
    let mut second = plane(&region, region.server()).await;
    let closed = {
        let unused = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        unused.local_addr().expect("bound").to_string()
    };
    let endpoints = [closed, first.address.to_string(), format!("https://{}", second.address)];
    let mut node = Node::new(&region, &endpoints, time::Duration::ZERO).await;
    node.run();
    let (mut stream, _) = first.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;
    drop(stream);

    let (mut stream, hello) = second.greeted().await;
    let position = hello.position.expect("a position");
    assert_eq!(
        (position.incarnation, position.version, &position.digest[..]),
        (1, 1, &state.digest().as_bytes()[..])
    );
    assert_eq!(node.applier.live().load().counts().services, 1);
    assert!(stream.delta(1, &state, &[]).await.digest_matches, "an empty delta proves equality");
    // A message that is no delta at all ends the stream, and nothing else.
    let malformed = wire::Delta { entities: Bytes::from_static(b"\xff\xff"), ..state.delta(1, &[]) };
    stream.send(FromPlane::Delta(malformed)).await;
    let waiting = node.status("the error is shown", |status| {
        control_plane(status).last_error.as_ref().is_some_and(|error| error.contains("broke the protocol"))
    });
    waiting.await;
    let (_stream, hello) = first.greeted().await;
    assert_eq!(hello.position.map(|position| position.version), Some(1));
    node.stop().await;
}

#[tokio::test]
async fn a_stream_goes_through_a_proxy() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let proxy = TestProxy::to(plane.address).await;
    let endpoints = ["sync.of-another-network.test:7443".to_owned()];
    let mut node = Node::new(&region, &endpoints, time::Duration::ZERO).await;
    let way = format!("http://gw:secret@{}", proxy.address);
    node.proxy = Some(EgressProxy::try_from(way).expect("a proxy"));
    node.run();
    let (mut stream, _) = plane.greeted().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    stream.resync(&state).await;
    let asked = proxy.asked().await;
    assert!(asked[0].starts_with("CONNECT sync.of-another-network.test:7443 HTTP/1.1"), "{asked:?}");
    // `gw:secret`.
    assert!(asked[0].contains("Basic Z3c6c2VjcmV0"), "{asked:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_refusal_is_paced_by_the_plane() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (stream, _) = plane.greeted().await;
    let refused = wire::Refused { reason: "too many snapshots at once".to_owned(), retry_after_seconds: 1 };
    stream.send(FromPlane::Refused(refused)).await;
    let refused_at = Instant::now();
    let status = node.status("refused", |status| control_plane(status).last_error.is_some()).await;
    let error = control_plane(&status).last_error.clone().expect("an error");
    assert!(error.contains("too many snapshots"), "{error}");
    plane.greeted().await;
    assert!(refused_at.elapsed() >= Duration::from_secs(1));
    node.stop().await;
}

#[tokio::test]
async fn a_certificate_past_two_thirds_of_its_life_is_renewed() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::new(&region, &[plane.address.to_string()], time::Duration::days(5)).await;
    node.run();
    let (mut stream, _) = plane.greeted().await;
    let FromNode::Renewal(renewal) = stream.next().await else { panic!("no renewal") };
    let life = time::Duration::days(7);
    let certificate_pem = region.sign(&renewal.csr_der, &region.identity, time::Duration::ZERO, life);
    let renewed = wire::Certificate { certificate_pem: certificate_pem.clone() };
    stream.send(FromPlane::Certificate(renewed)).await;

    let (mut second, _) = plane.greeted().await;
    assert_ne!(second.certificate, stream.certificate);
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).expect("PEM");
    assert_eq!(second.certificate, pem.contents, "the node comes back with the new one");
    second.health().await;
    assert!(matches!(second.next_of_all().await, FromNode::Heartbeat(_)), "and asks for no other");
    node.stop().await;
}

#[tokio::test]
async fn a_drain_takes_leave() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (stream, _) = plane.greeted().await;
    node.connected().await;
    node.drain.cancel();
    stream.left().await;
    node.stop().await;
}

#[tokio::test]
async fn a_plane_of_another_authority_learns_nothing() {
    let region = TestRegion::new();
    let stranger = TestRegion::new();
    let mut plane = plane(&region, stranger.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let status = node.status("the error is shown", |status| control_plane(status).last_error.is_some()).await;
    let error = control_plane(&status).last_error.clone().expect("an error");
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert!(plane.connections.try_recv().is_err());
    node.stop().await;
}

#[tokio::test]
async fn resynchronisation_that_does_not_converge_ends_the_stream() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let mut node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    stream.health().await;
    let mut state = State { incarnation: 1, ..State::default() };
    state.commit(&[service(1, 1)]);
    for _ in 0..4 {
        let lost = State { entities: BTreeMap::new(), ..state.clone() };
        let compare =
            wire::CompareBuckets { incarnation: 1, buckets: 256, ..wire::CompareBuckets::default() };
        stream.send(FromPlane::CompareBuckets(compare)).await;
        assert!(matches!(stream.next().await, FromNode::Buckets(_)));
        stream.send(FromPlane::SnapshotEnd(wire::SnapshotEnd { incarnation: 1, base: 1 })).await;
        // The digest is of more than was sent.
        let delta = wire::Delta { digest: state.digest().as_bytes().to_vec().into(), ..lost.delta(1, &[]) };
        stream.send(FromPlane::Delta(delta)).await;
        if let Ok(Ok(Some(message))) = timeout(DEADLINE, stream.from_node.message()).await
            && let Some(FromNode::Applied(applied)) = message.message
        {
            assert!(!applied.digest_matches);
        }
    }
    let status = node.status("given up", |status| {
        control_plane(status).last_error.as_ref().is_some_and(|error| error.contains("still differs"))
    });
    status.await;
    plane.greeted().await;
    node.stop().await;
}
