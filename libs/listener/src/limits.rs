//! What connections to one port may cost.

use std::{num::NonZeroU32, time::Duration};

use settings::sections::Connections;

/// Most headers of a request.
pub const HEADERS_MAX: usize = 100;
/// The longest head of a request, in bytes.
pub const HEAD_MAX: usize = 32 * 1024;
/// hyper's buffer for an HTTP/1 connection, in bytes. Not less than a head.
pub const BUFFER_MAX: usize = 64 * 1024;
/// Bytes in the unit of a setting.
const MIB: usize = 1024 * 1024;

/// What connections to one port may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub connections_max: usize,
    /// Connections at the same time from one IPv4 address, or from one /64 of IPv6.
    pub per_address_max: usize,
    /// Connections at the same time of clients that show the same certificate.
    pub per_certificate_max: usize,
    /// How long a TLS handshake may take, and a header of the PROXY protocol.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a client may make no progress within a body, its own or an answer's.
    pub stall_timeout: Duration,
    /// Bytes of answers that clients may leave untaken, on all connections together. Beyond that, the connection that has taken nothing
    /// for longest is closed.
    pub untaken_max: usize,
    /// Bytes per second that a client has to send of its body, on average after `stall_timeout`.
    pub rate_min: u32,
}

impl From<&Connections> for Limits {
    fn from(set: &Connections) -> Self {
        let seconds = |count: NonZeroU32| Duration::from_secs(count.get().into());
        Self {
            connections_max: set.max.get(),
            per_address_max: set.per_address_max.get(),
            per_certificate_max: set.per_certificate_max.get(),
            handshake_timeout: seconds(set.handshake_seconds),
            head_timeout: seconds(set.head_seconds),
            idle_timeout: seconds(set.idle_seconds),
            stall_timeout: seconds(set.stall_seconds),
            untaken_max: usize::try_from(set.untaken_mib.get())
                .map_or(usize::MAX, |mib| mib.saturating_mul(MIB)),
            rate_min: set.bytes_per_second_min.get(),
        }
    }
}

impl Default for Limits {
    /// Those of the settings' defaults.
    fn default() -> Self {
        Self::from(&Connections::default())
    }
}
