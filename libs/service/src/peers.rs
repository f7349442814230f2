//! Calls between the services of a region: how another service is called, and who may call.

use std::time::Duration;

use anyhow::Context as _;
use ids::{Region, ServiceName};
use telemetry::{TraceContext, TracedChannel};
use tonic::{Request, Status, service::interceptor::InterceptedService, transport::Endpoint};

use crate::{Identity, Peer};

/// Longest time that one call to another service of the region may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to another service, made at first use and again after a loss. Calls carry the current trace.
pub fn channel(url: &str, identity: &Identity) -> anyhow::Result<TracedChannel> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("peers: {url} is not a URL"))?
        .tls_config(identity.tonic_client())
        .context("tls: unusable for a client")?
        .timeout(CALL_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    Ok(InterceptedService::new(endpoint.connect_lazy(), TraceContext))
}

/// The service that made a call, as its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerService(pub ServiceName);

/// Lets a call in only from a service of `region` that is one of `allowed`.
pub fn only_services(
    region: &Region,
    allowed: &'static [ServiceName],
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    let region = region.clone();
    move |mut request| {
        let certificates = request.peer_certs();
        let peer = certificates.as_ref().and_then(|chain| chain.first()).and_then(Peer::of);
        let peer = peer
            .filter(|peer| peer.region == region && allowed.contains(&peer.service))
            .ok_or_else(|| Status::permission_denied("this certificate may not call this service"))?;
        request.extensions_mut().insert(PeerService(peer.service));
        Ok(request)
    }
}
