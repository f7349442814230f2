//! Which requests the admin port answers at all. A page in somebody's browser can send requests to any address that the browser
//! reaches, so being able to connect proves nothing.
//!
//! * `Host` must be an address, `localhost`, or a name in the settings. A page that points its own name at this port ("DNS
//!   rebinding") sends its own name. An address cannot be pointed elsewhere, so probes by address are answered.
//! * `Origin`, which browsers send with a page's requests, must be this port's own, or name a host in the settings.
//! * No request may have passed a gateway. A gateway refuses upstreams at its own admin port, and cannot know those of others on
//!   its machine.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use crate::proxy;

/// Who is answered.
#[derive(Debug)]
pub struct Access {
    /// Where the port is open.
    pub listening: SocketAddr,
    /// Further names by which operators reach it, in lower case.
    pub hosts: Vec<String>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("the Host header is neither an address, nor localhost, nor in the setting admin_hosts")]
    Host,
    #[error("requests from pages of another origin are refused, unless the setting admin_hosts names it")]
    Origin,
    #[error("the request has passed a gateway: no route leads to an admin port")]
    Proxied,
}

/// Middleware: answers 403 unless `Host`, `Origin` and the request's way are acceptable.
pub async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            (StatusCode::FORBIDDEN, Json(json!({ "message": refused.to_string() }))).into_response()
        }
    }
}

impl Access {
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut named = None;
        let mut hosts = headers.get_all(header::HOST).into_iter();
        let (host, second) = (hosts.next(), hosts.next());
        let host = host.map(|value| value.to_str().ok().and_then(authority).ok_or(Refused::Host));
        // An absolute target, or `:authority`, counts like the header.
        for given in host.into_iter().chain(uri.authority().cloned().map(Ok)) {
            let given = given?;
            let is_known = address(&given).is_some() || self.knows(&given) || name(&given) == "localhost";
            if second.is_some() || !is_known {
                return Err(Refused::Host);
            }
            named = Some(given);
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().ok().and_then(origin_of).ok_or(Refused::Origin)?;
            if !self.knows(&origin.0) && !self.is_own(&origin, named.as_ref()) {
                return Err(Refused::Origin);
            }
        }
        if proxy::hops(headers) > 0 {
            return Err(Refused::Proxied);
        }
        // Browsers send no `Origin` with an image or a script, and say this.
        let says = |name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
        let is_followed_link = says("sec-fetch-mode", "navigate");
        if says("sec-fetch-site", "cross-site") && !is_followed_link { Err(Refused::Origin) } else { Ok(()) }
    }

    /// Whether an origin is this port itself: the same port, at the host that the request names or at a local one.
    fn is_own(&self, (origin, default_port): &(Authority, u16), named: Option<&Authority>) -> bool {
        let port = origin.port_u16().unwrap_or(*default_port);
        let named_port = named.and_then(Authority::port_u16).unwrap_or(*default_port);
        let is_local = match address(origin) {
            Some(ip) => ip.is_loopback() || ip == self.listening.ip().to_canonical(),
            None => name(origin) == "localhost",
        };
        let is_named = named.is_some_and(|named| name(named) == name(origin));
        (is_local || is_named) && (port == self.listening.port() || port == named_port)
    }

    fn knows(&self, authority: &Authority) -> bool {
        self.hosts.contains(&name(authority))
    }
}

/// Host and port in `text`, without a user.
fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|_| !text.contains('@'))
}

/// Host and port of an origin, and the port that its scheme implies. `None` also for `null`.
fn origin_of(text: &str) -> Option<(Authority, u16)> {
    let (rest, default_port) = match text.split_once("://")? {
        ("http", rest) => (rest, 80),
        ("https", rest) => (rest, 443),
        _ => return None,
    };
    Some((authority(rest)?, default_port))
}

fn name(authority: &Authority) -> String {
    authority.host().trim_end_matches('.').to_ascii_lowercase()
}

fn address(authority: &Authority) -> Option<IpAddr> {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn judged(target: &str, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let access = Access {
            listening: "10.0.0.5:8001".parse().unwrap(),
            hosts: vec!["gateway.internal".to_owned()],
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        access.check(&target.parse().unwrap(), &map)
    }

    #[test]
    fn names_are_refused_unless_they_are_known() {
        for host in [
            "127.0.0.1:8001",
            "10.0.0.5",
            "[::1]:8001",
            "192.0.2.7:30001",
            "localhost:8001",
            "LocalHost",
            "Gateway.Internal:8001",
        ] {
            assert_eq!(judged("/", &[("host", host)]), Ok(()), "{host}");
            assert_eq!(judged(&format!("http://{host}/"), &[]), Ok(()), "{host}");
        }
        assert_eq!(judged("/", &[]), Ok(()), "an old probe names no host; every browser does");
        for host in [
            "evil.example",
            "evil.example:8001",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example@127.0.0.1",
            "2130706433",
            "0x7f.1",
            "a b",
            "",
        ] {
            assert_eq!(judged("/", &[("host", host)]), Err(Refused::Host), "{host}");
        }
        assert_eq!(judged("http://evil.example/", &[("host", "localhost")]), Err(Refused::Host));
        assert_eq!(judged("/", &[("host", "localhost"), ("host", "localhost")]), Err(Refused::Host));
    }

    #[test]
    fn pages_of_other_origins_and_gateways_clients_are_refused() {
        let from = |host: &str, origin: &str| judged("/", &[("host", host), ("origin", origin)]);
        for (host, origin) in [
            ("localhost:8001", "http://localhost:8001"),
            ("127.0.0.1:8001", "http://localhost:8001"),
            ("10.0.0.5:8001", "http://10.0.0.5:8001"),
            ("10.0.0.5", "http://10.0.0.5"),
            ("192.0.2.7:30001", "http://192.0.2.7:30001"),
            ("127.0.0.1:8001", "https://gateway.internal"),
        ] {
            assert_eq!(from(host, origin), Ok(()), "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://evil.example:8001",
            "http://6.6.6.6:8001",
            "http://localhost:3000",
            "http://localhost",
            "file://localhost:8001",
            "http://localhost:8001@evil.example",
            "localhost:8001",
            "",
        ] {
            assert_eq!(from("127.0.0.1:8001", origin), Err(Refused::Origin), "{origin}");
        }
        let through = |via: &str| judged("/", &[("host", "localhost"), ("via", via)]);
        assert_eq!(through("1.0 other, 1.1 landbridge"), Err(Refused::Proxied));
        assert_eq!(through("1.1 other"), Ok(()));
        let fetched = |site: &str, mode: &str| {
            judged("/", &[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)])
        };
        assert_eq!(fetched("cross-site", "no-cors"), Err(Refused::Origin));
        assert_eq!((fetched("cross-site", "navigate"), fetched("none", "navigate")), (Ok(()), Ok(())));
    }
}
