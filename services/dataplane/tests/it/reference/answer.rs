//! The answer to one request.

use super::message::{Cursor, Fields, Read, Stop};

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// Whether another answer may follow on the connection.
    pub keeps_alive: bool,
}

/// Reads the final answer to a request with `method`, and takes it from `bytes`. Interim answers before it are skipped. `is_ended`: there
/// are no further bytes. `mends`: what a proxy mends is read as mended.
pub fn read(bytes: &mut &[u8], method: &str, is_ended: bool, mends: bool) -> Read<Answer> {
    let mut cursor = Cursor { rest: bytes, mends };
    let (is_old, status, fields) = loop {
        let (is_old, status) = status_line(cursor.line()?)?;
        let fields = cursor.fields()?;
        match status {
            101 => return Err(Stop::Invalid("nobody asked to switch protocols")),
            100..=199 => {}
            _ => break (is_old, status, fields),
        }
    };
    let said = fields.tokens("connection");
    let says = |token: &str| said.iter().any(|one| one == token);
    let mut keeps_alive = !says("close") && (!is_old || says("keep-alive"));
    let none = Fields::default();
    // RFC 9112, section 6.3.
    let has_none = method == "HEAD" || matches!(status, 204 | 304);
    let is_chunked = !has_none && fields.is_chunked()?;
    if is_chunked && (is_old || fields.has("content-length") && !mends) {
        return Err(Stop::Invalid("Transfer-Encoding in HTTP/1.0, or beside Content-Length"));
    }
    let length = if has_none || is_chunked { None } else { fields.length()? };
    let (body, trailers) = if has_none {
        (Vec::new(), none)
    } else if status == 205 && mends {
        // It has no content (RFC 9110, section 15.3.6): what is said to come is not waited for.
        keeps_alive &= length == Some(0);
        (Vec::new(), none)
    } else if is_chunked {
        cursor.chunks()?
    } else if let Some(length) = length {
        (cursor.take(length)?.to_vec(), none)
    } else if is_ended {
        keeps_alive = false;
        (std::mem::take(&mut cursor.rest).to_vec(), none)
    } else {
        return Err(Stop::Partial);
    };
    *bytes = cursor.rest;
    Ok(Answer { status, fields, body, trailers, keeps_alive })
}

/// Whether the version is 1.0, and the status (RFC 9112, section 4).
fn status_line(line: &[u8]) -> Read<(bool, u16)> {
    let invalid = Stop::Invalid("not a status line");
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(invalid)?;
    let (&[minor, b' '], rest) = rest.split_first_chunk().ok_or(invalid)? else { return Err(invalid) };
    let (digits, reason) = rest.split_first_chunk::<3>().ok_or(invalid)?;
    let status = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u16>().ok());
    let status = status.filter(|status| (100..1000).contains(status) && digits[0] != b'+').ok_or(invalid)?;
    // Some leave out the space before an empty reason, and everybody reads it so.
    if !minor.is_ascii_digit() || !matches!(reason.first(), None | Some(b' ')) {
        return Err(invalid);
    }
    if reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Stop::Invalid("a control character in the reason"));
    }
    Ok((minor == b'0', status))
}
