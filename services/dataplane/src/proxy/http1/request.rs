//! The heads of requests: parsed as clients send them, written as upstreams get them.
//!
//! Nothing that two parsers may read in two ways is parsed: no line ends in a bare LF, none is folded, no field name has a space behind
//! it, and no body is framed twice.

use std::mem::MaybeUninit;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use httparse::{ParserConfig, Status};
use listener::{HEAD_MAX, HEADERS_MAX};

use super::fields::{self, Survey};

/// The longest body whose length is given, in bytes. Longer ones are mistakes.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// A request's head.
#[derive(Debug)]
pub struct Received {
    /// Method, target, version and headers.
    pub request: Request<()>,
    /// How its body ends.
    pub length: BodyLength,
    /// Whether the client can send further requests behind it.
    pub keeps_alive: bool,
    /// Whether the client takes trailers behind the answer's body.
    pub takes_trailers: bool,
}

/// How the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// After so many bytes.
    Sized(u64),
    /// With the last chunk and the trailers.
    Chunked,
}

/// A head that must not pass. What follows it on the connection cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedHead {
    /// Status of the answer.
    pub status: StatusCode,
    /// What is wrong with it, for the client.
    pub message: &'static str,
}

impl RefusedHead {
    /// None behind so many empty lines.
    pub const EMPTY: Self = Self::bad("there are empty lines in place of a request");

    /// One that did not come in time.
    pub const LATE: Self =
        Self { status: StatusCode::REQUEST_TIMEOUT, message: "the request's head did not arrive in time" };

    /// 400.
    const fn bad(message: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message }
    }

    /// One that does not end where it has to: the line with its target is too long, or there are too many headers.
    pub fn too_long(input: &[u8]) -> Self {
        match memchr::memchr(b'\n', input).filter(|end| *end <= HEAD_MAX) {
            None => Self { status: StatusCode::URI_TOO_LONG, message: "the request's target is too long" },
            Some(_) => Self {
                status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                message: "the request's headers are too long",
            },
        }
    }
}

impl From<httparse::Error> for RefusedHead {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self {
                status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                message: "the request has too many headers",
            },
            httparse::Error::HeaderName => Self::bad("the name of a header is not valid"),
            httparse::Error::HeaderValue => Self::bad("the value of a header is not valid"),
            httparse::Error::Version => Self::bad("the version of HTTP is not 1.0 or 1.1"),
            httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => {
                Self::bad("the request line is not valid")
            }
        }
    }
}

/// Parses a head, with its empty line.
pub fn parse_request(head: Bytes) -> Result<Received, RefusedHead> {
    if head.len() > HEAD_MAX {
        return Err(RefusedHead::too_long(&head));
    }
    if fields::has_bare_newline(&head) {
        return Err(RefusedHead::bad("a line of the request does not end in CRLF"));
    }
    let mut room = [MaybeUninit::uninit(); HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, &head, &mut room)? {
        Status::Complete(length) if length == head.len() => {}
        // Its empty line is not where it seemed.
        Status::Complete(_) | Status::Partial => {
            return Err(RefusedHead::bad("the request line is not valid"));
        }
    }
    let httparse::Request { method, path, version, headers } = parsed;
    let path = path.unwrap_or_default();
    if !is_target(path, method) {
        return Err(RefusedHead::bad("the request's target is neither a path nor an http or https URI"));
    }
    let method = Method::from_bytes(method.unwrap_or_default().as_bytes());
    let target = Uri::from_maybe_shared(head.slice_ref(path.as_bytes()));
    let version = if version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut request = Request::new(());
    *request.method_mut() = method.map_err(|_| RefusedHead::bad("the method is not valid"))?;
    *request.uri_mut() = target.map_err(|_| RefusedHead::bad("the request's target is not valid"))?;
    *request.version_mut() = version;
    let survey = fields::take(headers, &head, request.headers_mut());
    let survey = survey.map_err(|_| RefusedHead::bad("a header is not valid"))?;
    let length = body_length(version, &survey, request.headers())?;
    let is_old = version == Version::HTTP_10;
    let keeps_alive = match survey.has_connection {
        true => fields::keeps_alive(fields::tokens(request.headers(), &CONNECTION), is_old),
        false => !is_old,
    };
    let takes_trailers = survey.has_te && fields::has_token(request.headers(), &TE, "trailers");
    Ok(Received { request, length, keeps_alive, takes_trailers })
}

/// Whether a target has one of the forms of RFC 9112, section 3.2. The type for URIs takes more than those.
fn is_target(target: &str, method: Option<&str>) -> bool {
    let has_scheme =
        |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    target.starts_with('/')
        || target == "*"
        || has_scheme("http://")
        || has_scheme("https://")
        || method == Some("CONNECT")
}

