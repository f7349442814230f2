//! Attempts at an upstream: how long each may take, which are repeated, and what is answered when none succeeds.
//!
//! An attempt is repeated at most as often as the service's `retries` say, and only while nothing of the body has been read.
//! Also, one of two things must hold. Either there was no connection. Or the method is idempotent, the request has no body, and
//! the connection broke before an answer (RFC 9110, section 9.2.2). Example: the upstream closes an idle connection in the
//! moment in which a request is sent on it.

use std::{error::Error, io, pin::pin};

use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, connect::capture_connection};
use tokio::time::{Instant, sleep_until};

use super::{
    body::{Broken, RequestBody},
    failure::Failure,
    guard::Forbidden,
    state::ProxyState,
    upstream::{ConnectTimeout, UpstreamClient},
};
use crate::view::Upstream;

/// What every attempt sends, besides the body.
pub struct UpstreamRequest {
    /// Method of the client's request.
    pub method: Method,
    /// Scheme, host and port of the upstream, with the path and query to ask it for.
    pub uri: Uri,
    /// Without those that concern only the connection to the client.
    pub headers: HeaderMap,
}

/// Why an attempt has no answer.
enum AttemptError {
    /// The upstream took too long; the text says in what.
    Late(&'static str),
    Failed(legacy::Error),
}

/// The upstream's answer, after one or several attempts.
pub async fn send(
    state: &ProxyState,
    client: &UpstreamClient,
    to_send: &UpstreamRequest,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Response<Incoming>, Failure> {
    let mut retries = upstream.retries;
    loop {
        match attempt(client, to_send, body, upstream).await {
            Ok(response) => return Ok(response),
            Err(failed) if retries > 0 && may_repeat(&failed, to_send, body) => {
                retries -= 1;
                state.metrics.retry();
            }
            Err(failed) => return Err(failure(&failed)),
        }
    }
}

async fn attempt(
    client: &UpstreamClient,
    to_send: &UpstreamRequest,
    body: &RequestBody,
    upstream: &Upstream,
) -> Result<Response<Incoming>, AttemptError> {
    let mut request = Request::new(body.begin());
    *request.method_mut() = to_send.method.clone();
    *request.uri_mut() = to_send.uri.clone();
    *request.headers_mut() = to_send.headers.clone();
    let mut captured = capture_connection(&mut request);
    let mut response = pin!(client.request(request));
    tokio::select! {
        biased;
        answered = &mut response => return answered.map_err(AttemptError::Failed),
        _ = captured.wait_for_connection_metadata() => body.connected(),
    }
    loop {
        let deadline = body.deadline(upstream.write_timeout, upstream.read_timeout);
        // The phase may change meanwhile, to one with an earlier deadline.
        let look_again = Instant::now() + upstream.write_timeout.min(upstream.read_timeout);
        tokio::select! {
            biased;
            answered = &mut response => {
                // It answered early, and closes. What is sent after the body could be lost.
                if let Some(connection) = &*captured.connection_metadata() && !body.is_sent() {
                    connection.poison();
                }
                return answered.map_err(AttemptError::Failed);
            }
            () = sleep_until(deadline.map_or(look_again, |deadline| deadline.min(look_again))) => {}
        }
        let deadline = body.deadline(upstream.write_timeout, upstream.read_timeout);
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(AttemptError::Late("the upstream did not take the request or answer it in time"));
        }
    }
}

fn may_repeat(failed: &AttemptError, to_send: &UpstreamRequest, body: &RequestBody) -> bool {
    let AttemptError::Failed(error) = failed else { return false };
    if !body.is_untouched() || causes(error).any(|cause| cause.is::<Forbidden>()) {
        return false;
    }
    let is_closed = || {
        causes(error).any(|cause| {
            cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
                || is_io(cause, &[io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe])
        })
    };
    error.is_connect() || to_send.method.is_idempotent() && body.is_empty() && is_closed()
}

fn failure(failed: &AttemptError) -> Failure {
    let error = match failed {
        AttemptError::Late(message) => return Failure::upstream_timeout(*message),
        AttemptError::Failed(error) => error,
    };
    tracing::debug!(error = %causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": "), "an attempt at an upstream failed");
    for cause in causes(error) {
        if cause.is::<ConnectTimeout>() || error.is_connect() && is_io(cause, &[io::ErrorKind::TimedOut]) {
            return Failure::upstream_timeout("no connection to the upstream in time");
        } else if cause.is::<rustls::Error>() {
            return Failure::upstream_tls();
        } else if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return Failure::upstream_forbidden(*forbidden);
        }
        match cause.downcast_ref::<Broken>() {
            Some(Broken::ClientTimeout) => return Failure::client_timeout(),
            Some(_) => return Failure::client_body("the request's body broke off"),
            None => {}
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Failure::upstream_invalid("the upstream's answer is not valid HTTP");
        }
    }
    if error.is_connect() { Failure::upstream_connect() } else { Failure::upstream_closed() }
}

/// `error` and its causes. An I/O error's `source` skips the error that it wraps, so that one is looked up.
fn causes(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn cause<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        let error = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error as &(dyn Error + 'static)), cause)
}

fn is_io(cause: &(dyn Error + 'static), kinds: &[io::ErrorKind]) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| kinds.contains(&error.kind()))
}
