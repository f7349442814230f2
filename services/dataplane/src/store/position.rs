//! Where a configuration stands: in which incarnation of its control plane, at which version, with which content.

use std::{fmt, num::NonZeroU64};

use sync::Digest;

/// The history that versions count in. Versions of two incarnations cannot be compared: version 7 of one and version 7 of the
/// other may be different configurations. A node that meets another incarnation than its own compares its whole configuration
/// with the control plane's.
///
/// The config service begins a new incarnation when its database was put back to an earlier copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation(NonZeroU64);

impl Incarnation {
    /// The incarnation under which a gateway in declarative mode counts the versions of its own configuration.
    pub const LOCAL: Incarnation = Incarnation(NonZeroU64::MIN);

    /// `None` for 0, which names no incarnation.
    pub fn new(number: u64) -> Option<Incarnation> {
        NonZeroU64::new(number).map(Incarnation)
    }

    /// The number as it is sent and stored.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Exactly which configuration is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The incarnation in which `version` counts.
    pub incarnation: Incarnation,
    /// Version of the control plane's configuration. 0: the control plane never had an entity.
    pub version: u64,
    /// Digest of all entities held.
    pub digest: Digest,
}
