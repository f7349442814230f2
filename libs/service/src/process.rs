//! One running service: its listeners and tasks start together and drain together.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use axum::Router;
use ids::{Region, ServiceName};
use settings::sections::{Certificate, PeerRegion, Telemetry};
use telemetry::{Guard, Metrics};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use crate::{
    Identity,
    listen::TlsListener,
    readiness::{self, Phase, Readiness, Weight},
    regions::PeersListener,
    tls,
};

/// How long requests under way may take to finish once a drain has begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// A condition of readiness that has to be asked for is asked for this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time that one such check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 pings on internal connections: a dead peer is found out after interval and timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A service that starts: listeners, tasks and conditions of readiness are added to it, then it runs.
pub struct Process {
    /// Cancelled when the process is to stop. Every task ends soon after.
    pub drain: CancellationToken,
    /// What `/readyz` answers.
    pub readiness: Readiness,
    metrics: Metrics,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    _telemetry: Guard,
}

impl Process {
    /// Starts logs, traces and metrics, and listens for SIGTERM and SIGINT.
    pub fn start(name: ServiceName, telemetry: &Telemetry) -> anyhow::Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let guard = telemetry::init(name.as_str(), telemetry)?;
        let metrics = telemetry::install_metrics()?;
        let drain = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let signalled = drain.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            signalled.cancel();
        });
        Ok(Self { drain, readiness: Readiness::default(), metrics, tasks: JoinSet::new(), _telemetry: guard })
    }

    /// Runs `task` until the drain. A task that ends earlier, or fails, ends the process.
    pub fn task(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs a task that the process can do without. When it ends, that is logged and the process goes on. Example: the follower
    /// of NATS, whose messages only save time.
    pub fn hint<E: std::fmt::Display>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let drain = self.drain.clone();
        tokio::spawn(async move {
            tokio::select! {
                ended = task => match ended {
                    Ok(()) => tracing::warn!(task = name, "ended; going on without it"),
                    Err(error) => tracing::warn!(task = name, %error, "ended; going on without it"),
                },
                () = drain.cancelled() => {}
            }
        });
    }

    /// Adds a condition of readiness, and checks it every second until the process ends. A check that takes longer than two
    /// seconds has failed.
    pub fn check<F: Future<Output = Result<(), String>> + Send>(
        &self,
        name: &'static str,
        weight: Weight,
        mut check: impl FnMut() -> F + Send + 'static,
    ) {
        let condition = self.readiness.condition(name, weight);
        tokio::spawn(async move {
            let mut ticks = pace::ticks(CHECK_INTERVAL);
            loop {
                ticks.tick().await;
                let checked = timeout(CHECK_TIMEOUT, check()).await;
                condition.report(
                    checked.unwrap_or_else(|_| Err(format!("not within {} s", CHECK_TIMEOUT.as_secs()))),
                );
            }
        });
    }

    /// Serves `/livez`, `/readyz` and `/metrics` over plain HTTP.
    pub async fn operator(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let router =
            telemetry::operator_router(self.metrics.clone()).merge(readiness::router(self.readiness.clone()));
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listen.operator: {address}"))?;
        // Answers until the process ends, so that a drain can be watched.
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(())
    }

    /// Serves the public API over HTTPS.
    pub async fn https(
        &mut self,
        address: SocketAddr,
        files: &Certificate,
        router: Router,
    ) -> anyhow::Result<()> {
        let listener = TlsListener::bind(address, tls::server_config(files)?)
            .await
            .with_context(|| format!("listen.api: {address}"))?;
        let drain = self.drain.clone();
        self.task("api", async move {
            axum::serve(listener, router).with_graceful_shutdown(drain.cancelled_owned()).await?;
            Ok(())
        });
        Ok(())
    }

    /// Serves `router` (HTTPS and gRPC) over mTLS to the same service of the other regions, and to nobody else. Requests
    /// carry their [`Peer`](crate::Peer).
    pub async fn peers(
        &mut self,
        address: SocketAddr,
        identity: &Identity,
        regions: &BTreeMap<Region, PeerRegion>,
        service: ServiceName,
        router: Router,
    ) -> anyhow::Result<()> {
        let listener = PeersListener::bind(address, identity, regions, service).await?;
        self.task("peers", listener.serve(router, self.drain.clone()));
        Ok(())
    }

    /// Serves gRPC over mTLS to the other services.
    pub async fn grpc(
        &mut self,
        address: SocketAddr,
        identity: &Identity,
        routes: Routes,
    ) -> anyhow::Result<()> {
        let tls = identity.tonic_server();
        self.grpc_with("internal", address, tls, None, routes).await
    }

    /// Serves gRPC with another TLS configuration than that between services. `streams_max`: most calls at a time on one connection.
    pub async fn grpc_with(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        tls: tonic::transport::ServerTlsConfig,
        streams_max: Option<u32>,
        routes: Routes,
    ) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listen.{name}: {address}"))?;
        let drain = self.drain.clone();
        let server = Server::builder()
            .tls_config(tls)
            .with_context(|| format!("listen.{name}: certificate"))?
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .tcp_nodelay(true)
            .max_concurrent_streams(streams_max)
            .layer(telemetry::grpc_trace_layer())
            .add_routes(routes);
        self.task(name, async move {
            server
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), drain.cancelled_owned())
                .await?;
            Ok(())
        });
        Ok(())
    }

    /// Runs until a signal, or until a task ends unexpectedly; then drains.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.readiness.enter(Phase::Serving);
        tracing::info!("serving");
        let outcome = tokio::select! {
            // First: with the drain, tasks end too.
            biased;
            () = self.drain.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => unexpected(ended),
        };
        self.readiness.enter(Phase::Draining);
        self.drain.cancel();
        tracing::info!("draining");
        let drained = timeout(DRAIN_TIMEOUT, async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok((name, Err(error))) = ended {
                    tracing::warn!(task = name, %error, "ended with an error");
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!("drain timed out; requests under way are cut off");
        }
        outcome
    }
}

fn unexpected(
    ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>,
) -> anyhow::Result<()> {
    match ended {
        Ok((name, Ok(()))) => anyhow::bail!("task `{name}` ended by itself"),
        Ok((name, Err(error))) => Err(error.context(format!("task `{name}` failed"))),
        Err(error) => Err(anyhow::Error::from(error).context("a task panicked")),
    }
}
