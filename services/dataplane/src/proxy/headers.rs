//! Which headers pass the gateway, in both directions (RFC 9110, section 7.6), and which ones it sets.

use std::net::SocketAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{self, CONNECTION, CONTENT_LENGTH, HOST, TE, UPGRADE, VIA},
};
use http_body::SizeHint;

use crate::plugins::IDENTITY_HEADERS;
use random::Random;

/// Headers of one connection, not of the message. `Trailer` is not among them: it announces trailers, which pass.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    TE,
    header::TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// Names a request across everything that it passes.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// Trailers that could change what the message means, or who sent it, after the gateway has decided on it.
const REFUSED_TRAILERS: [HeaderName; 14] = [
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
];

/// Removes headers by which a client could say who it is or how its request came here. Only `X-Forwarded-For` stays, and the
/// gateway extends it. A `_` in a name counts as `-`, because CGI and its like do not distinguish the two.
pub fn remove_claims(headers: &mut HeaderMap) {
    let is_claim = |name: &HeaderName| {
        let dashed =
            |text: &str| text.len() == name.as_str().len() && text == name.as_str().replace('_', "-");
        let is_underscored = name.as_str().contains('_');
        let matches = |text: &HeaderName| name == text || is_underscored && dashed(text.as_str());
        IDENTITY_HEADERS.iter().any(matches)
            || [FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PREFIX, REAL_IP]
                .iter()
                .any(matches)
            || is_underscored && dashed(FORWARDED_FOR.as_str())
    };
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    claims.iter().for_each(|name| drop(headers.remove(name)));
}

/// Removes the hop-by-hop headers, and those that `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        // `Connection` cannot remove what a message needs to be understood.
        .filter(|name| ![HOST, CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING].contains(name))
        .collect();
    nominated.iter().chain(&HOP_BY_HOP).for_each(|name| drop(headers.remove(name)));
}

/// Whether the list in header `name` has `token`. Case does not matter.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|held| held.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Whether a request is one to open a WebSocket (RFC 6455, section 4.1). No other upgrade is offered to the upstream.
pub fn is_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let mut upgrades = tokens(headers, &UPGRADE);
    version == Version::HTTP_11
        && method == Method::GET
        && has_token(headers, &CONNECTION, "upgrade")
        && upgrades.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
        && upgrades.next().is_none()
}

/// Sets `Connection: upgrade` and `Upgrade: websocket`, in either direction.
pub fn set_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Sets the length that the body really has. So no message leaves with two lengths, or with a wrong one.
pub fn set_length(headers: &mut HeaderMap, size: &SizeHint) {
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = size.exact() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// How a request came to the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The client's address.
    pub peer: SocketAddr,
    /// The port that the client connected to.
    pub local_port: Option<u16>,
    /// Whether it came over TLS.
    pub https: bool,
    /// Its version of HTTP.
    pub version: Version,
    /// Host and port as the client wrote them; empty if it named none.
    pub authority: &'a str,
    /// What was removed from the path.
    pub stripped: Option<&'a str>,
}

/// Tells the upstream how the request came: `X-Forwarded-*`, `X-Real-IP`, `Via`.
pub fn set_forwarded(headers: &mut HeaderMap, hop: &Hop<'_>) {
    let peer = hop.peer.ip().to_canonical().to_string();
    let mut chain = joined(headers, &FORWARDED_FOR);
    if !chain.is_empty() {
        chain.push_str(", ");
    }
    chain.push_str(&peer);
    insert(headers, FORWARDED_FOR, &chain);
    insert(headers, REAL_IP, &peer);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if hop.https { "https" } else { "http" }));
    if let Some(port) = hop.local_port {
        headers.insert(FORWARDED_PORT, HeaderValue::from(port));
    }
    if !hop.authority.is_empty() {
        insert(headers, FORWARDED_HOST, hop.authority);
    }
    if let Some(stripped) = hop.stripped {
        insert(headers, FORWARDED_PREFIX, stripped);
    }
    headers.append(
        VIA,
        HeaderValue::from_static(match hop.version {
            Version::HTTP_10 => "1.0 landbridge",
            Version::HTTP_2 => "2 landbridge",
            _ => "1.1 landbridge",
        }),
    );
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

/// Removes the trailers that must not come after the body.
pub fn sanitise_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    remove_claims(trailers);
    REFUSED_TRAILERS.iter().for_each(|name| drop(trailers.remove(name)));
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> =
        headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}

/// Sets `name`, or removes it if no header can hold `value`. (Values come from checked input, so all can be held.)
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.remove(&name);
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
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
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length", "host"]);
    }

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let mut headers = map(&[
            ("x-consumer-id", "1"),
            ("x_consumer_username", "root"),
            ("x-consumer_custom-id", "1"),
            ("x-credential-identifier", "1"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x_other", "1"),
        ]);
        remove_claims(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-forwarded-for", "x_other"]);
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
