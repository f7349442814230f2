//! The wall clock as a parameter. Whatever compares, stores or shows the time of day takes a [`Clock`]; only a `main` and
//! the tests make one. Tests set theirs, also apart from that of another process. Knows nothing of the project.
//!
//! Timeouts and pauses are not read from here: they use tokio's time, which tests can pause (`libs/pace`). Where threads with runtimes of
//! their own share a time that passes, it is a [`Stopwatch`].

mod stopwatch;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use time::{Duration, OffsetDateTime};

pub use stopwatch::Stopwatch;

/// Tells the time of day. Cheap to clone; clones of a clock made by [`Clock::manual`] share its time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    /// Microseconds since the Unix epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it. Precise to the microsecond.
    pub fn manual(start: OffsetDateTime) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(microseconds(start)))))
    }

    /// The time now, in UTC.
    pub fn now(&self) -> OffsetDateTime {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Source::System => OffsetDateTime::now_utc(),
            Source::Manual(now) => at_microseconds(now.load(Ordering::Acquire)),
        }
    }

    /// Seconds since the Unix epoch, rounded down.
    pub fn unix_seconds(&self) -> i64 {
        self.now().unix_timestamp()
    }

    /// Moves a manual clock by `by`, which may be negative.
    ///
    /// # Panics
    /// On the machine's clock: a test that meant to move time would otherwise test nothing.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => panic!("the machine's clock cannot be moved"),
            Source::Manual(now) => {
                let by = i64::try_from(by.whole_microseconds()).unwrap_or(i64::MAX);
                now.fetch_add(by, Ordering::AcqRel);
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock::system"),
            Source::Manual(_) => write!(f, "Clock::manual at {}", self.now()),
        }
    }
}

/// Microseconds from the Unix epoch to `at`: the form in which logs store a time.
pub fn microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// The time that is `microseconds` after the Unix epoch. Values that no date can have give the epoch itself.
pub fn at_microseconds(microseconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::{Clock, at_microseconds, microseconds};

    #[test]
    fn a_manual_clock_moves_only_when_told_and_for_all_its_clones() {
        let clock = Clock::manual(datetime!(2030-01-02 03:04:05.000006 UTC));
        let clone = clock.clone();
        assert_eq!(clock.now(), datetime!(2030-01-02 03:04:05.000006 UTC));
        clone.advance(Duration::seconds(-6));
        assert_eq!(clock.now(), datetime!(2030-01-02 03:03:59.000006 UTC));
        assert_eq!(clock.unix_seconds(), 1_893_553_439);
    }

    #[test]
    fn microseconds_come_back_as_the_same_time() {
        let at = datetime!(1969-12-31 23:59:59.999999 UTC);
        assert_eq!(microseconds(at), -1);
        assert_eq!(at_microseconds(-1), at);
        assert_eq!(at_microseconds(i64::MAX), time::OffsetDateTime::UNIX_EPOCH);
    }

    #[test]
    #[should_panic(expected = "cannot be moved")]
    fn the_machines_clock_cannot_be_moved() {
        Clock::system().advance(Duration::SECOND);
    }
}
