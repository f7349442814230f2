//! Header and trailer fields.

use std::mem::MaybeUninit;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING},
};
use httparse::{Header, Status};

use super::Invalid;

/// Fields of a head that are parsed without taking memory for them.
pub const USUAL: usize = 100;
/// Room that is made in a head's map for headers that are added later.
const ROOM_FOR_MORE: usize = 6;
/// The shortest field is `a:` and its CRLF. So nothing has more fields than its length divided by this.
const BYTES_MIN: usize = 4;

/// Room for the fields of a head of `length` bytes, however many they are.
pub fn room<'h>(length: usize) -> Vec<MaybeUninit<Header<'h>>> {
    vec![MaybeUninit::uninit(); length / BYTES_MIN]
}

/// Where the head or the trailers end that `input` begins with: behind the empty line. `None` if it is not all there. Bytes before `seen`
/// were looked at already.
pub fn end(input: &[u8], seen: usize) -> Option<usize> {
    // The empty line may have begun before.
    let from = seen.saturating_sub(3);
    let lines = memchr::memchr_iter(b'\n', input.get(from..)?);
    lines
        .map(|at| from + at + 1)
        .find(|after| {
            let rest = input.get(*after..).unwrap_or_default();
            rest.starts_with(b"\r\n") || rest.starts_with(b"\n")
        })
        .map(|after| after + if input.get(after) == Some(&b'\n') { 1 } else { 2 })
}

/// Whether a line ends in LF without CR. RFC 9112 lets it pass (section 2.2). A proxy in front of the gateway may not take it for the end of
/// a line, and then a client can hide a header from one of the two.
pub fn has_bare_newline(lines: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', lines).any(|at| at == 0 || lines.get(at - 1) != Some(&b'\r'))
}

/// What the fields of a head say of its message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survey {
    pub has_connection: bool,
    pub has_coding: bool,
    pub has_length: bool,
    pub has_te: bool,
}

/// What a field means to whoever passes a message on. Others have no meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// `Connection`.
    Connection,
    /// `Transfer-Encoding`.
    Coding,
    /// `Content-Length`.
    Length,
    /// `Date`.
    Date,
    /// About one connection only, and none of the above. `Trailer` is not: it announces trailers, which pass.
    Hop,
}

impl Meaning {
    /// That of the field `name`. Case does not matter.
    pub fn of(name: &[u8]) -> Option<Self> {
        let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
        match name.len() {
            2 if is("te") => Some(Self::Hop),
            4 if is("date") => Some(Self::Date),
            7 if is("upgrade") => Some(Self::Hop),
            10 if is("connection") => Some(Self::Connection),
            10 if is("keep-alive") => Some(Self::Hop),
            14 if is("content-length") => Some(Self::Length),
            14 if is("http2-settings") => Some(Self::Hop),
            16 if is("proxy-connection") => Some(Self::Hop),
            17 if is("transfer-encoding") => Some(Self::Coding),
            19 if is("proxy-authorization") => Some(Self::Hop),
            _ => None,
        }
    }

    /// Whether the field is about one connection, and not about the message.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(self, Self::Connection | Self::Coding | Self::Hop)
    }
}

/// Adds `fields`, which are parts of `head`, to `headers`. An error if a map cannot hold them.
pub fn take(fields: &[Header<'_>], head: &Bytes, headers: &mut HeaderMap) -> Result<Survey, Invalid> {
    headers.try_reserve(fields.len() + ROOM_FOR_MORE).map_err(|_| Invalid)?;
    let mut survey = Survey::default();
    for Header { name, value } in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Invalid)?;
        survey.has_connection |= name == CONNECTION;
        survey.has_coding |= name == TRANSFER_ENCODING;
        survey.has_length |= name == CONTENT_LENGTH;
        survey.has_te |= name == TE;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| Invalid)?;
        headers.try_append(name, value).map_err(|_| Invalid)?;
    }
    Ok(survey)
}

/// Parses trailers, with their empty line.
pub fn parse_trailers(trailers: Bytes) -> Result<HeaderMap, Invalid> {
    let mut room = vec![httparse::EMPTY_HEADER; trailers.len() / BYTES_MIN];
    if has_bare_newline(&trailers) {
        return Err(Invalid);
    }
    let Ok(Status::Complete((length, fields))) = httparse::parse_headers(&trailers, &mut room) else {
        return Err(Invalid);
    };
    let mut map = HeaderMap::new();
    take(fields, &trailers, &mut map)?;
    // If not, its empty line is not where it seemed.
    if length == trailers.len() { Ok(map) } else { Err(Invalid) }
}

