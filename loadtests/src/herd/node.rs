//! One node without a store: it dials as a gateway does, verifies every delta, and notes when it holds which version.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use bytes::Bytes;
use gateway_model::{Kind, MODEL_VERSION, Plugin};
use hyper_util::rt::TokioIo;
use ids::ControlPlaneId;
use pace::Redial;
use proto::sync::v1::{
    Applied, Buckets, Heartbeat, Hello, NodeMessage, PageStaged, PlaneMessage, RevocationApplied,
    node_message::Message as FromNode, plane_message::Message, sync_client::SyncClient,
};
use random::Random;
use rustls_pki_types::ServerName;
use sync::limits::{HEARTBEAT, LEASE, MESSAGE_BYTES_MAX, RECONNECT_MAX, RECONNECT_MIN};
use tokio::{
    net::TcpSocket,
    sync::{mpsc, watch},
    time::{Instant, interval_at, sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

use super::{
    archive::{Archive, Held},
    identity::Identity,
};

/// TCP and TLS together, and from the dial to the answer to the first message: those of the gateway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const OUTBOUND_MESSAGES: usize = 4;

/// What all nodes of a fleet share.
#[derive(Debug)]
pub struct Plane {
    /// Where streams are served, and under which name.
    pub address: SocketAddr,
    pub name: ServerName<'static>,
    pub control_plane: ControlPlaneId,
    pub archive: Archive,
    /// Whether nodes dial.
    pub dials: watch::Sender<bool>,
    pub random: Random,
    /// What the plane did wrong.
    pub faults: Mutex<Vec<String>>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    plane: Arc<Plane>,
    identity: Identity,
    state: Mutex<State>,
}

/// What has become of a node.
#[derive(Clone, Debug)]
pub struct State {
    pub held: Held,
    /// When it held which version, in the order of time. A version comes again when a new stream has proved it.
    pub reached: Vec<(Instant, u64)>,
    /// Dials that led to no stream.
    pub failed_dials: u32,
    /// Why the last of them did not.
    pub last_failure: Option<String>,
    revocation_seq: u64,
    redial: Redial,
}

type Outbound = mpsc::Sender<NodeMessage>;

impl Node {
    /// A node that holds `held`, and does not dial yet.
    pub fn new(plane: Arc<Plane>, identity: Identity, held: Held) -> Arc<Self> {
        Arc::new(Self { plane, identity, state: Mutex::new(State::new(held, 0)) })
    }

    /// What has become of it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dials while nodes are to dial; ends with the plane of the fleet.
    pub async fn run(self: Arc<Self>) {
        let mut dials = self.plane.dials.subscribe();
        while dials.wait_for(|dials| *dials).await.is_ok() {
            tokio::select! {
                () = self.dial() => {}
                _ = dials.wait_for(|dials| !*dials) => {}
            }
        }
    }

    /// One dial, its stream if there is one, and the wait that follows: as long as that of a gateway.
    async fn dial(&self) {
        let began = Instant::now();
        let at_least = match timeout(OPEN_TIMEOUT, self.open()).await {
            Ok(Ok((outbound, inbound))) => self.follow(outbound, inbound).await,
            Ok(Err(error)) => self.note_failure(format!("{error:#}")),
            Err(_) => self.note_failure("no answer to the first message".to_owned()),
        };
        let wait = self.state().redial.wait(began.elapsed(), at_least, self.plane.random.number());
        sleep(wait).await;
    }

    fn note_failure(&self, why: String) -> Duration {
        let mut state = self.state();
        state.failed_dials += 1;
        state.last_failure = Some(why);
        Duration::ZERO
    }

    async fn open(&self) -> anyhow::Result<(Outbound, Streaming<PlaneMessage>)> {
        let Plane { address, name, .. } = &*self.plane;
        let (from, tls) = (self.identity.address, TlsConnector::from(self.identity.tls.clone()));
        let (to, name) = (*address, name.clone());
        let connector = tower::service_fn(move |_| {
            let (tls, name) = (tls.clone(), name.clone());
            async move {
                let socket = TcpSocket::new_v4()?;
                socket.set_nodelay(true)?;
                socket.bind((from, 0).into())?;
                let tls = tls.connect(name, socket.connect(to).await?).await?;
                Ok::<_, io::Error>(TokioIo::new(tls))
            }
        });
        // The connector speaks TLS.
        let endpoint = Endpoint::from_static("http://sync").connect_timeout(CONNECT_TIMEOUT);
        let channel = endpoint.connect_with_connector(connector).await?;
        let mut client = SyncClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        outbound.send(message(FromNode::Hello(self.hello()))).await?;
        let inbound = client.follow(ReceiverStream::new(messages)).await?.into_inner();
        Ok((outbound, inbound))
    }

    fn hello(&self) -> Hello {
        let State { held, revocation_seq, .. } = *self.state();
        Hello {
            position: (held.version > 0).then(|| held.into()),
            hostname: "node-of-a-load-test".to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect(),
            plugins: Plugin::supported().map(str::to_owned).collect(),
            model_version: MODEL_VERSION,
            revocation_seq,
            control_plane_id: self.plane.control_plane.to_string(),
            unpacks: true,
            node_id: Bytes::copy_from_slice(self.identity.node.as_bytes()),
            ..Hello::default()
        }
    }

    /// Follows until the stream ends; answers how long the plane wants it to stay away.
    async fn follow(&self, outbound: Outbound, mut inbound: Streaming<PlaneMessage>) -> Duration {
        let mut heartbeats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut snapshot = Held::default();
        loop {
            let answer = tokio::select! {
                received = inbound.message() => match received {
                    Ok(Some(PlaneMessage { message: Some(Message::Refused(refused)) })) => {
                        self.note_failure(refused.reason);
                        return Duration::from_secs(refused.retry_after_seconds);
                    }
                    Ok(Some(PlaneMessage { message: Some(received) })) => {
                        match self.receive(received, &mut snapshot) {
                            Ok(answer) => answer,
                            Err(error) => {
                                let mut faults = self.plane.faults.lock().unwrap_or_else(PoisonError::into_inner);
                                faults.push(format!("node {}: {error:#}", self.identity.node));
                                return RECONNECT_MAX;
                            }
                        }
                    }
                    Ok(Some(PlaneMessage { message: None })) => None,
                    Ok(None) | Err(_) => return Duration::ZERO,
                },
                _ = heartbeats.tick() => {
                    Some(FromNode::Heartbeat(Heartbeat { position: Some(self.state().held.into()) }))
                }
            };
            if let Some(answer) = answer
                && outbound.send(message(answer)).await.is_err()
            {
                return Duration::ZERO;
            }
        }
    }

    /// Does what a message asks for; answers what the plane is told.
    fn receive(&self, received: Message, snapshot: &mut Held) -> anyhow::Result<Option<FromNode>> {
        let held = self.state().held;
        Ok(match received {
            Message::Welcome(_) | Message::Certificate(_) | Message::Refused(_) => None,
            Message::Delta(delta) => {
                let from = if snapshot.version > 0 { std::mem::take(snapshot) } else { held };
                let after = self.plane.archive.after(from, &delta)?;
                let mut state = self.state();
                state.held = after;
                state.reached.push((Instant::now(), after.version));
                Some(FromNode::Applied(Applied {
                    position: Some(after.into()),
                    digest_matches: true,
                    ..Applied::default()
                }))
            }
            Message::Revocation(revocation) => {
                self.state().revocation_seq = revocation.seq;
                Some(FromNode::RevocationApplied(RevocationApplied { seq: revocation.seq }))
            }
            Message::CompareBuckets(_) => {
                ensure!(held.version == 0, "a node that holds version {} is sent a snapshot", held.version);
                Some(FromNode::Buckets(Buckets::default()))
            }
            Message::Page(page) => {
                snapshot.digest.add(&self.plane.archive.page(&page)?);
                Some(FromNode::PageStaged(PageStaged {}))
            }
            Message::SnapshotEnd(end) => {
                (snapshot.incarnation, snapshot.version) = (end.incarnation, end.base);
                None
            }
        })
    }
}

impl State {
    fn new(held: Held, revocation_seq: u64) -> Self {
        let redial = Redial::new(RECONNECT_MIN, RECONNECT_MAX, LEASE);
        Self { held, reached: Vec::new(), failed_dials: 0, last_failure: None, revocation_seq, redial }
    }

    /// As a node whose stream has lasted for long; what it has reached is forgotten.
    pub fn settle(&mut self) {
        *self = Self::new(self.held, self.revocation_seq);
    }

    /// When it first held `version` or a later one, at `from` or after.
    pub fn reached(&self, version: u64, from: Instant) -> Option<Instant> {
        let reached = self.reached.iter().find(|(at, reached)| *at >= from && *reached >= version);
        reached.map(|(at, _)| *at)
    }
}

fn message(message: FromNode) -> NodeMessage {
    NodeMessage { message: Some(message) }
}
