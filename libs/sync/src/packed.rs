//! A batch of entities as it travels to nodes: encoded and compressed once, and shared by all nodes that need it.

use std::io::Read as _;

use bytes::Bytes;

use crate::{InvalidEntity, limits::DELTA_BYTES_MAX};

/// Smaller batches travel as they are: there is little to gain.
const PACKED_FROM: usize = 1024;
/// zstd's own default: a third level costs little more than the first and packs JSON to a tenth.
const LEVEL: i32 = 3;

/// An encoded `EntityBatch`, compressed if it is worth it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// As it is.
    Plain(Bytes),
    /// One frame of zstd.
    Packed(Bytes),
}

impl Batch {
    /// Takes about 4 ms for each MiB of `encoded`.
    #[must_use]
    pub fn pack(encoded: Bytes) -> Self {
        if encoded.len() < PACKED_FROM {
            return Self::Plain(encoded);
        }
        match zstd::bulk::compress(&encoded, LEVEL) {
            Ok(packed) if packed.len() < encoded.len() => Self::Packed(packed.into()),
            Ok(_) | Err(_) => Self::Plain(encoded),
        }
    }

    /// How many bytes travel.
    #[must_use]
    pub fn len(&self) -> usize {
        let (Self::Plain(bytes) | Self::Packed(bytes)) = self;
        bytes.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields `entities` and `packed` of a message, one of which is empty. A node that cannot unpack is sent the batch as it is.
    #[must_use]
    pub fn fields(&self, unpacks: bool) -> (Bytes, Bytes) {
        match self {
            Self::Plain(bytes) => (bytes.clone(), Bytes::new()),
            Self::Packed(bytes) if unpacks => (Bytes::new(), bytes.clone()),
            Self::Packed(bytes) => (unpack(bytes).unwrap_or_default(), Bytes::new()),
        }
    }
}

/// The encoded `EntityBatch` of a message with these fields. A packed one that is larger than a message may be is refused before it is
/// unpacked whole.
pub fn unpacked(entities: Bytes, packed: &[u8]) -> Result<Bytes, InvalidEntity> {
    if packed.is_empty() { Ok(entities) } else { unpack(packed) }
}

fn unpack(packed: &[u8]) -> Result<Bytes, InvalidEntity> {
    let mut decoder = zstd::Decoder::with_buffer(packed).map_err(|_| InvalidEntity::Malformed)?;
    // A frame of a few bytes may ask for any window: what no batch needs is not given.
    decoder.window_log_max(DELTA_BYTES_MAX.ilog2()).map_err(|_| InvalidEntity::Malformed)?;
    let mut unpacked = Vec::new();
    let read = decoder.take(DELTA_BYTES_MAX as u64 + 1).read_to_end(&mut unpacked);
    let read = read.map_err(|_| InvalidEntity::Malformed)?;
    if read > DELTA_BYTES_MAX { Err(InvalidEntity::TooLarge) } else { Ok(unpacked.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_travels_is_what_was_packed(bytes in prop::collection::vec(0..4_u8, 0..4_000), unpacks in any::<bool>()) {
            let encoded = Bytes::from(bytes);
            let batch = Batch::pack(encoded.clone());
            prop_assert_eq!(matches!(batch, Batch::Packed(_)), encoded.len() >= PACKED_FROM);
            let (entities, packed) = batch.fields(unpacks);
            prop_assert!(unpacks || packed.is_empty());
            prop_assert_eq!(unpacked(entities, &packed), Ok(encoded));
        }

        #[test]
        fn arbitrary_bytes_are_no_danger(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            prop_assert!(unpacked(Bytes::new(), &bytes).is_err());
        }
    }

    /// The head of a frame may ask for memory that its content does not need.
    #[test]
    fn a_window_that_no_batch_needs_is_not_given() {
        // Magic number, a descriptor of nothing, the window, and a last block that is empty (RFC 8878).
        let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
        let largest = u8::try_from(DELTA_BYTES_MAX.ilog2()).expect("small") - 10;
        assert_eq!(unpacked(Bytes::new(), &frame(largest)), Ok(Bytes::new()));
        for exponent in [largest + 1, 31] {
            assert_eq!(unpacked(Bytes::new(), &frame(exponent)), Err(InvalidEntity::Malformed));
        }
    }

    #[test]
    fn what_grows_too_large_is_refused() {
        let bomb = Batch::pack(vec![0; DELTA_BYTES_MAX + 1].into());
        let (_, packed) = bomb.fields(true);
        assert!(packed.len() < 10_000);
        assert_eq!(unpacked(Bytes::new(), &packed), Err(InvalidEntity::TooLarge));
        assert_eq!(unpacked(Bytes::new(), &packed[..packed.len() / 2]), Err(InvalidEntity::Malformed));
    }
}
