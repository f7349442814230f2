//! The proxy: takes requests over HTTP/1.1 and HTTP/2, plain or TLS, and sends them to upstreams as the view says.
//!
//! The way of a request: `worker` (one thread per core) → `accept` (a connection of the crate `listener`; `handshakes` says how TLS is spoken
//! on it, `tls` with which certificates) → `version` (of HTTP, by its
//! first bytes) → `serving` (`http1` or hyper over the bytes, and the connection's limits) → `handler`: `inbound` (refuses what must not
//! pass), `claims` (removes what the client may not say), `read_your_write` (waits for a version that the request names), the view (finds the route), `phases` (the route's plugins) → `forward` (headers, path,
//! answer) → `attempt` (timeouts, retries; `spread` says where each goes) → `upstream` (connections, `http1` again) → `body` (frames,
//! timeouts). No body is buffered whole. A file uses files that come later on this way, never earlier ones. What requests share is in
//! `state`: of all threads, and of one. What the requests of a connection share is in `connection`. What operators see of requests is in
//! `telemetry`. None of these knows the files on the way.
//!
//! The proxy reads the view through an atomic pointer, and credentials from the store. It writes neither, and does not know where they
//! come from.
//!
//! What a request costs, kept-alive HTTP/1.1 on both sides and no body: two reads and two writes; no timer, no message between threads or
//! tasks, and no lock but the thread's own on its counts, which whoever reads the metrics takes for an instant; eleven pieces of memory.
//! The client's headers are held once, in a map; what the gateway says itself is written beside them. The fields of an answer go to a client of
//! HTTP/1.1 as they came, in runs of lines, and no map of them is made.
//! 27,000 instructions outside of the kernel with 10,000 routes and keys (counted by callgrind). Whoever adds to this path counts again.
//!
//! Deliberate limits: `CONNECT` and `TRACE` are refused, and so are streams of bytes. Of upgrades only WebSocket over HTTP/1.1 passes.
//! Interim answers pass over HTTP/1.1 only, since hyper cannot send them over HTTP/2. A request that frames its body in two ways is
//! refused.

mod accept;
mod affinity;
mod attempt;
mod body;
mod claims;
mod connection;
mod failure;
mod forward;
mod forwarded;
mod grpc;
mod handler;
mod handshakes;
mod headers;
mod http1;
mod inbound;
mod local;
mod open;
mod phases;
mod read_your_write;
mod request_body;
mod serving;
mod spread;
mod state;
mod target;
mod telemetry;
mod tls;
mod trust;
mod tunnel;
mod upstream;
mod version;
mod worker;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Instant,
};

use anyhow::Context as _;
use futures::future::join_all;
use listener::{Balancers, Bound, Inherited, OpenPort, Options, Tls};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    failure::ErrorFormat,
    forwarded::hops,
    state::{HOPS_MAX, Limits},
    telemetry::{AccessLogOptions, Counters, MetricsOptions},
    trust::Trust,
    upstream::Guard,
};
use self::{
    read_your_write::Served,
    state::Shared,
    telemetry::{AccessLog, LogFile, Recorder},
    upstream::{Dialler, Tls as UpstreamTls},
};
use crate::{
    balancing::{Hosts, Names, Prober},
    router::{path::DotSegments, readings::AmbiguousPaths},
    seams::Seams,
    status::Status,
    store::Store,
    view::{Live, Versions},
};

/// Where the proxy listens and what it trusts.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// How many threads serve requests.
    pub threads: NonZeroUsize,
    /// Address for plain HTTP; `None`: off.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS; `None`: off.
    pub https: Option<SocketAddr>,
    /// Sockets that another process has opened. Those at the two addresses are used.
    pub inherited: Inherited,
    /// PEM files with a certificate chain and its private key, for the names that the configuration has no certificate for. They are
    /// read again when they change.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// PEM file with the CAs that upstreams are verified by, instead of the public ones.
    pub upstream_roots: Option<PathBuf>,
    /// PEM files with the certificate chain that is shown to upstreams which ask for one, and its private key.
    pub upstream_certificate: Option<(PathBuf, PathBuf)>,
    /// How the gateway's own errors are written.
    pub errors: ErrorFormat,
    /// Whether each request gets a span. Only useful where spans are exported.
    pub traces: bool,
    /// The share of the requests without a trace that begin one, from 0 to 1.
    pub trace_sample: f64,
    /// Which requests get a line in the access log, and the file, `-` for the standard output; `None`: there is none.
    pub access_log: Option<(PathBuf, AccessLogOptions)>,
    /// Which metrics there are.
    pub metrics: MetricsOptions,
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
    /// What is served of the control plane; `None` in declarative mode.
    pub status: Option<watch::Receiver<Status>>,
    /// Resolves the hosts of services; `None`: by the hosts file and the system's name servers.
    pub names: Option<Names>,
}

impl Default for ProxyOptions {
    /// Nothing is listened on, and nobody trusted.
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            http: None,
            https: None,
            inherited: Inherited::default(),
            tls: None,
            upstream_roots: None,
            upstream_certificate: None,
            errors: ErrorFormat::default(),
            traces: false,
            trace_sample: 1.0,
            access_log: None,
            metrics: MetricsOptions::default(),
            limits: Limits::default(),
            trust: Trust::default(),
            dots: DotSegments::default(),
            ambiguous_paths: AmbiguousPaths::default(),
            hops_max: HOPS_MAX,
            guard: Guard::default(),
            status: None,
            names: None,
        }
    }
}

