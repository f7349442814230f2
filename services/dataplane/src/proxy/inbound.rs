//! Checks a request before anything is decided on it, and reads from it what routing needs.
//!
//! Its bytes were parsed before: those of HTTP/1.1 by `http1`, which refuses what can be framed in two ways, those of HTTP/2 by hyper.
//! Here everything else is refused that two parsers may read in two ways.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri, Version,
    header::{self, HOST},
    request::Parts,
};

use super::{
    failure::Failure,
    headers::{self, Survey},
};
use crate::router::path::{self, DotSegments};

/// Longest request target, in bytes.
pub const TARGET_MAX: usize = 16 * 1024;
/// Longest host, in bytes: that of a name in DNS.
const HOST_MAX: usize = 255;

/// What routing and forwarding need of a request's first line and `Host`. Borrowed from them where they are in canonical form, as most
/// are.
#[derive(Debug, PartialEq, Eq)]
pub struct Inbound<'a> {
    /// Host and port as the client wrote them; empty if an HTTP/1.0 client named none.
    pub authority: &'a HeaderValue,
    /// The host in lower case, without port and trailing dot.
    pub host: Cow<'a, str>,
    /// The port that the client named.
    pub port: Option<u16>,
    /// The path in canonical form.
    pub path: Cow<'a, str>,
    /// The query as it came, without the question mark.
    pub query: Option<Cow<'a, str>>,
}

/// Reads a request, or says why it must not pass. `uri` is its target and `authority` whom it names ([`authority`]). `dots` says
/// which dot segments may pass.
pub fn inspect<'a>(
    parts: &Parts,
    survey: &Survey,
    uri: &'a Uri,
    authority: &'a HeaderValue,
    dots: DotSegments,
) -> Result<Inbound<'a>, Failure> {
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Failure::bad_request("the scheme of the request's target is neither http nor https"));
    }
    if parts.version == Version::HTTP_2 && parts.headers.keys().any(headers::is_odd) {
        return Err(Failure::bad_request("the name of a header is not valid"));
    }
    check_method(&parts.method)?;
    if survey.expect {
        check_expect(&parts.headers)?;
    }
    let (host, port) = match authority.to_str() {
        Ok("") => (Cow::Borrowed(""), None),
        Ok(given) => host_of(given).ok_or_else(|| Failure::bad_request("the host is not valid"))?,
        Err(_) => return Err(Failure::bad_request("the Host header is not valid")),
    };
    let target_len = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_len > TARGET_MAX {
        return Err(Failure::refused(StatusCode::URI_TOO_LONG, "the request's target is too long"));
    }
    let path = path::canonical(uri.path(), dots).map_err(|error| Failure::bad_request(error.to_string()))?;
    Ok(Inbound { authority, host, port, path, query: uri.query().map(Cow::Borrowed) })
}

/// Refuses `CONNECT`, which would make the gateway an open tunnel, and `TRACE`, which would send credentials back.
fn check_method(method: &Method) -> Result<(), Failure> {
    if *method != Method::CONNECT && *method != Method::TRACE {
        return Ok(());
    }
    let allow = header::HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    let failure =
        Failure::refused(StatusCode::METHOD_NOT_ALLOWED, format!("the method {method} is not allowed"));
    Err(failure.with_header(header::ALLOW, allow))
}

/// Only `100-continue` is allowed. The upstream answers it; the client is told when the body is read.
fn check_expect(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(header::EXPECT) {
        Some(expect) if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Failure::refused(StatusCode::EXPECTATION_FAILED, "the expectation is not known"))
        }
        _ => Ok(()),
    }
}

