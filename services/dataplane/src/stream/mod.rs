//! Following a control plane: one stream, dialled again whenever it ends.
//!
//! The node opens the connection, shows its certificate and verifies the plane by the region's CA alone, under the
//! region's name, whatever address it dials. Endpoints are tried in turn; waits grow, with full jitter, so that nodes
//! cut off together do not return together.
//!
//! Nothing here touches traffic: what is received goes to the [`Applier`](crate::applier::Applier), which swaps the
//! view; while there is no connection the gateway serves what it holds.

mod connect;
mod outbox;
mod renewal;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

use sync::{backoff::full_jitter, limits};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::session::{End, Session};
use crate::{
    applier::Applier,
    enrol::NodeFiles,
    status::{StreamState, with_control_plane},
};

/// A stream that lived this long counts as a success: the next wait is short again.
const SETTLED_AFTER: Duration = limits::LEASE;

const CONNECTED: &str = "landbridge_sync_connected";
const REVOCATIONS: &str = "landbridge_revocations_total";

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("{0:#}")]
    Credentials(#[from] crate::enrol::EnrolError),
    #[error("the node has no endpoint to dial: enrol it again")]
    NoEndpoints,
    #[error("{endpoint}: {reason}")]
    Unreachable { endpoint: String, reason: String },
    #[error("the control plane closed the stream: {0}")]
    Closed(String),
    #[error("the control plane refuses this node: {0}")]
    Refused(String),
    #[error("the control plane broke the protocol: {0}")]
    Protocol(String),
    #[error("the digest still differs after {0} attempts to resynchronise")]
    NoConvergence(u32),
    #[error(transparent)]
    Apply(#[from] crate::applier::ApplyError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

/// What the client needs besides the applier.
pub struct StreamOptions {
    /// Shown in the control plane's list of nodes.
    pub hostname: String,
    pub files: NodeFiles,
}

/// Follows the control plane until `drain`, then takes leave. Never gives up: every failure is shown in the status, and
/// the next attempt follows.
pub async fn run(applier: Applier, options: StreamOptions, drain: CancellationToken) {
    metrics::describe_gauge!(CONNECTED, "1 while the control plane is followed.");
    metrics::describe_counter!(REVOCATIONS, "Revocations denied.");
    let mut failures = 0_u32;
    // Counts dials, so that each endpoint has its turn.
    let mut turn = 0_usize;
    while !drain.is_cancelled() {
        let started = Instant::now();
        let end = attempt(&applier, &options, turn, &drain).await;
        turn = turn.wrapping_add(1);
        metrics::gauge!(CONNECTED).set(0.0);
        if started.elapsed() >= SETTLED_AFTER {
            failures = 0;
        }
        let at_least = match &end {
            Ok(End::Refused { retry_after, .. }) => (*retry_after).min(limits::RETRY_AFTER_MAX),
            _ => Duration::ZERO,
        };
        let jitter = full_jitter(failures, limits::RECONNECT_MIN, limits::RECONNECT_MAX, rand::random());
        let wait = at_least + jitter;
        failures = failures.saturating_add(1);
        let error = match end {
            Ok(End::Drained) => return,
            Ok(End::Renewed) => None,
            Ok(End::Refused { reason, .. }) => Some(StreamError::Refused(reason)),
            Err(error) => Some(error),
        };
        with_control_plane(applier.status(), |status| status.connection = StreamState::Waiting);
        if let Some(error) = error {
            tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "not following the control plane");
            with_control_plane(applier.status(), |status| status.last_error = Some(error.to_string()));
        }
        tokio::select! {
            () = drain.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn attempt(
    applier: &Applier,
    options: &StreamOptions,
    turn: usize,
    drain: &CancellationToken,
) -> Result<End, StreamError> {
    let credentials = options.files.credentials()?;
    let endpoints = &credentials.sync;
    let endpoint = endpoints.get(turn % endpoints.len().max(1)).ok_or(StreamError::NoEndpoints)?;
    with_control_plane(applier.status(), |status| {
        status.region = Some(credentials.identity.region.clone());
        status.id = Some(credentials.identity.control_plane);
        status.certificate_not_after = Some(credentials.not_after.into());
        status.connection = StreamState::Connecting { endpoint: endpoint.clone() };
    });
    let hello = wire::hello(applier, &credentials, &options.hostname);
    let stream = tokio::select! {
        () = drain.cancelled() => return Ok(End::Drained),
        stream = connect::open(endpoint, &credentials, hello) => stream?,
    };
    tracing::info!(%endpoint, "connected to the control plane");
    Session::new(applier, &options.files, &credentials, endpoint).run(stream, drain).await
}
