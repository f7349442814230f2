//! The client against a plane in this test: a real tonic server, real mTLS, real store.

mod configuration;
mod connection;
mod health;
mod snapshots;

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
use sync::{Batch, Digest, EntityState, differing, encode_batch};
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

mod pinned;

use super::*;
use crate::{
    balancing::{self, Groups},
    egress::{EgressProxy, tests::TestProxy},
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
                self.send(FromPlane::Page(wire::Page { begins, entities, ..wire::Page::default() })).await;
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
            ..wire::Delta::default()
        }
    }
}

/// An enrolled node; its client runs once started.
pub(super) struct Node {
    folder: tempfile::TempDir,
    pub(super) files: NodeFiles,
    pub(super) applier: Applier,
    proxy: Option<EgressProxy>,
    mode: SyncMode,
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
        Node::of(folder, files, applier)
    }

    fn of(folder: tempfile::TempDir, files: NodeFiles, applier: Applier) -> Node {
        let (mode, drain) = (SyncMode::default(), CancellationToken::new());
        Node { folder, files, applier, proxy: None, mode, drain, client: None }
    }

    pub(super) fn options(&self) -> StreamOptions {
        let (hostname, dial) = ("host-1".to_owned(), Arc::new(Network { proxy: self.proxy.clone() }));
        StreamOptions { hostname, files: self.files.clone(), dial, mode: self.mode }
    }

    async fn following(region: &TestRegion, plane: &Plane) -> Node {
        let mut node = Node::new(region, &[plane.address.to_string()], time::Duration::ZERO).await;
        node.run();
        node
    }

    fn run(&mut self) {
        self.client = Some(tokio::spawn(run(self.applier.clone(), self.options(), self.drain.clone())));
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
