//! The limits of the protocol: sizes in bytes, counts and durations. Both ends read them here, so that neither end sends what
//! the other refuses.

use std::time::Duration;

/// A node that has sent nothing for this long counts as stale, and the config service ends its stream.
pub const LEASE: Duration = Duration::from_secs(30);

/// A node that has nothing else to send sends a heartbeat this often.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The longest kind name, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

/// The largest body of one entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 1024 * 1024;

/// Most entities of one delta. If more have changed, a snapshot is sent instead.
pub const DELTA_ENTITIES_MAX: usize = 100_000;

/// Most bytes of one delta's encoded entities. If they are larger, a snapshot is sent instead.
pub const DELTA_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most revocations that a delta names as not settled. If there are more, it settles none after the last one named.
pub const UNDONE_MAX: usize = 100;

/// A page of a snapshot ends with the entity that brings its bodies to this many bytes. So a page may be larger by one entity.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Most entities of one page. A node stores one page in one transaction.
pub const PAGE_ENTITIES_MAX: usize = 10_000;

/// The largest message of a node, in bytes after decompression. Its largest ones list quarantined entities, of which
/// [`QUARANTINED_LISTED_MAX`] have names and reasons, or digests of buckets.
pub const NODE_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The largest message of the control plane, in bytes: a full delta, and 64 KiB for the rest of the message.
pub const MESSAGE_BYTES_MAX: usize = DELTA_BYTES_MAX + 64 * 1024;

/// Most quarantined entities that a node lists in one message. Its own status page shows how many there are in all.
pub const QUARANTINED_LISTED_MAX: usize = 800;

/// Most targets that a node lists as not healthy in one message.
pub const TARGETS_LISTED_MAX: usize = 900;
/// Most addresses that it lists of one of them.
pub const ADDRESSES_LISTED_MAX: usize = 16;
/// Longest such address, in bytes: one of IPv6, with its port.
pub const ADDRESS_BYTES_MAX: usize = 64;

/// The longest reason, error text or host name in a message, in bytes. The sender cuts longer ones: see [`bounded`].
pub const TEXT_BYTES_MAX: usize = 1024;

/// The largest certificate request (DER), in bytes.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// The most endpoints that an enrolment token or its answer may name.
pub const ENDPOINTS_MAX: usize = 16;

/// The wait before a node connects again is random. After the first failure it is shorter than this.
pub const RECONNECT_MIN: Duration = Duration::from_millis(250);
/// The wait before a node connects again is never longer than this, however many attempts have failed.
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// The longest wait that a node accepts from a `Refused` message. A longer one is shortened to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How long a node's certificate is valid.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// `text`, or its beginning if it is longer than [`TEXT_BYTES_MAX`]. Characters are not split.
#[must_use]
pub fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node and a config service of two releases talk to each other: neither may send what the other refuses.
    #[test]
    fn sizes_are_the_same_in_every_release() {
        assert_eq!(ENTITY_BYTES_MAX, 1_048_576);
        assert_eq!(DELTA_BYTES_MAX, 67_108_864);
        assert_eq!(PAGE_BYTES, 1_048_576);
        assert_eq!(MESSAGE_BYTES_MAX, 67_174_400);
        assert_eq!(NODE_MESSAGE_BYTES_MAX, 1_048_576);
        assert_eq!(CSR_BYTES_MAX, 16_384);
    }

    #[test]
    fn a_certificate_is_valid_for_a_week() {
        assert_eq!(CERTIFICATE_LIFE.as_secs(), 604_800);
    }

    /// Whatever the bodies and names are, what one end is allowed to make arrives in one message.
    #[test]
    fn a_message_holds_the_largest_delta_and_the_largest_page() {
        // What protobuf needs around one body: field numbers and lengths, id, version.
        const AROUND: usize = KIND_BYTES_MAX + 64;
        let envelope = MESSAGE_BYTES_MAX - DELTA_BYTES_MAX;
        assert!(envelope >= TEXT_BYTES_MAX + CSR_BYTES_MAX, "{envelope}");
        let listed = QUARANTINED_LISTED_MAX * (TEXT_BYTES_MAX + AROUND) + 4 * TEXT_BYTES_MAX + CSR_BYTES_MAX;
        assert!(listed <= NODE_MESSAGE_BYTES_MAX, "{listed}");
        let listed = TARGETS_LISTED_MAX * (ADDRESSES_LISTED_MAX * (ADDRESS_BYTES_MAX + 2) + 32);
        assert!(listed <= NODE_MESSAGE_BYTES_MAX, "{listed}");
        let page = PAGE_BYTES + ENTITY_BYTES_MAX + PAGE_ENTITIES_MAX * AROUND;
        assert!(page <= DELTA_BYTES_MAX, "{page}");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(bounded("short"), "short");
        let long = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(bounded(&long).len(), TEXT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(bounded(&odd).len(), TEXT_BYTES_MAX - 1);
    }
}
