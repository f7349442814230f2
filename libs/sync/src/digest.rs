//! The digest of a set of entities: the sum modulo 2²⁵⁶ of one hash per entity.
//!
//! A sum can be kept up to date in constant time per changed entity, whatever the size of the set, and does not
//! depend on order (Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", AdHash). It guards against
//! loss, duplication and corruption between two ends that trust each other over mTLS; against somebody who chooses
//! the entities in order to make two sets collide it would be too weak at this width.

use std::fmt;

use uuid::Uuid;

/// Length of a digest in bytes.
pub const DIGEST_BYTES: usize = 32;

/// Set digest, or one entity's contribution to it: an unsigned 256-bit number, little-endian. The empty set is zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// Takes `entity` into the set.
    pub fn add(&mut self, entity: &Digest) {
        let mut carry = 0;
        for (byte, other) in self.0.iter_mut().zip(entity.0) {
            let (sum, first) = byte.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(carry);
            *byte = sum;
            carry = u8::from(first | second);
        }
    }

    /// Takes `entity` out of the set: the inverse of [`Digest::add`].
    pub fn sub(&mut self, entity: &Digest) {
        let mut borrow = 0;
        for (byte, other) in self.0.iter_mut().zip(entity.0) {
            let (rest, first) = byte.overflowing_sub(other);
            let (rest, second) = rest.overflowing_sub(borrow);
            *byte = rest;
            borrow = u8::from(first | second);
        }
    }

    /// `None` unless `bytes` are exactly [`DIGEST_BYTES`] long.
    pub fn from_slice(bytes: &[u8]) -> Option<Digest> {
        bytes.try_into().ok().map(Digest)
    }

    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// Whether this is the digest of the empty set.
    pub fn is_zero(&self) -> bool {
        *self == Digest::default()
    }
}

/// The sum of all `digests`: the digest of the union of disjoint sets.
impl<'a> FromIterator<&'a Digest> for Digest {
    fn from_iter<I: IntoIterator<Item = &'a Digest>>(digests: I) -> Digest {
        digests.into_iter().fold(Digest::default(), |mut sum, digest| {
            sum.add(digest);
            sum
        })
    }
}

/// Lower-case hexadecimal, 64 digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// BLAKE3 of an entity's body as it travels.
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    *blake3::hash(body).as_bytes()
}

/// What one live entity adds to the digest of the set that holds it.
pub fn entity_digest(kind: &str, id: Uuid, version: u64, body: &[u8]) -> Digest {
    entity_digest_of_hash(kind, id, version, &body_hash(body))
}

/// [`entity_digest`] for a caller that keeps the hash of the body beside the row.
pub fn entity_digest_of_hash(kind: &str, id: Uuid, version: u64, body_hash: &[u8; 32]) -> Digest {
    let mut hasher = named(b"landbridge entity digest 1", kind, id);
    hasher.update(&version.to_le_bytes());
    hasher.update(body_hash);
    Digest(*hasher.finalize().as_bytes())
}

/// A hasher that has taken in a purpose and an entity's name, unambiguously: only the kind varies in length, and its
/// length comes first. Each purpose is a distinct constant and none is the beginning of another.
pub(crate) fn named(purpose: &[u8], kind: &str, id: Uuid) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(purpose);
    hasher.update(&(kind.len() as u64).to_le_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(id.as_bytes());
    hasher
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digests() -> impl Strategy<Value = Digest> {
        any::<[u8; 32]>().prop_map(Digest)
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(mut set in prop::collection::vec(digests(), 0..20), seed in any::<u64>()) {
            let forwards: Digest = set.iter().collect();
            let length = set.len();
            for at in 0..length {
                set.swap(at, (seed as usize).wrapping_mul(at + 1) % length);
            }
            prop_assert_eq!(set.iter().collect::<Digest>(), forwards);
        }

        #[test]
        fn removal_undoes_insertion(start in digests(), entity in digests()) {
            let mut digest = start;
            digest.add(&entity);
            prop_assert_eq!(digest == start, entity.is_zero());
            digest.sub(&entity);
            prop_assert_eq!(digest, start);
            digest.sub(&entity);
            digest.add(&entity);
            prop_assert_eq!(digest, start);
        }
    }

    #[test]
    fn carries_through_every_byte() {
        let mut one = [0; 32];
        one[0] = 1;
        let mut digest = Digest([0xff; 32]);
        digest.add(&Digest(one));
        assert!(digest.is_zero());
        digest.sub(&Digest(one));
        assert_eq!(digest, Digest([0xff; 32]));
    }

    #[test]
    fn each_part_of_an_entity_counts_and_the_form_is_fixed() {
        let id = Uuid::from_u128(7);
        let digest = entity_digest("route", id, 3, b"{}");
        assert_ne!(digest, entity_digest("routes", id, 3, b"{}"));
        assert_ne!(digest, entity_digest("route", Uuid::from_u128(8), 3, b"{}"));
        assert_ne!(digest, entity_digest("route", id, 4, b"{}"));
        assert_ne!(digest, entity_digest("route", id, 3, b"{ }"));
        assert_eq!(digest, entity_digest_of_hash("route", id, 3, &body_hash(b"{}")));
        // Stored by both ends: a change of this value needs a new epoch everywhere.
        assert_eq!(digest.to_string(), "9f900de1087b292f2a043deb080e47b2ad06a6578ee3835de072eba38893a4ee");
        assert_eq!(Digest::from_slice(digest.as_bytes()), Some(digest));
        assert_eq!(Digest::from_slice(&[0; 31]), None);
    }
}
