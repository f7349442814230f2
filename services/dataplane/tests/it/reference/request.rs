//! The requests on a connection.

use std::fmt;

use super::message::{Cursor, Fields, Read, Stop, is_token};

/// A whole request.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

/// What comes before a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    /// As it came.
    pub target: Vec<u8>,
    /// Whom the request names: in an absolute target, else in `Host`. Empty if an HTTP/1.0 client names nobody.
    pub authority: Vec<u8>,
    pub is_old: bool,
    pub fields: Fields,
}

/// How a connection ends, behind its whole requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last request. Another one may follow.
    Open,
    /// The last request ends the connection. What follows is nobody's.
    Closed,
    /// No further request can be read.
    Stopped(Stop),
}

/// The whole requests on a connection with these bytes, and how it ends.
pub fn read(bytes: &[u8]) -> (Vec<Request>, End) {
    let (mut bytes, mut requests) = (bytes, Vec::new());
    loop {
        // An empty line before a request is skipped (RFC 9112, section 2.2).
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        if bytes.is_empty() {
            return (requests, End::Open);
        }
        match next(&mut bytes) {
            Ok(request) => requests.push(request),
            Err(stop) => return (requests, End::Stopped(stop)),
        }
        if requests.last().is_some_and(|last| last.head.ends_connection()) {
            return (requests, End::Closed);
        }
    }
}

/// Reads the request that `bytes` begin with, and takes it from them.
pub fn next(bytes: &mut &[u8]) -> Read<Request> {
    let mut cursor = Cursor { rest: bytes, mends: false };
    let head = head(&mut cursor)?;
    let (body, trailers) = match head.fields.is_chunked()? {
        true => cursor.chunks()?,
        false => (cursor.take(head.fields.length()?.unwrap_or(0))?.to_vec(), Fields::default()),
    };
    *bytes = cursor.rest;
    Ok(Request { head, body, trailers })
}

/// Whether whoever sent `bytes`, which begin with a head, waits to be asked for the body (RFC 9110, section 10.1.1).
pub fn waits(bytes: &[u8]) -> bool {
    let head = head(&mut Cursor { rest: bytes, mends: false });
    head.is_ok_and(|head| head.fields.tokens("expect").iter().any(|one| one == "100-continue"))
}

fn head(cursor: &mut Cursor<'_>) -> Read<Head> {
    let (method, target, is_old) = request_line(cursor.line()?)?;
    let fields = cursor.fields()?;
    fields.length()?;
    if fields.is_chunked()? && (is_old || fields.has("content-length")) {
        return Err(Stop::Invalid("Transfer-Encoding in HTTP/1.0, or beside Content-Length"));
    }
    let hosts: Vec<&[u8]> = fields.all("host").collect();
    if hosts.len() > 1 || hosts.is_empty() && !is_old {
        return Err(Stop::Invalid("not one Host"));
    }
    if !hosts.iter().all(|host| is_host(host)) {
        return Err(Stop::Invalid("Host names no host"));
    }
    let named = in_target(&method, target)?.or(hosts.first().copied());
    Ok(Head {
        authority: named.unwrap_or_default().to_vec(),
        target: target.to_vec(),
        method,
        is_old,
        fields,
    })
}

/// Method, target, and whether the version is 1.0 (RFC 9112, section 3).
fn request_line(line: &[u8]) -> Read<(String, &[u8], bool)> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return Err(Stop::Invalid("a request line has three parts"));
    };
    if !is_token(method) {
        return Err(Stop::Invalid("the method is not a token"));
    }
    if target.is_empty() || target.iter().any(u8::is_ascii_control) {
        return Err(Stop::Invalid("the target is not one"));
    }
    let is_old = match version {
        // A higher minor version is read as the highest that is known (RFC 9110, section 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => *minor == b'0',
        _ => return Err(Stop::Invalid("the version is not 1.0 or 1.1")),
    };
    Ok((String::from_utf8_lossy(method).into_owned(), target, is_old))
}

/// Whom an absolute target names (RFC 9112, section 3.2).
fn in_target<'a>(method: &str, target: &'a [u8]) -> Read<Option<&'a [u8]>> {
    match (method, target) {
        // What follows it on the connection depends on the answer.
        ("CONNECT", _) => Err(Stop::Invalid("a tunnel")),
        (_, [b'/', ..]) | ("OPTIONS", b"*") => Ok(None),
        _ => {
            let colon = target.windows(3).position(|three| three == b"://");
            let (scheme, rest) = target.split_at(colon.ok_or(Stop::Invalid("a target of no known form"))?);
            let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(is_one) {
                return Err(Stop::Invalid("a target with an odd scheme"));
            }
            let rest = &rest[3..];
            let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            match &rest[..end] {
                authority if authority.is_empty() || !is_host(authority) => {
                    Err(Stop::Invalid("a target that names no host"))
                }
                authority => Ok(Some(authority)),
            }
        }
    }
}

/// Whether `text` is a host with an optional port, or empty (RFC 9110, section 7.2). Nobody is named with a user.
fn is_host(text: &[u8]) -> bool {
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let (host, port) = match text.iter().rposition(|byte| *byte == b']') {
        Some(end) => {
            let (host, port) = text.split_at(end + 1);
            let inner = &host[..end];
            let is_address = inner.first() == Some(&b'[')
                && inner[1..].iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte));
            if !is_address {
                return false;
            }
            (&b""[..], port)
        }
        None => text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len())),
    };
    host.iter().all(is_one)
        && port.strip_prefix(b":").is_none_or(|digits| digits.iter().all(u8::is_ascii_digit))
        && (port.is_empty() || port[0] == b':')
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, body, trailers } = self;
        let (target, body) = (head.target.escape_ascii(), body.escape_ascii());
        write!(f, "{} {target} {:?} \"{body}\" {trailers:?}", head.method, head.fields)
    }
}

impl Head {
    /// Whether the connection ends with this request (RFC 9112, section 9.3).
    fn ends_connection(&self) -> bool {
        let said = self.fields.tokens("connection");
        let says = |token: &str| said.iter().any(|one| one == token);
        says("close") || self.is_old && !says("keep-alive")
    }
}
