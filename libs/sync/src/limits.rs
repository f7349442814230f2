//! The limits of the sync protocol. Both ends read them here, so that neither sends what the other refuses.

use std::time::Duration;

/// A node from which nothing was heard for this long is stale.
pub const LEASE: Duration = Duration::from_secs(30);

/// A node that has nothing else to say sends a heartbeat at this pace.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The longest kind name, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

/// The largest body of one entity, in bytes.
pub const ENTITY_BYTES_MAX: usize = 1024 * 1024;

/// A delta with more rows than this is not sent: buckets are compared instead.
pub const DELTA_ROWS_MAX: usize = 100_000;

/// A delta whose encoded batch is larger than this is not sent: buckets are compared instead.
pub const DELTA_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A page ends with the row that reaches this many bytes of encoded rows, so it may be larger by one entity.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// The most rows in one page: what a node stages in one transaction.
pub const PAGE_ROWS_MAX: usize = 10_000;

/// The largest message on the stream, in bytes, either way: a full delta and its envelope.
pub const MESSAGE_BYTES_MAX: usize = DELTA_BYTES_MAX + 64 * 1024;

/// The most quarantined entities named in one message; what goes beyond is counted by the node's own status page.
pub const QUARANTINED_LISTED_MAX: usize = 1_000;

/// The longest reason, error text or host name in a message, in bytes. Longer ones are cut by the sender.
pub const TEXT_BYTES_MAX: usize = 1024;

/// The largest certificate request, in bytes.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// The most endpoints that an enrolment token or its answer may name.
pub const ENDPOINTS_MAX: usize = 16;

/// Bounds of the wait before a node dials again (full jitter).
pub const RECONNECT_MIN: Duration = Duration::from_millis(250);
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// The longest wait that a node lets the plane ask for in `Refused`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How long a node's certificate is valid.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// `text`, cut to [`TEXT_BYTES_MAX`] at a character boundary.
pub fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(bounded("short"), "short");
        let long = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(bounded(&long).len(), TEXT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(bounded(&odd).len(), TEXT_BYTES_MAX - 1);
    }
}
