//! When requests are sent.

use std::time::{Duration, Instant};

use super::Cut;

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
    cut: Cut,
}

impl Timetable {
    /// Begins at `start`, and ends with its time or by `cut`, whichever comes first.
    pub fn new(arrivals: Arrivals, start: Instant, cut: Cut) -> Self {
        Self { arrivals, start, sent: 0, cut }
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
        match next {
            Next::Send(time) | Next::Wait(time) if self.cut.get().is_some_and(|cut| time >= *cut) => {
                Next::Over
            }
            Next::Send(_) => {
                self.sent += 1;
                next
            }
            next => next,
        }
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
        let mut timetable =
            Timetable::new(Arrivals::Open { per_second: 4.0, duration: second }, start, Cut::default());
        assert_eq!(timetable.next(start), Next::Send(start));
        assert_eq!(timetable.next(start), Next::Wait(start + second / 4));
        let late = start + second * 3;
        for quarter in 1..4 {
            assert_eq!(timetable.next(late), Next::Send(start + second * quarter / 4));
        }
        assert_eq!(timetable.next(late), Next::Over);
    }

    #[test]
    fn what_was_due_before_the_cut_is_sent_however_late() {
        let (start, second, cut) = (Instant::now(), Duration::from_secs(1), Cut::default());
        let arrivals = Arrivals::Open { per_second: 4.0, duration: second * 60 };
        let mut timetable = Timetable::new(arrivals, start, cut.clone());
        assert_eq!(timetable.next(start), Next::Send(start));
        cut.set(start + second / 2).expect("set once");
        assert_eq!(timetable.next(start + second * 3), Next::Send(start + second / 4));
        assert_eq!(timetable.next(start + second * 3), Next::Over);
    }

    #[test]
    fn a_closed_loop_sends_at_once_until_its_end() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut timetable = Timetable::new(Arrivals::Closed(second), start, Cut::default());
        assert_eq!(timetable.next(start + second / 2), Next::Send(start + second / 2));
        assert_eq!(timetable.next(start + second), Next::Over);
        assert_eq!(timetable.end(), start + second);
    }
}
