//! Translates between the messages of the protocol and the gateway's own types. What breaks the protocol is an error.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gateway_model::{Kind, MODEL_VERSION, Plugin};
use proto::sync::v1::{self as wire, NodeMessage, node_message::Message};
use sync::{
    Digest, EntityState, decode_batch,
    limits::{
        DELTA_ENTITIES_MAX, KIND_BYTES_MAX, PAGE_ENTITIES_MAX, QUARANTINED_LISTED_MAX, UNDONE_MAX, bounded,
    },
    unpacked,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{StreamError, StreamOptions, received};
use crate::{
    applier::{Applier, ApplyError, ApplyReport, Delta},
    enrol::Credentials,
    settings::SyncMode,
    store::{Incarnation, Place, Position, Revocation, Settled, StoreError},
    view::SERVED,
};

/// A page whose form was checked.
pub(super) struct Page {
    /// Buckets that the page begins.
    pub begins: Vec<u8>,
    /// Live entities, each of them checked.
    pub entities: Vec<EntityState>,
    /// How many buckets no page has begun yet.
    pub left: u32,
}

/// The first message of a stream: who the node is and what it holds.
///
/// `last_error` is why the node ended its last stream, if the reason was its own.
pub(super) fn hello(
    applier: &Applier,
    credentials: &Credentials,
    options: &StreamOptions,
    last_error: &str,
) -> NodeMessage {
    let hello = wire::Hello {
        position: Some(position(applier.store().position())),
        hostname: bounded(&options.hostname).to_owned(),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        kinds: SERVED.iter().map(|kind| kind.name().to_owned()).collect(),
        plugins: Plugin::supported().map(str::to_owned).collect(),
        model_version: MODEL_VERSION,
        revocation_seq: applier.store().revocation_seq(),
        quarantined: quarantined(applier),
        control_plane_id: credentials.identity.control_plane.to_string(),
        unpacks: true,
        last_error: bounded(last_error).to_owned(),
        node_id: credentials.identity.node.as_bytes().to_vec().into(),
        whole: options.mode == SyncMode::Full,
    };
    NodeMessage { message: Some(Message::Hello(hello)) }
}

/// What the node sends when it has nothing else to say.
pub(super) fn heartbeat(applier: &Applier) -> Message {
    Message::Heartbeat(wire::Heartbeat { position: Some(position(applier.store().position())) })
}

/// The acknowledgement of a delta, whether it was applied or not.
pub(super) fn applied(applier: &Applier, outcome: &Result<ApplyReport, ApplyError>) -> Message {
    let (derive, commit, error) = match outcome {
        Ok(applied) => (applied.derive, applied.commit, String::new()),
        Err(error) => (Duration::ZERO, Duration::ZERO, error.to_string()),
    };
    let digest_differs = matches!(outcome, Err(ApplyError::Store(StoreError::DigestDiffers { .. })));
    Message::Applied(wire::Applied {
        position: Some(position(applier.store().position())),
        digest_matches: outcome.is_ok(),
        quarantined: quarantined(applier),
        derive_us: micros(derive),
        commit_us: micros(commit),
        // Another digest is not an error of this node. The control plane then compares buckets.
        error: if digest_differs { String::new() } else { bounded(&error).to_owned() },
    })
}

/// A delta, checked.
pub(super) fn delta(delta: wire::Delta) -> Result<Delta, StreamError> {
    let wire::Delta { incarnation: number, base, version, digest, entities, packed, committed_at_ms, .. } =
        delta;
    let settled = Settled { seq: delta.settled_seq, undone: delta.undone };
    if settled.undone.len() > UNDONE_MAX {
        return Err(protocol(format!(
            "a delta names {} revocations, more than {UNDONE_MAX}",
            settled.undone.len()
        )));
    }
    let digest =
        Digest::from_slice(&digest).ok_or_else(|| protocol("a delta's digest is not 32 bytes long"))?;
    let entities = batch(entities, &packed)?;
    if entities.len() > DELTA_ENTITIES_MAX {
        return Err(protocol(format!(
            "a delta has {} entities, more than {DELTA_ENTITIES_MAX}",
            entities.len()
        )));
    }
    let committed_at = u64::try_from(committed_at_ms).ok().filter(|ms| *ms > 0);
    let committed_at =
        committed_at.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    let incarnation = incarnation(number)?;
    Ok(Delta { incarnation, base, version, digest, entities, settled, committed_at })
}

/// A page of a snapshot, checked.
pub(super) fn page(page: wire::Page) -> Result<Page, StreamError> {
    let entities = batch(page.entities, &page.packed)?;
    if entities.len() > PAGE_ENTITIES_MAX {
        return Err(protocol(format!(
            "a page has {} entities, more than {PAGE_ENTITIES_MAX}",
            entities.len()
        )));
    }
    Ok(Page { begins: page.begins.to_vec(), entities, left: page.left })
}

fn batch(entities: Bytes, packed: &[u8]) -> Result<Vec<EntityState>, StreamError> {
    let entities = unpacked(entities, packed).map_err(protocol)?;
    received::note_unpacked(packed.len(), entities.len());
    decode_batch(entities).map_err(protocol)
}

/// A revocation, checked.
///
/// A kind that this build does not know is accepted: the gateway serves no entity of it, and the denial is stored for a
/// newer build. A known kind whose entities grant no access is an error: there is nothing to deny,
/// so an acknowledgement would be wrong.
pub(super) fn revocation(revocation: wire::Revocation) -> Result<Revocation, StreamError> {
    let wire::Revocation { seq, kind, id, incarnation } = revocation;
    let id = Uuid::from_slice(&id).map_err(|_| protocol("a revocation's id is not 16 bytes long"))?;
    if seq == 0 {
        return Err(protocol("a revocation has sequence number 0"));
    }
    if kind.len() > KIND_BYTES_MAX {
        return Err(protocol("a revocation's kind is too long"));
    }
    match Kind::from_name(&kind) {
        Some(known) if !known.grants_access() => {
            Err(protocol(format!("a {} cannot be revoked", known.label())))
        }
        Some(_) | None => Ok(Revocation { place: Place { incarnation, seq }, kind, id }),
    }
}

/// The key that opens secrets; `None` if the control plane tells none.
pub(super) fn secrets_key(bytes: &[u8]) -> Result<Option<Zeroizing<[u8; 32]>>, StreamError> {
    match bytes {
        [] => Ok(None),
        bytes => match <[u8; 32]>::try_from(bytes) {
            Ok(key) => Ok(Some(Zeroizing::new(key))),
            Err(_) => Err(protocol("the key of secrets is not 32 bytes long")),
        },
    }
}

/// The incarnation that a message names; 0 names none.
pub(super) fn incarnation(number: u64) -> Result<Incarnation, StreamError> {
    Incarnation::new(number).ok_or_else(|| protocol("it names incarnation 0"))
}

/// The control plane broke the protocol, in the way that `reason` says.
pub(super) fn protocol(reason: impl ToString) -> StreamError {
    StreamError::Protocol(reason.to_string())
}

/// On the wire, a node that holds nothing is at version 0 of incarnation 0.
fn position(position: Option<Position>) -> wire::Position {
    let (incarnation, version, digest) = match position {
        Some(Position { incarnation, version, digest }) => (incarnation.get(), version, digest),
        None => (0, 0, Digest::default()),
    };
    wire::Position { incarnation, version, digest: digest.as_bytes().to_vec().into() }
}

fn quarantined(applier: &Applier) -> Vec<wire::Quarantined> {
    let all = applier.live().load().quarantined();
    let listed = all.into_iter().take(QUARANTINED_LISTED_MAX);
    listed
        .map(|entity| wire::Quarantined {
            kind: entity.kind,
            id: entity.id.as_bytes().to_vec().into(),
            reason: bounded(&entity.reason).to_owned(),
        })
        .collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
