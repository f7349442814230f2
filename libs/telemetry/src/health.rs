//! The operator's port: alive, and metrics. Whether a service is ready is known one floor up, in `libs/service`.

use axum::{Router, routing::get};

use crate::Metrics;

/// `/livez` and `/metrics`.
pub fn operator_router(metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/metrics", get(move || async move { metrics.render() }))
}
