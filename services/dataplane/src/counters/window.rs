//! Periods, and the windows that they cut time into.

use time::{Date, Month, OffsetDateTime, Time};

/// How many periods there are.
pub const PERIODS: usize = 6;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

/// A piece of time: from `start` until before `end`, both in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: u64,
    pub end: u64,
}

/// How the count of a period is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// What was counted in the window that is now.
    #[default]
    Fixed,
    /// Also what was counted in the window before, as far as that is not a period ago. It counts as if it had come evenly: a quarter into the
    /// window, three quarters of it count.
    Sliding,
}

impl Period {
    /// From the shortest to the longest.
    pub const ALL: [Period; PERIODS] =
        [Period::Second, Period::Minute, Period::Hour, Period::Day, Period::Month, Period::Year];

    /// The period with this place in [`Period::ALL`].
    pub fn from_index(index: u8) -> Option<Period> {
        Self::ALL.get(usize::from(index)).copied()
    }

    /// What it is called in settings. Example: `minute`.
    pub fn name(self) -> &'static str {
        match self {
            Period::Second => "second",
            Period::Minute => "minute",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
            Period::Year => "year",
        }
    }

    /// The window that `now`, in Unix seconds, is in.
    pub fn window(self, now: u64) -> Window {
        let aligned = |length: u64| {
            let start = now - now % length;
            Window { start, end: start + length }
        };
        match self {
            Period::Second => aligned(1),
            Period::Minute => aligned(60),
            Period::Hour => aligned(3600),
            Period::Day => aligned(86_400),
            Period::Month => {
                let (year, month) = month_of(now);
                let next =
                    if month == Month::December { (year + 1, Month::January) } else { (year, month.next()) };
                Window { start: first_of((year, month)), end: first_of(next) }
            }
            Period::Year => {
                let (year, _) = month_of(now);
                Window { start: first_of((year, Month::January)), end: first_of((year + 1, Month::January)) }
            }
        }
    }

    /// When the window began that ended with `start`, the beginning of a window.
    pub fn before(self, start: u64) -> u64 {
        self.window(start.saturating_sub(1)).start
    }
}

impl Window {
    /// Milliseconds from `now_ms`, in Unix milliseconds, to its end.
    pub fn left_ms(self, now_ms: u64) -> u64 {
        (self.end * 1000).saturating_sub(now_ms)
    }

    /// Its length in milliseconds.
    pub fn length_ms(self) -> u64 {
        (self.end - self.start) * 1000
    }
}

/// Of a time that no calendar has, the first month of all.
fn month_of(now: u64) -> (i32, Month) {
    let now = i64::try_from(now).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok());
    now.map_or((1970, Month::January), |now| (now.year(), now.month()))
}

fn first_of((year, month): (i32, Month)) -> u64 {
    let first = Date::from_calendar_date(year, month, 1).unwrap_or(Date::MAX);
    first.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn windows_are_those_of_the_calendar() {
        let unix = |at: OffsetDateTime| u64::try_from(at.unix_timestamp()).unwrap();
        let now = unix(datetime!(2028-02-29 13:14:15 UTC));
        for (period, start, end) in [
            (Period::Second, datetime!(2028-02-29 13:14:15 UTC), datetime!(2028-02-29 13:14:16 UTC)),
            (Period::Minute, datetime!(2028-02-29 13:14:00 UTC), datetime!(2028-02-29 13:15:00 UTC)),
            (Period::Hour, datetime!(2028-02-29 13:00:00 UTC), datetime!(2028-02-29 14:00:00 UTC)),
            (Period::Day, datetime!(2028-02-29 00:00:00 UTC), datetime!(2028-03-01 00:00:00 UTC)),
            (Period::Month, datetime!(2028-02-01 00:00:00 UTC), datetime!(2028-03-01 00:00:00 UTC)),
            (Period::Year, datetime!(2028-01-01 00:00:00 UTC), datetime!(2029-01-01 00:00:00 UTC)),
        ] {
            assert_eq!(period.window(now), Window { start: unix(start), end: unix(end) }, "{period:?}");
        }
        let december = unix(datetime!(2027-12-31 23:59:59 UTC));
        assert_eq!(Period::Month.window(december).end, unix(datetime!(2028-01-01 00:00:00 UTC)));
        assert_eq!(
            Period::Month.before(unix(datetime!(2028-03-01 00:00:00 UTC))),
            unix(datetime!(2028-02-01 00:00:00 UTC))
        );
    }

    #[test]
    fn every_time_is_in_its_window() {
        for now in [0, 1, 59, 60, 86_399, 951_782_400, 4_102_444_799, u64::MAX / 4096] {
            for period in Period::ALL {
                let window = period.window(now);
                if now < 253_402_300_800 {
                    assert!(window.start <= now && now < window.end, "{period:?} {now}");
                }
                assert!(window.start < window.end || now > 253_402_300_800, "{period:?} {now}");
            }
        }
    }
}
