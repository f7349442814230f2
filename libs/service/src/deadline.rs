//! How long a request may take. A region that forwards a request to another one says how long it will wait for the answer.
//! The other region gives up before that, so that it does not go on working when nobody waits any more.

use std::time::Duration;

use axum::{
    extract::Request,
    http::HeaderName,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::{Instant, timeout_at};
use web::Problem;

use crate::Peer;

/// Longest time that a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Header with the milliseconds that a forwarded request may still take. It counts only when another region sent it.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("landbridge-deadline");

/// When a request has to be answered. An extension of the request.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(pub Instant);

/// Middleware: answers 503 when the handler has not answered in time.
pub(crate) async fn bounded(mut request: Request, next: Next) -> Response {
    let deadline = Instant::now() + allowed(&request);
    request.extensions_mut().insert(Deadline(deadline));
    match timeout_at(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long; whether it had an effect is not known")
            .into_response(),
    }
}

fn allowed(request: &Request) -> Duration {
    let header = request.extensions().get::<Peer>().and_then(|_| request.headers().get(DEADLINE));
    let left = header.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_millis);
    left.map_or(REQUEST_TIMEOUT, |left| left.min(REQUEST_TIMEOUT))
}
