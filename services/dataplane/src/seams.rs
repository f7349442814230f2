//! Clock and randomness as parameters. Everything in the gateway that reads the time of day or draws a random number gets a
//! [`Seams`]; only `main` and tests make one. Timeouts and measured durations use monotonic time, and do not come from here.

use std::sync::{Arc, Mutex, PoisonError};

use clock::Clock;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

/// Clock and randomness of one gateway. Cheap to clone; clones share both.
#[derive(Clone, Debug)]
pub struct Seams {
    /// The time of day.
    pub clock: Clock,
    /// Random numbers.
    pub random: Random,
}

impl Seams {
    /// The machine's clock and random generator.
    pub fn system() -> Self {
        Self { clock: Clock::system(), random: Random::system() }
    }
}

/// Draws random numbers.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
    Fixed(u64),
}

impl Random {
    /// The machine's generator, as good as its operating system's.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A generator that draws the same numbers for the same `seed`. For tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// A generator that draws `number` every time. For tests: 0 makes a random wait end at once.
    pub fn fixed(number: u64) -> Self {
        Self(Source::Fixed(number))
    }

    /// A number, evenly spread over all of `u64`.
    pub fn number(&self) -> u64 {
        match &self.0 {
            #[allow(
                clippy::disallowed_methods,
                reason = "the one place that draws from the machine's generator"
            )]
            Source::System => rand::random(),
            Source::Fixed(number) => *number,
            // The generator is valid after every call, so a poisoned lock may be used.
            Source::Seeded(generator) => generator.lock().unwrap_or_else(PoisonError::into_inner).next_u64(),
        }
    }

    /// A random UUID (version 4, RFC 9562).
    pub fn uuid(&self) -> Uuid {
        let number = u128::from(self.number()) << 64 | u128::from(self.number());
        uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_and_never_twice_the_same() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        let ids: Vec<Uuid> = (0..4).map(|_| a.uuid()).collect();
        assert_eq!(ids, (0..4).map(|_| b.uuid()).collect::<Vec<_>>());
        assert!(ids.iter().all(|id| id.get_version_num() == 4 && *id != Random::seeded(8).uuid()));
        assert_ne!(ids[0], ids[1]);
        assert_ne!(Random::system().uuid(), Random::system().uuid());
    }
}
