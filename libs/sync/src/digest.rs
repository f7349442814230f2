//! The digest of a set of entities: the sum modulo 2²⁵⁶ of one hash per entity.
//!
//! When one entity changes, the sum is corrected by one subtraction and one addition, however large the set is. The sum does
//! not depend on the order of the entities. (Source: AdHash in Bellare and Micciancio, "A New Paradigm for Collision-Free
//! Hashing".)
//!
//! The digest finds entities that were lost, applied twice or damaged, between two ends that trust each other. It does not
//! protect against an attacker who can choose entities so that two different sets get the same sum: 256 bits are too few for
//! that.

use std::fmt;

use uuid::Uuid;

/// Length of a digest in bytes.
pub const DIGEST_BYTES: usize = 32;

/// The digest of a set of entities, or of one entity: an unsigned number of 256 bits, little-endian. The digest of the empty
/// set is zero.
#[must_use]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// Adds `entity` to the set.
    pub fn add(&mut self, entity: &Digest) {
        let mut carry = 0;
        for (byte, other) in self.0.iter_mut().zip(entity.0) {
            let (sum, first) = byte.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(carry);
            *byte = sum;
            carry = u8::from(first | second);
        }
    }

    /// Removes `entity` from the set: the inverse of [`Digest::add`]. Removing what was never added makes the digest wrong; that
    /// cannot be noticed here.
    pub fn sub(&mut self, entity: &Digest) {
        let mut borrow = 0;
        for (byte, other) in self.0.iter_mut().zip(entity.0) {
            let (rest, first) = byte.overflowing_sub(other);
            let (rest, second) = rest.overflowing_sub(borrow);
            *byte = rest;
            borrow = u8::from(first | second);
        }
    }

    /// The digest that [`Digest::as_bytes`] showed; `None` unless `bytes` is exactly [`DIGEST_BYTES`] long.
    pub fn from_slice(bytes: &[u8]) -> Option<Digest> {
        bytes.try_into().ok().map(Digest)
    }

    /// The number as it is stored and sent, the lowest byte first.
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// Whether this is the digest of the empty set.
    pub fn is_zero(&self) -> bool {
        *self == Digest::default()
    }
}

/// The sum of all `digests`. Example: the sum over all buckets is the digest of the whole set.
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

/// BLAKE3 of an entity's body, exactly as it is sent.
#[must_use]
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    *blake3::hash(body).as_bytes()
}

/// The digest of one live entity: what it adds to the digest of a set. `body` is the JSON exactly as it is sent; another order of
/// keys gives another digest.
pub fn entity_digest(kind: &str, id: Uuid, version: u64, body: &[u8]) -> Digest {
    entity_digest_of_hash(kind, id, version, &body_hash(body))
}

/// The same as [`entity_digest`], for a caller that has stored [`body_hash`] of the body.
pub fn entity_digest_of_hash(kind: &str, id: Uuid, version: u64, body_hash: &[u8; 32]) -> Digest {
    let mut hasher = named(b"landbridge entity digest 1", kind, id);
    hasher.update(&version.to_le_bytes());
    hasher.update(body_hash);
    Digest(*hasher.finalize().as_bytes())
}

/// A hasher that has read `purpose`, kind and id. Two different inputs never give the same bytes to the hasher: the kind is the
/// only part whose length varies, and its length comes before it. Each purpose is a constant, and none is the beginning of
/// another.
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
        // Both ends store digests: if this value changes, no stored digest matches any more.
        assert_eq!(digest.to_string(), "9f900de1087b292f2a043deb080e47b2ad06a6578ee3835de072eba38893a4ee");
        assert_eq!(format!("{digest:?}"), digest.to_string(), "a failed comparison shows the same digits");
        assert_eq!(Digest::from_slice(digest.as_bytes()), Some(digest));
        assert_eq!(Digest::from_slice(&[0; 31]), None);
    }
}
