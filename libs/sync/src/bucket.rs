//! The division of a configuration into 256 buckets, by a hash of each entity's kind and id. The two ends compare the digests
//! of their buckets, and the config service sends only those that differ. There is one such way for every case in which no
//! delta helps: a new node, a digest that differed, and a node that was away for too long.

use uuid::Uuid;

use crate::digest::{DIGEST_BYTES, Digest, named};

/// Number of buckets. Part of the protocol: both ends must agree.
pub const BUCKETS: u16 = 256;

/// The bucket of an entity, from 0 to 255: the first byte of a hash of its kind and id. It never changes during the
/// entity's life. Entities of every kind spread evenly over all buckets.
#[must_use]
pub fn bucket(kind: &str, id: Uuid) -> u8 {
    let [first, ..] = *named(b"landbridge bucket 1", kind, id).finalize().as_bytes();
    first
}

/// Numbers of the buckets that the control plane must send, in ascending order. `ours` are its digests. `theirs` is the content
/// of the node's `Buckets` message.
///
/// * `theirs` is empty: the node holds nothing. All buckets that have entities are sent.
/// * `theirs` has 256 digests: every bucket whose digests differ is sent. If only the node has entities in a bucket, the
///   bucket is sent without entities, and the node empties it.
/// * `theirs` has any other length: it proves nothing, so all 256 buckets are sent.
#[must_use]
pub fn differing(ours: &[Digest; BUCKETS as usize], theirs: &[u8]) -> Vec<u8> {
    let all = 0..=u8::MAX;
    if theirs.is_empty() {
        return all.zip(ours).filter(|(_, digest)| !digest.is_zero()).map(|(bucket, _)| bucket).collect();
    }
    let Some(theirs) = buckets_from_bytes(theirs) else {
        return all.collect();
    };
    all.zip(ours.iter().zip(theirs.iter())).filter(|(_, (a, b))| a != b).map(|(bucket, _)| bucket).collect()
}

/// What is left to send to a node that was cut off in the middle of an earlier snapshot. `differing` are the buckets that differ from
/// the control plane's at version `head`. `staged_at` is of the node's `Buckets` message.
///
/// `Some((base, missing))`: the node has staged the others of `differing` whole, as of version `base` or later. So `missing` and a
/// delta from `base` complete the snapshot. `None`: nothing that differs is staged, and all of it has to be sent.
#[must_use]
pub fn unfinished(differing: &[u8], staged_at: &[u64], head: u64) -> Option<(u64, Vec<u8>)> {
    let staged_at = |bucket: &u8| {
        let at = staged_at.get(usize::from(*bucket)).copied();
        at.filter(|at| (1..=head).contains(at))
    };
    let base = differing.iter().filter_map(staged_at).min()?;
    Some((base, differing.iter().copied().filter(|bucket| staged_at(bucket).is_none()).collect()))
}

/// The content of a `Buckets` message: the digests of all buckets in order, 8,192 bytes.
#[must_use]
pub fn buckets_to_bytes(buckets: &[Digest; BUCKETS as usize]) -> Vec<u8> {
    buckets.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

/// Inverse of [`buckets_to_bytes`]; `None` if `bytes` is not exactly 8,192 bytes long.
#[must_use]
pub fn buckets_from_bytes(bytes: &[u8]) -> Option<Box<[Digest; BUCKETS as usize]>> {
    let digests: Vec<Digest> = bytes.chunks(DIGEST_BYTES).map_while(Digest::from_slice).collect();
    let whole = digests.len() * DIGEST_BYTES == bytes.len();
    digests.into_boxed_slice().try_into().ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity_digest;

    fn one_entity(number: u128) -> (u8, Digest) {
        let id = Uuid::from_u128(number);
        (bucket("route", id), entity_digest("route", id, 1, b"{}"))
    }

    #[test]
    fn entities_spread_over_all_buckets() {
        let mut counts = [0_u32; 256];
        for number in 0..25_600 {
            let id = Uuid::from_u128(number);
            counts[usize::from(bucket("route", id))] += 1;
        }
        // 100 are expected in each; a fair spread stays within six standard deviations.
        assert!(counts.iter().all(|&count| (40..=160).contains(&count)), "{counts:?}");
    }

    #[test]
    fn only_differing_buckets_travel() {
        let mut ours = [Digest::default(); 256];
        let mut theirs = ours;
        let (a, digest_a) = one_entity(1);
        let (b, digest_b) = (2..).map(one_entity).find(|(bucket, _)| *bucket != a).expect("another bucket");
        ours[usize::from(a)] = digest_a;
        assert_eq!(differing(&ours, &[]), [a], "an empty node needs what is there");
        assert_eq!(differing(&ours, &buckets_to_bytes(&ours)), [0_u8; 0]);

        theirs[usize::from(b)] = digest_b;
        let mut both = vec![a, b];
        both.sort_unstable();
        assert_eq!(
            differing(&ours, &buckets_to_bytes(&theirs)),
            both,
            "a bucket that only they have is sent too"
        );
    }

    #[test]
    fn a_message_of_a_wrong_length_makes_all_travel() {
        let ours = [Digest::default(); 256];
        let bytes = buckets_to_bytes(&ours);
        assert_eq!(buckets_from_bytes(&bytes).as_deref(), Some(&ours));
        for wrong in [&bytes[..8191], &bytes[..32], &[&bytes[..], &[0]].concat()] {
            assert_eq!(buckets_from_bytes(wrong), None);
            assert_eq!(differing(&ours, wrong).len(), 256);
        }
    }
}
