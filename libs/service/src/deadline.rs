//! How long a request may take. A region that forwards a request to another one says how long it will wait for the answer.
//! The other region gives up before that, so that it does not go on working when nobody waits any more.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderName, header::CONTENT_LENGTH},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::{Instant, timeout_at};
use web::Problem;

use crate::Peer;

/// Longest time that a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How much longer it may take for each MiB of its body, which has to be sent and then worked on.
const TIMEOUT_PER_MEBIBYTE: Duration = Duration::from_secs(1);
/// Bodies count up to here: none may be larger.
const MEBIBYTES_MAX: u32 = 512;
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
    let longest = REQUEST_TIMEOUT + TIMEOUT_PER_MEBIBYTE * mebibytes(request);
    left.map_or(longest, |left| left.min(longest))
}

/// Of the request's body, where its length is told.
fn mebibytes(request: &Request) -> u32 {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mebibytes = length.unwrap_or_default() >> 20;
    u32::try_from(mebibytes).unwrap_or(MEBIBYTES_MAX).min(MEBIBYTES_MAX)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_large_body_has_more_time() {
        for (length, seconds) in
            [("0", 60), ("1048575", 60), ("33554432", 92), ("99999999999999", 572), ("x", 60)]
        {
            let request =
                Request::builder().header(CONTENT_LENGTH, length).body(Body::empty()).expect("a request");
            assert_eq!(allowed(&request), Duration::from_secs(seconds), "{length}");
        }
    }
}
