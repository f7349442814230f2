//! Clock and randomness as parameters. Everything in the gateway that reads the time of day or draws a random number gets a
//! [`Seams`]; only `main` and tests make one. Timeouts and measured durations use monotonic time, and do not come from here.

use clock::Clock;
use random::Random;

/// Clock and randomness of one gateway. Cheap to clone; clones share both.
#[derive(Clone, Debug)]
pub struct Seams {
    /// The time of day.
    pub clock: Clock,
    /// Random numbers and ids.
    pub random: Random,
}

impl Seams {
    /// The machine's clock and random generator.
    pub fn system() -> Self {
        Self { clock: Clock::system(), random: Random::system() }
    }
}
