//! When requests are sent.

use std::time::{Duration, Instant};

/// How requests arrive.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// Closed loop: every connection sends its next request when it has the answer to the last one.
    Closed(Duration),
    /// Open loop: this many a second, at times fixed in advance.
    Open {
        /// Evenly spaced.
        per_second: f64,
        /// From the first to the last.
        duration: Duration,
    },
}

/// What to do next on a connection that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send a request, which was due at this time.
    Send(Instant),
    /// Wait until this time.
    Wait(Instant),
    /// No more requests.
    Over,
}

/// Arrivals that have begun.
#[derive(Debug)]
pub struct Timetable {
    arrivals: Arrivals,
    start: Instant,
    /// Requests that were given out.
    sent: u64,
}

impl Timetable {
    /// Begins at `start`.
    pub fn new(arrivals: Arrivals, start: Instant) -> Self {
        Self { arrivals, start, sent: 0 }
    }

    /// Gives out the next request, if it is due.
    pub fn next(&mut self, now: Instant) -> Next {
        let next = match self.arrivals {
            Arrivals::Closed(duration) if now >= self.start + duration => Next::Over,
            Arrivals::Closed(_) => Next::Send(now),
            Arrivals::Open { per_second, duration } => {
                // From the start, so that errors do not add up.
                let after = Duration::from_secs_f64(self.sent as f64 / per_second);
                if after >= duration {
                    Next::Over
                } else if self.start + after > now {
                    Next::Wait(self.start + after)
                } else {
                    Next::Send(self.start + after)
                }
            }
        };
        if matches!(next, Next::Send(_)) {
            self.sent += 1;
        }
        next
    }

    /// When the last request is due.
    pub fn end(&self) -> Instant {
        let (Arrivals::Closed(duration) | Arrivals::Open { duration, .. }) = self.arrivals;
        self.start + duration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_gives_out_each_time_once_however_late_it_is_asked() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut timetable = Timetable::new(Arrivals::Open { per_second: 4.0, duration: second }, start);
        assert_eq!(timetable.next(start), Next::Send(start));
        assert_eq!(timetable.next(start), Next::Wait(start + second / 4));
        let late = start + second * 3;
        for quarter in 1..4 {
            assert_eq!(timetable.next(late), Next::Send(start + second * quarter / 4));
        }
        assert_eq!(timetable.next(late), Next::Over);
    }

    #[test]
    fn a_closed_loop_sends_at_once_until_its_end() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut timetable = Timetable::new(Arrivals::Closed(second), start);
        assert_eq!(timetable.next(start + second / 2), Next::Send(start + second / 2));
        assert_eq!(timetable.next(start + second), Next::Over);
        assert_eq!(timetable.end(), start + second);
    }
}
