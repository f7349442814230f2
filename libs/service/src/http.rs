//! Layers around every public API: request ids, traces, a time limit, and an answer even from a handler that panics.

use std::time::Duration;

use axum::{Router, http::StatusCode, response::IntoResponse as _};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
};
use web::Problem;

/// Longest time that a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

pub fn http_stack(router: Router) -> Router {
    router
        .layer(CatchPanicLayer::custom(|_panic| Problem::internal("a handler panicked").into_response()))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(telemetry::http_trace_layer())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}
