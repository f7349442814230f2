//! Where a request of the public API comes from. The region's edge, known by its certificate, says for whom it asks; nobody else is
//! believed.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, request::Parts},
    middleware::Next,
    response::Response,
};
use ids::Region;
use listener::Client;
use web::{ClientAddress, ForwardedFor};

use crate::{Peer, peer::is_edge};

/// The header by which the edge passes on its client's address.
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The header by which a region that forwards a request passes on its client's address. Only other regions are believed.
pub(crate) const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("landbridge-client-address");

/// Where a request comes from: as the listener of the public API has seen it, or, of a request that another region has forwarded, as
/// that region says. `None` if nobody says it.
pub fn client_address(parts: &Parts) -> Option<ClientAddress> {
    if let Some(address) = parts.extensions.get::<ClientAddress>() {
        return Some(*address);
    }
    parts.extensions.get::<Peer>()?;
    forwarded_for(&parts.headers).map(|ForwardedFor(address)| ClientAddress(address))
}

/// For whom another region forwards a request with these headers. Only a peer is to be believed.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> Option<ForwardedFor> {
    let passed: IpAddr = headers.get(CLIENT_ADDRESS)?.to_str().ok()?.parse().ok()?;
    Some(ForwardedFor(passed.to_canonical()))
}

/// Middleware: tells handlers the [`ClientAddress`].
pub(crate) async fn introduce(State(region): State<Region>, mut request: Request, next: Next) -> Response {
    if let Some(client) = request.extensions().get::<Client>() {
        let address = address(client, request.headers(), &region);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

fn address(client: &Client, headers: &HeaderMap, region: &Region) -> IpAddr {
    let is_edge = client.certificate.as_ref().is_some_and(|certificate| is_edge(certificate, region));
    let passed = || headers.get(REAL_IP)?.to_str().ok()?.parse::<IpAddr>().ok();
    is_edge.then(passed).flatten().map_or(client.address, |passed| passed.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::testing::{Authority, region};

    #[test]
    fn only_another_region_says_for_whom_it_forwards() {
        let request = axum::http::Request::builder().header(CLIENT_ADDRESS, "198.51.100.7").body(());
        let (mut parts, ()) = request.expect("a request").into_parts();
        assert_eq!(client_address(&parts), None, "anybody can send the header");
        parts.extensions.insert(Peer { region: region("eu"), service: ids::ServiceName::Identity });
        assert_eq!(
            client_address(&parts).map(|address| address.0.to_string()).as_deref(),
            Some("198.51.100.7")
        );
        parts.extensions.insert(ClientAddress([192, 0, 2, 1].into()));
        assert_eq!(client_address(&parts).map(|address| address.0.to_string()).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn only_the_regions_edge_says_for_whom_it_asks() {
        let (authority, own) = (Authority::new(), region("us"));
        let of = |name: &str| {
            let id = format!("spiffe://landbridge/region/{name}");
            authority.certificate("edge.us.landbridge.internal", &id)
        };
        let asked = |certificate, passed: &[&str]| {
            let client = Client { address: [192, 0, 2, 1].into(), certificate };
            let mut headers = HeaderMap::new();
            for value in passed {
                headers.append(REAL_IP, HeaderValue::from_str(value).expect("a value"));
            }
            address(&client, &headers, &own).to_string()
        };
        assert_eq!(asked(Some(of("us/service/edge")), &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(asked(Some(of("us/service/edge")), &["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(asked(None, &["198.51.100.7"]), "192.0.2.1");
        for other in
            ["eu/service/edge", "us/service/config", "us/service/operator", "us/control-plane/1/node/edge"]
        {
            assert_eq!(asked(Some(of(other)), &["198.51.100.7"]), "192.0.2.1", "{other}");
        }
        for unusable in [&["edge"][..], &["198.51.100.7, 198.51.100.8"], &[]] {
            assert_eq!(asked(Some(of("us/service/edge")), unusable), "192.0.2.1", "{unusable:?}");
        }
    }
}
