//! Where a request of the public API comes from. The region's edge, known by its certificate, says for whom it asks; nobody else is
//! believed.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::Response,
};
use ids::Region;
use listener::Client;
use web::ClientAddress;

use crate::peer::is_edge;

/// The header by which the edge passes on its client's address.
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

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
    let passed = || headers.get(REAL_IP)?.to_str().ok()?.parse().ok();
    is_edge.then(passed).flatten().unwrap_or(client.address)
}
