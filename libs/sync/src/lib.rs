//! The pure parts of configuration sync, shared by both ends of the stream: the config service (the plane) and the
//! data plane (the node). No I/O, clock or randomness; the messages are those of `landbridge.sync.v1`.
//!
//! What both ends must agree on to the bit is here and nowhere else: the [`Digest`] of a set of entities, the
//! [`bucket()`] of an entity, the form of a [`Row`], the enrolment token, the name of a node and the [`limits`].
//!
//! Invariants:
//! * A digest depends on which entities are held (kind, id, version, body), never on the order in which they came.
//! * The whole is the sum of its buckets, so equal buckets need not travel.
//! * A row replaces what is held unless what is held is newer: applying a delta twice changes nothing.

mod bucket;
mod digest;
pub mod enrolment;
pub mod identity;
pub mod limits;
mod row;
#[cfg(test)]
mod tests;

pub use bucket::{BUCKETS, bucket, buckets_from_bytes, buckets_to_bytes, differing};
pub use digest::{DIGEST_BYTES, Digest, body_hash, entity_digest, entity_digest_of_hash};
pub use row::{Row, RowError, decode_batch, encode_batch};
