//! One node's stream, from Hello to its end. Reads straight down: take the seat, then again and again wait for news, send
//! one step, and wait until the node has applied it. What arrives in between (heartbeats, renewals, acknowledged
//! revocations) and what must not wait (revocations, a removed node) is handled wherever the stream waits.

use std::{sync::Arc, time::Duration};

use metrics::histogram;
use proto::sync::v1::{
    Applied, Certificate, Delta as WireDelta, Hello, NodeMessage, PlaneMessage, Refused, Revocation, Welcome,
    node_message::Message as FromNode, plane_message::Message as ToNode,
};
use sync::{identity::NodeIdentity, limits};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::Plane;
use crate::{
    entities::revocations,
    feed::{Delta, Head, Step},
    nodes::store::Seat,
};

/// How long a new stream may take to say Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may take to apply one delta or stage one page.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a message may wait for a node that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Resynchronisations in a row that do not help, before the node is sent away for a while.
const RESYNCS_MAX: u32 = 3;
/// When a node that was sent away may come back, seconds.
const RETRY_SECONDS: u64 = 5;

/// Why a stream ends.
pub(super) enum End {
    /// The node is gone, or the stream is.
    Closed,
    /// The node is told why, and when to come back.
    Refused(String, u64),
}

impl<E: std::fmt::Display> From<E> for End {
    fn from(error: E) -> Self {
        tracing::warn!(%error, "a sync stream ends");
        Self::Refused("the control plane cannot serve the stream now".to_owned(), RETRY_SECONDS)
    }
}

pub(super) struct Session {
    pub plane: Plane,
    pub node: NodeIdentity,
    seat: Seat,
    inbound: Streaming<NodeMessage>,
    outbound: mpsc::Sender<Result<PlaneMessage, Status>>,
    pub heads: watch::Receiver<Head>,
    /// Newest revocation that was sent.
    revocation_seq: u64,
    removals: u64,
    last_heard: Instant,
}

/// Where a node stands, as it last proved.
#[derive(Clone, Copy)]
struct Held {
    epoch: u64,
    version: u64,
    /// Whether its digest was compared with ours at that version.
    proven: bool,
}

impl Session {
    pub async fn run(
        plane: Plane,
        node: NodeIdentity,
        mut inbound: Streaming<NodeMessage>,
        outbound: mpsc::Sender<Result<PlaneMessage, Status>>,
    ) {
        let Ok(Some(hello)) = timeout(HELLO_TIMEOUT, hello(&mut inbound)).await else { return };
        let refuse = outbound.clone();
        if let Err(End::Refused(reason, retry_after_seconds)) =
            Self::serve(plane, node, hello, inbound, outbound).await
        {
            let refused = ToNode::Refused(Refused { reason, retry_after_seconds });
            let _ = timeout(SEND_TIMEOUT, refuse.send(Ok(PlaneMessage { message: Some(refused) }))).await;
        }
    }

    async fn serve(
        plane: Plane,
        node: NodeIdentity,
        hello: Hello,
        inbound: Streaming<NodeMessage>,
        outbound: mpsc::Sender<Result<PlaneMessage, Status>>,
    ) -> Result<(), End> {
        if !hello.control_plane_id.is_empty() && hello.control_plane_id != node.control_plane.to_string() {
            let reason = "the certificate is of another control plane than the node's configuration; enrol the node anew";
            return Err(End::Refused(reason.to_owned(), limits::RETRY_AFTER_MAX.as_secs()));
        }
        let seat = Seat { control_plane: node.control_plane, node: node.node, session: Uuid::now_v7() };
        if !seat.take(&plane.db, &hello).await? {
            let reason = "the node was removed, or its control plane was deleted; enrol it anew with an empty data folder";
            return Err(End::Refused(reason.to_owned(), limits::RETRY_AFTER_MAX.as_secs()));
        }
        let Some(heads) = plane.feed.watch(node.control_plane).await? else { return Err(End::Closed) };
        let head = *heads.borrow();
        // Another epoch counts its revocations anew.
        let same_epoch = hello.position.as_ref().is_some_and(|position| position.epoch == head.epoch);
        let mut session = Self {
            plane,
            node,
            seat,
            inbound,
            outbound,
            heads,
            revocation_seq: if same_epoch { hello.revocation_seq } else { 0 },
            removals: head.removals,
            last_heard: Instant::now(),
        };
        session
            .send(ToNode::Welcome(Welcome {
                lease_seconds: limits::LEASE.as_secs(),
                heartbeat_seconds: limits::HEARTBEAT.as_secs(),
            }))
            .await?;
        session.follow(&hello).await
    }

