//! The control plane's end of the stream: one task per connected node. The protocol is explained in the documentation of the
//! crate `sync`.
//!
//! A node is identified by its certificate, which the region's CA has signed. With it, a node can open the stream of its own control
//! plane and nothing else. With one that has ended, it can renew it and nothing else. A pinned certificate identifies the control plane,
//! and its nodes name themselves ([`proven`]).

mod delta;
mod end;
mod permits;
mod proven;
mod renewal;
mod seats;
mod session;
mod snapshot;
mod wire;

use std::{pin::Pin, sync::Arc};

use clock::Clock;
use futures::{Stream, StreamExt as _};
use ids::Region;
use proto::sync::v1::{
    NodeMessage, PlaneMessage,
    sync_server::{Sync, SyncServer},
};
use seal::SealKey;
use sqlx::PgPool;
use sync::limits;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, codec::CompressionEncoding, service::Routes};

use self::{permits::SnapshotPermits, proven::Proven, seats::Seats, session::Session};
use crate::{enrolment::ca::RegionCa, feed::Feed, nodes::registry::Registry, settings::Snapshots};

/// Most streams that one connection carries. A node has one: the next ends the one before.
pub const PER_CONNECTION_MAX: u32 = 4;
/// Most messages that wait to be sent to one node. This bounds the memory that a slow node costs.
const OUTBOUND_MAX: usize = 4;

/// What is sent to one node. In boxes: a channel has room for many messages from the start, and there are many channels.
type Outbound = mpsc::Sender<Box<PlaneMessage>>;

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
        let registry = Registry::start(&db);
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
        let proven = Proven::by(self, &request).await?;
        let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
        tokio::spawn(Session::run(self.clone(), proven, request.into_inner(), outbound));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(|message| Ok(*message)))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Outbound, Plane, Proven, Session, Streaming};

    /// There are tens of thousands of them, and most of them wait. What is done rarely stands in boxes.
    #[test]
    fn the_task_of_a_stream_is_small() {
        fn size_of<T, F>(_: fn(T) -> F) -> usize {
            std::mem::size_of::<F>()
        }
        type Arguments = (Plane, Proven, Streaming<super::NodeMessage>, Outbound);
        let run =
            |(plane, proven, inbound, outbound): Arguments| Session::run(plane, proven, inbound, outbound);
        let bytes = size_of(run);
        assert!(bytes <= 8 * 1024, "{bytes} bytes");
    }
}
