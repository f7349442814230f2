//! The operator's port: alive, and metrics. Readiness is another matter: see `service::readiness`.

use axum::{Router, routing::get};

use crate::Metrics;

/// `/livez` and `/metrics`.
pub fn operator_router(metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/metrics", get(move || async move { metrics.render() }))
}
