//! Why the stream of a node ends, and what the node is told.

use std::{sync::Arc, time::Duration};

use proto::sync::v1::{PlaneMessage, Refused, plane_message::Message as ToNode};
use sync::limits;

use super::wire::Malformed;
use crate::{enrolment::ca::UnusableRequest, rows::RowError};

/// The wait that a refused node is told, unless there is a reason for another one.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a node is told whose seat another stream has.
pub(super) const SEAT_LOST: &str = "the node was removed, or it has opened another stream";

/// Why a stream ends.
#[derive(Debug)]
pub(super) enum End {
    /// The node is gone, or the stream is.
    Closed,
    /// The node has opened another stream.
    Superseded,
    /// The node is told why, and when it may come back.
    Refused { reason: String, retry_after: Duration },
    /// This service cannot go on. The node is told so, and may come back after [`RETRY_AFTER`].
    Failed(StreamError),
}

impl End {
    pub(super) fn refused(reason: impl Into<String>, retry_after: Duration) -> Self {
        Self::Refused { reason: reason.into(), retry_after }
    }

    /// For a node whose pinned certificate has ended.
    pub(super) fn pin_has_ended() -> Self {
        let reason = "the pinned certificate has ended; pin a new one to the control plane, and give it to the gateway";
        Self::refused(reason, limits::RETRY_AFTER_MAX)
    }
}

/// Tells a node why its stream ends, and when it may come back.
pub(super) fn refused(reason: &str, retry_after: Duration) -> Box<PlaneMessage> {
    let retry_after_seconds = retry_after.as_secs();
    let refused = Refused { reason: reason.to_owned(), retry_after_seconds };
    Box::new(PlaneMessage { message: Some(ToNode::Refused(refused)) })
}

/// What goes wrong in this service while it serves a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Rows(#[from] RowError),
    /// A read that several streams share failed for all of them.
    #[error(transparent)]
    Shared(#[from] Arc<RowError>),
    #[error(transparent)]
    UnusableRequest(#[from] UnusableRequest),
    #[error("this service sends no more snapshots")]
    NoPermits(#[from] tokio::sync::AcquireError),
}

impl<E: Into<StreamError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Malformed> for End {
    fn from(error: Malformed) -> Self {
        Self::refused(error.to_string(), RETRY_AFTER)
    }
}
