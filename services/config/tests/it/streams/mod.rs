//! The plane's end of the sync stream, against a node in this test: real mTLS, real enrolment.

mod certificates;
mod following;
mod health;
mod pinned;
mod restores;
mod revocations;
mod seats;
mod snapshots;

use std::net::SocketAddr;

use axum::http::{Method, StatusCode};
use entity_secrets::NodeKey;
use gateway_model::{Entity, Kind};
use ids::NodeId;
use listener::{Listener, Options, Protocols};
use proto::sync::v1::{
    self as wire, NodeMessage, PlaneMessage, Position, node_message::Message as FromNode,
    plane_message::Message as FromPlane, sync_client::SyncClient,
};
use rcgen::KeyPair;
use serde_json::json;
use sync::{Digest, EntityState, decode_batch, limits};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Streaming,
    codec::CompressionEncoding,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    nodes::{csr, token},
    world::{World, within},
};

/// A control plane whose streams are served.
pub struct Served {
    world: World,
    plane: String,
    address: SocketAddr,
}

/// A node, with its certificate.
pub struct Node {
    id: NodeId,
    key: KeyPair,
    certificate_pem: String,
    ca_pem: String,
}

impl Clone for Node {
    fn clone(&self) -> Self {
        let key = KeyPair::from_pem(&self.key.serialize_pem()).expect("a key");
        let (certificate_pem, ca_pem) = (self.certificate_pem.clone(), self.ca_pem.clone());
        Self { id: self.id, key, certificate_pem, ca_pem }
    }
}

/// How a snapshot began, what it sent, and the version from which a delta completes it.
type Snapshot = (wire::CompareBuckets, Vec<EntityState>, u64);

/// One stream, as the node holds it.
pub struct Stream {
    pub outbound: mpsc::Sender<NodeMessage>,
    pub inbound: Streaming<PlaneMessage>,
}

impl Served {
    pub async fn new() -> Self {
        let world = World::new().await;
        let plane = world.plane("edge").await;
        let (tls, routes) = world.service.streams().expect("streams");
        let options = Options { name: "sync", tls: Some(tls.into()), ..Options::default() };
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any, options).await.expect("binds");
        let (address, protocols) = (listener.address(), Protocols::Streams { streams_max: 4 });
        let serving = listener.serve(routes.into_axum_router(), protocols, CancellationToken::new());
        tokio::spawn(serving);
        Self { world, plane, address }
    }

    pub async fn enrol(&self) -> Node {
        self.enrol_in(&self.plane).await
    }

    async fn enrol_in(&self, plane: &str) -> Node {
        let token = token(&self.world, plane, json!({})).await;
        let (id, key) = (NodeId::generate(), KeyPair::generate().expect("a key"));
        let body = json!({"token": token, "node_id": id, "hostname": "gw-1", "csr_pem": csr(&key)});
        let enrolled = self.world.post("/v1/nodes/enrol", &body).await.expect(StatusCode::OK);
        let text = |field: &str| enrolled[field].as_str().expect("text").to_owned();
        Node { id, key, certificate_pem: text("certificate_pem"), ca_pem: text("ca_pem") }
    }

    pub async fn open(&self, node: &Node, hello: wire::Hello) -> Stream {
        let mut client = self.dial(node).await;
        let (outbound, messages) = mpsc::channel(16);
        let stream = async {
            outbound.send(NodeMessage { message: Some(FromNode::Hello(hello)) }).await.expect("open");
            client.follow(ReceiverStream::new(messages)).await.expect("a stream").into_inner()
        };
        let inbound = within("a stream", stream).await;
        Stream { outbound, inbound }
    }

    /// A connection with the node's certificate.
    pub async fn dial(&self, node: &Node) -> SyncClient<Channel> {
        let tls = ClientTlsConfig::new()
            .domain_name("sync.us.landbridge.internal")
            .ca_certificate(Certificate::from_pem(&node.ca_pem))
            .identity(Identity::from_pem(&node.certificate_pem, node.key.serialize_pem()));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).expect("a URL");
        let channel = endpoint.tls_config(tls).expect("TLS").connect().await.expect("connects");
        SyncClient::new(channel)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
    }

    /// A stream past Welcome, of a node that holds nothing.
    async fn welcomed(&self, node: &Node) -> Stream {
        let mut stream = self.open(node, wire::Hello::default()).await;
        let welcome = stream.next().await;
        assert!(matches!(welcome, FromPlane::Welcome(_)), "{welcome:?}");
        stream
    }

    /// A stream of a node that holds one consumer, `first`, which is all that there is.
    pub async fn settled(&self, node: &Node) -> Stream {
        self.consumer("first").await;
        let mut stream = self.welcomed(node).await;
        stream.snapshot(&[]).await;
        let delta = stream.delta().await;
        assert_eq!(delta.version, 1);
        stream.applied(&delta).await;
        stream
    }

    async fn consumer(&self, name: &str) {
        let path = format!("{}/core-entities/consumers", self.plane);
        self.world.post(path, &json!({ "username": name })).await.expect(StatusCode::CREATED);
    }

    async fn node(&self, node: &Node) -> serde_json::Value {
        let answer = self.world.get(format!("{}/nodes/{}", self.plane, node.id)).await;
        answer.expect(StatusCode::OK)["item"].clone()
    }
}

