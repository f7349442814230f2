//! What is known of a client's connection while it is open. Shared by the task that serves it (`serving`) and the handlers of its
//! requests. It knows none of them.

use std::net::SocketAddr;

use http::HeaderValue;
use listener::Seat;

use crate::plugins::ClientCertificate;

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The client's address; of a connection that a load balancer passes on by the PROXY protocol, the one that it states.
    pub peer: SocketAddr,
    /// Whether it is TLS.
    pub https: bool,
    /// The server name that the client asked for in TLS, in lower case and without a dot at its end.
    pub sni: Option<Box<str>>,
    /// Whether `peer` is a proxy that the gateway trusts.
    pub is_proxy: bool,
    /// The address of `peer`, and the port that the client connected to if the kernel says it, as headers tell them to upstreams.
    pub told: (HeaderValue, Option<HeaderValue>),
}

impl Arrival {
    /// What headers tell upstreams of a connection from `peer` to `local_port`.
    pub fn told(peer: SocketAddr, local_port: Option<u16>) -> (HeaderValue, Option<HeaderValue>) {
        let address = HeaderValue::try_from(peer.ip().to_canonical().to_string());
        (address.expect("an address is visible ASCII"), local_port.map(HeaderValue::from))
    }
}

/// What the handlers of a connection's requests know of it.
#[derive(Debug)]
pub struct ClientConnection {
    /// Where it comes from.
    pub arrival: Arrival,
    /// What the client has shown of itself in TLS.
    pub certificate: ClientCertificate,
    /// Its place among the connections to the port.
    pub seat: Seat,
}
