//! Counts of what somebody did in a window of time. Example: how many requests one consumer has sent in this minute.
//!
//! A count belongs to a [`Subject`] and a [`Period`]. Windows are those of the calendar in UTC, as Kong aligns them: a minute begins with
//! its second 0, a month with its first day. A sliding window is made of two of those ([`Windows::Sliding`]).
//!
//! Invariants:
//! * All limits of a subject are judged and counted in one step: of any number of requests at one time, as many pass as the limits allow.
//! * A count is never made smaller by a clock that goes back a little: a window that has begun goes on.
//! * No request waits for a disk or a network. What is kept elsewhere is brought there by a thread or task of its own ([`Table::changes`],
//!   [`Table::settle`]).
//!
//! Time is a parameter. Knows nothing of plugins, of requests and of the proxy.

mod disk;
mod keeper;
pub mod remote;
mod table;
#[cfg(test)]
mod tests;
mod window;

pub use self::{
    keeper::Counters,
    table::{Change, Limit, Sum, Table, Taken},
    window::{PERIODS, Period, Window, Windows},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Names the metrics of this module.
pub fn describe_metrics() {
    table::describe_metrics();
    remote::describe_metrics();
}

/// Who or what is counted for: an identifier within a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Whose limit it is: the id of a plugin, or what stands for one of its limits.
    pub scope: u128,
    /// What kind of identifier: two kinds with the same bits are two subjects.
    pub kind: u8,
    /// The identifier. One that is longer is a digest.
    pub who: u128,
}

/// The scope of the limit `name` of a plugin.
pub fn scope_of(plugin: Uuid, name: &str) -> u128 {
    digest(&[plugin.as_bytes(), name.as_bytes()])
}

/// Stands for `text`. The same on every gateway, and nobody finds another text with it.
pub fn digest_of(text: &[u8]) -> u128 {
    digest(&[text])
}

fn digest(parts: &[&[u8]]) -> u128 {
    let digest: [u8; 32] =
        parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into();
    digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
}