    async fn follow(&mut self, hello: &Hello) -> Result<(), End> {
        let position = hello.position.clone().unwrap_or_default();
        let mut held = Held { epoch: position.epoch, version: position.version, proven: false };
        let mut resyncs = 0;
        self.send_revocations().await?;
        loop {
            self.wait_for_news(held).await?;
            let head = *self.heads.borrow_and_update();
            let step = match held.version {
                // Nothing is held: buckets are cheaper than a delta through the whole history.
                0 if head.version > 0 => Step::TooFar("the node holds nothing yet"),
                _ if held.epoch != head.epoch && held.version > 0 => {
                    Step::TooFar("the node holds another history")
                }
                version => {
                    let id = self.node.control_plane;
                    self.plane.feed.step(id, head.epoch, version, head.version).await?
                }
            };
            let applied = match step {
                Step::Delta(delta) => self.send_delta(&delta).await?,
                Step::TooFar(reason) => self.send_snapshot(reason).await?,
            };
            if applied.error.is_empty() && applied.digest_matches {
                let position = applied.position.unwrap_or_default();
                held = Held { epoch: position.epoch, version: position.version, proven: true };
                resyncs = 0;
                continue;
            }
            resyncs += 1;
            if resyncs > RESYNCS_MAX {
                return Err(End::Refused(
                    "the node cannot be brought to the newest version".to_owned(),
                    RETRY_SECONDS,
                ));
            }
            tracing::warn!(node = %self.node.node, error = applied.error, "a node did not reach the version sent; comparing buckets");
            held = Held { epoch: 0, version: u64::MAX, proven: false };
        }
    }

    /// Until the head is past what the node holds, or what it holds is not proven.
    async fn wait_for_news(&mut self, held: Held) -> Result<(), End> {
        loop {
            let head = *self.heads.borrow();
            if !held.proven || (head.epoch, head.version) != (held.epoch, held.version) {
                return Ok(());
            }
            self.attend(None).await?;
        }
    }

