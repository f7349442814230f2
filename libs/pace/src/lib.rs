//! When to do something again: in rounds, every so often, or after a failure. Knows nothing of the project.
//!
//! Times are tokio's, which tests can pause. Randomness is a parameter.

mod backoff;
mod every;
mod redial;
mod rounds;

pub use backoff::full_jitter;
pub use every::every;
pub use redial::Redial;
pub use rounds::{Rounds, ticks};
