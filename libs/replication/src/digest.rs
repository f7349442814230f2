//! The digest of a database's replicated rows: two regions at the same vector hold the same rows, or one of them is to be
//! rebuilt. The executor compares it at equal vectors only; otherwise what is under way looks like a difference.
//!
//! It is the set digest of configuration sync ([`sync::Digest`]) over other rows: a sum, so neither the order of the rows
//! counts nor how they came to be, and a changed row costs one removal and one addition.

/// A digest of a multiset of rows. The default is that of no rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(sync::Digest);

impl Digest {
    /// Takes in a row: its canonical bytes. They say of which table it is, and no two rows have the same.
    pub fn add(&mut self, row: &[u8]) {
        self.0.add(&digest_of(row));
    }

    /// Takes a row out again.
    pub fn remove(&mut self, row: &[u8]) {
        self.0.sub(&digest_of(row));
    }

    /// The digest as it is stored and as regions send it to each other.
    pub fn to_bytes(&self) -> [u8; sync::DIGEST_BYTES] {
        *self.0.as_bytes()
    }

    /// Inverse of [`Digest::to_bytes`]. Every value of 32 bytes is a digest.
    pub fn from_bytes(bytes: [u8; sync::DIGEST_BYTES]) -> Self {
        Self(sync::Digest::from_slice(&bytes).unwrap_or_default())
    }
}

fn digest_of(row: &[u8]) -> sync::Digest {
    let hash = blake3::derive_key("landbridge replicated row v1", row);
    sync::Digest::from_slice(&hash).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Digest;

    fn digest<'a>(rows: impl IntoIterator<Item = &'a Vec<u8>>) -> Digest {
        let mut digest = Digest::default();
        rows.into_iter().for_each(|row| digest.add(row));
        digest
    }

    proptest! {
        #[test]
        fn only_what_is_left_counts(
            rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..12),
            passing in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..12),
        ) {
            let mut other = digest(rows.iter().rev().chain(&passing));
            prop_assert_eq!(other == digest(&rows), passing.is_empty());
            passing.iter().for_each(|row| other.remove(row));
            prop_assert_eq!(other, digest(&rows));
            prop_assert_eq!(Digest::from_bytes(other.to_bytes()), other);
        }
    }

    #[test]
    fn a_row_that_is_there_twice_does_not_cancel_out() {
        let row = b"assignment".to_vec();
        assert_ne!(digest([&row, &row]), Digest::default());
        assert_ne!(digest([&row, &row]), digest([&row]));
    }
}
