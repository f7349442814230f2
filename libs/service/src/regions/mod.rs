//! Calls between the same service of two regions: how another region is called. Who may call this one: [`listen`].
//!
//! A region's CA proves identities of that region only. A server has to show a certificate that the CA of the called region
//! signed, with the name `<service>.<region>.landbridge.internal`. A client has to show one that the CA of the region named
//! in the certificate signed. Example: eu's CA cannot sign a certificate that passes for a service of us.

mod listen;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use ids::{Region, ServiceName};
pub(crate) use listen::{introduced, verifier};
use rustls::{ClientConfig, RootCertStore};
use settings::sections::PeerRegion;
use telemetry::{TraceContext, TracedChannel};
use tonic::{service::interceptor::InterceptedService, transport::Endpoint};

use crate::{Identity, tls};

/// Longest time until a connection to another region stands, its TLS handshake included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time that one call to another region may take, unless the caller says less.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 pings to other regions: a link on which nothing flows any more is found out after interval and timeout.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The name that the certificate of a service carries for other regions.
pub fn peer_name(service: ServiceName, region: &Region) -> String {
    format!("{service}.{region}.landbridge.internal")
}

/// TLS of any client of `peer` (its NATS, say): that region's CA, this service's certificate.
pub fn peer_client_config(peer: &PeerRegion, identity: &Identity) -> anyhow::Result<ClientConfig> {
    identity.client_config_of(roots(peer)?)
}

/// A connection to `service` in another region, made at first use and again after a loss. Calls carry the current trace.
pub fn peer_channel(
    peer: &PeerRegion,
    region: &Region,
    service: ServiceName,
    identity: &Identity,
) -> anyhow::Result<TracedChannel> {
    let endpoint = endpoint(peer, region, service, identity)?;
    Ok(InterceptedService::new(endpoint.connect_lazy(), TraceContext))
}

fn endpoint(
    peer: &PeerRegion,
    region: &Region,
    service: ServiceName,
    identity: &Identity,
) -> anyhow::Result<Endpoint> {
    roots(peer)?;
    let ca = tls::read(&peer.ca, "regions.<name>.ca")?;
    Ok(Endpoint::from_shared(peer.service.clone())
        .with_context(|| format!("regions.{region}.service: {} is not a URL", peer.service))?
        .tls_config(identity.tonic_client_of(&peer_name(service, region), &ca))
        .with_context(|| format!("regions.{region}: unusable for a client"))?
        .timeout(CALL_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true))
}

/// The CAs of another region.
pub(crate) fn roots(peer: &PeerRegion) -> anyhow::Result<RootCertStore> {
    let pem = tls::read(&peer.ca, "regions.<name>.ca")?;
    tls::roots(&pem).with_context(|| format!("regions.<name>.ca: {}", peer.ca.display()))
}

/// Whether each of `regions` could be dialled and let in.
pub(crate) fn check(
    identity: &Identity,
    service: ServiceName,
    regions: &BTreeMap<Region, PeerRegion>,
) -> anyhow::Result<()> {
    verifier(service, regions)?;
    for (region, peer) in regions {
        endpoint(peer, region, service, identity)?;
    }
    Ok(())
}