impl Stream {
    async fn send(&self, message: FromNode) {
        self.outbound.send(NodeMessage { message: Some(message) }).await.expect("the plane listens");
    }

    pub async fn next(&mut self) -> FromPlane {
        let message = within("a message", self.inbound.message()).await.expect("the stream lives");
        message.expect("not the end").message.expect("a message")
    }

    /// Whether the stream ends without another message.
    async fn ends(&mut self) -> bool {
        !matches!(within("the end", self.inbound.message()).await, Ok(Some(_)))
    }

    async fn delta(&mut self) -> wire::Delta {
        match self.next().await {
            FromPlane::Delta(delta) => delta,
            other => panic!("{other:?} in place of a delta"),
        }
    }

    async fn revoked(&mut self) -> wire::Revocation {
        match self.next().await {
            FromPlane::Revocation(revocation) => revocation,
            other => panic!("{other:?} in place of a revocation"),
        }
    }

    async fn refused(&mut self) -> (String, u64) {
        match self.next().await {
            FromPlane::Refused(refused) => (refused.reason, refused.retry_after_seconds),
            other => panic!("{other:?} in place of Refused"),
        }
    }

    /// Says that a delta is applied.
    async fn applied(&self, delta: &wire::Delta) {
        let position =
            Position { incarnation: delta.incarnation, version: delta.version, digest: delta.digest.clone() };
        self.send(FromNode::Applied(wire::Applied {
            position: Some(position),
            digest_matches: true,
            ..wire::Applied::default()
        }))
        .await;
    }

    /// Goes along with a snapshot: answers which buckets it holds, stages every page. What it was sent, and why.
    async fn snapshot(&mut self, held: &[u8]) -> (Vec<EntityState>, String) {
        let held = wire::Buckets { digests: held.to_vec().into(), staged_at: Vec::new() };
        let (compare, rows, _) = self.snapshot_of(held).await;
        assert_eq!(compare.incarnation, 1);
        (rows, compare.reason)
    }

    /// The same, of a node that says more of its buckets.
    async fn snapshot_of(&mut self, held: wire::Buckets) -> Snapshot {
        self.snapshot_or_other(held).await.unwrap_or_else(|other| panic!("{other:?} within a snapshot"))
    }

    /// The same. `Err`: what came in its place.
    async fn snapshot_or_other(&mut self, held: wire::Buckets) -> Result<Snapshot, FromPlane> {
        let compare = match self.next().await {
            FromPlane::CompareBuckets(compare) => compare,
            other => return Err(other),
        };
        assert_eq!(compare.buckets, 256);
        self.send(FromNode::Buckets(held)).await;
        let mut rows = Vec::new();
        loop {
            match self.next().await {
                FromPlane::Page(page) => {
                    rows.extend(decode_batch(page.entities).expect("rows"));
                    self.send(FromNode::PageStaged(wire::PageStaged {})).await;
                }
                FromPlane::SnapshotEnd(end) => {
                    assert_eq!(end.incarnation, compare.incarnation);
                    return Ok((compare, rows, end.base));
                }
                other => return Err(other),
            }
        }
    }
}

/// Hello of a node that holds this version.
fn at(incarnation: u64, version: u64) -> wire::Hello {
    let position = Position { incarnation, version, digest: Vec::new().into() };
    wire::Hello { position: Some(position), ..wire::Hello::default() }
}

fn digest(rows: &[EntityState]) -> Digest {
    rows.iter().filter_map(EntityState::digest).collect::<Vec<_>>().iter().collect()
}
