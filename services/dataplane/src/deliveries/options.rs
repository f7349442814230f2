//! How a queue is worked off, and where to.

use std::{sync::Arc, time::Duration};

use super::Destination;

/// Bytes that wait in a queue at most, whatever its options say.
pub const BYTES_MAX: usize = 64 << 20;

/// How a queue is worked off.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Entries that go together at most.
    pub batch_max: usize,
    /// How long the first entry of a batch waits for others, if the batch is not full.
    pub coalescing: Duration,
    /// Entries that wait or are under way at most. Beyond, the oldest one that waits is lost.
    pub entries_max: usize,
    /// The same in bytes; see [`BYTES_MAX`].
    pub bytes_max: usize,
    /// How long a batch is tried again; `None`: not once.
    pub retry_for: Option<Duration>,
    /// The pause before the first further attempt is up to this; it doubles with each.
    pub retry_pause: Duration,
    /// The pause never becomes longer than this.
    pub retry_pause_max: Duration,
    /// Batches that are under way at a time.
    pub at_a_time: usize,
}

impl Default for Options {
    /// Kong's defaults.
    fn default() -> Self {
        Self {
            batch_max: 1,
            coalescing: Duration::from_secs(1),
            entries_max: 10_000,
            bytes_max: BYTES_MAX,
            retry_for: Some(Duration::from_secs(60)),
            retry_pause: Duration::from_millis(10),
            retry_pause_max: Duration::from_secs(60),
            at_a_time: 1,
        }
    }
}

/// How and where entries go.
#[derive(Debug)]
pub struct Way {
    pub options: Options,
    pub destination: Arc<dyn Destination>,
}
