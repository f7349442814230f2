//! The time since a moment, as a parameter: for pauses that are too long for a test to wait.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Tells how much time has passed since it was started. Never goes back. Cheap to clone; clones have one beginning, and those of a
/// stopwatch made by [`Stopwatch::manual`] share its time.
#[derive(Clone)]
pub struct Stopwatch(Source);

#[derive(Clone)]
enum Source {
    Since(Instant),
    /// Nanoseconds.
    Manual(Arc<AtomicU64>),
}

impl Stopwatch {
    /// One that runs from now on.
    pub fn start() -> Self {
        Self(Source::Since(Instant::now()))
    }

    /// One that stands at zero until [`Stopwatch::advance`] moves it.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::default()))
    }

    /// The time since it was started.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::Since(start) => start.elapsed(),
            Source::Manual(passed) => Duration::from_nanos(passed.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual stopwatch on.
    ///
    /// # Panics
    /// If it runs by itself: a test that meant to move time would otherwise test nothing.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::Since(_) => panic!("a stopwatch that runs cannot be moved"),
            Source::Manual(passed) => {
                passed.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::AcqRel);
            }
        }
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stopwatch at {:?}", self.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_stopwatch_moves_only_when_told_and_for_all_its_clones() {
        let stopwatch = Stopwatch::manual();
        stopwatch.clone().advance(Duration::from_millis(1_500));
        assert_eq!(stopwatch.elapsed(), Duration::from_millis(1_500));
        let running = Stopwatch::start();
        assert!(running.elapsed() <= running.elapsed());
    }

    #[test]
    #[should_panic(expected = "cannot be moved")]
    fn one_that_runs_cannot_be_moved() {
        Stopwatch::start().advance(Duration::ZERO);
    }
}
