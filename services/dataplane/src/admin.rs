//! The operator's port: status, health and metrics. In declarative mode, and if asked for, also the endpoint that takes a
//! configuration.
//!
//! What it shows asks for no credentials: bind it to an address that only operators reach. Pages in their browsers are kept out
//! ([`access`]). Called by the gateway, which owns the status that is shown here.

mod access;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, middleware, routing::get};
use listener::{Bound, Inherited, Limits, Listener, Options, Protocols};
use serde::Serialize;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::access::Access;
use crate::{
    balancing::Groups,
    status::{Readiness, Status},
};

/// How long open requests of operators may delay the end of the process.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A running admin port.
#[derive(Debug)]
pub struct Admin {
    /// As bound: the real port where 0 was asked for.
    pub address: SocketAddr,
    ended: JoinHandle<()>,
}

impl Admin {
    /// Resolves when the port is closed.
    pub async fn ended(self) {
        let _ = self.ended.await;
    }
}

/// Opens the port, which answers nobody yet; on the inherited sockets, if there are some at its address.
pub fn bind(address: SocketAddr, limits: Limits, inherited: &mut Inherited) -> anyhow::Result<Listener> {
    let bound = Bound::bind(address, Options { name: "admin", limits, ..Options::default() }, 1, inherited);
    let only = bound.and_then(|mut bound| bound.pop().ok_or(std::io::ErrorKind::AddrNotAvailable)?.listen());
    only.with_context(|| format!("admin port: cannot listen on {address}"))
}

/// Serves until `stop`. `hosts` are names by which operators reach the port, besides `localhost` and its addresses. `extra`
/// holds further routes, such as `POST /config`.
pub fn serve(
    listener: Listener,
    hosts: &[String],
    status: watch::Receiver<Status>,
    metrics: telemetry::Metrics,
    extra: Option<Router>,
    stop: CancellationToken,
) -> Admin {
    let address = listener.address();
    let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let access = Arc::new(Access { listening: address, hosts });
    let app = router(status, metrics)
        .merge(extra.unwrap_or_default())
        .layer(middleware::from_fn_with_state(access, access::check));
    let ended = tokio::spawn(async move {
        let limit = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            () = listener.serve(app, Protocols::Http { streams_max: 1 }, stop.clone()) => {}
            () = limit => {}
        }
    });
    Admin { address, ended }
}

/// `/status`, `/status/ready`, `/readyz`, `/livez` and `/metrics`.
fn router(status: watch::Receiver<Status>, metrics: telemetry::Metrics) -> Router {
    Router::new()
        .route("/status", get(show))
        .route("/status/ready", get(ready))
        .route("/readyz", get(ready))
        .with_state(status)
        .merge(telemetry::operator_router(metrics))
}

/// `/upstreams`: the upstreams, their targets and which of them take requests.
pub fn upstreams(groups: Groups) -> Router {
    let show = |State(groups): State<Groups>| async move { Json(groups.shown()) };
    Router::new().route("/upstreams", get(show)).with_state(groups)
}

/// What `GET /status` answers.
#[derive(Serialize)]
struct StatusPage {
    #[serde(flatten)]
    status: Status,
    #[serde(flatten)]
    readiness: Readiness,
}

async fn show(State(status): State<watch::Receiver<Status>>) -> Json<StatusPage> {
    // Cloned, so that the watch is not locked while the answer is built.
    let status = status.borrow().clone();
    let readiness = status.readiness();
    Json(StatusPage { status, readiness })
}

/// 200 when ready and 503 when not, both with all conditions as JSON.
async fn ready(State(status): State<watch::Receiver<Status>>) -> (StatusCode, Json<Readiness>) {
    let readiness = status.borrow().readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}
