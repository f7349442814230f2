//! Randomness as a parameter: secrets, ids and the jitter of pauses come from a [`Random`]. Only a `main` makes the one that
//! draws from the machine; a test makes one that always draws the same, so that its output is constant.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ids::Id;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

/// Draws random bytes, numbers and ids. Cheap to clone; clones of one made by [`Random::seeded`] draw from the same sequence.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
    Fixed(u64),
}

impl Random {
    /// The machine's generator, which nobody can predict.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A generator that draws the same sequence for the same `seed`. For tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// A generator that draws `number` every time. For tests: 0 makes a random pause end at once.
    pub const fn fixed(number: u64) -> Self {
        Self(Source::Fixed(number))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's generator")]
            Source::System => rand::rng().fill_bytes(&mut bytes),
            // The generator is valid after every call, so a poisoned lock may be used.
            Source::Seeded(generator) => {
                generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
            }
            Source::Fixed(number) => {
                for (byte, fixed) in bytes.iter_mut().zip(number.to_le_bytes().into_iter().cycle()) {
                    *byte = fixed;
                }
            }
        }
        bytes
    }

    /// A number, evenly spread over all of `u64`.
    pub fn number(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A random UUID (version 4, RFC 9562).
    pub fn uuid(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A new id for what is made at `at`. Ids of later milliseconds sort later (UUID version 7, RFC 9562).
    pub fn id<K>(&self, at: OffsetDateTime) -> Id<K> {
        let milliseconds = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        Id::from_uuid(Builder::from_unix_timestamp_millis(milliseconds, &self.bytes()).into_uuid())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Random::system",
            Source::Seeded(_) => "Random::seeded",
            Source::Fixed(_) => "Random::fixed",
        })
    }
}

#[cfg(test)]
mod tests {
    use ids::TokenId;
    use time::{Duration, macros::datetime};

    use super::Random;

    #[test]
    fn the_same_seed_draws_the_same_and_clones_share_the_sequence() {
        let at = datetime!(2030-01-02 03:04:05 UTC);
        let (one, other) = (Random::seeded(7), Random::seeded(7));
        let drawn: (TokenId, [u8; 24]) = (one.id(at), one.clone().bytes());
        assert_eq!(drawn, (other.id(at), other.bytes()));
        assert_ne!(drawn.1, one.bytes());
        assert_ne!(Random::seeded(8).number(), Random::seeded(7).number());
    }

    #[test]
    fn the_machine_never_draws_the_same_twice_and_a_fixed_number_is_always_the_same() {
        let (system, fixed) = (Random::system(), Random::fixed(7));
        assert_ne!(system.bytes::<16>(), system.bytes());
        assert_eq!((fixed.number(), fixed.number()), (7, 7));
        assert_eq!(fixed.bytes::<9>(), [7, 0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn ids_are_of_their_version_and_later_ones_sort_later() {
        let at = datetime!(2030-01-02 03:04:05 UTC);
        let random = Random::system();
        let (early, late): (TokenId, TokenId) = (random.id(at), random.id(at + Duration::MILLISECOND));
        assert!(early < late);
        assert_eq!(early.uuid().get_version_num(), 7);
        assert_eq!(random.uuid().get_version_num(), 4);
    }
}
