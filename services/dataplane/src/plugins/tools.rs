//! What plugins may use of the process that they run in.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

use super::{KongMetrics, passwords::Passwords, providers::Providers, proxy_cache::Store as Answers};
use crate::{calls::Calls, counters::Counters, deliveries::Deliveries, seams::Seams};

/// Bytes of the answers that are kept, unless set otherwise.
pub const CACHE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Shared by all plugins of a gateway; outlives every configuration. Cheap to clone.
#[derive(Clone)]
pub struct Tools(Arc<Shared>);

struct Shared {
    seams: Seams,
    runtime: Option<Handle>,
    data_dir: Option<PathBuf>,
    calls: Calls,
    cache: Answers,
    passwords: Passwords,
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
            calls: Calls::default(),
            cache: Answers::new(cache_bytes_max),
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

    /// How others are called.
    pub fn calls(&self) -> &Calls {
        &self.0.calls
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
            calls: Calls::default(),
            cache: Answers::new(CACHE_BYTES_MAX),
            passwords: Passwords::default(),
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