/// Host and port that the request names: those of its target if it has them (absolute form, HTTP/2), else those of `Host`.
pub fn authority(parts: &Parts, uri: &Uri) -> Result<HeaderValue, Failure> {
    let mut hosts = parts.headers.get_all(HOST).into_iter();
    let (header, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Failure::bad_request("the request has several Host headers"));
    }
    let target = uri.authority().map(http::uri::Authority::as_str);
    // One that does not count must be valid too.
    if let Some(given) = header
        && target.is_some()
        && given.to_str().ok().and_then(host_of).is_none()
    {
        return Err(Failure::bad_request("the Host header is not valid"));
    }
    match (parts.version, header, target) {
        (Version::HTTP_2, Some(header), Some(target))
            if !header.as_bytes().eq_ignore_ascii_case(target.as_bytes()) =>
        {
            Err(Failure::bad_request("Host and :authority differ"))
        }
        // RFC 9112, section 3.2: a Host header is required also with an absolute target, which then counts.
        (Version::HTTP_11, None, _) => Err(Failure::bad_request("the request has no Host header")),
        (Version::HTTP_2, None, None) => Err(Failure::bad_request("the request has no :authority")),
        (_, _, Some(target)) => {
            HeaderValue::from_str(target).map_err(|_| Failure::bad_request("the host is not valid"))
        }
        (_, Some(header), None) if header.is_empty() => Err(Failure::bad_request("the Host header is empty")),
        (_, Some(header), None) => Ok(header.clone()),
        (_, None, None) => Ok(HeaderValue::from_static("")),
    }
}

/// The host of `authority` in lower case, without trailing dot, and its port. `None` if `authority` is no host with an optional port.
fn host_of(authority: &str) -> Option<(Cow<'_, str>, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (authority.get(..address.len() + 2)?, after.strip_prefix(':').or(after.is_empty().then_some("")))
        }
        None => match memchr::memchr(b':', authority.as_bytes()) {
            Some(at) => (authority.get(..at)?, authority.get(at + 1..)),
            None => (authority, Some("")),
        },
    };
    let port = port?;
    let is_port =
        port.is_empty() || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_host = host.starts_with('[')
        || host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let host = host.strip_suffix('.').unwrap_or(host);
    if !is_port || !is_host || host.is_empty() || host.len() > HOST_MAX {
        return None;
    }
    let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    };
    Some((host, port.parse().ok()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_lose_port_case_and_dot() {
        for (authority, host) in [
            ("Example.com", Some(("example.com", None))),
            ("example.com.:80", Some(("example.com", Some(80)))),
            ("example.com:", Some(("example.com", None))),
            ("[::1]:8000", Some(("[::1]", Some(8000)))),
            ("127.0.0.1:1", Some(("127.0.0.1", Some(1)))),
            ("a:99999", None),
            ("a:8x", None),
            ("a:+8", None),
            ("a b", None),
            ("user@a", None),
            ("a/b", None),
            ("[::1", None),
            ("[zz]", None),
            ("[::1]x", None),
            (":80", None),
            (".", None),
        ] {
            let found = host_of(authority);
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_ref(), *port)), host, "{authority}");
        }
    }

    fn parts(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
        build(http::Request::builder()).body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_absolute_target_wins_over_host() {
        let parts = parts(|request| request.uri("http://Real.example:81/x?y=1").header(HOST, "other"));
        let authority = authority(&parts, &parts.uri).unwrap();
        let inbound =
            inspect(&parts, &Survey::of(&parts.headers, false), &parts.uri, &authority, DotSegments::Resolve)
                .unwrap();
        assert_eq!((inbound.host.as_ref(), inbound.path.as_ref()), ("real.example", "/x"));
        assert_eq!(inbound.port, Some(81));
        assert_eq!(inbound.query.as_deref(), Some("y=1"));
    }

    #[test]
    fn http_2_may_not_contradict_itself() {
        let parts = parts(|request| request.uri("http://a/x").version(Version::HTTP_2).header(HOST, "b"));
        assert_eq!(authority(&parts, &parts.uri).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    proptest! {
        #[test]
        fn any_host_is_judged_without_panic(authority in "\\PC{0,20}|[a-z:.\\[\\]0-9]{0,20}") {
            if let Some((host, _)) = host_of(&authority) {
                prop_assert!(!host.is_empty() && host.is_ascii());
            }
        }
    }
}
