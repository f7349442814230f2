//! What is known of a client's connection while it is open. Shared by its bytes (`client_io`), the task that serves it
//! (`serving`), the handlers of its requests and the bodies of their answers. It knows none of them.

use std::{
    cell::Cell,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderValue;
use listener::{InFlight, Seat};

use super::framing::Findings;

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The client's address; of a connection that a load balancer passes on by the PROXY protocol, the one that it states.
    pub peer: SocketAddr,
    /// Whether it is TLS.
    pub https: bool,
    /// The server name that the client asked for in TLS, in lower case.
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
    /// Shared with the handlers of its requests.
    pub signals: Arc<Signals>,
    /// Its place among the connections to the port.
    pub seat: Arc<Seat>,
    requests: Cell<u64>,
}

/// What the connection and the handlers of its requests tell each other.
#[derive(Debug, Default)]
pub struct Signals {
    /// What was noticed about the client's bytes that hyper does not report.
    pub findings: Findings,
    /// Whether the connection ends with a reset, so that a body without a length cannot look complete.
    reset: AtomicBool,
}

impl Signals {
    /// Makes the connection end with a reset.
    pub fn reset_at_end(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// Whether the connection is to end with a reset.
    pub fn resets_at_end(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }
}

impl ClientConnection {
    /// A connection without a request so far.
    pub fn new(arrival: Arrival, seat: Seat) -> Self {
        Self { arrival, signals: Arc::default(), seat: Arc::new(seat), requests: Cell::default() }
    }

    /// Begins a request. Returns its index on this connection, from 0.
    pub fn begin(&self) -> (u64, InFlight) {
        let index = self.requests.get();
        self.requests.set(index + 1);
        (index, self.seat.begin())
    }
}
