//! What must be true of every gateway at any time, and in the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use clock::Clock;
use dataplane::store::Position;
use sync::EntityState;
use uuid::Uuid;

use crate::{
    node::Process,
    plane::{Head, History, Plane, body, digest},
};

/// Something that must not be.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    #[error("node {node} holds {position:?}, which the control plane never had")]
    NeverHad { node: usize, position: Position },
    #[error("node {node} says that it holds {position:?}, and its entities have another digest")]
    OtherContent { node: usize, position: Option<Position> },
    #[error("node {node} went back from {from:?} to {to:?}")]
    WentBack { node: usize, from: Head, to: Head },
    #[error("node {node} serves {what}, and holds something else")]
    OtherView { node: usize, what: String },
    #[error("node {node} accepts the key {key}, whose revocation it has acknowledged")]
    Revoked { node: usize, key: String },
    #[error("node {node} accepts the key {key}, which it does not hold, or which has ended")]
    Unknown { node: usize, key: String },
    #[error("node {node} refuses the key {key}, which it holds and nobody has revoked")]
    Refused { node: usize, key: String },
    #[error("config says that node {node} holds {said:?}, and it holds {position:?}")]
    Registry { node: usize, said: Head, position: Option<Position> },
    #[error("the control plane has {has:?}, and what was acknowledged is {acknowledged:?}")]
    LostWrite { has: String, acknowledged: String },
    #[error("the control plane's digest is not that of its entities")]
    OwnDigest,
    #[error("an acknowledged write names {place:?}, which was never committed")]
    NeverCommitted { place: Head },
    #[error("{0}: the nodes did not become equal to the control plane")]
    NotEqual(String),
}

/// What was ever written that requests may ask for.
#[derive(Default)]
pub struct Asked {
    /// Keys as clients show them, with the credential.
    pub keys: BTreeMap<String, Uuid>,
    /// Paths of routes.
    pub paths: BTreeSet<String>,
}

/// What the checker remembers of one node.
#[derive(Default)]
pub struct Memory {
    /// The newest that it held.
    newest: Option<Head>,
    /// Entities whose revocation it has acknowledged.
    denied: HashMap<Uuid, Denial>,
    /// Entities whose revocation it had acknowledged when the database was put back, and that it may have held. It may refuse them: a
    /// gateway goes on to deny what it was told to, as long as its store has it.
    refusable: HashSet<Uuid>,
}

/// An entity is denied as it was up to a version.
struct Denial {
    up_to: u64,
    /// In which the revocation was made.
    incarnation: u64,
}

impl Memory {
    /// The node has lost its store, or a part of it. Nobody tells it again what was revoked in an earlier incarnation.
    pub fn forget_store(&mut self, incarnation: u64) {
        self.newest = None;
        self.denied.retain(|_, denial| denial.incarnation == incarnation);
    }

    /// The node has acknowledged the revocation of an entity, as it was up to this version.
    pub fn acknowledged(&mut self, id: Uuid, up_to: u64, incarnation: u64) {
        let denial = self.denied.entry(id).or_insert(Denial { up_to, incarnation });
        denial.up_to = up_to.max(denial.up_to);
        denial.incarnation = incarnation.max(denial.incarnation);
    }

    /// The database was put back. What was revoked after the copy is not any more, but for what the node denies still: what it holds. Of a
    /// node that does not run nobody knows what it holds.
    pub fn put_back(&mut self, holds: impl Fn(Uuid) -> bool) {
        self.refusable.extend(self.denied.keys());
        self.denied.retain(|id, _| holds(*id));
    }

    fn must_deny(&self, entity: &EntityState) -> bool {
        self.denied.get(&entity.id).is_some_and(|denial| entity.version <= denial.up_to)
    }

    fn may_deny(&self, entity: &EntityState, incarnation: u64) -> bool {
        let is_old = self.denied.get(&entity.id).is_some_and(|denial| denial.incarnation < incarnation);
        is_old || self.must_deny(entity) || self.refusable.contains(&entity.id)
    }
}

pub fn head_of(position: &Position) -> Head {
    (position.incarnation.get(), position.version)
}

/// What holds of a node at any time.
pub fn check_node(
    (node, process, clock): (usize, &Process, &Clock),
    memory: &mut Memory,
    history: &History,
    asked: &Asked,
) -> Result<(), Violation> {
    let (position, held) = (process.position(), process.held());
    if digest(&held) != position.map(|position| position.digest).unwrap_or_default() {
        return Err(Violation::OtherContent { node, position });
    }
    if let Some(position) = position {
        let now = head_of(&position);
        if !history.had(now, position.digest) {
            return Err(Violation::NeverHad { node, position });
        }
        if let Some(from) = memory.newest.filter(|before| now < *before) {
            return Err(Violation::WentBack { node, from, to: now });
        }
        memory.newest = Some(now);
    }
    check_routes((node, process), &held, asked)?;
    check_keys((node, process, clock), memory, &held, asked)
}