/// A running proxy. It drains when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Address for plain HTTP, with the real port where 0 was asked for; `None` if it is off.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS, likewise.
    pub https: Option<SocketAddr>,
    /// What it counts.
    pub counters: Counters,
    /// Checks targets as requests reach them.
    pub prober: Arc<Prober>,
    /// Knows the addresses of hosts.
    pub hosts: Hosts,
    /// Its ports, for another process.
    pub ports: Vec<OpenPort>,
    /// The inherited sockets that are at none of its addresses.
    pub unused: Inherited,
    /// One for each thread.
    ending: Vec<oneshot::Receiver<()>>,
    log: Option<LogFile>,
    drain: DropGuard,
    cut: CancellationToken,
}

impl Proxy {
    /// Drains, unless it does already, and waits until every request has ended. Those that have not when `limit` is over are cut off.
    pub async fn ended(self, limit: impl Future<Output = ()>) {
        let Self { ending, log, drain, cut, .. } = self;
        drop(drain);
        // An error means that the thread has ended.
        let mut ended = pin!(join_all(ending));
        tokio::select! {
            _ = ended.as_mut() => {}
            () = limit => {
                cut.cancel();
                ended.await;
            }
        }
        if let Some(log) = log {
            log.ended().await;
        }
    }
}

/// Opens the listeners and serves until `drain` is cancelled. Then it takes no new connections. Those that are open get an answer to one more
/// request. Returns once connections are accepted.
pub async fn serve(
    mut options: ProxyOptions,
    live: Live,
    store: Store,
    seams: Seams,
    drain: CancellationToken,
) -> anyhow::Result<Proxy> {
    let roots = options.upstream_roots.as_deref().map(read).transpose()?;
    let own = options.upstream_certificate.as_ref();
    let own = own.map(|(chain, key)| anyhow::Ok((read(chain)?, read(key)?))).transpose()?;
    let own = own.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice()));
    let upstream_tls = Arc::new(UpstreamTls::new(roots.as_deref(), own)?);
    let threads = options.threads.get();
    let (drain, cut) = (drain.child_token(), CancellationToken::new());
    let mut shares: Vec<Vec<Bound>> = (0..threads).map(|_| Vec::new()).collect();
    let mut ports = Vec::new();
    let mut listen = |address, name, tls, options: &mut ProxyOptions| -> anyhow::Result<SocketAddr> {
        let bound = bind(address, name, options, tls)?;
        let address = bound.first().context("a port is opened for at least one thread")?.address();
        ports.extend(Bound::port(&bound));
        shares.iter_mut().zip(bound).for_each(|(shares, bound)| shares.push(bound));
        Ok(address)
    };
    let http = options.http.map(|address| listen(address, "http", None, &mut options)).transpose()?;
    let mut https = None;
    if let Some(address) = options.https {
        let files = options.tls.as_ref().map(|(chain, key)| tls::Files::load(chain, key)).transpose()?;
        let shown = tls::Shown { live: live.clone(), files: files.clone() };
        let handshakes = handshakes::Handshakes::new(shown)?;
        let tls = Tls::Chosen(Arc::new(move |hello| handshakes.choose(hello)));
        https = Some(listen(address, "https", Some(tls), &mut options)?);
        if let Some(files) = files {
            tokio::spawn(files.follow(drain.clone()));
        }
    }
    let unused = options.inherited;
    let mut guard = options.guard;
    guard.own.extend(http.into_iter().chain(https));
    let (checked, checked_tls) = (guard.clone(), upstream_tls.clone());
    let prober = Arc::new(Prober {
        allows: Box::new(move |address| checked.check(address).is_ok()),
        tls: Box::new(move |profile| checked_tls.config(profile, Versions::Http1)),
    });
    let hosts = Hosts::new(options.names.unwrap_or_else(|| Names::new(&[])));
    let shared = Arc::new(Shared {
        live,
        store,
        dialler: Dialler { guard, tls: upstream_tls, hosts: hosts.clone() },
        limits: options.limits,
        trust: options.trust,
        served: options.status.map(Served::new),
        dots: options.dots,
        ambiguous_paths: options.ambiguous_paths,
        errors: options.errors,
        hops_max: options.hops_max,
        random: seams.random,
        clock: seams.clock,
        began: Instant::now(),
        traces: options.traces.then_some(options.trace_sample),
        drain: drain.clone(),
        cut: cut.clone(),
    });
    let (counters, mut ending) = (Counters::new(threads, options.metrics), Vec::new());
    let log =
        options.access_log.map(|(path, options)| Ok::<_, anyhow::Error>((LogFile::open(&path)?, options)));
    let (log, lines) = log.transpose()?.map(|((lines, file), options)| (file, (lines, options))).unzip();
    let drain = drain.drop_guard();
    for (number, (shares, tally)) in shares.into_iter().zip(counters.tallies()).enumerate() {
        let log = lines.clone().map(|(lines, options)| AccessLog::new(options, lines, shared.clock.clone()));
        let recorder = Recorder::new(tally.clone(), options.metrics, log);
        ending.push(worker::start(number, shares, shared.clone(), recorder).await?);
    }
    Ok(Proxy { http, https, counters, prober, hosts, ports, unused, ending, log, drain, cut })
}

/// Whether the HTTPS certificate and its key can be read and belong together.
pub fn check_certificate(chain: &Path, key: &Path) -> anyhow::Result<()> {
    tls::Files::load(chain, key).map(drop)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The port, once for each thread.
fn bind(
    address: SocketAddr,
    name: &'static str,
    options: &mut ProxyOptions,
    tls: Option<Tls>,
) -> anyhow::Result<Vec<Bound>> {
    let trust = &options.trust;
    let balancers = Balancers { addresses: trust.proxies.clone(), proxy_protocol: trust.proxy_protocol };
    let limits = options.limits.connections;
    let port = Options { name, limits, tls, balancers };
    let bound = Bound::bind(address, port, options.threads.get(), &mut options.inherited);
    bound.with_context(|| format!("cannot listen on {address}"))
}