/// How the body ends (RFC 9112, section 6.3). A body that says it in two ways is refused: a proxy in front of the gateway may have believed
/// the other one.
fn body_length(version: Version, survey: &Survey, headers: &HeaderMap) -> Result<BodyLength, RefusedHead> {
    match (survey.has_coding, survey.has_length) {
        (false, false) => Ok(BodyLength::Sized(0)),
        (false, true) => {
            let values = headers.get_all(CONTENT_LENGTH).into_iter();
            let length = fields::length(values.map(HeaderValue::as_bytes));
            let length = length.ok().filter(|length| *length <= LENGTH_MAX);
            length.map(BodyLength::Sized).ok_or(RefusedHead::bad("Content-Length is not one number"))
        }
        (true, true) => {
            Err(RefusedHead::bad("the request carries both Content-Length and Transfer-Encoding"))
        }
        (true, false) if version == Version::HTTP_10 => {
            Err(RefusedHead::bad("HTTP/1.0 has no Transfer-Encoding"))
        }
        (true, false) => coded(headers),
    }
}

/// Only `chunked` alone is implemented. Where it is not the last coding, nobody knows where the body ends.
fn coded(headers: &HeaderMap) -> Result<BodyLength, RefusedHead> {
    let is_chunked = |coding: &str| coding.trim_matches([' ', '\t']).eq_ignore_ascii_case("chunked");
    let mut values = headers.get_all(TRANSFER_ENCODING).into_iter();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let first = values.next().map(text).unwrap_or_default();
    let further = values.next_back().map(text);
    let last = further.as_ref().unwrap_or(&first);
    if !last.rsplit(',').next().is_some_and(is_chunked) {
        return Err(RefusedHead::bad("the last transfer coding is not chunked"));
    }
    if further.is_some() || !is_chunked(&first) {
        let status = StatusCode::NOT_IMPLEMENTED;
        return Err(RefusedHead { status, message: "the only transfer coding implemented is chunked" });
    }
    Ok(BodyLength::Chunked)
}

impl Received {
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.request.version() == Version::HTTP_11
            && self.length != BodyLength::Sized(0)
            && self.request.headers().contains_key(EXPECT)
    }
}

/// What a request says before its body.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path and query to ask for.
    pub target: &'a PathAndQuery,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Names of those that are left out.
    pub without: &'a [HeaderName],
    /// More headers. (To write them is cheaper than to put them into the map.)
    pub more: &'a [(HeaderName, HeaderValue)],
    /// How the body ends; `None`: there is none, and nothing is said of it.
    pub length: Option<BodyLength>,
}

