//! Translates messages of the protocol into what the registry of nodes stores. A message that cannot be read is an error: the
//! stream ends, and the node is told why.

use proto::sync::v1 as wire;
use sync::limits::{QUARANTINED_LISTED_MAX, bounded};
use uuid::Uuid;

use crate::nodes::{Quarantined, Report};

/// A message that breaks the protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `Applied` without a position.
    #[error("an acknowledgement names no position")]
    NoPosition,
    /// An id that is not a UUID, with its length in bytes.
    #[error("the id of a quarantined entity is {0} bytes long, not 16")]
    EntityId(usize),
}

/// What a node says about a delta that it was sent.
pub fn report(applied: &wire::Applied) -> Result<Report, Malformed> {
    let position = applied.position.as_ref().ok_or(Malformed::NoPosition)?;
    Ok(Report {
        incarnation: position.incarnation,
        version: position.version,
        digest_matches: applied.digest_matches,
        derive_us: applied.derive_us,
        commit_us: applied.commit_us,
        error: bounded(&applied.error).to_owned(),
        quarantined: quarantined(&applied.quarantined)?,
    })
}

/// The entities that a node holds and does not serve; at most [`QUARANTINED_LISTED_MAX`] of them.
pub fn quarantined(entities: &[wire::Quarantined]) -> Result<Vec<Quarantined>, Malformed> {
    let listed = entities.iter().take(QUARANTINED_LISTED_MAX);
    listed
        .map(|entity| {
            let id = Uuid::from_slice(&entity.id).map_err(|_| Malformed::EntityId(entity.id.len()))?;
            Ok(Quarantined { kind: entity.kind.clone(), id, reason: bounded(&entity.reason).to_owned() })
        })
        .collect()
}
