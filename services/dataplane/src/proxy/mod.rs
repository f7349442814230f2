//! The proxy: takes requests over HTTP/1.1 and HTTP/2, plain or TLS, and sends them to upstreams as the view says.
//!
//! The way of a request: `accept` (a connection of the crate `listener`, version of HTTP) → `serving` (hyper over `client_io`, which
//! watches the framing) → `handler`: `inbound` (refuses what must not pass), `claims` (removes what the client may not say), the
//! view (finds the route), the route's plugins → `forward` (headers, path, answer) → `attempt` (timeouts, retries) → `upstream`
//! (connections, opened by `dial`, to addresses that `guard` allows) → `body` (frames, timeouts). No body is buffered whole. A
//! file uses files that come later on this way, never earlier ones. What all requests share is in `state`, and what the requests
//! of a connection share is in `connection`; neither knows the files on the way.
//!
//! The proxy reads the view through an atomic pointer, and credentials from the store. It writes neither, and does not know
//! where they come from.
//!
//! Deliberate limits: `CONNECT` and `TRACE` are refused. Of upgrades only WebSocket over HTTP/1.1 passes. Interim responses of
//! upstreams are not passed on; `100 Continue` is the gateway's own. A request that frames its body in two ways is refused.

mod accept;
mod attempt;
mod body;
mod claims;
mod client_io;
mod connection;
mod dial;
mod failure;
mod forward;
mod forwarded;
mod framing;
mod guard;
mod handler;
mod headers;
mod inbound;
mod metrics;
mod reads_on;
mod serving;
mod state;
mod target;
mod tls;
mod trace;
mod trust;
mod tunnel;
mod upstream;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use listener::{Balancers, Listener, Options};
use rustls::ServerConfig;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::state::ProxyState;
pub use self::{
    failure::ErrorFormat,
    forwarded::hops,
    guard::Guard,
    state::{HOPS_MAX, Limits},
    trust::Trust,
};
use crate::{
    router::{path::DotSegments, readings::AmbiguousPaths},
    seams::Seams,
    store::Store,
    view::Live,
};

/// Where the proxy listens and what it trusts.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Address for plain HTTP; `None`: off.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS, which needs `tls`; `None`: off.
    pub https: Option<SocketAddr>,
    /// PEM files with the certificate chain and its private key. They are read again when they change.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// PEM file with the CAs that upstreams are verified by, instead of the public ones.
    pub upstream_roots: Option<PathBuf>,
    /// PEM files with the certificate chain that is shown to upstreams which ask for one, and its private key.
    pub upstream_certificate: Option<(PathBuf, PathBuf)>,
    /// How the gateway's own errors are written.
    pub errors: ErrorFormat,
    /// Whether each request gets a span. Only useful where spans are exported.
    pub traces: bool,
    /// What one client may cost.
    pub limits: Limits,
    /// Which proxies in front of the gateway are believed.
    pub trust: Trust,
    /// Which dot segments the paths of requests may have.
    pub dots: DotSegments,
    /// What happens to a path that some upstreams would read as one of another route.
    pub ambiguous_paths: AmbiguousPaths,
    /// How many gateways a request may pass, this one included.
    pub hops_max: usize,
    /// Which addresses upstreams may have. The proxy's own listeners are added.
    pub guard: Guard,
}

impl Default for ProxyOptions {
    /// Nothing is listened on, and nobody trusted.
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            tls: None,
            upstream_roots: None,
            upstream_certificate: None,
            errors: ErrorFormat::default(),
            traces: false,
            limits: Limits::default(),
            trust: Trust::default(),
            dots: DotSegments::default(),
            ambiguous_paths: AmbiguousPaths::default(),
            hops_max: HOPS_MAX,
            guard: Guard::default(),
        }
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Address for plain HTTP, with the real port where 0 was asked for; `None` if it is off.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS, likewise.
    pub https: Option<SocketAddr>,
    ended: JoinHandle<()>,
}

impl Proxy {
    /// Waits until the proxy has drained: every request has ended, or the time for that is over.
    pub async fn ended(self) {
        // An error means that the task panicked; the proxy has ended then too.
        let _ = self.ended.await;
    }
}

/// Opens the listeners and serves until `drain` is cancelled. Then it accepts no more connections, finishes the requests that
/// are under way, and ends after [`Limits::drain_timeout`] at the latest. Returns once the listeners are open.
pub async fn serve(
    options: ProxyOptions,
    live: Live,
    store: Store,
    seams: Seams,
    drain: CancellationToken,
) -> anyhow::Result<Proxy> {
    let roots = options.upstream_roots.as_deref().map(read).transpose()?;
    let own = options.upstream_certificate.as_ref();
    let own = own.map(|(chain, key)| anyhow::Ok((read(chain)?, read(key)?))).transpose()?;
    let own = own.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice()));
    let mut listeners = Vec::new();
    if let Some(address) = options.http {
        listeners.push(bind(address, "http", &options, None).await?);
    }
    let http = listeners.first().map(Listener::address);
    let mut https = None;
    let accepting = TaskTracker::new();
    if let Some(address) = options.https {
        let files = options.tls.as_ref().context("an HTTPS listener needs a certificate and its key")?;
        let certificate = tls::Certificate::load(&files.0, &files.1)?;
        let listener = bind(address, "https", &options, Some(certificate.server_config()?)).await?;
        accepting.spawn(certificate.follow_files(drain.clone()));
        https = Some(listener.address());
        listeners.push(listener);
    }
    let mut guard = options.guard;
    guard.own.extend(http.into_iter().chain(https));
    let state = Arc::new(ProxyState {
        live,
        store,
        random: seams.random,
        clock: seams.clock,
        traces: options.traces,
        clients: upstream::Clients::new(roots.as_deref(), own, guard)?,
        metrics: metrics::Metrics::new(),
        limits: options.limits,
        trust: options.trust,
        dots: options.dots,
        ambiguous_paths: options.ambiguous_paths,
        errors: options.errors,
        hops_max: options.hops_max,
        tasks: TaskTracker::new(),
        drain: drain.clone(),
        kill: CancellationToken::new(),
    });
    for listener in listeners {
        accepting.spawn(accept::accept(listener, state.clone()));
    }
    accepting.close();
    let ended = tokio::spawn(async move {
        drain.cancelled().await;
        accepting.wait().await;
        state.tasks.close();
        if tokio::time::timeout(state.limits.drain_timeout, state.tasks.wait()).await.is_err() {
            tracing::warn!(
                connections = state.tasks.len(),
                "the time for draining is over: the remaining connections are closed"
            );
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

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

async fn bind(
    address: SocketAddr,
    name: &'static str,
    options: &ProxyOptions,
    tls: Option<Arc<ServerConfig>>,
) -> anyhow::Result<Listener> {
    let trust = &options.trust;
    let balancers = Balancers { addresses: trust.proxies.clone(), proxy_protocol: trust.proxy_protocol };
    let limits = options.limits.connections;
    let bound = Listener::bind(address, Options { name, limits, tls, balancers }).await;
    bound.with_context(|| format!("cannot listen on {address}"))
}
