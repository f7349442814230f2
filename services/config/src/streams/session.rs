//! One node's stream, from its first message (`Hello`) to its end.
//!
//! The session takes the node's seat. Then it repeats three things: it waits until the head is newer than what the node
//! holds, sends one step (a delta or a snapshot), and waits until the node has applied it. Wherever it waits, it also handles
//! what comes in between (heartbeats, renewals, acknowledged revocations) and what must not be delayed (revocations, the
//! removal of the node).

use std::{convert::Infallible, time::Duration};

use ids::OrganizationId;
use proto::sync::v1::{
    Hello, NodeMessage, PlaneMessage, Position, Revocation, Welcome, node_message::Message as FromNode,
    plane_message::Message as ToNode,
};
use sync::{identity::NodeIdentity, limits};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tonic::Streaming;
use uuid::Uuid;

use super::{
    Outbound, Plane,
    end::{End, RETRY_AFTER, SEAT_LOST, refused},
    proven::{Holder, Proven},
    seats::Seated,
    wire::{self, Malformed},
};
use crate::{
    entities::{revocations, secrets},
    feed::{Head, Newest, Step},
    nodes::seat::{self, Seat},
};

/// How long a new stream may take to say Hello, and one with an ended certificate to ask for a new one.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may take to apply one delta or stage one page.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a message may wait for a node that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Most steps in a row after which the node does not hold what it was sent. After one more the stream ends, and the node may come
/// back after [`RETRY_AFTER`].
const RESYNCS_MAX: u32 = 3;
/// One node's stream, while it is open.
pub(super) struct Session {
    /// What all streams share.
    pub plane: Plane,
    /// Who the node is, by its certificate.
    pub node: NodeIdentity,
    /// Whether it is known by a pinned certificate.
    pub is_pinned: bool,
    /// Whose node it is.
    pub organization: OrganizationId,
    /// The node's seat: what the registry of nodes is told goes through it.
    pub seat: Seat,
    pub inbound: Streaming<NodeMessage>,
    outbound: Outbound,
    /// The head and the newest revocation of the node's control plane, now and later.
    pub newest: watch::Receiver<Newest>,
    /// Newest revocation that was sent.
    revocation_seq: u64,
    /// The version that the node holds for certain; 0 if none of the control plane's incarnation. What was deleted up to it needs no
    /// revocation.
    version: u64,
    /// The incarnation in which the versions and the revocations of this stream count.
    pub incarnation: u64,
    /// Whether the node takes packed batches.
    pub unpacks: bool,
    /// Whether the node is sent the whole configuration for each change.
    pub whole: bool,
    /// How many removed nodes there were when this node's own removal was last ruled out.
    removals: u64,
    /// When the node's last message arrived.
    last_heard: Instant,
}

/// What the node holds, by its last message about it.
#[derive(Clone, Copy)]
enum Held {
    /// The node is at this version; version 0 means that it holds nothing. `proven` says that on this stream its digest was
    /// found equal to the control plane's.
    At { head: Head, proven: bool },
    /// The node did not reach the version that it was sent.
    Unknown,
}

impl Session {
    /// Serves the stream until it ends.
    pub async fn run(plane: Plane, proven: Proven, mut inbound: Streaming<NodeMessage>, outbound: Outbound) {
        let Ok(Some(hello)) = timeout(HELLO_TIMEOUT, wire::hello(&mut inbound)).await else { return };
        let refuse = outbound.clone();
        let begun = hello.map_err(End::from).and_then(|hello| Ok((proven.node(&plane, &hello)?, hello)));
        let ended = match begun {
            Ok((node, hello)) => Self::serve(plane, proven, node, hello, inbound, outbound).await,
            Err(end) => end,
        };
        let (reason, retry_after) = match ended {
            End::Closed => return,
            // At once, also if the node does not read: it is told so if there is room.
            End::Superseded => return drop(refuse.try_send(refused(SEAT_LOST, RETRY_AFTER))),
            End::Refused { reason, retry_after } => (reason, retry_after),
            End::Failed(error) => {
                tracing::warn!(%error, "the stream of a node ended with an error");
                ("the control plane cannot serve the stream now".to_owned(), RETRY_AFTER)
            }
        };
        let _ = timeout(SEND_TIMEOUT, refuse.send(refused(&reason, retry_after))).await;
    }

