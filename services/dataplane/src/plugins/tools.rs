//! What plugins may use of the process that they run in.

use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;
use tokio::runtime::Handle;

use super::{KongMetrics, passwords::Passwords, providers::Providers, proxy_cache::Store as Answers};
use crate::{counters::Counters, deliveries::Deliveries, seams::Seams};

/// Bytes of the answers that are kept, unless set otherwise.
pub const CACHE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Whether a connection may be opened to an address.
type Guard = dyn Fn(SocketAddr) -> bool + Send + Sync;

/// How TLS is spoken to somebody who is verified, or is not.
type SpeaksTls = dyn Fn(bool) -> Option<Arc<ClientConfig>> + Send + Sync;

/// Shared by all plugins of a gateway; outlives every configuration. Cheap to clone.
#[derive(Clone)]
pub struct Tools(Arc<Shared>);

struct Shared {
    seams: Seams,
    runtime: Option<Handle>,
    data_dir: Option<PathBuf>,
    guard: OnceLock<Box<Guard>>,
    cache: Answers,
    passwords: Passwords,
    speaks_tls: OnceLock<Box<SpeaksTls>>,
    counters: Counters,
    deliveries: Deliveries,
    kong_metrics: Arc<KongMetrics>,
    providers: Providers,
}

impl Tools {
    /// Those of a gateway whose data is in the folder `data_dir`, and that keeps answers of `cache_bytes_max` bytes. What plugins do beside
    /// requests runs on `runtime`.
    pub fn new(seams: Seams, runtime: Handle, data_dir: PathBuf, cache_bytes_max: u64) -> Self {
        let (runtime, data_dir) = (Some(runtime), Some(data_dir));
        Self(Arc::new(Shared {
            deliveries: Deliveries::new(runtime.clone(), seams.random.clone()),
            seams,
            runtime,
            data_dir,
            guard: OnceLock::new(),
            cache: Answers::new(cache_bytes_max),
            speaks_tls: OnceLock::new(),
            counters: Counters::default(),
            passwords: Passwords::default(),
            kong_metrics: Arc::default(),
            providers: Providers::default(),
        }))
    }

    /// The answers that are kept.
    pub fn cache(&self) -> &Answers {
        &self.0.cache
    }

    /// Clock and randomness.
    pub fn seams(&self) -> &Seams {
        &self.0.seams
    }

    /// Where that runs which does not belong to one request: sockets, clients, deliveries. The threads of requests wait for it without being
    /// blocked. `None` where nothing is served, as in a check of a configuration.
    pub fn runtime(&self) -> Option<&Handle> {
        self.0.runtime.as_ref()
    }

    /// The folder that the gateway keeps its data in. `None` where nothing is served.
    pub fn data_dir(&self) -> Option<&PathBuf> {
        self.0.data_dir.as_ref()
    }

    /// Checks passwords.
    pub(super) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// What was counted in windows of time.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// What is sent elsewhere beside requests.
    pub fn deliveries(&self) -> &Deliveries {
        &self.0.deliveries
    }

    /// What is counted under Kong's names.
    pub fn kong_metrics(&self) -> &Arc<KongMetrics> {
        &self.0.kong_metrics
    }

    /// The identity providers that are known.
    pub(super) fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// Says which addresses may be called. Once the listeners are open: before, none.
    pub fn guard_by(&self, allows: impl Fn(SocketAddr) -> bool + Send + Sync + 'static) {
        // It is said once, by whoever opens the listeners.
        let _ = self.0.guard.set(Box::new(allows));
    }

    /// Whether a plugin may open a connection to `address`, which somebody's settings name: those that upstreams may not have, it may not
    /// call either.
    pub fn allows(&self, address: SocketAddr) -> bool {
        self.0.guard.get().is_some_and(|allows| allows(address))
    }
}

impl Tools {
    /// Says how TLS is spoken to those whom plugins call. Once it is known.
    pub fn speak_tls_by(&self, speaks: impl Fn(bool) -> Option<Arc<ClientConfig>> + Send + Sync + 'static) {
        // It is said once, by whoever opens the listeners.
        let _ = self.0.speaks_tls.set(Box::new(speaks));
    }

    /// How TLS is spoken, by the CAs that upstreams are verified by if `verify`. `None`: not at all yet.
    pub fn tls(&self, verify: bool) -> Option<Arc<ClientConfig>> {
        self.0.speaks_tls.get().and_then(|speaks| speaks(verify))
    }
}

impl Default for Tools {
    /// For a configuration that is looked at, and not served.
    fn default() -> Self {
        let seams = Seams::system();
        Self(Arc::new(Shared {
            deliveries: Deliveries::new(None, seams.random.clone()),
            seams,
            runtime: None,
            data_dir: None,
            guard: OnceLock::new(),
            cache: Answers::new(CACHE_BYTES_MAX),
            passwords: Passwords::default(),
            speaks_tls: OnceLock::new(),
            counters: Counters::default(),
            kong_metrics: Arc::default(),
            providers: Providers::default(),
        }))
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("data_dir", &self.0.data_dir).finish_non_exhaustive()
    }
}