impl RequestHead<'_> {
    /// Appends the head to what is to be written.
    pub fn write(&self, output: &mut BytesMut) {
        let target = self.target.as_str();
        // A guess that most fields fit in, so that room is made once.
        output.reserve(64 + target.len() + (self.headers.len() + self.more.len()) * 48);
        for part in [self.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            output.put_slice(part.as_bytes());
        }
        for (name, value) in self.more {
            fields::write_field(name.as_ref(), value.as_bytes(), output);
        }
        for (name, value) in self.headers {
            if !self.without.contains(name) {
                fields::write_field(name.as_ref(), value.as_bytes(), output);
            }
        }
        match self.length {
            Some(BodyLength::Sized(length)) => fields::write_length(length, output),
            Some(BodyLength::Chunked) => fields::write_field(b"transfer-encoding", b"chunked", output),
            None => {}
        }
        output.put_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use proptest::prelude::*;

    use super::*;

    fn parsed(lines: &str) -> Result<Received, RefusedHead> {
        parse_request(Bytes::from(lines.replace('\n', "\r\n") + "\r\n"))
    }

    fn refused(lines: &str) -> u16 {
        parsed(lines).map_or_else(|refused| refused.status.as_u16(), |_| 200)
    }

    #[test]
    fn what_a_request_says_is_read() {
        let head = parsed("POST /a?b HTTP/1.1\nHost: x\ncontent-length: 3\nexpect: 100-continue\n").unwrap();
        assert_eq!((head.request.method(), head.request.uri().to_string()), (&Method::POST, "/a?b".into()));
        assert_eq!(
            (head.length, head.keeps_alive, head.expects_continue()),
            (BodyLength::Sized(3), true, true)
        );
        let old = parsed("GET http://x/ HTTP/1.0\nexpect: 100-continue\n").unwrap();
        assert_eq!((old.request.version(), old.length), (Version::HTTP_10, BodyLength::Sized(0)));
        assert!(!old.keeps_alive && !old.expects_continue());
    }

    #[test]
    fn bodies_end_in_one_way_or_the_request_is_refused() {
        let length = |fields: &str| parsed(&format!("POST / HTTP/1.1\n{fields}")).map(|head| head.length);
        for (fields, expected) in [
            ("", BodyLength::Sized(0)),
            ("content-length: 5\n", BodyLength::Sized(5)),
            ("content-length: 5\ncontent-length: 5\n", BodyLength::Sized(5)),
            ("Transfer-Encoding: \tChunked \n", BodyLength::Chunked),
        ] {
            assert_eq!(length(fields), Ok(expected).map_err(|()| unreachable!()), "{fields}");
        }
        for (fields, status) in [
            ("content-length: 5, 5\n", 400),
            ("content-length: 5\ncontent-length: 6\n", 400),
            ("content-length: 9223372036854775808\n", 400),
            ("content-length:\n", 400),
            ("content-length: 0\ntransfer-encoding: chunked\n", 400),
            ("transfer-encoding: gzip\n", 400),
            ("transfer-encoding: chunked\ntransfer-encoding: gzip\n", 400),
            ("transfer-encoding: gzip, chunked\n", 501),
            ("transfer-encoding: gzip\ntransfer-encoding: chunked\n", 501),
        ] {
            assert_eq!(length(fields).unwrap_err().status.as_u16(), status, "{fields}");
        }
        assert_eq!(refused("POST / HTTP/1.0\ntransfer-encoding: chunked\n"), 400);
    }

    #[test]
    fn targets_are_paths_or_whole_uris() {
        for (target, status) in [
            ("/", 200),
            ("*", 200),
            ("HTTP://a/k", 200),
            ("https://a", 200),
            ("://a/k", 400),
            ("3http://a", 400),
            ("ftp://a/k", 400),
            ("a/k", 400),
            ("a:80", 400),
            ("?q", 400),
        ] {
            assert_eq!(refused(&format!("GET {target} HTTP/1.1\n")), status, "{target}");
        }
        assert_eq!(refused("CONNECT a:80 HTTP/1.1\n"), 200);
    }

    #[test]
    fn what_is_left_out_is_not_written_and_more_is() {
        let read = parsed("GET / HTTP/1.1\nHost: x\nA: 1\nContent-Length: 9\n").unwrap();
        let target = PathAndQuery::from_static("/y");
        let head = RequestHead {
            method: &Method::PUT,
            target: &target,
            headers: read.request.headers(),
            without: &[HOST, CONTENT_LENGTH],
            more: &[(HOST, HeaderValue::from_static("z"))],
            length: Some(BodyLength::Sized(3)),
        };
        let mut output = BytesMut::new();
        head.write(&mut output);
        assert_eq!(output, "PUT /y HTTP/1.1\r\nhost: z\r\na: 1\r\ncontent-length: 3\r\n\r\n");
        let mut output = BytesMut::new();
        RequestHead { more: &[], length: Some(BodyLength::Chunked), ..head }.write(&mut output);
        assert_eq!(output, "PUT /y HTTP/1.1\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n");
    }

    #[test]
    fn there_may_be_so_many_headers() {
        let many = |count: usize| format!("GET / HTTP/1.1\n{}", "a: b\n".repeat(count));
        assert_eq!((refused(&many(HEADERS_MAX)), refused(&many(HEADERS_MAX + 1))), (200, 431));
        assert_eq!(RefusedHead::too_long(b"GET /aaa").status, StatusCode::URI_TOO_LONG);
        assert_eq!(RefusedHead::too_long(b"GET / HTTP/1.1\r\na").status.as_u16(), 431);
    }

    proptest! {
        /// Whatever is parsed is written so that it is parsed alike.
        #[test]
        fn what_is_written_is_what_was_read(
            method in "(GET|POST|[!#a-z]{1,3}\u{1}?)",
            target in "(/[a-z?%;:@\\[\\]{}|\u{e9} ]{0,6}|\\*|http://a/b)",
            fields in "([a-zA-Z!_-]{1,5} ?:[ \t]{0,2}[\\x20-\\x7f\u{e9}]{0,5}\n){0,4}",
        ) {
            let text = format!("{method} {target} HTTP/1.1\n{fields}\n").replace('\n', "\r\n");
            let Ok(first) = parse_request(Bytes::from(text)) else { return Ok(()) };
            let Some(target) = first.request.uri().path_and_query() else { return Ok(()) };
            let mut output = BytesMut::new();
            let (method, headers) = (first.request.method(), first.request.headers());
            let head = RequestHead { method, target, headers, without: &[], more: &[], length: None };
            head.write(&mut output);
            let second = parse_request(output.freeze()).unwrap();
            prop_assert_eq!(first.request.method(), second.request.method());
            prop_assert_eq!(Some(target), second.request.uri().path_and_query());
            prop_assert_eq!(first.request.headers(), second.request.headers());
            prop_assert_eq!(first.length, second.length);
        }
    }
}
