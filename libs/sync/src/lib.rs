//! What both ends of configuration sync must agree on: the config service, which keeps control planes, and the gateway,
//! which is a node of one of them. Everything here is pure: no I/O, no clock, no randomness. The messages are those of
//! `landbridge.sync.v1` (`proto/landbridge/sync/v1/sync.proto`).
//!
//! # The protocol
//!
//! The configuration of a control plane is a set of entities. Each commit makes a new *version* of the set; versions count
//! from 1. The newest version is the *head*. A node has a copy of the set as it was at some version, and has to become equal
//! to the head. These are the words of the protocol:
//!
//! * **Stream.** The node opens a gRPC stream over mTLS and keeps it open. Its first message says what it holds: a version
//!   and a digest. The config service then sends one step, waits until the node has acknowledged it, and sends the next. When
//!   the stream breaks, the node opens another one and goes on from the version that it has stored.
//! * **Delta.** The entities that changed after the version that the node holds, each as it is now; a deleted one is sent as
//!   a tombstone. Example: the node holds version 7 and the head is 9. The delta has every entity whose last change was made
//!   in version 8 or 9. An entity that changed in both is sent once.
//! * **Digest.** 32 bytes that stand for a whole set ([`Digest`]). Every delta names the digest that the node must have
//!   afterwards. If the node computes another one, it does not apply the delta and says so, and a snapshot follows.
//! * **Bucket.** One of 256 parts of the set ([`bucket()`]). Two ends that compare one digest per bucket (8 KiB in all) learn
//!   which parts differ without sending any entity.
//! * **Snapshot.** What is sent when no delta can help: the node is new, its version is older than what deltas are kept for, or
//!   a digest differed. The node sends the digests of its buckets. The config service sends the buckets that differ
//!   ([`differing()`]), in pages of about 1 MiB, and then a delta with what was committed in the meantime. The digest of that
//!   delta decides whether the node now equals the control plane.
//! * **Resumption.** A node keeps what it has staged of a snapshot when the stream is cut, also when its process ends. When buckets
//!   are compared again, it tells the digests of what it has staged, and of each bucket that it has staged whole, as of which
//!   version ([`unfinished()`]). Such a bucket is not sent again, also if it has changed meanwhile: the delta that ends the
//!   snapshot begins at that version. Example: the stream is cut after 200 of 256 buckets, staged as of version 7. The head is 90
//!   when the node is back. It is sent the other 56 buckets and the delta from 7.
//! * **Lane.** The way of a revoked credential. It is a message of its own with its own sequence numbers. It is sent before
//!   deltas and pages that wait, and the node denies the credential as soon as it has read the message. A later delta
//!   deletes the entity itself.
//! * **Incarnation.** A number that says which history the versions count in. Versions of different incarnations are never
//!   compared with each other: the node's buckets are compared instead. A control plane begins in incarnation 1. When its
//!   database was put back to an earlier copy, it begins a new one, whose number is the time in seconds since 1970, and whose
//!   versions go on above all that there were. Example: a node holds version 107, and the database was put back to 105. In the
//!   same incarnation, the next two commits would be other versions 106 and 107 than those that the node has seen.
//!
//! The two ends are `services/config/src/streams` and `services/dataplane/src/stream`.
//!
//! # Invariants
//!
//! * A digest depends on which entities are in the set (kind, id, version, body), never on the order in which they came.
//! * The digest of a set is the sum of the digests of its buckets, so buckets with equal digests need not be sent.
//! * An entity replaces the one that the node holds unless that is newer ([`EntityState::replaces`]). So applying a delta twice
//!   changes nothing.

mod bucket;
mod digest;
pub mod enrolment;
mod entity;
pub mod identity;
pub mod limits;
mod packed;
mod place;
#[cfg(test)]
mod tests;

pub use bucket::{BUCKETS, bucket, buckets_from_bytes, buckets_to_bytes, differing, unfinished};
pub use digest::{DIGEST_BYTES, Digest, body_hash, entity_digest, entity_digest_of_hash};
pub use entity::{EntityState, InvalidEntity, decode_batch, encode_batch};
pub use packed::{Batch, unpacked};
pub use place::{CONSISTENCY, InvalidPlaces, PLACES_MAX, PLACES_TEXT_MAX, Place, Places, split};