/// Appends fields, and the empty line that ends them.
pub fn write_fields(fields: &HeaderMap, output: &mut BytesMut) {
    // A guess that most fields fit in, so that room is made once.
    output.reserve(fields.len() * 48);
    for (name, value) in fields {
        write_field(name.as_ref(), value.as_bytes(), output);
    }
    output.put_slice(b"\r\n");
}

/// Appends one field.
pub fn write_field(name: &[u8], value: &[u8], output: &mut BytesMut) {
    output.put_slice(name);
    output.put_slice(b": ");
    output.put_slice(value);
    output.put_slice(b"\r\n");
}

/// Appends the field that says how long a body is.
pub fn write_length(length: u64, output: &mut BytesMut) {
    write_field(b"content-length", itoa::Buffer::new().format(length).as_bytes(), output);
}

/// Whether a further message may follow on the connection, as the elements of its head's `Connection` say. `is_old`: it is of HTTP/1.0.
pub fn keeps_alive<'a>(connection: impl Iterator<Item = &'a [u8]>, is_old: bool) -> bool {
    let (mut closes, mut keeps) = (false, false);
    for element in connection {
        closes |= element.eq_ignore_ascii_case(b"close");
        keeps |= element.eq_ignore_ascii_case(b"keep-alive");
    }
    !closes && (!is_old || keeps)
}

/// Whether the list in header `name` has `token`. Case does not matter.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|held| held.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of the list in header `name`. They are bytes: one that is no text does not hide the others.
pub fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    elements(headers.get_all(name).into_iter().map(HeaderValue::as_bytes))
}

/// The elements of the lists `values`.
pub fn elements<'a, V: Iterator<Item = &'a [u8]>>(values: V) -> impl Iterator<Item = &'a [u8]> + use<'a, V> {
    let elements = values.flat_map(|value| value.split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The one number that all of `values` say; an error if they say none, or several.
pub fn length<'v>(values: impl Iterator<Item = &'v [u8]>) -> Result<u64, Invalid> {
    let mut found = None;
    for text in values {
        let length = number(text).ok_or(Invalid)?;
        if found.is_some_and(|found: u64| found != length) {
            return Err(Invalid);
        }
        found = Some(length);
    }
    found.ok_or(Invalid)
}

/// The number that is written in decimal digits alone.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().map(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')));
    let number = |so_far: u64, digit: Option<u64>| so_far.checked_mul(10)?.checked_add(digit?);
    (!text.is_empty()).then(|| digits.into_iter().try_fold(0, number)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_empty_line_however_it_comes() {
        let text = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nrest";
        for seen in 0..24 {
            assert_eq!(end(text, seen), Some(25), "{seen}");
        }
        for cut in 0..25 {
            assert_eq!(end(&text[..cut], 0), None, "{cut}");
        }
        assert_eq!(end(b"HTTP/1.1 200 OK\n\nrest", 0), Some(17));
        assert_eq!(end(b"HTTP/1.1 200 OK\n\r\nrest", 0), Some(18));
    }

    #[test]
    fn bare_newlines_are_seen_wherever_they_are() {
        assert!(!has_bare_newline(b"GET / HTTP/1.1\r\na: b\r\n\r\n"));
        for text in
            ["GET / HTTP/1.1\na: b\r\n\r\n", "a: b\r\n\n", "a: b\n\r\n", "\na: b\r\n\r\n", "a\r\r\nb\n\r"]
        {
            assert!(has_bare_newline(text.as_bytes()), "{text:?}");
        }
    }

    /// A map holds 32,768 fields at most, and panics beyond that if it is let.
    #[test]
    fn more_fields_than_a_map_holds_are_refused() {
        let text = Bytes::from("a:\r\n".repeat(70_000) + "\r\n");
        assert_eq!(parse_trailers(text), Err(Invalid));
        let text: String = (0..40_000).map(|n| format!("x{n}:\r\n")).collect();
        assert_eq!(parse_trailers(Bytes::from(text + "\r\n")), Err(Invalid));
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        let map = |values: &[&'static str]| -> HeaderMap {
            values
                .iter()
                .map(|value| (CONNECTION, HeaderValue::from_bytes(value.as_bytes()).unwrap()))
                .collect()
        };
        for (values, is_old, keeps) in [
            (&[][..], false, true),
            (&["a, Close"], false, false),
            (&["a", "close"], false, false),
            (&[], true, false),
            (&["Keep-Alive"], true, true),
            (&["keep-alive, close"], true, false),
            (&["Kee\u{f0}p, CLOSE"], false, false),
        ] {
            assert_eq!(keeps_alive(tokens(&map(values), &CONNECTION), is_old), keeps, "{values:?}");
        }
    }
}