    async fn serve(
        plane: Plane,
        proven: Proven,
        node: NodeIdentity,
        hello: Hello,
        inbound: Streaming<NodeMessage>,
        outbound: Outbound,
    ) -> End {
        let (clock, now) = (plane.clock.clone(), plane.clock.now());
        if let Err(end) = proven.require_valid(now) {
            return end;
        }
        let begun = Box::pin(Self::begin(plane, &proven, node, &hello, inbound, outbound)).await;
        let (mut session, seated) = match begun {
            Ok(begun) => begun,
            Err(end) => return end,
        };
        // A node without a position holds nothing, which is version 0. The rest of what it said is not kept.
        let position = hello.position.unwrap_or_default();
        let following = async {
            if proven.ends_at < now {
                return Box::pin(session.renew()).await;
            }
            session.welcome().await?;
            session.follow(&position).await
        };
        tokio::select! {
            end = following => end.map_or_else(|end| end, |never| match never {}),
            () = seated.superseded.cancelled() => End::Superseded,
            () = proven.counts_no_more(&clock) => End::pin_has_ended(),
        }
    }

    /// Takes the node's seat. From then on another stream of the node can end this one.
    async fn begin(
        plane: Plane,
        Proven { holder, key, .. }: &Proven,
        node: NodeIdentity,
        hello: &Hello,
        inbound: Streaming<NodeMessage>,
        outbound: Outbound,
    ) -> Result<(Self, Seated), End> {
        let seat =
            Seat { control_plane: node.control_plane, node: node.node, key: *key, session: Uuid::now_v7() };
        let introduction = seat::Hello {
            hostname: wire::label("hostname", &hello.hostname)?.to_owned(),
            software_version: wire::label("software_version", &hello.software_version)?.to_owned(),
            quarantined: seat::encode(&wire::quarantined(&hello.quarantined)?)?,
            kinds: seat::json(&wire::names("kinds", &hello.kinds)?)?,
            plugins: seat::json(&wire::names("plugins", &hello.plugins)?)?,
            model_version: hello.model_version,
            last_error: wire::explanation(&hello.last_error),
        };
        // Before the seat is taken: a removal that comes after that is news.
        let Some(newest) = plane.feed.watch(node.control_plane).await? else { return Err(End::Closed) };
        let removals = newest.borrow().removals;
        let take = async {
            match holder {
                Holder::Enrolled(_) => Ok::<_, End>(plane.registry.take(&seat, introduction).await?),
                Holder::Pinned(pin) => Ok(seat.take_pinned(pin.id, &plane.db, introduction).await?),
            }
        };
        let Some((seated, organization)) = plane.seats.take((node.control_plane, node.node), take).await?
        else {
            return Err(End::refused(holder.has_no_seat(), limits::RETRY_AFTER_MAX));
        };
        let held = hello.position.clone().unwrap_or_default();
        let seen = Newest {
            head: Head { incarnation: held.incarnation, version: held.version },
            revocation_seq: hello.revocation_seq,
            removals: 0,
        };
        plane.feed.note_seen(node.control_plane, &seen).await?;
        let now = *newest.borrow();
        // Another incarnation counts its revocations anew.
        let same_incarnation = held.incarnation == now.head.incarnation;
        let session = Self {
            plane,
            node,
            is_pinned: matches!(holder, Holder::Pinned(_)),
            organization,
            seat,
            inbound,
            outbound,
            newest,
            revocation_seq: if same_incarnation { hello.revocation_seq } else { 0 },
            version: if same_incarnation { held.version } else { 0 },
            incarnation: now.head.incarnation,
            unpacks: hello.unpacks,
            whole: hello.whole,
            removals,
            last_heard: Instant::now(),
        };
        Ok((session, seated))
    }

