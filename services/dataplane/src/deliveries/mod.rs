//! What plugins send elsewhere beside requests: log entries and spans, over HTTP, TCP, UDP, to syslog, into files.
//!
//! A thread that serves requests hands an entry over ([`Outlet::send`]) and goes on. One queue per plugin entity keeps it ([`queue`]), and
//! a task of the main runtime delivers it in batches to a [`Destination`], again and again while that fails, until the queue's options say
//! that it is lost. What does not fit into a queue is lost too. Whatever becomes of an entry is counted.
//!
//! A queue belongs to the id of its plugin: when the plugin's settings change, what waits is kept, and goes where the new settings say. When
//! the plugin is gone, or the process ends, the queue has [`ENDING_MAX`] to become empty.
//!
//! Knows nothing of requests. Used by plugins.

mod file;
mod http;
mod options;
mod outlet;
mod queue;
mod syslog;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use random::Random;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use self::{
    file::File,
    http::{Encoding, Http, HttpSettings},
    options::{BYTES_MAX, Options},
    outlet::Outlet,
    syslog::{DEV_LOG, Syslog},
    tcp::{Tcp, TcpSettings},
    udp::Udp,
};
use options::Way;
use queue::Queue;

/// How long a queue may go on that nobody fills any more: its plugin is gone, or the process ends.
pub const ENDING_MAX: Duration = Duration::from_secs(5);

const DELIVERIES: &str = "landbridge_deliveries_total";

/// Where a queue's entries go.
pub trait Destination: fmt::Debug + Send + Sync {
    /// Delivers `batch`, which is never empty. Takes a bounded time.
    fn deliver<'a>(&'a self, batch: &'a [Bytes]) -> BoxFuture<'a, Result<(), Failed>>;

    /// How long it keeps something open, such as a connection, when there is nothing to deliver.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Closes what is open. There is nothing to deliver.
    fn rest(&self) {}
}

/// A batch was not delivered, or not whole.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failed {
    /// How many of its first entries were delivered.
    pub delivered: usize,
    /// How many entries after those cannot be delivered without each other: they are lost together.
    pub stuck: usize,
    /// Whether another attempt must fail too.
    pub is_hopeless: bool,
    /// Why. Holds no secret.
    pub cause: String,
}

impl Failed {
    /// Nothing of `batch` was delivered, and it stays together.
    pub fn whole(batch: &[Bytes], cause: impl fmt::Display) -> Self {
        Self { delivered: 0, stuck: batch.len(), is_hopeless: false, cause: cause.to_string() }
    }
}

/// All queues of a gateway. Cheap to clone.
#[derive(Clone)]
pub struct Deliveries(Arc<Shared>);

struct Shared {
    runtime: Option<Handle>,
    random: Random,
    /// Those that somebody fills, by id of the plugin.
    queues: Mutex<HashMap<Uuid, Arc<Queue>>>,
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Deliveries {
    /// Nothing waits. Deliveries are made on `runtime`; without one, nothing is ever delivered: for configurations that are looked at only.
    pub fn new(runtime: Option<Handle>, random: Random) -> Self {
        Self(Arc::new(Shared {
            runtime,
            random,
            queues: Mutex::default(),
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// A way into the queue of the plugin entity `id`, whose plugin is called `plugin`. It counts from its first entry on: what waits goes to
    /// `destination` from then on, by `options`.
    pub fn outlet(
        &self,
        (plugin, id): (&'static str, Uuid),
        options: Options,
        destination: Arc<dyn Destination>,
    ) -> Outlet {
        let mut queues = self.0.queues();
        let queue = queues.entry(id).or_insert_with(|| Arc::new(Queue::new(plugin, &self.0)));
        Outlet::new(self.clone(), id, queue.clone(), Way { options, destination })
    }

    /// Called for an outlet that is dropped.
    fn left(&self, id: Uuid, queue: &Arc<Queue>) {
        let mut queues = self.0.queues();
        if queue.leave() && queues.get(&id).is_some_and(|held| Arc::ptr_eq(held, queue)) {
            queues.remove(&id);
        }
    }

    /// Delivers what waits, for [`ENDING_MAX`] at most. What is handed over from now on is lost.
    pub async fn ended(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        // The tasks end by themselves at that time.
        let _ = timeout(ENDING_MAX + Duration::from_secs(1), self.0.tasks.wait()).await;
    }
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("queues", &self.0.queues().len()).finish_non_exhaustive()
    }
}

/// Names the metrics of this module.
pub fn describe_metrics() {
    metrics::describe_counter!(
        DELIVERIES,
        "Log entries and spans that plugins send elsewhere, by what became of them: delivered, retried (each further attempt), dropped."
    );
}
