//! The heads of answers: parsed as upstreams send them, written as clients get them.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING},
};
use httparse::{Header, ParserConfig, Status};
use std::mem::MaybeUninit;

use super::{
    Invalid,
    fields::{self, Survey},
    wire::BodyEnd,
};

/// What an answer says before its body, but for the headers themselves.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead {
    /// The status.
    pub status: StatusCode,
    survey: Survey,
    /// Whether it is of HTTP/1.0.
    is_old: bool,
}

/// Parses a head, with its empty line. Its headers take the place of those in `headers`.
pub fn parse_answer(head: &Bytes, headers: &mut HeaderMap) -> Result<AnswerHead, Invalid> {
    let mut usual = [MaybeUninit::uninit(); fields::USUAL];
    match parse_into(head, &mut usual, headers) {
        Err(Some(httparse::Error::TooManyHeaders)) => {
            parse_into(head, &mut fields::room(head.len()), headers)
        }
        parsed => parsed,
    }
    .map_err(|_| Invalid)
}

fn parse_into<'h>(
    head: &'h Bytes,
    room: &mut [MaybeUninit<Header<'h>>],
    headers: &mut HeaderMap,
) -> Result<AnswerHead, Option<httparse::Error>> {
    let mut parser = ParserConfig::default();
    // RFC 9112, section 5.1: a proxy removes it.
    parser.allow_spaces_after_header_name_in_responses(true);
    let mut answer = httparse::Response::new(&mut []);
    match parser.parse_response_with_uninit_headers(&mut answer, head, room)? {
        Status::Complete(length) if length == head.len() => {}
        // Its empty line is not where it seemed.
        Status::Complete(_) | Status::Partial => return Err(None),
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let (status, is_old) = (status.ok_or(None)?, answer.version == Some(0));
    headers.clear();
    let survey = fields::take(answer.headers, head, headers).map_err(|Invalid| None)?;
    Ok(AnswerHead { status, survey, is_old })
}

impl AnswerHead {
    /// Whether there is a `Connection` header. It may name others.
    pub fn has_connection(&self) -> bool {
        self.survey.has_connection
    }

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
        if self.survey.has_coding {
            let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
            let is_chunked =
                |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            if self.is_old || !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
                return Err(Invalid);
            }
            headers.remove(CONTENT_LENGTH);
            return Ok(BodyEnd::Chunked);
        }
        if self.survey.has_length { length(headers).map(BodyEnd::Sized) } else { Ok(BodyEnd::Closed) }
    }

    /// Whether a further request may follow on the connection.
    pub fn keeps_alive(&self, headers: &HeaderMap) -> bool {
        fields::keeps_alive(headers, self.survey.has_connection, self.is_old)
    }
}

/// What `Content-Length` says: one number, possibly several times.
fn length(headers: &HeaderMap) -> Result<u64, Invalid> {
    let values = headers.get_all(CONTENT_LENGTH).into_iter();
    let values = values.map(|value| value.to_str().unwrap_or_default());
    fields::length(values.flat_map(|value| value.split(',')).map(str::trim))
}

/// What was among the headers of an answer that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `Content-Length`.
    pub length: bool,
    /// `Date`.
    pub date: bool,
    /// `Connection: close`.
    pub close: bool,
}

/// Appends the head of an answer, without the empty line.
pub fn write_answer(
    version: Version,
    status: StatusCode,
    headers: &HeaderMap,
    output: &mut BytesMut,
) -> Written {
    output.reserve(64 + headers.len() * 48);
    output.put_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    output.put_slice(status.as_str().as_bytes());
    output.put_slice(b" ");
    output.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    output.put_slice(b"\r\n");
    let mut written = Written::default();
    for (name, value) in headers {
        written.length |= name == CONTENT_LENGTH;
        written.date |= name == DATE;
        written.close |= name == CONNECTION && value == "close";
        fields::write_field(name.as_str(), value.as_bytes(), output);
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<(AnswerHead, HeaderMap), Invalid> {
        assert_eq!(fields::end(text.as_bytes(), 0), Some(text.len()), "{text:?}");
        // Those of the request, in whose place they come.
        let mut headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
        let head = parse_answer(&Bytes::copy_from_slice(text.as_bytes()), &mut headers)?;
        Ok((head, headers))
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
            assert!(parse_answer(&head, &mut HeaderMap::new()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text in "(HTTP/1.1 200 OK\r?\n)?([a-z]{0,3}:? ?\\PC{0,4}\r?\n){0,5}\r?\n") {
            if let Some(length) = fields::end(text.as_bytes(), 0) {
                let head = Bytes::copy_from_slice(&text.as_bytes()[..length]);
                let mut headers = HeaderMap::new();
                if let Ok(head) = parse_answer(&head, &mut headers) {
                    let _ = head.body_end(&Method::GET, &mut headers);
                }
                let _ = fields::parse_trailers(head);
            }
        }
    }
}
