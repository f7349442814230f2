//! The `Date` of answers.

use std::{
    cell::RefCell,
    time::{Duration, UNIX_EPOCH},
};

use clock::Clock;

/// The date as text, made anew when the second has passed.
pub struct Date {
    clock: Clock,
    made: RefCell<(u64, String)>,
}

impl Date {
    pub fn new(clock: Clock) -> Self {
        Self { clock, made: RefCell::default() }
    }

    /// Calls `write` with the present date. Example: `Tue, 15 Nov 1994 08:12:31 GMT`.
    pub fn with<T>(&self, write: impl FnOnce(&str) -> T) -> T {
        let now = self.clock.unix_seconds().cast_unsigned();
        let (second, text) = &mut *self.made.borrow_mut();
        if *second != now || text.is_empty() {
            (*second, *text) = (now, httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now)));
        }
        write(text)
    }
}
