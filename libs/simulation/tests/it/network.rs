//! The network between nodes and replicas. It carries the messages of the real ends, and delivers one when the simulation says so.
//!
//! A stream keeps its order, as in HTTP/2; what is on its way when it is cut is lost. A node dials by [`Wire`], which is what it has in
//! the place of TLS; on the other side is the gRPC service of a replica, as its listener would call it.

mod wire;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::Router;
use proto::sync::v1::{
    NodeMessage, PlaneMessage, node_message::Message as FromNode, plane_message::Message as FromPlane,
};
use tokio::{sync::mpsc, task::AbortHandle};
use tonic::Status;
use uuid::Uuid;

pub use self::wire::Wire;

/// Changes messages on their way: for tests of the checker.
pub type Tamper = Box<dyn FnMut(usize, On<'_>) + Send>;

/// A message that is being delivered.
pub enum On<'a> {
    ToNode(&'a mut FromPlane),
    ToPlane(&'a mut FromNode),
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToPlane,
    ToNode,
}

/// A revocation that a node has said to have taken.
pub struct Acknowledged {
    pub node: usize,
    pub incarnation: u64,
    pub seq: u64,
    pub id: Uuid,
}

/// All streams. Cheap to clone.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<Streams>>);

#[derive(Default)]
struct Streams {
    /// Of the replicas that run.
    replicas: BTreeMap<usize, Router>,
    links: BTreeMap<u64, Link>,
    opened: u64,
    /// Counts what has happened, so that one sees when nothing does any more.
    moves: u64,
    /// What nodes have acknowledged of the lane since this was last asked for.
    acknowledged: Vec<Acknowledged>,
    /// Messages that nodes were delivered, by what they are.
    counts: BTreeMap<&'static str, usize>,
    tamper: Option<Tamper>,
}

/// One stream. An end of `None` is gone, or does not know that the stream is.
struct Link {
    node: usize,
    replica: usize,
    to_plane: Queue<NodeMessage>,
    to_node: Queue<Result<PlaneMessage, Status>>,
    /// Work that the node was given and has not answered.
    owes: usize,
    /// Revocations that the node was sent and has not acknowledged.
    revoked: Vec<Acknowledged>,
    /// Whether the replica has heard on it what the node holds.
    has_applied: bool,
    /// Reads what the replica sends. The replica sees that it ends.
    reading: Option<AbortHandle>,
}

struct Queue<T> {
    /// What waits to be delivered; `None` is the end.
    waiting: VecDeque<Option<T>>,
    end: Option<mpsc::UnboundedSender<T>>,
}

impl Network {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A replica that can be dialled from now on; `None`: that cannot.
    pub fn serve(&self, replica: usize, streams: Option<Router>) {
        match streams {
            Some(streams) => self.streams().replicas.insert(replica, streams),
            None => self.streams().replicas.remove(&replica),
        };
    }

    /// Every message passes `tamper` from now on.
    pub fn tamper(&self, tamper: Tamper) {
        self.streams().tamper = Some(tamper);
    }

    /// Streams on which something waits to be delivered.
    pub fn waiting(&self) -> Vec<(u64, Way)> {
        let streams = self.streams();
        let waits = |(id, link): (&u64, &Link)| {
            let to_plane = (!link.to_plane.waiting.is_empty()).then_some((*id, Way::ToPlane));
            let to_node = (!link.to_node.waiting.is_empty()).then_some((*id, Way::ToNode));
            to_plane.into_iter().chain(to_node)
        };
        streams.links.iter().flat_map(waits).collect()
    }

    /// Streams that are open, each with its node and its replica.
    pub fn open(&self) -> Vec<(u64, usize, usize)> {
        self.streams().links.iter().map(|(id, link)| (*id, link.node, link.replica)).collect()
    }

    /// Whether both ends of the node's only stream are there, the replica has heard on it what the node holds, and nothing is on its way or
    /// being worked on.
    pub fn is_quiet(&self, node: usize) -> bool {
        let streams = self.streams();
        let mut links = streams.links.values().filter(|link| link.node == node);
        let (Some(link), None) = (links.next(), links.next()) else { return false };
        let is_whole = link.has_applied && link.to_plane.end.is_some() && link.to_node.end.is_some();
        is_whole && link.owes == 0 && link.to_plane.waiting.is_empty() && link.to_node.waiting.is_empty()
    }

    /// What replicas have heard is forgotten: their database was put back.
    pub fn forget_applied(&self) {
        self.streams().links.values_mut().for_each(|link| link.has_applied = false);
    }

    /// What has moved so far, and whether a node works on something.
    pub fn activity(&self) -> (u64, bool) {
        let streams = self.streams();
        (streams.moves, streams.links.values().any(|link| link.to_node.end.is_some() && link.owes > 0))
    }

    /// How many messages nodes were delivered, by what they are.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.streams().counts.clone()
    }

    /// What nodes have acknowledged of the lane since the last call.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        std::mem::take(&mut self.streams().acknowledged)
    }

    /// Delivers the message that has waited longest on this stream, this way.
    pub fn deliver(&self, id: u64, way: Way) {
        let mut streams = self.streams();
        let Streams { links, tamper, moves, counts, .. } = &mut *streams;
        let Some(link) = links.get_mut(&id) else { return };
        *moves += 1;
        match way {
            Way::ToPlane => link.deliver_to_plane(tamper),
            Way::ToNode => link.deliver_to_node(tamper, counts),
        }
        if link.to_plane.end.is_none() && link.to_node.end.is_none() {
            links.remove(&id);
        }
    }

    /// Cuts a stream: what is on its way is lost, and both ends see it.
    pub fn cut(&self, id: u64) {
        let mut streams = self.streams();
        streams.moves += 1;
        if let Some(mut link) = streams.links.remove(&id) {
            link.lose(Way::ToNode);
            link.lose(Way::ToPlane);
        }
    }

    /// One end sees that the stream is cut, the other does not yet.
    pub fn cut_for(&self, id: u64, way: Way) {
        let mut streams = self.streams();
        streams.moves += 1;
        if let Some(link) = streams.links.get_mut(&id) {
            link.lose(way);
        }
    }

    /// Cuts the streams that are open at one end only: some time later the other end notices.
    pub fn cut_half_open(&self) {
        let half = |link: &Link| link.to_plane.end.is_none() || link.to_node.end.is_none();
        let ids: Vec<u64> =
            self.streams().links.iter().filter(|(_, link)| half(link)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.cut(id));
    }

    /// Cuts all streams of a node, or of a replica.
    pub fn cut_all(&self, of: impl Fn(usize, usize) -> bool) {
        let ids = self.open().into_iter().filter(|(_, node, replica)| of(*node, *replica));
        ids.for_each(|(id, ..)| self.cut(id));
    }

    fn came_from_node(&self, id: u64, message: Option<NodeMessage>) {
        let mut streams = self.streams();
        let Streams { links, moves, acknowledged, .. } = &mut *streams;
        *moves += 1;
        let Some(link) = links.get_mut(&id) else { return };
        if let Some(FromNode::Applied(_) | FromNode::Buckets(_) | FromNode::PageStaged(_)) =
            message.as_ref().and_then(|message| message.message.as_ref())
        {
            link.owes = link.owes.saturating_sub(1);
        }
        if let Some(FromNode::RevocationApplied(applied)) =
            message.as_ref().and_then(|message| message.message.as_ref())
        {
            acknowledged.extend(link.revoked.extract_if(.., |revoked| revoked.seq <= applied.seq));
        }
        if message.is_none() {
            link.owes = 0;
        }
        if link.to_plane.end.is_some() {
            link.to_plane.waiting.push_back(message);
        }
    }

    fn came_from_plane(&self, id: u64, message: Option<PlaneMessage>) {
        let mut streams = self.streams();
        streams.moves += 1;
        let Some(link) = streams.links.get_mut(&id) else { return };
        if link.to_node.end.is_some() {
            link.to_node.waiting.push_back(message.map(Ok));
        }
    }
}

