//! Which headers pass the gateway, in both directions (RFC 9110, section 7.6), and which ones it sets.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{self, CONNECTION, CONTENT_LENGTH, HOST, TE, UPGRADE, VIA},
};
use http_body::Frame;
use random::Random;

use super::{
    claims,
    http1::{AsCame, Meaning, elements, has_token, tokens},
};

/// Names a request across everything that it passes.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// As many headers as the gateway adds to a request. Room is made for them at once.
pub const ADDED_MAX: usize = 10;

/// The longest request id that is taken over from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// Trailers that could change what the message means, or who sent it, after the gateway has decided on it.
const REFUSED_TRAILERS: [HeaderName; 19] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    HOST,
    header::MAX_FORWARDS,
    header::SET_COOKIE,
    header::TRAILER,
    header::WWW_AUTHENTICATE,
    header::RANGE,
    VIA,
    HeaderName::from_static("cdn-loop"),
    REQUEST_ID,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// Headers that `Connection` cannot name: the message cannot be understood without them, or they show where it has been.
const NEVER_NOMINATED: [HeaderName; 9] = [
    HOST,
    CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    VIA,
    HeaderName::from_static("cdn-loop"),
    REQUEST_ID,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// Which headers a request has of those that the gateway acts on. Learned in one pass, because most requests have few of them, and each
/// look for one that is not there costs as much as for one that is.
#[derive(Debug, Default)]
pub struct Survey {
    connection: bool,
    te: bool,
    upgrade: bool,
    pub expect: bool,
    pub via: bool,
    /// It names versions of configurations.
    pub consistency: bool,
    /// Those that its sender may not pass on, or may not say.
    refused: Vec<HeaderName>,
}

impl Survey {
    /// Looks through a request's headers. `is_proxy`: its sender is a proxy that the gateway trusts.
    pub fn of(headers: &HeaderMap, is_proxy: bool) -> Self {
        let mut survey = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => survey.connection = true,
                "te" => survey.te = true,
                "upgrade" => survey.upgrade = true,
                "expect" => survey.expect = true,
                "via" => survey.via = true,
                sync::CONSISTENCY => survey.consistency = true,
                _ => {}
            }
            if is_hop_by_hop(name) || !claims::may_say(name.as_str(), is_proxy) {
                survey.refused.push(name.clone());
            }
        }
        survey
    }

    /// What the request's sender wants of its connection. Read before [`Survey::remove_refused`], which removes it.
    pub fn wishes(&self, method: &Method, version: Version, headers: &HeaderMap) -> Wishes {
        Wishes {
            websocket: self.upgrade && is_websocket(method, version, headers),
            trailers: self.te && has_token(headers, &TE, "trailers"),
            expects: self.expect,
        }
    }

    /// Removes the hop-by-hop headers, those that `Connection` names, and those that the sender may not say. To be called before the
    /// gateway sets any header: then the sender cannot name what the gateway sets.
    pub fn remove_refused(&self, headers: &mut HeaderMap) {
        if self.connection {
            remove_nominated(headers);
        }
        self.refused.iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// What the sender of a request wants of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Whether the request is one to open a WebSocket.
    pub websocket: bool,
    /// Whether trailers may follow the answer.
    pub trailers: bool,
    /// Whether it waits to be asked for the body.
    pub expects: bool,
}

/// Whether `name` is none of HTTP (RFC 9110, section 5.6.2). The crate `http` takes a quotation mark for a part of a name, so one may have
/// come over HTTP/2; HTTP/1.1 is parsed without.
pub fn is_odd(name: &HeaderName) -> bool {
    name.as_str().contains('"')
}

/// Removes headers whose names are none of HTTP.
pub fn remove_odd(headers: &mut HeaderMap) {
    let odd: Vec<HeaderName> = headers.keys().filter(|name| is_odd(name)).cloned().collect();
    odd.iter().for_each(|name| drop(headers.remove(name)));
}

/// Removes the hop-by-hop headers.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Takes no memory as long as it is empty.
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    own.iter().for_each(|name| drop(headers.remove(name)));
}

/// Removes the headers that `Connection` names.
pub fn remove_nominated(headers: &mut HeaderMap) {
    nominated(tokens(headers, &CONNECTION)).iter().for_each(|name| drop(headers.remove(name)));
}

