//! A line of JSON, written member by member straight into the buffer where it waits: every request has one, so nothing is built first.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

/// An object that is being written. It has one member at least.
pub struct Line<'b>(&'b mut Vec<u8>);

impl<'b> Line<'b> {
    /// Begins behind what is in `output`, with the time `at` as [`Seconds`] has it.
    pub fn begin(
        output: &'b mut Vec<u8>,
        name: &'static str,
        at: OffsetDateTime,
        seconds: &mut Seconds,
    ) -> Self {
        output.extend_from_slice(b"{\"");
        output.extend_from_slice(name.as_bytes());
        output.extend_from_slice(b"\":\"");
        output.extend_from_slice(seconds.text(at));
        digits::<3>(at.millisecond().into(), output);
        output.extend_from_slice(b"Z\"");
        Self(output)
    }

    /// A text, whatever is in it.
    pub fn text(&mut self, name: &'static str, value: &str) {
        if is_plain(value) {
            return self.plain(name, value);
        }
        self.name(name);
        // Into memory: it cannot fail.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }

    /// A text in which nothing needs an escape.
    pub fn plain(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    /// A number.
    pub fn number(&mut self, name: &'static str, value: impl itoa::Integer) {
        self.name(name);
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A duration in seconds, to the microsecond.
    pub fn seconds(&mut self, name: &'static str, value: Duration) {
        self.number(name, value.as_secs());
        self.0.push(b'.');
        digits::<6>(value.subsec_micros(), self.0);
    }

    /// An id.
    pub fn id(&mut self, name: &'static str, value: Uuid) {
        self.plain(name, value.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// Ends the line.
    pub fn end(self) {
        self.0.extend_from_slice(b"}\n");
    }

    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// Times as RFC 3339 has them, in UTC, up to the point behind the seconds. The last one is kept: many lines are of the same second.
#[derive(Default)]
pub struct Seconds {
    unix: Option<i64>,
    text: Vec<u8>,
}

impl Seconds {
    fn text(&mut self, at: OffsetDateTime) -> &[u8] {
        let unix = at.unix_timestamp();
        if self.unix != Some(unix) {
            let output = &mut self.text;
            output.clear();
            // Years after 9999 have no place in RFC 3339.
            digits::<4>(at.year().unsigned_abs(), output);
            for (before, value) in [
                (b'-', u8::from(at.month())),
                (b'-', at.day()),
                (b'T', at.hour()),
                (b':', at.minute()),
                (b':', at.second()),
            ] {
                output.push(before);
                digits::<2>(value.into(), output);
            }
            output.push(b'.');
            self.unix = Some(unix);
        }
        &self.text
    }
}

/// The last `N` decimal digits of `value`, with zeros in front.
fn digits<const N: usize>(mut value: u32, output: &mut Vec<u8>) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    output.extend_from_slice(&text);
}

/// Whether JSON has `text` as it is. Looks at every byte, since that is quicker than to stop at the first.
fn is_plain(text: &str) -> bool {
    let needs_escape = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    !text.bytes().fold(false, |found, byte| found | needs_escape(byte))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let (mut output, mut seconds, id) = (b"before\n".to_vec(), Seconds::default(), Uuid::from_u128(7));
        let mut line = Line::begin(&mut output, "at", datetime!(2026-01-02 03:04:05.006 UTC), &mut seconds);
        let odd = "a\"b\\c\u{7}\n\u{1f600}\u{2028}";
        line.text("odd", odd);
        line.text("plain", "/a b");
        line.number("port", 65_535_u16);
        line.seconds("short", Duration::from_nanos(1_999));
        line.seconds("long", Duration::new(3_600, 42_000_000));
        line.id("id", id);
        line.end();
        let text = String::from_utf8(output).unwrap();
        let text = text.strip_prefix("before\n").unwrap().strip_suffix('\n').unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(text).unwrap(),
            json!({
                "at": "2026-01-02T03:04:05.006Z", "odd": odd, "plain": "/a b", "port": 65_535,
                "short": 0.000_001, "long": 3_600.042, "id": id.to_string(),
            })
        );
    }

    #[test]
    fn the_seconds_that_are_kept_are_not_those_of_another_second() {
        let mut seconds = Seconds::default();
        let mut at = |time| {
            let mut output = Vec::new();
            Line::begin(&mut output, "at", time, &mut seconds).end();
            String::from_utf8(output).unwrap()
        };
        assert_eq!(at(datetime!(2026-12-31 23:59:59.999 UTC)), "{\"at\":\"2026-12-31T23:59:59.999Z\"}\n");
        assert_eq!(at(datetime!(2027-01-01 00:00:00 UTC)), "{\"at\":\"2027-01-01T00:00:00.000Z\"}\n");
        assert_eq!(at(datetime!(2026-12-31 23:59:59.001 UTC)), "{\"at\":\"2026-12-31T23:59:59.001Z\"}\n");
    }
}
