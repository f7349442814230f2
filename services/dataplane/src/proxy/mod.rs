//! The proxy: takes HTTP/1.1 and HTTP/2, plain and TLS, and sends it to upstreams as the view says.
//!
//! Order of a request: `listener` (accepted, TLS, protocol) → `serving` (hyper over `client_io`: bytes, framing) → `handler`:
//! `inbound` (what must not pass), the view (route), the route's plugins → `forward` (headers, path, answer) → `attempt`
//! (time, repetition) → `body` (frames, timed). Nothing is buffered whole. A file takes names from files later in this order,
//! never from earlier ones: what the parts of a connection share is in `connection`, which knows none of them.
//!
//! It reads the view through an atomic pointer and credentials through the store; it never writes either, and it does not
//! know where they come from.
//!
//! Deliberate limits: `CONNECT` and `TRACE` are refused; of upgrades only WebSocket over HTTP/1.1 passes; interim responses
//! of upstreams end here, `100 Continue` is the gateway's own; requests that frame their body twice are refused.

mod attempt;
mod body;
mod client_io;
mod connection;
mod failure;
mod forward;
mod framing;
mod handler;
mod headers;
mod inbound;
mod listener;
mod metrics;
mod serving;
pub(crate) mod target;
mod tls;
mod tunnel;
mod upstream;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{store::Store, view::Live};

/// Client connections held at the same time by default.
pub const CONNECTIONS_MAX: usize = 16_384;
/// How long a client may take for a request's head, and how long a connection may wait for its next request.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may pause within its body.
pub const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may leave written bytes unread.
pub const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a drain waits for requests to finish.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the proxy listens and what it trusts.
#[derive(Clone, Debug, Default)]
pub struct ProxyOptions {
    pub http: Option<SocketAddr>,
    /// Needs `tls`.
    pub https: Option<SocketAddr>,
    /// PEM files: certificate chain, private key. Followed when they change.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// PEM certificates that upstreams are verified against, in place of the public roots.
    pub upstream_roots: Option<PathBuf>,
    pub limits: Limits,
}

/// What one client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    pub head_timeout: Duration,
    pub client_read_timeout: Duration,
    pub client_write_timeout: Duration,
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

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// As bound: real ports where 0 was asked for.
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    ended: JoinHandle<()>,
}

impl Proxy {
    /// Resolves when, after `drain`, every request has ended or the drain's time is up.
    pub async fn ended(self) {
        // The task does not panic; if it did, the proxy has ended all the same.
        let _ = self.ended.await;
    }
}

/// What all connections share.
struct ProxyState {
    live: Live,
    store: Store,
    clients: upstream::Clients,
    metrics: metrics::Metrics,
    limits: Limits,
    connections: Arc<Semaphore>,
    /// Connections and tunnels.
    tasks: TaskTracker,
    /// No new requests; finish those in flight.
    drain: CancellationToken,
    /// The drain's time is up.
    kill: CancellationToken,
}

/// Binds the listeners and serves until `drain` is cancelled; then accepts nothing, finishes what is in flight, and ends
/// after [`Limits::drain_timeout`] at the latest. Returns once the listeners are bound.
pub async fn serve(
    options: ProxyOptions,
    live: Live,
    store: Store,
    drain: CancellationToken,
) -> anyhow::Result<Proxy> {
    let roots = match &options.upstream_roots {
        Some(path) => {
            Some(std::fs::read(path).with_context(|| format!("upstream roots {}", path.display()))?)
        }
        None => None,
    };
    let state = Arc::new(ProxyState {
        live,
        store,
        clients: upstream::Clients::new(roots.as_deref())?,
        metrics: metrics::Metrics::new(),
        limits: options.limits,
        connections: Arc::new(Semaphore::new(options.limits.connections_max)),
        tasks: TaskTracker::new(),
        drain: drain.clone(),
        kill: CancellationToken::new(),
    });
    let (mut http, mut https) = (None, None);
    let accepting = TaskTracker::new();
    if let Some(address) = options.http {
        let (listener, bound) = bind(address).await?;
        http = Some(bound);
        accepting.spawn(listener::accept(listener, None, state.clone()));
    }
    if let Some(address) = options.https {
        let (chain, key) =
            options.tls.as_ref().context("an HTTPS listener needs a certificate and its key")?;
        let certificate = tls::Certificate::load(chain, key)?;
        let acceptor = TlsAcceptor::from(certificate.server_config()?);
        let (listener, bound) = bind(address).await?;
        https = Some(bound);
        accepting.spawn(certificate.follow_files(drain.clone()));
        accepting.spawn(listener::accept(listener, Some(acceptor), state.clone()));
    }
    accepting.close();
    let ended = tokio::spawn(async move {
        drain.cancelled().await;
        accepting.wait().await;
        state.tasks.close();
        if tokio::time::timeout(state.limits.drain_timeout, state.tasks.wait()).await.is_err() {
            tracing::warn!(connections = state.tasks.len(), "drain: time is up, closing what is left");
            state.kill.cancel();
            state.tasks.wait().await;
        }
    });
    Ok(Proxy { http, https, ended })
}

/// Whether the HTTPS certificate and its key can be read and belong together.
pub fn check_certificate(chain: &Path, key: &Path) -> anyhow::Result<()> {
    tls::Certificate::load(chain, key).map(drop)
}

async fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
