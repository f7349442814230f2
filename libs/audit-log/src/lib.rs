//! The audit log of one service in one region: what was written, what was refused, and who signed on.
//!
//! An entry is written by the transaction of the write that it tells of ([`insert`]), or, where a request writes nothing, from a bounded
//! queue ([`Recorder`]). Within half a second a [`Linker`] makes it part of a chain: one for each organization, with a dense sequence and
//! a hash over each entry and all before it, whose end is signed with the key of the service's log. From then on, whoever changes, removes
//! or adds an entry is found by [`verify`]. Readers see linked entries only.
//!
//! Nothing in a chain is personal data: people are ids. Where requests came from is kept apart, in the home region ([`clients`]).

#![warn(missing_docs)]

mod chain;
mod check;
mod clients;
mod entry;
mod export;
mod linker;
mod read;
mod record;
mod recorder;
mod retention;
mod serve;
pub mod verify;

pub use chain::{Chain, ChainState, Place};
pub use check::verify_database;
pub use entry::{Entry, EntryType, Outcome, insert};
pub use export::{Line, UnreadableExport, verify_lines};
pub use linker::{Linker, Linking};
pub use read::{Filter, page, state};
pub use record::Record;
pub use recorder::Recorder;
pub use retention::{Retention, purge};
pub use serve::{PAGE_MAX, ReadError, Server, Source};
