//! Counts that gateways share, in a server that speaks Redis' protocol.
//!
//! One connection carries everything that a gateway asks of a server. It is opened when it is first needed, and again after a while when it
//! breaks: until then, whoever asks hears at once that nobody can be asked. What a request asks is one round trip.

mod connection;
mod script;
mod synchronizing;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clock::Clock;
use random::Random;
use redis::aio::MultiplexedConnection;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, watch},
    time::timeout,
};

use crate::calls::{Calls, TlsWith};

use super::{Limit, Period, Subject, Table, Taken, Windows};

const FAILURES: &str = "landbridge_counts_shared_failures_total";
/// What is under way beside requests to one server at most. What is more is not counted.
const BESIDE_MAX: usize = 1024;

/// A server, and who the gateway is there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub database: u32,
    pub username: Option<String>,
    pub password: Option<String>,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
    /// `None`: TLS is not spoken.
    pub tls: Option<TlsWith>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, database, .. } = self;
        write!(f, "{host}:{port}/{database}")
    }
}

/// What a gateway gives to those who open connections.
#[derive(Clone)]
pub struct Outside {
    /// Where connections live.
    pub runtime: Handle,
    pub calls: Calls,
    pub random: Random,
    pub clock: Clock,
}

/// The server cannot be asked, or does not answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server of shared counts cannot be asked")]
pub struct Unavailable;

/// Counts in a server.
pub struct Remote {
    server: Server,
    outside: Outside,
    state: watch::Sender<State>,
    is_started: AtomicBool,
    /// Somebody has waited in vain for an answer.
    is_silent: Arc<Notify>,
    beside: Arc<Semaphore>,
    /// What this gateway has counted itself, where the server hears of that only now and then.
    own: Table,
    synchronizes: Option<Duration>,
}

/// Whether there is a connection.
#[derive(Clone)]
enum State {
    /// It is tried for the first time.
    Connecting,
    There(MultiplexedConnection),
    Broken,
}

/// The servers of a gateway. The same server is one, however many plugins name it.
#[derive(Debug, Default)]
pub struct Remotes(Mutex<HashMap<Way, Weak<Remote>>>);

/// A server, and how often it is told of counts, if it is not asked each time.
type Way = (Server, Option<Duration>);

impl Remotes {
    /// Counts in `server`. With `synchronizes`, in this gateway, which tells the server that often.
    pub fn get(
        &self,
        server: Server,
        synchronizes: Option<Duration>,
        outside: impl FnOnce() -> Outside,
    ) -> Arc<Remote> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (server, synchronizes);
        if let Some(remote) = held.get(&key).and_then(Weak::upgrade) {
            return remote;
        }
        held.retain(|_, remote| remote.strong_count() > 0);
        let remote = Arc::new(Remote {
            server: key.0.clone(),
            outside: outside(),
            state: watch::Sender::new(State::Connecting),
            is_started: AtomicBool::new(false),
            is_silent: Arc::new(Notify::new()),
            beside: Arc::new(Semaphore::new(BESIDE_MAX)),
            own: Table::new(Period::Second),
            synchronizes,
        });
        held.insert(key, Arc::downgrade(&remote));
        remote
    }
}

impl Remote {
    /// This gateway's own counts, if the server hears of them only now and then.
    pub fn own(self: &Arc<Self>) -> Option<&Table> {
        self.synchronizes?;
        self.start();
        Some(&self.own)
    }

    /// As [`Table::take`], for all gateways that share the server.
    pub async fn take(
        self: Arc<Self>,
        subject: Subject,
        limits: Box<[Limit]>,
        windows: Windows,
        now_ms: u64,
        amount: u64,
    ) -> Result<Taken, Unavailable> {
        self.ask(|mut connection| async move {
            script::take(&mut connection, subject, &limits, windows, now_ms, amount).await
        })
        .await
    }

    /// As [`Table::add`], beside the request: nobody waits for it.
    pub fn add(self: &Arc<Self>, subject: Subject, limits: &[Limit], now_ms: u64, amount: u64) {
        let Ok(permit) = self.beside.clone().try_acquire_owned() else { return failed() };
        let additions: Vec<_> =
            limits.iter().map(|limit| script::Addition::new(subject, limit.period, now_ms, amount)).collect();
        let remote = self.clone();
        self.outside.runtime.spawn(async move {
            let ask = |mut connection| async move { script::add(&mut connection, &additions).await };
            // It is counted there.
            let _ = remote.ask(ask).await;
            drop(permit);
        });
    }

    /// Asks the server, within its time.
    async fn ask<T, F: Future<Output = redis::RedisResult<T>>>(
        self: &Arc<Self>,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Unavailable> {
        self.start();
        let mut state = self.state.subscribe();
        let asked = async {
            let state = state.wait_for(|state| !matches!(state, State::Connecting)).await;
            let State::There(connection) = state.map_err(|_| Unavailable)?.clone() else {
                return Err(Unavailable);
            };
            question(connection).await.map_err(|error| {
                tracing::debug!(server = ?self.server, %error, "asking for shared counts failed");
                Unavailable
            })
        };
        let answer = timeout(self.server.timeout, asked).await.unwrap_or_else(|_| {
            self.is_silent.notify_waiters();
            Err(Unavailable)
        });
        answer.inspect_err(|_| failed())
    }

    /// Opens the connection, if nobody has.
    fn start(self: &Arc<Self>) {
        if self.is_started.load(Ordering::Relaxed) || self.is_started.swap(true, Ordering::Relaxed) {
            return;
        }
        self.outside.runtime.spawn(connection::hold(Arc::downgrade(self), self.outside.random.clone()));
        if let Some(every) = self.synchronizes {
            self.outside.runtime.spawn(synchronizing::synchronize(Arc::downgrade(self), every));
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.server).finish()
    }
}

fn failed() {
    metrics::counter!(FAILURES).increment(1);
}

/// Names the metrics of this module.
pub fn describe_metrics() {
    metrics::describe_counter!(FAILURES, "Questions to the servers of shared counts that were not answered.");
}
