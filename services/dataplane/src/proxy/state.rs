//! What all requests of the proxy share. Made by `serve`; used by every file on a request's way.

use std::{sync::Arc, time::Duration};

use random::Random;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{metrics::Metrics, trust::Trust, upstream::Clients};
use crate::{
    router::{path::DotSegments, readings::AmbiguousPaths},
    store::Store,
    view::Live,
};

/// How many gateways a request may pass, this one included, unless set otherwise.
pub const HOPS_MAX: usize = 8;
/// Client connections at the same time.
const CONNECTIONS_MAX: usize = 16_384;
/// Limit of a request's head, and of the wait for the next request on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may pause within its body.
const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may leave bytes of the answer unread.
const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a drain waits for requests to finish.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Client connections at the same time, tunnels included. Further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// How long a client may take for a request's head, and how long a connection may wait for its next request.
    pub head_timeout: Duration,
    /// How long a client may pause within its body.
    pub client_read_timeout: Duration,
    /// How long a client may leave bytes of the answer unread.
    pub client_write_timeout: Duration,
    /// How long a drain waits for requests to finish.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            head_timeout: HEAD_TIMEOUT,
            client_read_timeout: CLIENT_READ_TIMEOUT,
            client_write_timeout: CLIENT_WRITE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// Shared by all connections of a proxy.
pub(super) struct ProxyState {
    /// The view that is served, replaced as a whole by each change.
    pub live: Live,
    /// Where keys are looked up, and whether one is revoked.
    pub store: Store,
    /// Connections to upstreams.
    pub clients: Clients,
    /// Counters and histograms of requests.
    pub metrics: Metrics,
    /// Sizes and durations that no request may go beyond.
    pub limits: Limits,
    /// Which proxies in front of the gateway are believed.
    pub trust: Trust,
    /// Which dot segments paths may have.
    pub dots: DotSegments,
    /// What happens to a path that some upstreams would read as one of another route.
    pub ambiguous_paths: AmbiguousPaths,
    /// How many gateways a request may pass, this one included.
    pub hops_max: usize,
    /// For request ids.
    pub random: Random,
    /// Whether each request gets a span.
    pub traces: bool,
    /// A permit for each connection.
    pub connections: Arc<Semaphore>,
    /// Connections and tunnels.
    pub tasks: TaskTracker,
    /// Cancelled: no new requests, and those under way are finished.
    pub drain: CancellationToken,
    /// Cancelled: the time for draining is over.
    pub kill: CancellationToken,
}
