//! One running service: its listeners and tasks start together and drain together.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, middleware::from_fn_with_state};
use ids::{Region, ServiceName};
use listener::{Balancers, Limits, Listener, Options, Protocols};
use rustls::ServerConfig;
use settings::sections::{Certificate, Connections, PeerRegion, Telemetry};
use telemetry::{Guard, Metrics, Unexported};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    Identity, client,
    readiness::{self, Phase, Readiness, Weight},
    regions,
};

/// How long requests under way may take to finish once a drain has begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// A condition of readiness that has to be asked for is asked for this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time that one such check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// What the public API and the operator's port speak. An answer may have megabytes, so few may wait on one connection.
const REQUESTS: Protocols = Protocols::Http { streams_max: 32 };
/// What services speak with each other. A service has one connection to another for all its requests.
const STREAMS: Protocols = Protocols::Streams { streams_max: 1024 };

/// A service that starts: listeners, tasks and conditions of readiness are added to it, then it runs.
pub struct Process {
    /// Cancelled when the process is to stop. Every task ends soon after.
    pub drain: CancellationToken,
    /// What `/readyz` answers.
    pub readiness: Readiness,
    metrics: Metrics,
    limits: Limits,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    _telemetry: Guard,
}

impl Process {
    /// Starts logs, traces and metrics, and listens for SIGTERM and SIGINT. `connections`: what those to each of its ports may
    /// cost.
    pub fn start(
        name: ServiceName,
        telemetry: &Telemetry,
        connections: &Connections,
    ) -> anyhow::Result<Self> {
        listener::raise_open_files();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let guard = telemetry::init(name.as_str(), telemetry, Unexported::Relayed)?;
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
        Ok(Self {
            drain,
            readiness: Readiness::default(),
            metrics,
            limits: Limits::from(connections),
            tasks: JoinSet::new(),
            _telemetry: guard,
        })
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
        let listener = self.listen("operator", address, None, Balancers::default()).await?;
        // Answers until the process ends, so that a drain can be watched.
        tokio::spawn(listener.serve(router, REQUESTS, CancellationToken::new()));
        Ok(())
    }

    /// Serves the public API over HTTPS with the certificate in `files`. Handlers learn their [`web::ClientAddress`]; the edge of
    /// `region`, which shows a certificate of the CA of `identity`, says for whom it asks.
    pub async fn https(
        &mut self,
        address: SocketAddr,
        files: &Certificate,
        identity: &Identity,
        region: &Region,
        router: Router,
    ) -> anyhow::Result<()> {
        let tls = identity.api_server_config(files).context("api_tls")?;
        let listener = self.listen("api", address, Some(tls), Balancers::default()).await?;
        let router = router.layer(from_fn_with_state(region.clone(), client::introduce));
        self.serve("api", listener, router, REQUESTS);
        Ok(())
    }

    /// Serves `router` (HTTPS and gRPC) over mTLS to the same service of the other regions, and to nobody else. Requests
    /// carry their [`Peer`](crate::Peer). Returns the address as bound.
    pub async fn peers(
        &mut self,
        address: SocketAddr,
        identity: &Identity,
        regions: &BTreeMap<Region, PeerRegion>,
        service: ServiceName,
        router: Router,
    ) -> anyhow::Result<SocketAddr> {
        let tls = identity.server_config(regions::verifier(service, regions)?)?;
        let listener = self.listen("peers", address, Some(tls), Balancers::default()).await?;
        let address = listener.address();
        self.serve("peers", listener, regions::introduced(router), STREAMS);
        Ok(address)
    }

    /// Serves gRPC over mTLS to the other services.
    pub async fn internal(
        &mut self,
        address: SocketAddr,
        identity: &Identity,
        routes: Routes,
    ) -> anyhow::Result<()> {
        let tls = identity.internal_server_config()?;
        let listener = self.listen("internal", address, Some(tls), Balancers::default()).await?;
        self.serve("internal", listener, grpc(routes), STREAMS);
        Ok(())
    }

    /// Serves gRPC streams to the nodes of gateways: at most `streams_max` at a time on a connection. `balancers`: who may stand in
    /// front.
    pub async fn sync(
        &mut self,
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        balancers: Balancers,
        streams_max: u32,
        routes: Routes,
    ) -> anyhow::Result<()> {
        let listener = self.listen("sync", address, Some(tls), balancers).await?;
        self.serve("sync", listener, grpc(routes), Protocols::Streams { streams_max });
        Ok(())
    }

    async fn listen(
        &self,
        name: &'static str,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        balancers: Balancers,
    ) -> anyhow::Result<Listener> {
        let options = Options { name, limits: self.limits, tls: tls.map(Into::into), balancers };
        Listener::bind(address, options).await.with_context(|| format!("listen.{name}: {address}"))
    }

    fn serve(&mut self, name: &'static str, listener: Listener, router: Router, protocols: Protocols) {
        let drain = self.drain.clone();
        self.task(name, async move {
            listener.serve(router, protocols, drain).await;
            Ok(())
        });
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

fn grpc(routes: Routes) -> Router {
    routes.into_axum_router().layer(telemetry::grpc_trace_layer())
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
