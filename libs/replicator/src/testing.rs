//! Logs for tests.

use ids::OrganizationId;
use replication::{NO_HASH, Operation, Origin, Position, Vector};

pub fn origin(name: &str) -> Origin {
    name.parse().expect("an origin")
}

/// A log of `length` operations, written in `epoch`.
pub fn chain(origin: &Origin, epoch: u32, length: u64) -> Vec<Operation> {
    extend(&[], origin, epoch, length)
}

/// `log` and `more` operations after it, written in `epoch`.
pub fn extend(log: &[Operation], origin: &Origin, epoch: u32, more: u64) -> Vec<Operation> {
    let mut log = log.to_vec();
    for _ in 0..more {
        let (last_seq, prev_hash) = log.last().map_or((0, NO_HASH), |last| (last.position.seq, last.hash()));
        log.push(Operation {
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
