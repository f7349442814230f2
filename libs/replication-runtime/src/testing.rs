//! Logs for tests.

use ids::OrganizationId;
use replication::{Entry, NO_HASH, Origin, Position, Vector};

pub fn origin(name: &str) -> Origin {
    name.parse().expect("an origin")
}

/// A log of `length` entries, written in `epoch`.
pub fn chain(origin: &Origin, epoch: u32, length: u64) -> Vec<Entry> {
    extend(&[], origin, epoch, length)
}

/// `log` and `more` entries after it, written in `epoch`.
pub fn extend(log: &[Entry], origin: &Origin, epoch: u32, more: u64) -> Vec<Entry> {
    let mut log = log.to_vec();
    for _ in 0..more {
        let (last_seq, prev_hash) = log.last().map_or((0, NO_HASH), |last| (last.position.seq, last.hash()));
        log.push(Entry {
            id: uuid::Uuid::now_v7(),
            origin: origin.clone(),
            position: Position { epoch, seq: last_seq + 1 },
            prev_hash,
            deps: Vector::default(),
            organization: OrganizationId::from_uuid(uuid::Uuid::from_u128(7)),
            actor: None,
            authority: Vec::new(),
            kind: "test.put".to_owned(),
            body: "{}".to_owned(),
            at: 0,
            traceparent: String::new(),
        });
    }
    log
}