impl Link {
    fn deliver_to_plane(&mut self, tamper: &mut Option<Tamper>) {
        let Some(waiting) = self.to_plane.waiting.pop_front() else { return };
        let Some(mut message) = waiting else {
            self.to_plane.end = None;
            return;
        };
        if let (Some(tamper), Some(message)) = (tamper, &mut message.message) {
            tamper(self.node, On::ToPlane(message));
        }
        self.has_applied |= matches!(&message.message, Some(FromNode::Applied(_)));
        if let Some(end) = &self.to_plane.end
            && end.send(message).is_err()
        {
            self.to_plane.end = None;
        }
    }

    fn deliver_to_node(&mut self, tamper: &mut Option<Tamper>, counts: &mut BTreeMap<&'static str, usize>) {
        let Some(waiting) = self.to_node.waiting.pop_front() else { return };
        let Some(mut message) = waiting else {
            self.to_node.end = None;
            return;
        };
        if let Ok(PlaneMessage { message: Some(message) }) = &mut message {
            if let FromPlane::Revocation(revocation) = message {
                let (incarnation, seq) = (revocation.incarnation, revocation.seq);
                let id = Uuid::from_slice(&revocation.id).expect("an id");
                self.revoked.push(Acknowledged { node: self.node, incarnation, seq, id });
            }
            if let Some(tamper) = tamper {
                tamper(self.node, On::ToNode(message));
            }
            *counts.entry(called(message)).or_default() += 1;
            if let FromPlane::Delta(_) | FromPlane::CompareBuckets(_) | FromPlane::Page(_) = message {
                self.owes += 1;
            }
        }
        if let Some(end) = &self.to_node.end
            && end.send(message).is_err()
        {
            self.to_node.end = None;
            self.owes = 0;
        }
    }

    /// This end sees that the stream is cut. What is on its way to it is lost.
    fn lose(&mut self, way: Way) {
        match way {
            Way::ToNode => {
                self.to_node.waiting.clear();
                self.owes = 0;
                if let Some(end) = self.to_node.end.take() {
                    let _ = end.send(Err(Status::unavailable("the stream was cut")));
                }
            }
            Way::ToPlane => {
                self.to_plane.waiting.clear();
                self.to_plane.end = None;
                if let Some(reading) = self.reading.take() {
                    reading.abort();
                }
            }
        }
    }
}

fn called(message: &FromPlane) -> &'static str {
    match message {
        FromPlane::Delta(_) => "delta",
        FromPlane::CompareBuckets(_) => "snapshot",
        FromPlane::Page(_) => "page",
        FromPlane::Revocation(_) => "revocation",
        FromPlane::Refused(_) => "refusal",
        _ => "other",
    }
}
