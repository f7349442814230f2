//! Logs for tests.

use ids::OrganizationId;
use replication::{Entry, Keyring, NO_HASH, Origin, Position, Signer, Vector};

use crate::trust::Trust;

pub fn origin(name: &str) -> Origin {
    name.parse().expect("an origin")
}

/// The key of a log: another for each.
pub fn signer(origin: &Origin) -> Signer {
    Signer::from_seed(blake3::hash(origin.to_string().as_bytes()).as_bytes()).expect("a key")
}

/// Trusts the keys of authz in us, eu and ap. Nobody was heard yet.
pub fn trust() -> Trust {
    let mut keys = Keyring::default();
    for name in ["authz.us", "authz.eu", "authz.ap"] {
        let origin = origin(name);
        let key = signer(&origin).public().clone();
        keys.trust(origin, vec![key]);
    }
    Trust::new(keys, "ap".parse().expect("a region"))
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
        let mut entry = Entry {
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
            signature: None,
        };
        entry.signature = Some(signer(origin).sign(origin, &entry.tip()));
        log.push(entry);
    }
    log
}
