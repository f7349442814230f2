//! What the requests of a proxy share: all of them ([`Shared`]), and those of one thread ([`Worker`]).

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::Cache;
use clock::Clock;
use random::Random;
use tokio_util::sync::CancellationToken;

use super::{
    failure::ErrorFormat,
    http1::Date,
    open::Open,
    read_your_write::Served,
    telemetry::Recorder,
    trust::Trust,
    upstream::{Dialler, Pool},
};
use crate::{
    plugins::Identities,
    router::{path::DotSegments, readings::AmbiguousPaths},
    store::Store,
    view::{Live, View},
};

/// How many gateways a request may pass, this one included, unless set otherwise.
pub const HOPS_MAX: usize = 8;
/// How long a connection waits for its last request in a drain, unless set otherwise.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the connections to each port, tunnels included.
    pub connections: listener::Limits,
    /// How long a connection without a request waits for its last one in a drain.
    pub last_request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: listener::Limits::default(), last_request_timeout: LAST_REQUEST_TIMEOUT }
    }
}

/// Shared by all threads of a proxy. Nothing in it is written while requests are served, but for the view.
pub(super) struct Shared {
    /// The view that is served, replaced as a whole by each change.
    pub live: Live,
    /// Where keys are looked up, and whether one is revoked.
    pub store: Store,
    /// Opens connections to upstreams.
    pub dialler: Dialler,
    /// Sizes and durations that no request may go beyond.
    pub limits: Limits,
    /// Which proxies in front of the gateway are believed.
    pub trust: Trust,
    /// What is served of the control plane; `None` in declarative mode, in which tokens are none of the gateway's business.
    pub served: Option<Served>,
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
    /// When the proxy began.
    pub began: Instant,
    /// Whether requests get spans, and the share of those without a trace that begin one.
    pub traces: Option<f64>,
    /// Cancelled: no new connections, one more request on each that is open, and what is under way is finished.
    pub drain: CancellationToken,
    /// Cancelled: what is still under way is cut off.
    pub cut: CancellationToken,
}

/// One thread of a proxy: what its requests share without a lock.
pub(super) struct Worker {
    /// What it shares with the other threads.
    pub shared: Arc<Shared>,
    /// Its connections to upstreams that are free.
    pub pool: Rc<Pool>,
    /// For the records of its requests.
    pub recorder: Rc<Recorder>,
    /// Its connections to clients.
    pub open: Rc<Open>,
    /// For its answers.
    pub date: Date,
    /// Who sends requests, as far as it knows.
    pub identities: Identities,
    view: RefCell<Cache<Live, Arc<View>>>,
}

impl Worker {
    /// A thread without a connection.
    pub fn new(shared: Arc<Shared>, recorder: Recorder) -> Self {
        let view = RefCell::new(Cache::new(shared.live.clone()));
        let live = shared.live.clone();
        let opening = move || live.load().key().cloned();
        let identities = Identities::new(shared.store.clone(), opening, shared.random.bytes());
        let date = Date::new(shared.clock.clone());
        let recorder = Rc::new(recorder);
        Self { shared, date, pool: Rc::default(), recorder, open: Rc::default(), identities, view }
    }

    /// Calls `read` with the view that is served now.
    pub fn view<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(self.view.borrow_mut().load())
    }
}