fn check_routes(
    (node, process): (usize, &Process),
    held: &[EntityState],
    asked: &Asked,
) -> Result<(), Violation> {
    let of_kind = |kind: &'static str| held.iter().filter(move |entity| entity.kind == kind);
    let routes: HashMap<String, Uuid> = of_kind("route")
        .filter_map(|route| Some((body(route)["paths"][0].as_str()?.to_owned(), route.id)))
        .collect();
    for path in &asked.paths {
        let (serves, holds) = (process.route(path), routes.get(path).copied());
        if serves != holds {
            return Err(Violation::OtherView { node, what: format!("{path}: {serves:?}, not {holds:?}") });
        }
    }
    let counts = process.applier.live().load().counts();
    if counts.services != of_kind("service").count() || counts.quarantined > 0 {
        return Err(Violation::OtherView { node, what: format!("{counts:?}") });
    }
    Ok(())
}

fn check_keys(
    (node, process, clock): (usize, &Process, &Clock),
    memory: &Memory,
    held: &[EntityState],
    asked: &Asked,
) -> Result<(), Violation> {
    let by_id: HashMap<Uuid, &EntityState> = held.iter().map(|entity| (entity.id, entity)).collect();
    for (key, id) in &asked.keys {
        let accepted = process.credential(key, clock);
        let credential = by_id.get(id).copied();
        let body = credential.map(body).unwrap_or_default();
        let consumer = body["consumer"]["id"].as_str().and_then(|id| id.parse().ok());
        let consumer = consumer.and_then(|id: Uuid| by_id.get(&id).copied());
        let key = || key.clone();
        let has_ended = body["expires_at"].as_i64().is_some_and(|end| end <= clock.unix_seconds());
        match (credential.zip(consumer), accepted) {
            (Some(both), Some(_)) if !has_ended => {
                if [both.0, both.1].into_iter().any(|entity| memory.must_deny(entity)) {
                    return Err(Violation::Revoked { node, key: key() });
                }
                if accepted != Some(*id) {
                    return Err(Violation::Unknown { node, key: key() });
                }
            }
            (_, Some(_)) => return Err(Violation::Unknown { node, key: key() }),
            (_, None) => {}
        }
    }
    Ok(())
}

/// What holds in the end besides: who may come in, does.
pub fn check_accepts(
    (node, process, clock): (usize, &Process, &Clock),
    memory: &Memory,
    asked: &Asked,
) -> Result<(), Violation> {
    let held = process.held();
    let incarnation = process.position().map(|position| position.incarnation.get()).unwrap_or_default();
    for (key, id) in &asked.keys {
        let find = |id: Uuid| held.iter().find(|entity| entity.id == id);
        let Some(credential) = find(*id) else { continue };
        let body = body(credential);
        let consumer = body["consumer"]["id"].as_str().and_then(|id| find(id.parse().ok()?));
        let may_be_denied = [Some(credential), consumer]
            .into_iter()
            .flatten()
            .any(|entity| memory.may_deny(entity, incarnation));
        let has_ended = body["expires_at"].as_i64().is_some_and(|end| end <= clock.unix_seconds());
        if consumer.is_some() && !may_be_denied && !has_ended && process.credential(key, clock).is_none() {
            return Err(Violation::Refused { node, key: key.clone() });
        }
    }
    Ok(())
}

/// What config says of a node whose stream is quiet.
pub fn check_registry(node: usize, id: Uuid, process: &Process, plane: &Plane) -> Result<(), Violation> {
    let Some((said, told, matches)) = plane.nodes.get(&id) else { return Ok(()) };
    let position = process.position();
    let holds = position
        .is_some_and(|position| head_of(&position) == *said && position.digest.as_bytes()[..] == told[..]);
    if *matches && !holds {
        return Err(Violation::Registry { node, said: *said, position });
    }
    Ok(())
}

/// Whether a node is equal to the control plane, also in what config says of it.
pub fn is_equal(id: Uuid, process: &Process, plane: &Plane) -> bool {
    let is_there = |position: Position| head_of(&position) == plane.head && position.digest == plane.digest;
    let said = plane.nodes.get(&id);
    let is_said = said.is_some_and(|(head, digest, matches)| {
        *head == plane.head && digest[..] == plane.digest.as_bytes()[..] && *matches
    });
    process.position().is_some_and(is_there) && is_said
}
