//! gRPC: which requests are calls, how long a call may be silent, and how the gateway's own answers to calls are written.
//!
//! A call is answered with a status of gRPC, also where the gateway answers it: in the headers of an answer without a body ("Trailers-Only",
//! in gRPC's description of its protocol over HTTP/2). The status for each status of HTTP is Kong's.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header::CONTENT_TYPE};

use super::body::Outgoing;

const CONTENT_TYPE_GRPC: &str = "application/grpc";
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The longest time that a client may ask for by `grpc-timeout`.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Digits of a `grpc-timeout`.
const TIMEOUT_DIGITS_MAX: usize = 8;

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// How long the client waits for its end, if it says so.
    timeout: Option<Duration>,
}

impl Call {
    /// The call that a request is; `None` if it is none.
    pub fn of(version: Version, headers: &HeaderMap) -> Option<Self> {
        if version != Version::HTTP_2 || !is_grpc(headers) {
            return None;
        }
        Some(Self { timeout: headers.get(GRPC_TIMEOUT).and_then(timeout) })
    }

    /// How long the upstream may be silent, where the service allows `usual`: at least as long as the client waits.
    pub fn read_timeout(self, usual: Duration) -> Duration {
        usual.max(self.timeout.unwrap_or_default().min(TIMEOUT_MAX))
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // `application/grpc`, `application/grpc+proto`, `application/grpc;…`; not `application/grpc-web`, which is no call.
    let rest = declared.and_then(|declared| {
        let (essence, rest) = declared.split_at_checked(CONTENT_TYPE_GRPC.len())?;
        essence.eq_ignore_ascii_case(CONTENT_TYPE_GRPC.as_bytes()).then_some(rest)
    });
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t')))
}

fn timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// An answer of the gateway's own, with the status of gRPC for `status`.
pub fn answer(status: StatusCode, message: &str) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::full(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_GRPC));
    headers.insert(GRPC_STATUS, code(status).into());
    if let Ok(message) = HeaderValue::try_from(encoded(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

/// The status of gRPC for one of HTTP.
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        200..=299 => 0,
        // Cancelled.
        499 => 1,
        // Invalid argument.
        400 | 408 | 413 | 414 | 431 => 3,
        // Deadline exceeded.
        504 => 4,
        // Not found.
        404 => 5,
        // Permission denied.
        403 => 7,
        // Resource exhausted.
        429 => 8,
        // Failed precondition.
        412 | 426 => 9,
        // Aborted.
        409 => 10,
        // Unimplemented.
        405 | 415 | 501 => 12,
        // Internal.
        500 | 508 => 13,
        // Unavailable.
        502 | 503 => 14,
        // Unauthenticated.
        401 => 16,
        // Unknown.
        _ => 2,
    }
}

/// Percent-encoded: what is no visible ASCII, and the percent sign.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            byte => {
                // Writing to a text cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(version: Version, declared: &'static str, timeout: Option<&'static str>) -> Option<Call> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(declared));
        headers.extend(timeout.map(|timeout| (GRPC_TIMEOUT, HeaderValue::from_static(timeout))));
        Call::of(version, &headers)
    }

    #[test]
    fn calls_are_told_by_what_they_declare() {
        for declared in ["application/grpc", "application/grpc+proto", "Application/GRPC; a=b"] {
            assert!(call(Version::HTTP_2, declared, None).is_some(), "{declared}");
            assert!(call(Version::HTTP_11, declared, None).is_none(), "{declared}");
        }
        for declared in ["application/grpc-web", "application/grpcx", "application/grp", "text/plain", ""] {
            assert!(call(Version::HTTP_2, declared, None).is_none(), "{declared}");
        }
    }

    #[test]
    fn a_call_may_be_silent_for_as_long_as_its_client_waits() {
        let usual = Duration::from_secs(60);
        for (timeout, seconds) in [
            (None, 60),
            (Some("5S"), 60),
            (Some("5M"), 300),
            (Some("90000m"), 90),
            (Some("90000000u"), 90),
            (Some("99999999n"), 60),
            (Some("99999999H"), 3600),
            (Some("123456789S"), 60),
            (Some("S"), 60),
            (Some("5"), 60),
            (Some("-5M"), 60),
        ] {
            let call = call(Version::HTTP_2, "application/grpc", timeout).expect("a call");
            assert_eq!(call.read_timeout(usual).as_secs(), seconds, "{timeout:?}");
        }
    }

    #[test]
    fn a_message_is_visible_ascii() {
        assert_eq!(encoded("100 % \u{e9}\n"), "100 %25 %C3%A9%0A");
        let answer = answer(StatusCode::UNAUTHORIZED, "No API key");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[GRPC_STATUS], "16");
        assert_eq!(answer.headers()[GRPC_MESSAGE], "No API key");
    }
}
