//! Replication between regions, pure: what an entry is, what a region has applied, what a client has seen, and how
//! concurrent writes merge. No I/O, no clock, no randomness; `libs/replication-runtime` executes it over Postgres, NATS and gRPC.
//!
//! Each origin (`<service>.<region>`) has one log, dense, chained by hash and signed ([`Signer`]). A region applies every log in order and an
//! entry only after what its writer had applied ([`Entry::deps`]), so effect never precedes cause. Nothing here
//! depends on the order in which concurrent entries arrive.

mod digest;
mod entry;
mod intake;
pub mod merge;
mod origin;
pub mod recovery;
mod signature;
mod token;
mod vector;

pub use digest::Digest;
pub use entry::{Entry, Hash, NO_HASH, Tip, Unreadable, signature_from_wire, signature_to_wire};
pub use intake::{Applied, BATCH_MAX, Fork, Gap, HELD_MAX, Intake, ORIGINS_MAX, Offered};
pub use origin::{InvalidOrigin, Origin};
pub use signature::{
    Context, InvalidSigningKey, KeyId, Keyring, PublicKey, SIGNATURE_BYTES, Signature, Signer, Unproven,
};
pub use token::{InvalidKey, InvalidToken, TOKEN_ENTRIES_MAX, TOKEN_TEXT_MAX, Token, TokenKey};
pub use vector::{Dot, Position, Vector};