/// What the elements of `Connection` name, without what they cannot.
fn nominated<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Vec<HeaderName> {
    elements
        // Those go anyhow. `close` is no name of a header.
        .filter(|element| !Meaning::of(element).is_some_and(Meaning::is_hop_by_hop) && *element != b"close")
        .filter_map(|element| HeaderName::from_bytes(element).ok())
        // Claims are removed by who makes them. A proxy may have passed its client's `Connection: X-Forwarded-For`.
        .filter(|name| !NEVER_NOMINATED.contains(name) && claims::of(name.as_str()).is_none())
        .collect()
}

/// Removes from an answer what concerns only the connection to the upstream.
pub fn clean_answer(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove_hop_by_hop(headers);
}

/// The same for an answer as it came, and what the gateway says itself.
pub fn clean_as_came(came: &mut AsCame) {
    let nominated = nominated(elements(came.values(Meaning::Connection)));
    let is = |name: &[u8], other: &HeaderName| name.eq_ignore_ascii_case(other.as_ref());
    came.clean(|name| is(name, &REQUEST_ID) || nominated.iter().any(|other| is(name, other)));
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    Meaning::of(name.as_ref()).is_some_and(Meaning::is_hop_by_hop)
}

/// Makes one field of the cookies that HTTP/2 may send in several (RFC 9113, section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Whether a request is one to open a WebSocket (RFC 6455, section 4.1). No other upgrade is offered to the upstream.
fn is_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let mut upgrades = tokens(headers, &UPGRADE);
    version == Version::HTTP_11
        && method == Method::GET
        && has_token(headers, &CONNECTION, "upgrade")
        && upgrades.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
}

/// Sets `Connection: upgrade` and `Upgrade: websocket`, in either direction.
pub fn set_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// The client's request id, if it is short and visible ASCII; else a new one.
pub fn request_id(headers: &HeaderMap, random: &Random) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let id = random.uuid();
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
            .expect("a UUID is visible ASCII")
    })
}

/// The frame of a body. If it is one of trailers, without those that must not come after the body.
pub fn clean_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        sanitise_trailers(trailers);
    }
    frame
}

fn sanitise_trailers(trailers: &mut HeaderMap) {
    remove_nominated(trailers);
    remove_hop_by_hop(trailers);
    remove_odd(trailers);
    claims::remove(trailers, false);
    REFUSED_TRAILERS.iter().for_each(|name| drop(trailers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn hop_by_hop_and_nominated_headers_go() {
        let mut headers = map(&[
            ("connection", "close, X-Secret"),
            ("connection", "content-length, host, bad name"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("host", "a"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        remove_nominated(&mut headers);
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length", "host"]);
    }

    #[test]
    fn what_the_gateway_relies_on_cannot_be_nominated() {
        let mut headers = map(&[
            ("connection", "x-request-id, via, cdn-loop, traceparent, x-forwarded-for, host"),
            ("x-request-id", "1"),
            ("via", "1.1 a"),
            ("cdn-loop", "a"),
            ("traceparent", "1"),
            ("x-forwarded-for", "1"),
            ("host", "a"),
        ]);
        remove_nominated(&mut headers);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn only_a_plain_websocket_request_is_one() {
        let is = |pairs: &[(&str, &str)]| is_websocket(&Method::GET, Version::HTTP_11, &map(pairs));
        assert!(is(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!is(&[("upgrade", "websocket")]));
        assert!(!is(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")]));
        assert!(!is(&[("connection", "upgrade"), ("upgrade", "h2c")]));
    }

    #[test]
    fn request_ids_are_taken_over_or_made() {
        let random = Random::seeded(1);
        let given = |id: &str| request_id(&map(&[("x-request-id", id)]), &random);
        assert_eq!(given("abc"), "abc");
        assert_eq!(given(&"a".repeat(REQUEST_ID_MAX)).len(), REQUEST_ID_MAX);
        for refused in ["", "a b", &"a".repeat(REQUEST_ID_MAX + 1)] {
            assert_eq!(given(refused).len(), 36, "{refused}");
        }
        let made = request_id(&HeaderMap::new(), &random);
        assert!(made.len() == 36 && made != request_id(&HeaderMap::new(), &random));
    }
}
