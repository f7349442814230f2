//! A service's public API as it is served: guarded, idempotent, traced, bounded in time, and with an answer even from a
//! handler that panics.

use std::time::Duration;

use access::{Access, guard};
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use postgres::{PgPool, idempotency};
use tokio::time::timeout;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use web::{Api, Problem, Protection};

/// Longest time that a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

async fn bounded(request: Request, next: Next) -> Response {
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long; whether it had an effect is not known")
            .into_response(),
    }
}

/// What stands before a handler.
pub type Guard<S> = Box<dyn Fn(Protection, MethodRouter<S>) -> MethodRouter<S>>;

/// The router of a table of endpoints. `api` puts the given guard before each of them.
pub fn api_router<S: Clone + Send + Sync + 'static>(
    state: S,
    db: &PgPool,
    access: Access,
    api: impl FnOnce(Guard<S>) -> Api<S>,
) -> Router {
    let guard = guard(access);
    let replay = from_fn_with_state(db.clone(), idempotency::replay);
    let api = api(Box::new(move |protection, route| guard(protection, route.layer(replay.clone()))));
    api.router()
        .with_state(state)
        .layer(CatchPanicLayer::custom(|_panic| Problem::internal("a handler panicked").into_response()))
        .layer(from_fn(bounded))
        .layer(telemetry::http_trace_layer())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}
