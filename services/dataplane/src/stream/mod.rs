//! The node's end of the stream: follows a control plane over one connection, and dials again whenever it ends.
//!
//! The node opens the connection and shows its certificate. It verifies the control plane by the region's CA alone, under
//! the region's name, whatever address it dials. Endpoints are tried one after the other. The waits between attempts grow
//! and are random (full jitter), so that nodes that were cut off together do not return together.
//!
//! Nothing here touches traffic: what is received goes to the [`Applier`], which swaps the view. Without a connection the
//! gateway serves what it holds. Called by the gateway.

mod connect;
mod health;
mod outbox;
mod received;
mod renewal;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod wire;
mod work;

use std::{sync::Arc, time::Duration};

use pace::Redial;
use sync::limits;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::connect::{Dial, Network, PlaneStream};
use self::session::{End, Session};
use crate::{
    applier::Applier,
    enrol::NodeFiles,
    settings::SyncMode,
    status::{StreamState, with_control_plane},
};

const CONNECTED: &str = "landbridge_sync_connected";
const REVOCATIONS: &str = "landbridge_revocations_total";
const CERTIFICATE: &str = "landbridge_node_certificate_expiry_timestamp_seconds";

/// Why a stream ended, or could not be opened. The node tries again after each of them.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The node's certificate or key cannot be read.
    #[error("{0:#}")]
    Credentials(#[from] crate::enrol::EnrolError),
    /// The answer to the enrolment named no address.
    #[error("the node has no endpoint to dial: enrol it again")]
    NoEndpoints,
    /// No connection, or one that the node does not trust.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// The address that the node dialled.
        endpoint: String,
        /// The error with its causes.
        reason: String,
    },
    /// The stream was open and has ended.
    #[error("the control plane closed the stream: {0}")]
    Closed(String),
    /// The control plane does not want this node now.
    #[error("the control plane refuses this node: {0}")]
    Refused(String),
    /// A message that the protocol does not allow.
    #[error("the control plane broke the protocol: {0}")]
    Protocol(String),
    /// Deltas failed again and again.
    #[error("the configuration still differs from the control plane's after {0} attempts to resynchronise")]
    NoConvergence(u32),
    /// A change could not be applied.
    #[error(transparent)]
    Apply(#[from] crate::applier::ApplyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

impl StreamError {
    /// Whether the reason is in this node, such as a full disk: the control plane would not know of it.
    fn is_own(&self) -> bool {
        matches!(self, Self::Apply(_) | Self::Store(_) | Self::NoConvergence(_))
    }
}

/// What the stream needs besides the applier.
pub struct StreamOptions {
    /// Shown in the control plane's list of nodes.
    pub hostname: String,
    /// The node's certificate and key.
    pub files: NodeFiles,
    /// By which the control plane is reached.
    pub dial: Arc<dyn Dial>,
    /// How changes are taken.
    pub mode: SyncMode,
}

/// Follows the control plane until `drain`, and then tells it that the node leaves. After a failure it tries again, without a
/// limit; the status shows the last failure.
pub async fn run(applier: Applier, options: StreamOptions, drain: CancellationToken) {
    metrics::describe_gauge!(CONNECTED, "1 while the stream to the control plane is open.");
    metrics::describe_gauge!(
        CERTIFICATE,
        "When the node's certificate ends. It is renewed after two thirds of its life."
    );
    metrics::describe_gauge!(
        work::SNAPSHOT,
        "How much has arrived of the snapshot that is being received; 1 when none is."
    );
    metrics::describe_counter!(work::SNAPSHOT_ENTITIES, "Entities of snapshots that have arrived.");
    received::describe();
    metrics::describe_counter!(REVOCATIONS, "Revocations received and denied.");
    let mut redial = Redial::new(limits::RECONNECT_MIN, limits::RECONNECT_MAX, limits::LEASE);
    let mut dials = 0_usize;
    let mut own_fault = None;
    while !drain.is_cancelled() {
        let started = Instant::now();
        let end = attempt(&applier, &options, dials, &mut own_fault, &drain).await;
        dials = dials.wrapping_add(1);
        metrics::gauge!(CONNECTED).set(0.0);
        let at_least = match &end {
            Ok(End::Refused { retry_after, .. }) => (*retry_after).min(limits::RETRY_AFTER_MAX),
            Ok(End::Drained | End::Renewed) | Err(_) => Duration::ZERO,
        };
        let wait = redial.wait(started.elapsed(), at_least, applier.seams().random.number());
        let error = match end {
            Ok(End::Drained) => return,
            Ok(End::Renewed) => None,
            Ok(End::Refused { reason, .. }) => Some(StreamError::Refused(reason)),
            Err(error) => Some(error),
        };
        with_control_plane(applier.status(), |status| status.stream = StreamState::Waiting);
        if let Some(error) = error {
            if error.is_own() {
                own_fault = Some(error.to_string());
            }
            tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "the stream to the control plane has ended; the node will dial again after a wait");
            with_control_plane(applier.status(), |status| status.last_error = Some(error.to_string()));
        }
        tokio::select! {
            () = drain.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One dial and, if it succeeds, one stream. The control plane is told of `own_fault`, why the last stream ended, if the reason was the
/// node's.
async fn attempt(
    applier: &Applier,
    options: &StreamOptions,
    dials: usize,
    own_fault: &mut Option<String>,
    drain: &CancellationToken,
) -> Result<End, StreamError> {
    let credentials = options.files.credentials()?;
    let not_after = time::OffsetDateTime::from(credentials.not_after).unix_timestamp();
    metrics::gauge!(CERTIFICATE).set(not_after as f64);
    let endpoints = &credentials.endpoints;
    let endpoint = endpoints.get(dials % endpoints.len().max(1)).ok_or(StreamError::NoEndpoints)?;
    with_control_plane(applier.status(), |status| {
        status.region = Some(credentials.identity.region.clone());
        status.id = Some(credentials.identity.control_plane);
        status.certificate_not_after = Some(credentials.not_after.into());
        status.stream = StreamState::Connecting { endpoint: endpoint.clone() };
    });
    let last_error = own_fault.as_deref().unwrap_or_default();
    let hello = wire::hello(applier, &credentials, options, last_error);
    let stream = tokio::select! {
        () = drain.cancelled() => return Ok(End::Drained),
        stream = options.dial.open(endpoint, &credentials, hello) => stream?,
    };
    *own_fault = None;
    tracing::info!(%endpoint, "connected to the control plane");
    Session::new(applier, options, &credentials, endpoint).run(stream, drain).await
}