    async fn welcome(&mut self) -> Result<(), End> {
        let key = secrets::key_of_nodes(&self.plane.seal, self.node.control_plane);
        let welcome = Welcome {
            lease_seconds: limits::LEASE.as_secs(),
            heartbeat_seconds: limits::HEARTBEAT.as_secs(),
            secrets_key: key.to_vec().into(),
        };
        self.send(ToNode::Welcome(welcome)).await
    }

    /// Keeps the node at the head until the stream ends.
    async fn follow(&mut self, position: &Position) -> Result<Infallible, End> {
        let head = Head { incarnation: position.incarnation, version: position.version };
        let mut held = Held::At { head, proven: false };
        let mut resyncs = 0;
        loop {
            self.wait_for_news(held).await?;
            // A commit may have come before anybody waited for it: what it revokes goes ahead of its delta.
            self.overtake().await?;
            let applied = match Box::pin(self.next_step(held)).await? {
                Step::Delta(delta) => self.send_delta(&delta).await?,
                Step::TooFar(reason) => Box::pin(self.send_snapshot(reason)).await?,
            };
            if applied.error.is_empty() && applied.digest_matches {
                let position = applied.position.as_ref().ok_or(Malformed::NoPosition)?;
                let head = Head { incarnation: position.incarnation, version: position.version };
                held = Held::At { head, proven: true };
                self.version = head.version;
                resyncs = 0;
                continue;
            }
            resyncs += 1;
            if resyncs > RESYNCS_MAX {
                return Err(End::refused("the node cannot be brought to the newest version", RETRY_AFTER));
            }
            tracing::warn!(node = %self.node.node, error = applied.error, "a node did not reach the version that it was sent; comparing buckets");
            held = Held::Unknown;
        }
    }

    /// The step that brings the node from what it holds to the head.
    async fn next_step(&mut self, held: Held) -> Result<Step, End> {
        let newest = self.newest.borrow_and_update().head;
        self.same_history(newest)?;
        Ok(match held {
            Held::Unknown => Step::TooFar("the node did not reach the version that it was sent"),
            Held::At { .. } if self.whole => {
                Step::TooFar("the node takes every change as a whole configuration")
            }
            // A snapshot is cheaper than a delta with everything that has ever changed.
            Held::At { head, .. } if head.version == 0 && newest.version > 0 => {
                Step::TooFar("the node holds nothing yet")
            }
            Held::At { head, .. } if head.version > 0 && head.incarnation != newest.incarnation => {
                Step::TooFar("the node holds another incarnation")
            }
            Held::At { head, .. } => {
                self.plane.feed.step(self.node.control_plane, head.version, newest).await?
            }
        })
    }

    /// Waits until the head is newer than what the node holds. Returns at once if that is not proven.
    async fn wait_for_news(&mut self, held: Held) -> Result<(), End> {
        let Held::At { head, proven: true } = held else { return Ok(()) };
        while self.newest.borrow().head == head {
            self.attend(None).await?;
        }
        Ok(())
    }

