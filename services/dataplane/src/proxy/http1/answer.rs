//! The heads of answers: parsed as upstreams send them, written as clients get them.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, DATE},
};
use httparse::{Header, ParserConfig, Status};
use std::mem::MaybeUninit;

use super::{
    Invalid,
    as_came::AsCame,
    fields::{self, Meaning, elements},
    wire::BodyEnd,
};

/// What an answer says before its body.
#[derive(Debug)]
pub struct AnswerHead {
    /// The status.
    pub status: StatusCode,
    /// All fields.
    pub fields: AsCame,
    /// Whether it is of HTTP/1.0.
    is_old: bool,
}

/// Parses a head, with its empty line.
pub fn parse_answer(head: &Bytes) -> Result<AnswerHead, Invalid> {
    let mut usual = [MaybeUninit::uninit(); fields::USUAL];
    match parse_into(head, &mut usual) {
        Err(Some(httparse::Error::TooManyHeaders)) => parse_into(head, &mut fields::room(head.len())),
        parsed => parsed,
    }
    .map_err(|_| Invalid)
}

fn parse_into<'h>(
    head: &'h Bytes,
    room: &mut [MaybeUninit<Header<'h>>],
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
    let fields = AsCame::new(answer.headers, head).map_err(|Invalid| None)?;
    Ok(AnswerHead { status, fields, is_old })
}

impl AnswerHead {
    /// Whether another answer follows to the same request.
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// How the body ends. An error if that can be read in two ways, or is not implemented. `Content-Length` beside
    /// `Transfer-Encoding` does not count.
    pub fn body_end(&self, method: &Method) -> Result<BodyEnd, Invalid> {
        let has_none = *method == Method::HEAD
            || self.status.is_informational()
            || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_none {
            return Ok(BodyEnd::Sized(0));
        }
        let mut codings = self.fields.values(Meaning::Coding);
        match (codings.next(), codings.next()) {
            (None, _) => Ok(self.length()?.map_or(BodyEnd::Closed, BodyEnd::Sized)),
            (Some(coding), None) if !self.is_old && coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
                Ok(BodyEnd::Chunked)
            }
            (Some(_), _) => Err(Invalid),
        }
    }

    /// What `Content-Length` says: one number, possibly several times. `None` if there is none, or it does not count.
    pub fn length(&self) -> Result<Option<u64>, Invalid> {
        if !self.fields.has(Meaning::Length) || self.fields.has(Meaning::Coding) {
            return Ok(None);
        }
        let numbers = self.fields.values(Meaning::Length).flat_map(|value| value.split(|byte| *byte == b','));
        fields::length(numbers.map(<[u8]>::trim_ascii)).map(Some)
    }

    /// Whether a further request may follow on the connection.
    pub fn keeps_alive(&self) -> bool {
        if !self.fields.has(Meaning::Connection) {
            return !self.is_old;
        }
        fields::keeps_alive(elements(self.fields.values(Meaning::Connection)), self.is_old)
    }
}

/// What was among the headers of an answer that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `Date`.
    pub date: bool,
    /// `Connection: close`.
    pub close: bool,
}

/// Appends the head of an answer, without `Content-Length` and without the empty line.
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
    // The length is said once, by whoever knows the body: `Server::begin_answer`.
    for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        written.date |= name == DATE;
        written.close |= name == CONNECTION && value == "close";
        fields::write_field(name.as_ref(), value.as_bytes(), output);
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use http::HeaderValue;

    use super::*;

    fn parsed(text: &str) -> Result<AnswerHead, Invalid> {
        assert_eq!(fields::end(text.as_bytes(), 0), Some(text.len()), "{text:?}");
        parse_answer(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn map(head: &AnswerHead) -> HeaderMap {
        let mut headers = HeaderMap::new();
        head.fields.add_to(&mut headers).unwrap();
        headers
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
            let head = parsed(&format!("HTTP/1.1 {status} x\r\n{headers}\r\n")).unwrap();
            assert_eq!(head.body_end(&method), expected, "{headers}");
        }
        let old = parsed("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(old.body_end(&Method::GET), Err(Invalid));
    }

    #[test]
    fn headers_are_limited_by_their_size_alone() {
        let many: String = (0..1000).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let headers = map(&parsed(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).unwrap());
        assert_eq!((headers.len(), &headers["x-999"]), (1000, &HeaderValue::from_static("999")));
        let short: String = "a:\r\n".repeat(500);
        let headers = map(&parsed(&format!("HTTP/1.1 200 OK\r\n{short}\r\n")).unwrap());
        assert_eq!(headers.get_all("a").iter().count(), 500);
    }

    /// A map of the fields, and what is written of them, say the same.
    fn check_as_came(head: &AnswerHead) {
        let (mut headers, mut written) = (HeaderMap::new(), BytesMut::new());
        head.fields.add_to(&mut headers).unwrap();
        let has_date = head.fields.write(&mut written);
        written.put_slice(b"\r\n");
        assert!(!fields::has_bare_newline(&written), "{written:?}");
        assert_eq!(has_date, headers.contains_key(DATE));
        assert_eq!(fields::parse_trailers(written.freeze()), Ok(headers));
    }

    #[test]
    fn fields_are_passed_on_as_they_came_but_for_what_is_untidy() {
        let head = parsed("HTTP/1.1 200 OK\r\nServer: a\r\nX-Odd : b\r\nx-no-space:c\r\nEmpty:\r\nx-bare: d\nDate: e\r\nConnection: x-gone\r\nX-Gone: f\r\nContent-Length: 1\r\nLast: g \r\n\r\n").unwrap();
        check_as_came(&head);
        let mut fields = head.fields.clone();
        fields.clean(|name| name.eq_ignore_ascii_case(b"x-gone"));
        let mut written = BytesMut::new();
        assert!(fields.write(&mut written));
        let expected =
            "Server: a\r\nX-Odd: b\r\nx-no-space: c\r\nEmpty: \r\nx-bare: d\r\nDate: e\r\nLast: g\r\n";
        assert_eq!(written, expected);
        assert_eq!(head.length(), Ok(Some(1)));
    }

    #[test]
    fn a_length_among_the_headers_is_not_written() {
        let text = HeaderValue::from_static;
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, text("5")), (DATE, text("now"))]);
        let mut output = BytesMut::new();
        let written = write_answer(Version::HTTP_11, StatusCode::OK, &headers, &mut output);
        assert_eq!(written, Written { date: true, close: false });
        assert_eq!(output, "HTTP/1.1 200 OK\r\ndate: now\r\n");
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
            assert!(parse_answer(&head).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text in "(HTTP/1.1 200 OK\r?\n)?([a-z]{0,3}:? ?\\PC{0,4}\r?\n){0,5}\r?\n") {
            if let Some(length) = fields::end(text.as_bytes(), 0) {
                let head = Bytes::copy_from_slice(&text.as_bytes()[..length]);
                if let Ok(head) = parse_answer(&head) {
                    let _ = head.body_end(&Method::GET);
                    check_as_came(&head);
                }
                let _ = fields::parse_trailers(head);
            }
        }
    }
}
