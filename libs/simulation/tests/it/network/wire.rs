//! A node's way to replicas: what it has in the place of TLS.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
};

use dataplane::{
    enrol::Credentials,
    stream::{Dial, PlaneStream, StreamError},
};
use futures::{StreamExt as _, future::BoxFuture};
use listener::Client;
use proto::sync::v1::{NodeMessage, sync_client::SyncClient};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sync::limits::MESSAGE_BYTES_MAX;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Request;

use super::{Link, Network, Queue};
use crate::replica::ENDPOINT;

/// Messages of a node that wait between its session and the network, as with TLS.
const OUTBOUND_MESSAGES: usize = 4;

impl Network {
    async fn dial(
        &self,
        node: usize,
        endpoint: &str,
        credentials: &Credentials,
        hello: NodeMessage,
    ) -> Result<PlaneStream, StreamError> {
        let unreachable = |reason: &str| StreamError::Unreachable {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
        };
        let replica = endpoint.strip_prefix(ENDPOINT).and_then(|number| number.parse().ok());
        let replica: usize = replica.ok_or_else(|| unreachable("no such replica"))?;
        let router = self.streams().replicas.get(&replica).cloned();
        let router = router.ok_or_else(|| unreachable("nobody listens"))?;
        let certificate = CertificateDer::from_pem_slice(credentials.certificate_pem.as_bytes());
        let client = Client {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            certificate: Some(certificate.map_err(|_| unreachable("no certificate"))?),
        };
        let (plane, from_node) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(from_node));
        request.extensions_mut().insert(client);
        let mut client = SyncClient::new(router).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let answered = client.follow(request).await.map_err(|status| unreachable(status.message()))?;
        let mut from_plane = answered.into_inner();
        let (node_end, inbound) = mpsc::unbounded_channel();
        let (outbound, mut sent) = mpsc::channel(OUTBOUND_MESSAGES);

        let mut streams = self.streams();
        streams.opened += 1;
        streams.moves += 1;
        let id = streams.opened;
        let (reads, writes) = (self.clone(), self.clone());
        let reading = tokio::spawn(async move {
            while let Ok(Some(message)) = from_plane.message().await {
                reads.came_from_plane(id, Some(message));
            }
            reads.came_from_plane(id, None);
        });
        tokio::spawn(async move {
            while let Some(message) = sent.recv().await {
                writes.came_from_node(id, Some(message));
            }
            writes.came_from_node(id, None);
        });
        let to_plane = Queue { waiting: VecDeque::from([Some(hello)]), end: Some(plane) };
        let to_node = Queue { waiting: VecDeque::new(), end: Some(node_end) };
        let reading = Some(reading.abort_handle());
        let link = Link {
            node,
            replica,
            to_plane,
            to_node,
            owes: 0,
            revoked: Vec::new(),
            has_applied: false,
            reading,
        };
        streams.links.insert(id, link);
        Ok(PlaneStream { outbound, inbound: UnboundedReceiverStream::new(inbound).boxed() })
    }
}

/// By which one node dials.
pub struct Wire {
    pub network: Network,
    pub node: usize,
}

impl Dial for Wire {
    fn open<'a>(
        &'a self,
        endpoint: &'a str,
        credentials: &'a Credentials,
        hello: NodeMessage,
    ) -> BoxFuture<'a, Result<PlaneStream, StreamError>> {
        Box::pin(self.network.dial(self.node, endpoint, credentials, hello))
    }
}
