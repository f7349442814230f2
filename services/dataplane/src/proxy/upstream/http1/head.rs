//! The heads of messages on a connection of HTTP/1.1: requests are written, answers are parsed. The parser is httparse.

use std::mem::MaybeUninit;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use httparse::{Header, ParserConfig, Status};

use super::Invalid;

/// Headers of an answer that are parsed without taking memory for them. More are parsed too.
const USUAL_HEADERS: usize = 96;
/// The shortest header is `a:` and its CRLF. So no head has more headers than its length divided by this.
const HEADER_BYTES_MIN: usize = 4;

/// What a request says before its body.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path and query to ask for.
    pub target: &'a PathAndQuery,
    /// All headers, `Host` and those that frame the body included.
    pub headers: &'a HeaderMap,
}

impl RequestHead<'_> {
    /// Appends the head to what is to be written.
    pub fn write(&self, output: &mut BytesMut) {
        for part in [self.method.as_str(), " ", self.target.as_str(), " HTTP/1.1\r\n"] {
            output.put_slice(part.as_bytes());
        }
        write_fields(self.headers, output);
    }
}

/// Appends header or trailer fields, and the empty line that ends them.
pub fn write_fields(fields: &HeaderMap, output: &mut BytesMut) {
    // A guess that most fields fit in, so that room is made once.
    output.reserve(fields.len() * 48);
    for (name, value) in fields {
        output.put_slice(name.as_str().as_bytes());
        output.put_slice(b": ");
        output.put_slice(value.as_bytes());
        output.put_slice(b"\r\n");
    }
    output.put_slice(b"\r\n");
}

/// What an answer says before its body, but for the headers themselves.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead {
    /// The status.
    pub status: StatusCode,
    /// Whether there is a `Connection` header. It may name others.
    pub has_connection: bool,
    has_coding: bool,
    has_length: bool,
    /// Whether it is of HTTP/1.0.
    is_old: bool,
}

/// How the body of an answer ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// After so many bytes.
    Sized(u64),
    /// With the last chunk and the trailers.
    Chunked,
    /// With the connection.
    Closed,
}

/// Where the head ends that `input` begins with: behind its empty line. `None` if it is not all there. Bytes before `seen` were looked
/// at already.
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

/// Parses a head, with its empty line. `headers` are those of the answer afterwards, if it is a final one.
pub fn parse(head: Bytes, headers: &mut HeaderMap) -> Result<AnswerHead, Invalid> {
    let mut usual = [MaybeUninit::uninit(); USUAL_HEADERS];
    match parse_into(&head, &mut usual, headers) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = vec![MaybeUninit::uninit(); head.len() / HEADER_BYTES_MIN];
            parse_into(&head, &mut many, headers)
        }
        parsed => parsed,
    }
    .map_err(|_| Invalid)
}

fn parse_into<'h>(
    head: &'h Bytes,
    fields: &mut [MaybeUninit<Header<'h>>],
    headers: &mut HeaderMap,
) -> Result<AnswerHead, httparse::Error> {
    let mut parser = ParserConfig::default();
    // RFC 9112, section 5.1: a proxy removes it.
    parser.allow_spaces_after_header_name_in_responses(true);
    let mut answer = httparse::Response::new(&mut []);
    match parser.parse_response_with_uninit_headers(&mut answer, head, fields)? {
        Status::Complete(length) if length == head.len() => {}
        // Its empty line is not where it seemed.
        Status::Complete(_) | Status::Partial => return Err(httparse::Error::NewLine),
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(httparse::Error::Status)?;
    let is_old = answer.version == Some(0);
    let (has_connection, has_coding, has_length) = (false, false, false);
    let mut parsed = AnswerHead { status, has_connection, has_coding, has_length, is_old };
    if parsed.is_interim() {
        return Ok(parsed);
    }
    headers.clear();
    headers.reserve(answer.headers.len());
    for Header { name, value } in &*answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        parsed.has_connection |= name == CONNECTION;
        parsed.has_coding |= name == TRANSFER_ENCODING;
        parsed.has_length |= name == CONTENT_LENGTH;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value));
        headers.append(name, value.map_err(|_| httparse::Error::HeaderValue)?);
    }
    Ok(parsed)
}

/// Parses trailers, with their empty line.
pub fn parse_trailers(trailers: Bytes) -> Result<HeaderMap, Invalid> {
    let mut fields = vec![httparse::EMPTY_HEADER; trailers.len() / HEADER_BYTES_MIN];
    let Ok(Status::Complete((_, fields))) = httparse::parse_headers(&trailers, &mut fields) else {
        return Err(Invalid);
    };
    let field = |Header { name, value }: &Header<'_>| {
        let value = HeaderValue::from_maybe_shared(trailers.slice_ref(value));
        Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| Invalid)?, value.map_err(|_| Invalid)?))
    };
    fields.iter().map(field).collect()
}

