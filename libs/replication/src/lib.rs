//! Replication between regions, pure: what an entry is, what a region has applied, what a client has seen, and how
//! concurrent writes merge. No I/O, no clock, no randomness; `libs/replication-runtime` executes it over Postgres, NATS and gRPC.
//!
//! Each origin (`<service>.<region>`) has one log, dense and chained by hash. A region applies every log in order and an
//! entry only after what its writer had applied ([`Entry::deps`]), so effect never precedes cause. Nothing here
//! depends on the order in which concurrent entries arrive.

mod digest;
mod entry;
mod intake;
pub mod merge;
mod origin;
pub mod recovery;
mod token;
mod vector;

pub use digest::Digest;
pub use entry::{Entry, Hash, NO_HASH, Tip, Unreadable};
pub use intake::{Applied, BATCH_MAX, Fork, Gap, HELD_MAX, Intake, ORIGINS_MAX, Offered};
pub use origin::{InvalidOrigin, Origin};
pub use token::{InvalidKey, InvalidToken, TOKEN_ENTRIES_MAX, TOKEN_TEXT_MAX, Token, TokenKey};
pub use vector::{Dot, Position, Vector};
