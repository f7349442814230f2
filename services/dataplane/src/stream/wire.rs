//! Between the messages of the protocol and the node's own types.

use std::time::{Duration, SystemTime};

use gateway_model::Kind;
use proto::sync::v1::{self as wire, NodeMessage, node_message::Message};
use sync::{
    Digest, Row, decode_batch,
    limits::{DELTA_ROWS_MAX, KIND_BYTES_MAX, PAGE_ROWS_MAX, QUARANTINED_LISTED_MAX, bounded},
};
use uuid::Uuid;

use super::StreamError;
use crate::{
    applier::{Applier, ApplyError, ApplyReport, Delta},
    enrol::Credentials,
    store::{Position, Revocation, StoreError},
};

/// A page, checked for form.
pub(super) struct Page {
    /// Buckets that the page begins.
    pub begins: Vec<u8>,
    pub rows: Vec<Row>,
}

pub(super) fn hello(applier: &Applier, credentials: &Credentials, hostname: &str) -> NodeMessage {
    let hello = wire::Hello {
        position: Some(position(&applier.store().position())),
        hostname: bounded(hostname).to_owned(),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        kinds: Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect(),
        revocation_seq: applier.store().revocation_seq(),
        quarantined: quarantined(applier),
        control_plane_id: credentials.identity.control_plane.to_string(),
    };
    NodeMessage { message: Some(Message::Hello(hello)) }
}

pub(super) fn heartbeat(applier: &Applier) -> Message {
    Message::Heartbeat(wire::Heartbeat { position: Some(position(&applier.store().position())) })
}

/// The acknowledgement of a delta, applied or not.
pub(super) fn applied(applier: &Applier, outcome: &Result<ApplyReport, ApplyError>) -> Message {
    let (derive, commit, error) = match outcome {
        Ok(applied) => (applied.derive, applied.commit, String::new()),
        Err(error) => (Duration::ZERO, Duration::ZERO, error.to_string()),
    };
    let digest_differs = matches!(outcome, Err(ApplyError::Store(StoreError::DigestDiffers { .. })));
    Message::Applied(wire::Applied {
        position: Some(position(&applier.store().position())),
        digest_matches: outcome.is_ok(),
        quarantined: quarantined(applier),
        derive_us: micros(derive),
        commit_us: micros(commit),
        // A differing digest is not a failure of this node: the plane answers it by comparing buckets.
        error: if digest_differs { String::new() } else { bounded(&error).to_owned() },
    })
}

pub(super) fn delta(delta: wire::Delta) -> Result<Delta, StreamError> {
    let wire::Delta { epoch, base, version, digest, entities, committed_at_ms, traceparent: _ } = delta;
    let digest =
        Digest::from_slice(&digest).ok_or_else(|| protocol("a delta's digest is not 32 bytes long"))?;
    let rows = decode_batch(entities).map_err(protocol)?;
    if rows.len() > DELTA_ROWS_MAX {
        return Err(protocol(format!("a delta has {} rows, more than {DELTA_ROWS_MAX}", rows.len())));
    }
    let committed_at = u64::try_from(committed_at_ms).ok().filter(|ms| *ms > 0);
    let committed_at =
        committed_at.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    Ok(Delta { epoch, base, version, digest, rows, committed_at })
}

pub(super) fn page(page: wire::Page) -> Result<Page, StreamError> {
    let rows = decode_batch(page.entities).map_err(protocol)?;
    if rows.len() > PAGE_ROWS_MAX {
        return Err(protocol(format!("a page has {} rows, more than {PAGE_ROWS_MAX}", rows.len())));
    }
    Ok(Page { begins: page.begins.to_vec(), rows })
}

pub(super) fn revocation(revocation: wire::Revocation) -> Result<Revocation, StreamError> {
    let id =
        Uuid::from_slice(&revocation.id).map_err(|_| protocol("a revocation's id is not 16 bytes long"))?;
    if revocation.kind.len() > KIND_BYTES_MAX {
        return Err(protocol("a revocation's kind is too long"));
    }
    Ok(Revocation { seq: revocation.seq, kind: revocation.kind, id })
}

pub(super) fn protocol(reason: impl ToString) -> StreamError {
    StreamError::Protocol(reason.to_string())
}

fn position(position: &Position) -> wire::Position {
    let digest = position.digest.as_bytes().to_vec().into();
    wire::Position { epoch: position.epoch, version: position.version, digest }
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