impl AnswerHead {
    /// Whether another answer follows to the same request.
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// How the body ends. An error if that can be read in two ways, or is not implemented. `Content-Length` beside
    /// `Transfer-Encoding` does not count, and is removed.
    pub fn body_end(&self, method: &Method, headers: &mut HeaderMap) -> Result<BodyEnd, Invalid> {
        let has_none = *method == Method::HEAD
            || self.status.is_informational()
            || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_none {
            return Ok(BodyEnd::Sized(0));
        }
        if self.has_coding {
            let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
            let is_chunked =
                |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            if self.is_old || !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
                return Err(Invalid);
            }
            headers.remove(CONTENT_LENGTH);
            return Ok(BodyEnd::Chunked);
        }
        if self.has_length { length(headers).map(BodyEnd::Sized) } else { Ok(BodyEnd::Closed) }
    }

    /// Whether a further request may follow on the connection.
    pub fn keeps_alive(&self, headers: &HeaderMap) -> bool {
        if !self.has_connection {
            return !self.is_old;
        }
        let said = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
        let mut said = said.flat_map(|list| list.split(',')).map(str::trim);
        let mut says = |token: &str| said.any(|one| one.eq_ignore_ascii_case(token));
        if self.is_old { says("keep-alive") } else { !says("close") }
    }
}

/// What `Content-Length` says: one number, possibly several times.
fn length(headers: &HeaderMap) -> Result<u64, Invalid> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for text in value.to_str().map_err(|_| Invalid)?.split(',').map(str::trim) {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse().ok().filter(|_| is_number).ok_or(Invalid)?;
            if found.is_some_and(|found: u64| found != length) {
                return Err(Invalid);
            }
            found = Some(length);
        }
    }
    found.ok_or(Invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<(AnswerHead, HeaderMap), Invalid> {
        assert_eq!(end(text.as_bytes(), 0), Some(text.len()), "{text:?}");
        // Those of the request, in whose place they come.
        let mut headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
        let head = parse(Bytes::copy_from_slice(text.as_bytes()), &mut headers)?;
        Ok((head, headers))
    }

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
    fn bodies_end_as_the_head_says() {
        let cases = [
            ("content-length: 5\r\n", 200, Method::GET, Ok(BodyEnd::Sized(5))),
            ("content-length: 5\r\nContent-Length: 5, 5\r\n", 200, Method::GET, Ok(BodyEnd::Sized(5))),
            ("content-length: 5\r\ncontent-length: 6\r\n", 200, Method::GET, Err(Invalid)),
            ("content-length: +5\r\n", 200, Method::GET, Err(Invalid)),
            ("content-length:\r\n", 200, Method::GET, Err(Invalid)),
            ("content-length: 99999999999999999999\r\n", 200, Method::GET, Err(Invalid)),
            ("", 200, Method::GET, Ok(BodyEnd::Closed)),
            ("Transfer-Encoding : chunked\r\n", 200, Method::GET, Ok(BodyEnd::Chunked)),
            ("transfer-encoding: chunked\r\ncontent-length: 3\r\n", 200, Method::GET, Ok(BodyEnd::Chunked)),
            ("transfer-encoding: gzip, chunked\r\n", 200, Method::GET, Err(Invalid)),
            ("transfer-encoding: gzip\r\n", 200, Method::GET, Err(Invalid)),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 200, Method::GET, Err(Invalid)),
            ("content-length: 5\r\n", 200, Method::HEAD, Ok(BodyEnd::Sized(0))),
            ("content-length: 5\r\n", 304, Method::GET, Ok(BodyEnd::Sized(0))),
            ("transfer-encoding: chunked\r\n", 204, Method::GET, Ok(BodyEnd::Sized(0))),
        ];
        for (headers, status, method, expected) in cases {
            let (head, mut map) = parsed(&format!("HTTP/1.1 {status} x\r\n{headers}\r\n")).unwrap();
            assert_eq!(head.body_end(&method, &mut map), expected, "{headers}");
        }
        let (old, mut map) = parsed("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(old.body_end(&Method::GET, &mut map), Err(Invalid));
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        for (text, keeps) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: a, Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nconnection: a\r\nconnection: close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
        ] {
            let (head, headers) = parsed(text).unwrap();
            assert_eq!(head.keeps_alive(&headers), keeps, "{text:?}");
        }
    }

    #[test]
    fn headers_are_limited_by_their_size_alone() {
        let many: String = (0..1000).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let (_, headers) = parsed(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).unwrap();
        assert_eq!((headers.len(), &headers["x-999"]), (1000, &HeaderValue::from_static("999")));
        let short: String = "a:\r\n".repeat(500);
        let (_, headers) = parsed(&format!("HTTP/1.1 200 OK\r\n{short}\r\n")).unwrap();
        assert_eq!(headers.get_all("a").iter().count(), 500);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0\r\n\r\n",
            "\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            let head = Bytes::copy_from_slice(text.as_bytes());
            assert!(parse(head, &mut HeaderMap::new()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text in "(HTTP/1.1 200 OK\r?\n)?([a-z]{0,3}:? ?\\PC{0,4}\r?\n){0,5}\r?\n") {
            if let Some(length) = end(text.as_bytes(), 0) {
                let head = Bytes::copy_from_slice(&text.as_bytes()[..length]);
                let mut headers = HeaderMap::new();
                if let Ok(head) = parse(head.clone(), &mut headers) {
                    let _ = head.body_end(&Method::GET, &mut headers);
                }
                let _ = parse_trailers(head);
            }
        }
    }
}
