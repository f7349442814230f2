//! What all requests of the proxy share. Made by `serve`; used by every file on a request's way.

use std::time::Duration;

use clock::Clock;
use random::Random;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{failure::ErrorFormat, metrics::Metrics, trust::Trust, upstream::Clients};
use crate::{
    router::{path::DotSegments, readings::AmbiguousPaths},
    store::Store,
    view::Live,
};

/// How many gateways a request may pass, this one included, unless set otherwise.
pub const HOPS_MAX: usize = 8;
/// How long a drain waits for requests to finish.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the connections to each port, tunnels included.
    pub connections: listener::Limits,
    /// How long a drain waits for requests to finish.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: listener::Limits::default(), drain_timeout: DRAIN_TIMEOUT }
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
    /// How the gateway's own errors are written.
    pub errors: ErrorFormat,
    /// How many gateways a request may pass, this one included.
    pub hops_max: usize,
    /// For request ids.
    pub random: Random,
    /// Ends credentials at their time.
    pub clock: Clock,
    /// Whether each request gets a span.
    pub traces: bool,
    /// Connections and tunnels.
    pub tasks: TaskTracker,
    /// Cancelled: no new requests, and those under way are finished.
    pub drain: CancellationToken,
    /// Cancelled: the time for draining is over.
    pub kill: CancellationToken,
}
