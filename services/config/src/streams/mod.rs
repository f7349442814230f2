//! The control plane's end of the stream: one task per connected node. The protocol is explained in the documentation of the
//! crate `sync`.
//!
//! A node is identified by its certificate only, which the region's CA has signed. With it, a node can open the stream of
//! its own control plane and nothing else. With one that has ended, it can renew it and nothing else.

mod delta;
mod end;
mod permits;
mod seats;
mod session;
mod snapshot;
mod wire;

use std::{pin::Pin, sync::Arc};

use clock::Clock;
use futures::Stream;
use ids::Region;
use listener::Client;
use proto::sync::v1::{
    NodeMessage, PlaneMessage,
    sync_server::{Sync, SyncServer},
};
use seal::SealKey;
use sqlx::PgPool;
use sync::{identity::NodeIdentity, limits};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, codec::CompressionEncoding, service::Routes};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use self::{permits::SnapshotPermits, seats::Seats, session::Session};
use crate::{
    enrolment::{ca::RegionCa, key::NodeKey, verifier::end_of},
    feed::Feed,
    nodes::registry::Registry,
    settings::Snapshots,
};

/// Most streams that one connection carries. A node has one: the next ends the one before.
pub const PER_CONNECTION_MAX: u32 = 4;
/// Most messages that wait to be sent to one node. This bounds the memory that a slow node costs.
const OUTBOUND_MAX: usize = 4;

/// What the streams share.
#[derive(Clone)]
pub struct Plane {
    db: PgPool,
    /// Takes what nodes report.
    registry: Registry,
    feed: Feed,
    ca: Arc<RegionCa>,
    /// Of which the keys are made that nodes open secrets with.
    seal: SealKey,
    region: Region,
    clock: Clock,
    /// Turns to send a snapshot.
    snapshots: SnapshotPermits,
    /// The one stream of each node.
    seats: Seats,
    drain: CancellationToken,
}

impl Plane {
    /// What streams need. `ca` renews certificates; `seal` is the region's key, of which each node gets that of its control plane;
    /// `snapshots` limits how many are sent at a time; `drain` ends all streams.
    pub fn new(
        db: PgPool,
        feed: Feed,
        (ca, seal): (Arc<RegionCa>, SealKey),
        region: Region,
        clock: Clock,
        snapshots: &Snapshots,
        drain: CancellationToken,
    ) -> Self {
        let registry = Registry::start(db.clone());
        Self {
            db,
            registry,
            feed,
            ca,
            seal,
            region,
            clock,
            snapshots: SnapshotPermits::new(snapshots),
            seats: Seats::default(),
            drain,
        }
    }

    /// The gRPC service, with its limits.
    /// Streams are compressed for nodes of releases that take no packed batches: only those ask for it.
    pub fn routes(self) -> Routes {
        let server = SyncServer::new(self)
            .send_compressed(CompressionEncoding::Zstd)
            .accept_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(limits::NODE_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        Routes::new(server)
    }
}

#[tonic::async_trait]
impl Sync for Plane {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<PlaneMessage, Status>> + Send>>;

    async fn follow(
        &self,
        request: Request<Streaming<NodeMessage>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let node = identify(&request)
            .filter(|proven| proven.node.region == self.region)
            .ok_or_else(|| Status::permission_denied("this certificate names no node of this region"))?;
        let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
        tokio::spawn(Session::run(self.clone(), node, request.into_inner(), outbound));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

/// What the certificate of a connection proves.
struct Proven {
    /// The node that it names.
    node: NodeIdentity,
    /// The key that it is for.
    key: NodeKey,
    /// When it ends, in seconds since 1970.
    ends_at: u64,
}

fn identify<T>(request: &Request<T>) -> Option<Proven> {
    let der = request.extensions().get::<Client>()?.certificate.as_ref()?;
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let node = names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.parse().ok(),
        _ => None,
    });
    Some(Proven { node: node?, key: NodeKey::of(der)?, ends_at: end_of(der)? })
}