    /// Sends a delta and waits until the node has applied it.
    pub async fn send_delta(&mut self, delta: &Arc<Delta>) -> Result<Applied, End> {
        let sent = Instant::now();
        self.send(ToNode::Delta(WireDelta {
            epoch: delta.epoch,
            base: delta.base,
            version: delta.version,
            digest: bytes::Bytes::copy_from_slice(delta.digest.as_bytes()),
            entities: delta.entities.clone(),
            committed_at_ms: delta.committed_at_ms,
            traceparent: delta.traceparent.clone(),
        }))
        .await?;
        let FromNode::Applied(applied) =
            self.reply(|message| matches!(message, FromNode::Applied(_))).await?
        else {
            return Err(End::Closed);
        };
        self.seat.applied(&self.plane.db, &applied).await?;
        histogram!("landbridge_sync_apply_seconds").record(sent.elapsed().as_secs_f64());
        if applied.error.is_empty() && applied.digest_matches && delta.version > delta.base {
            let now = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000)
                .unwrap_or(i64::MAX);
            let lag = Duration::from_millis(u64::try_from(now - delta.committed_at_ms).unwrap_or(0));
            histogram!("landbridge_propagation_seconds").record(lag.as_secs_f64());
        }
        Ok(applied)
    }

    pub async fn send(&mut self, message: ToNode) -> Result<(), End> {
        let message = PlaneMessage { message: Some(message) };
        match timeout(SEND_TIMEOUT, self.outbound.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Closed),
        }
    }

    /// Waits for a message that `wanted` accepts, attending to the rest meanwhile.
    pub async fn reply(&mut self, wanted: fn(&FromNode) -> bool) -> Result<FromNode, End> {
        let deadline = Instant::now() + REPLY_TIMEOUT;
        loop {
            match self.attend(Some(deadline)).await? {
                Some(message) if wanted(&message) => return Ok(message),
                Some(_) => return Err(End::Refused("a message out of turn".to_owned(), RETRY_SECONDS)),
                None => {}
            }
        }
    }

    /// Waits for one thing to happen and attends to it. A reply of the node is handed back.
    async fn attend(&mut self, deadline: Option<Instant>) -> Result<Option<FromNode>, End> {
        let lease_ends = self.last_heard + limits::LEASE;
        let deadline = deadline.map_or(lease_ends, |deadline| deadline.min(lease_ends));
        tokio::select! {
            message = self.inbound.message() => match message {
                Ok(Some(NodeMessage { message: Some(message) })) => {
                    self.last_heard = Instant::now();
                    self.receive(message).await
                }
                Ok(Some(NodeMessage { message: None })) => Ok(None),
                Ok(None) | Err(_) => Err(End::Closed),
            },
            changed = self.heads.changed() => {
                changed.map_err(|_| End::Closed)?;
                self.overtake().await.map(|()| None)
            }
            () = sleep_until(deadline) => Err(End::Closed),
            () = self.plane.drain.cancelled() => {
                // Jitter is the node's; the plane only says that it may come back at once.
                Err(End::Refused("the control plane restarts".to_owned(), 0))
            }
        }
    }

    async fn receive(&mut self, message: FromNode) -> Result<Option<FromNode>, End> {
        match message {
            FromNode::Heartbeat(_) => {
                if !self.seat.seen(&self.plane.db).await? {
                    return Err(End::Refused(
                        "the node was removed, or another stream speaks for it".to_owned(),
                        RETRY_SECONDS,
                    ));
                }
                Ok(None)
            }
            FromNode::RevocationApplied(_) => Ok(None),
            FromNode::Renewal(renewal) => {
                let issued = self.plane.ca.sign(&renewal.csr_der, &self.node, OffsetDateTime::now_utc())?;
                self.seat.renewed(&self.plane.db, issued.expires_at).await?;
                self.send(ToNode::Certificate(Certificate { certificate_pem: issued.pem })).await?;
                Ok(None)
            }
            FromNode::Leaving(_) => {
                self.seat.left(&self.plane.db).await?;
                Err(End::Closed)
            }
            FromNode::Hello(_) => Err(End::Refused("Hello comes once".to_owned(), RETRY_SECONDS)),
            reply => Ok(Some(reply)),
        }
    }

    /// What goes ahead of any delta: revocations, and the end of a removed node's stream.
    async fn overtake(&mut self) -> Result<(), End> {
        let head = *self.heads.borrow();
        if head.removals != self.removals {
            self.removals = head.removals;
            if !self.seat.seen(&self.plane.db).await? {
                return Err(End::Refused(
                    "the node was removed".to_owned(),
                    limits::RETRY_AFTER_MAX.as_secs(),
                ));
            }
        }
        if head.revocation_seq > self.revocation_seq {
            self.send_revocations().await?;
        }
        Ok(())
    }

    async fn send_revocations(&mut self) -> Result<(), End> {
        let after = self.revocation_seq;
        for revocation in revocations::after(&self.plane.db, self.node.control_plane, after).await? {
            self.revocation_seq = revocation.seq.cast_unsigned();
            self.send(ToNode::Revocation(Revocation {
                seq: self.revocation_seq,
                kind: revocation.kind,
                id: bytes::Bytes::copy_from_slice(revocation.id.as_bytes()),
            }))
            .await?;
        }
        Ok(())
    }
}

async fn hello(inbound: &mut Streaming<NodeMessage>) -> Option<Hello> {
    match inbound.message().await.ok()??.message? {
        FromNode::Hello(hello) => Some(hello),
        _ => None,
    }
}