    /// Sends one message. Waits while the node does not read, at most [`SEND_TIMEOUT`].
    pub async fn send(&mut self, message: ToNode) -> Result<(), End> {
        let message = Box::new(PlaneMessage { message: Some(message) });
        match timeout(SEND_TIMEOUT, self.outbound.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Closed),
        }
    }

    /// Waits for a message that `wanted` accepts, at most [`REPLY_TIMEOUT`], and handles everything else that happens meanwhile.
    pub async fn reply(&mut self, wanted: fn(&FromNode) -> bool) -> Result<FromNode, End> {
        let deadline = Instant::now() + REPLY_TIMEOUT;
        loop {
            match self.attend(Some(deadline)).await? {
                Some(message) if wanted(&message) => return Ok(message),
                Some(_) => {
                    return Err(End::refused("the node replied to a message that was not sent", RETRY_AFTER));
                }
                None => {}
            }
        }
    }

    /// Waits for one thing to happen and handles it. If it is a reply of the node, returns the reply.
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
            changed = self.newest.changed() => {
                changed.map_err(|_| End::Closed)?;
                self.overtake().await.map(|()| None)
            }
            () = sleep_until(deadline) => Err(End::Closed),
            () = self.plane.drain.cancelled() => {
                // The node may come back at once: it adds a random wait by itself.
                Err(End::refused("the control plane restarts", Duration::ZERO))
            }
        }
    }

    pub async fn receive(&mut self, message: FromNode) -> Result<Option<FromNode>, End> {
        match message {
            FromNode::Heartbeat(_) => {
                if !self.plane.registry.note_seen(&self.seat).await? {
                    return Err(End::refused(SEAT_LOST, RETRY_AFTER));
                }
                Ok(None)
            }
            FromNode::RevocationApplied(_) => Ok(None),
            FromNode::Health(health) => {
                let unhealthy = wire::unhealthy(&health)?;
                if !Box::pin(self.seat.note_unhealthy(&self.plane.db, &unhealthy)).await? {
                    return Err(End::refused(SEAT_LOST, RETRY_AFTER));
                }
                Ok(None)
            }
            FromNode::Renewal(renewal) => Box::pin(self.renewed(&renewal)).await.map(|()| None),
            FromNode::Leaving(_) => {
                Box::pin(self.seat.note_left(&self.plane.db)).await?;
                Err(End::Closed)
            }
            FromNode::Hello(_) => {
                Err(End::refused("Hello may be sent only once, as the first message", RETRY_AFTER))
            }
            reply => Ok(Some(reply)),
        }
    }

    /// Ends the stream once its control plane has begun another incarnation: the node begins anew with the next one.
    pub fn same_history(&self, head: Head) -> Result<(), End> {
        if head.incarnation == self.incarnation {
            return Ok(());
        }
        Err(End::refused(
            "the control plane's database was put back to an earlier copy; its versions count anew",
            Duration::ZERO,
        ))
    }

    /// Handles what is never delayed by a delta: new revocations, and the removal of the node.
    async fn overtake(&mut self) -> Result<(), End> {
        let newest = *self.newest.borrow();
        self.same_history(newest.head)?;
        if newest.removals != self.removals {
            self.removals = newest.removals;
            if !self.plane.registry.note_seen(&self.seat).await? {
                return Err(End::refused("the node was removed", limits::RETRY_AFTER_MAX));
            }
        }
        if newest.revocation_seq > self.revocation_seq {
            Box::pin(self.send_revocations(newest.revocation_seq)).await?;
        }
        Ok(())
    }

    /// Sends those up to `newest` at least, but for those whose deletes the node has applied.
    async fn send_revocations(&mut self, newest: u64) -> Result<(), End> {
        let (db, control_plane) = (&self.plane.db, self.node.control_plane);
        let revocations = revocations::after(db, control_plane, self.revocation_seq, self.version).await?;
        let are_all = revocations.len() < revocations::REPLAY_MAX as usize;
        for revocation in revocations {
            self.revocation_seq = revocation.seq;
            self.send(ToNode::Revocation(Revocation {
                seq: revocation.seq,
                incarnation: self.incarnation,
                kind: revocation.entity.kind.name().to_owned(),
                id: bytes::Bytes::copy_from_slice(revocation.entity.id.as_bytes()),
            }))
            .await?;
        }
        if are_all {
            self.revocation_seq = self.revocation_seq.max(newest);
        }
        Ok(())
    }
}
