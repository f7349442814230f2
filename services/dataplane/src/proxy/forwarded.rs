//! Tells the upstream how a request came: `X-Forwarded-*`, `X-Real-IP`, `Via`.
//!
//! The client's own headers of these names are gone by now ([`super::claims`]). Those of a trusted proxy are here, and kept: it
//! knows how the client came to it.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header::VIA};

use super::{connection::Arrival, trust::Trust};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// How a request came to the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Where its connection comes from.
    pub arrival: &'a Arrival,
    /// Its version of HTTP.
    pub version: Version,
    /// Host and port as the client wrote them; empty if it named none.
    pub authority: &'a HeaderValue,
    /// What was removed from the path.
    pub stripped: Option<&'a str>,
}

/// How this gateway calls itself in `Via`.
const PSEUDONYM: &str = "landbridge";

/// How many gateways a request has passed, as `Via` says: a list of `protocol name`. A client cannot take it away, because
/// `Connection` cannot name `Via`.
pub fn hops(headers: &HeaderMap) -> usize {
    let values = headers.get_all(VIA).into_iter().filter_map(|value| value.to_str().ok());
    let passed = values.flat_map(|value| value.split(','));
    passed.filter(|entry| entry.split_whitespace().nth(1) == Some(PSEUDONYM)).count()
}

/// Whether the client of a request spoke TLS, to the gateway or to a trusted proxy in front of it.
pub fn came_over_tls(headers: &HeaderMap, arrival: &Arrival) -> bool {
    let said = || headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    arrival.https || arrival.is_proxy && said()
}

/// Adds what is told to `own`. What a trusted proxy said, in `headers`, stays; only the list of addresses grows.
pub fn tell(headers: &mut HeaderMap, own: &mut Vec<(HeaderName, HeaderValue)>, hop: &Hop<'_>, trust: &Trust) {
    let Hop { arrival, .. } = hop;
    let (address, port) = &arrival.told;
    let (mut chain, mut client) = (address.clone(), address.clone());
    if arrival.is_proxy {
        let peer = arrival.peer.ip().to_canonical();
        let passed = joined(headers, &FORWARDED_FOR);
        if !passed.is_empty() {
            chain = text(&format!("{passed}, {peer}"));
        }
        client = text(&trust.client(headers, peer).to_string());
        headers.remove(FORWARDED_FOR);
        headers.remove(REAL_IP);
    }
    own.extend([(FORWARDED_FOR, chain), (REAL_IP, client)]);

    let mut say = |name: HeaderName, value: HeaderValue| {
        if !arrival.is_proxy || !headers.contains_key(&name) {
            own.push((name, value));
        }
    };
    say(FORWARDED_PROTO, HeaderValue::from_static(if arrival.https { "https" } else { "http" }));
    if let Some(port) = port {
        say(FORWARDED_PORT, port.clone());
    }
    if !hop.authority.is_empty() {
        say(FORWARDED_HOST, hop.authority.clone());
    }
    if let Some(Ok(stripped)) = hop.stripped.map(HeaderValue::from_str) {
        say(FORWARDED_PREFIX, stripped);
    }
    let via = match hop.version {
        Version::HTTP_10 => "1.0 landbridge",
        Version::HTTP_2 => "2 landbridge",
        _ => "1.1 landbridge",
    };
    match headers.contains_key(VIA) {
        // Behind those of earlier gateways.
        true => drop(headers.append(VIA, HeaderValue::from_static(via))),
        false => own.push((VIA, HeaderValue::from_static(via))),
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> =
        headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}

/// A header of addresses. They come from checked input, so a header can hold them.
fn text(addresses: &str) -> HeaderValue {
    HeaderValue::from_str(addresses).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_counted_among_other_proxies() {
        let mut headers = HeaderMap::new();
        assert_eq!(hops(&headers), 0);
        headers.append(
            VIA,
            HeaderValue::from_static("1.1 landbridge, 1.0 other (landbridge), 2 landbridge (x)"),
        );
        headers.append(VIA, HeaderValue::from_static("HTTP/1.1 landbridge"));
        headers.append(VIA, HeaderValue::from_static("landbridge, 1.1 xlandbridge"));
        assert_eq!(hops(&headers), 3);
    }
}
