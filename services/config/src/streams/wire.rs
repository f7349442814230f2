//! Translates messages of the protocol into what the registry of nodes stores. A message that cannot be read is an error: the
//! stream ends, and the node is told why.

use proto::sync::v1::{self as wire, unhealthy_target::State};
use sync::limits::{ADDRESSES_LISTED_MAX, QUARANTINED_LISTED_MAX, TARGETS_LISTED_MAX, bounded};
use tonic::Streaming;
use uuid::Uuid;

use crate::nodes::{
    Quarantined, Report,
    health::{Health, Unhealthy},
};

/// Names of kinds or plugins that are kept of one node.
const NAMES_MAX: usize = 256;

/// A message that breaks the protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first message is another one than Hello.
    #[error("a stream begins with Hello")]
    NoHello,
    /// `Applied` without a position.
    #[error("an acknowledgement names no position")]
    NoPosition,
    /// A digest of another length, in bytes.
    #[error("a digest is {0} bytes long, not 32")]
    Digest(usize),
    /// An id that is not a UUID, with its length in bytes.
    #[error("the id of an entity is {0} bytes long, not 16")]
    EntityId(usize),
    /// The id of the node, which a certificate leaves to it, with its length in bytes.
    #[error("a node with a pinned certificate names itself by an id of 16 bytes, and this one has {0}")]
    NodeId(usize),
    /// The field with a text that nothing can store or show.
    #[error("{0} must not contain control characters")]
    Text(&'static str),
}

/// The first message of a stream; `None`: the stream has ended before it.
pub async fn hello(inbound: &mut Streaming<wire::NodeMessage>) -> Option<Result<wire::Hello, Malformed>> {
    Some(match inbound.message().await.ok()??.message {
        Some(wire::node_message::Message::Hello(hello)) => Ok(hello),
        Some(_) | None => Err(Malformed::NoHello),
    })
}

/// What a node says of itself in one short text. The registry can store it, and a terminal can show it.
pub fn label<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Malformed> {
    if text.chars().any(char::is_control) { Err(Malformed::Text(field)) } else { Ok(bounded(text)) }
}

/// What a node explains. Control characters in it, which may come from a configuration, are replaced.
pub fn explanation(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    bounded(&bounded(text).chars().map(shown).collect::<String>()).to_owned()
}

/// Names that a node lists; at most [`NAMES_MAX`] of them.
pub fn names(field: &'static str, names: &[String]) -> Result<Vec<String>, Malformed> {
    names.iter().take(NAMES_MAX).map(|name| label(field, name).map(str::to_owned)).collect()
}

/// What a node says about a delta that it was sent.
pub fn report(applied: &wire::Applied) -> Result<Report, Malformed> {
    let position = applied.position.as_ref().ok_or(Malformed::NoPosition)?;
    if !matches!(position.digest.len(), 0 | sync::DIGEST_BYTES) {
        return Err(Malformed::Digest(position.digest.len()));
    }
    Ok(Report {
        incarnation: position.incarnation,
        version: position.version,
        digest: position.digest.to_vec(),
        digest_matches: applied.digest_matches,
        derive_us: applied.derive_us,
        commit_us: applied.commit_us,
        error: explanation(&applied.error),
        quarantined: quarantined(&applied.quarantined)?,
    })
}

/// The entities that a node holds and does not serve; at most [`QUARANTINED_LISTED_MAX`] of them.
pub fn quarantined(entities: &[wire::Quarantined]) -> Result<Vec<Quarantined>, Malformed> {
    let listed = entities.iter().take(QUARANTINED_LISTED_MAX);
    listed
        .map(|entity| {
            let id = Uuid::from_slice(&entity.id).map_err(|_| Malformed::EntityId(entity.id.len()))?;
            let kind = label("the kind of a quarantined entity", &entity.kind)?.to_owned();
            Ok(Quarantined { kind, id, reason: explanation(&entity.reason) })
        })
        .collect()
}

/// The targets that are not healthy for a node; at most [`TARGETS_LISTED_MAX`] of them.
pub fn unhealthy(health: &wire::Health) -> Result<Vec<Unhealthy>, Malformed> {
    let listed = health.targets.iter().take(TARGETS_LISTED_MAX);
    listed
        .map(|target| {
            let addresses = target.addresses.iter().take(ADDRESSES_LISTED_MAX);
            let addresses =
                addresses.map(|address| label("the address of a target", address).map(str::to_owned));
            Ok(Unhealthy {
                target: Uuid::from_slice(&target.id).map_err(|_| Malformed::EntityId(target.id.len()))?,
                health: match target.state() {
                    State::DnsError => Health::DnsError,
                    State::Degraded => Health::Degraded,
                    // What a newer node means by another state, it is not healthy.
                    State::Unhealthy | State::Unknown => Health::Unhealthy,
                },
                addresses: addresses.collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Malformed, explanation, label, quarantined, report, wire};

    #[test]
    fn nothing_is_kept_as_a_digest_that_is_none() {
        let of_length = |length: usize| {
            let position = wire::Position { digest: vec![7; length].into(), ..wire::Position::default() };
            report(&wire::Applied { position: Some(position), ..wire::Applied::default() })
                .map(|report| report.digest.len())
        };
        assert_eq!((of_length(0), of_length(32)), (Ok(0), Ok(32)));
        for length in [1, 31, 33, 1_000_000] {
            assert_eq!(of_length(length), Err(Malformed::Digest(length)));
        }
    }

    #[test]
    fn a_text_that_nothing_can_store_is_refused_or_replaced() {
        assert_eq!(label("hostname", "gw-1"), Ok("gw-1"));
        for text in ["a\0b", "\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(label("hostname", text), Err(Malformed::Text("hostname")));
        }
        assert_eq!(explanation("a\0b\nc"), "a\u{fffd}b\u{fffd}c");
        let entity = |kind: &str, reason: &str| wire::Quarantined {
            kind: kind.to_owned(),
            id: vec![1; 16].into(),
            reason: reason.to_owned(),
        };
        assert!(quarantined(&[entity("ro\0ute", "")]).is_err());
        let kept = quarantined(&[entity("route", "line\n\0")]).expect("readable");
        assert_eq!(kept[0].reason, "line\u{fffd}\u{fffd}");
    }
}
