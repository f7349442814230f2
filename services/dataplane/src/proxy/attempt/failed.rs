//! Attempts that have failed: which may be repeated, what they say of the upstream, and what the client is answered.

use std::{error::Error, io};

use balancer::Observed;

use super::UpstreamRequest;
use crate::proxy::{
    failure::Failure,
    request_body::{self, ClientBroken, RequestBody},
    upstream::{ConnectError, ExchangeError},
};

/// Why an attempt has no answer.
pub enum AttemptError {
    /// There was no connection.
    Connect(ConnectError),
    /// The connection had ended before the request was sent on it.
    NotSent,
    /// The upstream took too long.
    Late,
    /// The connection broke, or what came is not HTTP.
    Http1(ExchangeError),
    /// The same over HTTP/2.
    Http2(hyper::Error),
}

/// An attempt that has failed.
pub struct Failed {
    pub error: AttemptError,
    /// Whether the connection was one that other requests had used.
    pub was_kept: bool,
}

/// Whether the attempt that has `failed` may be made once more.
pub fn may_repeat(
    failed: &AttemptError,
    to_send: &UpstreamRequest,
    body: &RequestBody,
    has_targets: bool,
) -> bool {
    body.is_untouched()
        && match failed {
            AttemptError::Late => false,
            // Of one host, that is all of its addresses.
            AttemptError::Connect(ConnectError::Forbidden(_)) => has_targets,
            AttemptError::Connect(_) | AttemptError::NotSent => true,
            AttemptError::Http1(_) | AttemptError::Http2(_) => {
                to_send.method.is_idempotent() && body.is_empty() && failed.is_closed()
            }
        }
}

impl AttemptError {
    /// Whether the connection broke before an answer.
    fn is_closed(&self) -> bool {
        let broke = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        match self {
            Self::Http1(error) => matches!(error, ExchangeError::Ended(_)),
            Self::Http2(error) => {
                error.is_incomplete_message()
                    || error.is_canceled()
                    || causes(error).any(|cause| {
                        let error = cause.downcast_ref::<io::Error>();
                        error.is_some_and(|error| broke.contains(&error.kind()))
                    })
            }
            Self::Connect(_) | Self::NotSent | Self::Late => false,
        }
    }

    /// What it says of the upstream; `None`: nothing. `was_kept`: the connection was an old one, which upstreams may close at any time.
    pub fn observed(&self, was_kept: bool) -> Option<Observed> {
        match self {
            Self::Late | Self::Connect(ConnectError::Late) => Some(Observed::Timeout),
            Self::Connect(_) => Some(Observed::TcpFailure),
            _ if self.is_of_client() => None,
            Self::NotSent | Self::Http1(ExchangeError::Ended(_)) if was_kept => None,
            Self::Http2(_) if was_kept && self.is_closed() => None,
            Self::Http1(ExchangeError::Invalid(_)) => Some(Observed::HttpFailure),
            Self::NotSent | Self::Http1(_) | Self::Http2(_) => Some(Observed::TcpFailure),
        }
    }

    fn is_of_client(&self) -> bool {
        match self {
            Self::Http1(error) => matches!(error, ExchangeError::Client(_)),
            Self::Http2(error) => causes(error).any(|cause| cause.is::<ClientBroken>()),
            Self::Connect(_) | Self::NotSent | Self::Late => false,
        }
    }
}

/// What the client is answered.
pub fn failure(failed: &AttemptError) -> Failure {
    match failed {
        AttemptError::Connect(error) => {
            tracing::debug!(%error, "an upstream could not be connected to");
            match error {
                ConnectError::Forbidden(forbidden) => Failure::upstream_forbidden(*forbidden),
                ConnectError::Late => Failure::upstream_timeout("no connection to the upstream in time"),
                ConnectError::Tls(_) | ConnectError::NoHttp2 => Failure::upstream_tls(),
                ConnectError::Refused(_) | ConnectError::Http(_) => Failure::upstream_connect(),
            }
        }
        AttemptError::Late => {
            Failure::upstream_timeout("the upstream did not take the request or answer it in time")
        }
        AttemptError::NotSent => Failure::upstream_closed(),
        AttemptError::Http1(error) => {
            tracing::debug!(%error, "an attempt at an upstream failed");
            match error {
                ExchangeError::Client(broken) => request_body::failure(broken),
                ExchangeError::Invalid(_) => invalid(),
                ExchangeError::Ended(_) => Failure::upstream_closed(),
            }
        }
        AttemptError::Http2(error) => {
            let told = causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
            tracing::debug!(error = %told, "an attempt at an upstream failed");
            match causes(error).find_map(|cause| cause.downcast_ref()) {
                Some(broken) => request_body::failure(broken),
                None if error.is_parse() => invalid(),
                None => Failure::upstream_closed(),
            }
        }
    }
}

/// What the upstream sends is not HTTP.
pub fn invalid() -> Failure {
    Failure::upstream_invalid("the upstream's answer is not valid HTTP")
}

/// `error` and its causes.
fn causes(error: &hyper::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| Error::source(*error))
}
