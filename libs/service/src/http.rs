//! A service's public API as it is served. What stands before each handler: a span, a time limit, authentication, forwarding
//! to the home region where the endpoint is served there, and idempotency. A handler that panics is answered 500.

use access::{Access, guard};
use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse as _,
};
use mutation::idempotency;
use postgres::PgPool;
use tonic::service::Routes;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use web::{Api, Guard, Method, Problem, Served};

use crate::{Forwarder, deadline, home};

/// The router of a table of endpoints. `api` puts the given guard before each of them: authentication first, then forwarding
/// to the home region, then idempotency. So an idempotency key is claimed only in the region that does the work. Without a
/// `forwarder` every endpoint is served here. The same router is served to clients and, through
/// [`Process::peers`](crate::Process::peers), to other regions.
pub fn api_router<S: Clone + Send + Sync + 'static>(
    state: S,
    db: &PgPool,
    access: Access,
    forwarder: Option<Forwarder>,
    api: impl FnOnce(Guard<S>) -> Api<S>,
) -> Router {
    let guard = guard(access);
    let replay = from_fn_with_state(db.clone(), idempotency::replay);
    let api = api(Box::new(move |endpoint, route| {
        let route = match endpoint.method {
            Method::Post => route.layer(replay.clone()),
            _ => route,
        };
        let route = match (&forwarder, endpoint.served) {
            (None, _) | (_, Served::Here) => route,
            (Some(forwarder), served) => {
                route.layer(from_fn_with_state((forwarder.clone(), served), home::serve_at_home))
            }
        };
        guard(endpoint, route)
    }));
    // One layer of all: each one by itself would be a service in a box.
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(telemetry::http_trace_layer())
        .layer(from_fn(web::conclude))
        .layer(from_fn(deadline::bounded))
        .layer(CatchPanicLayer::custom(|_panic| Problem::internal("a handler panicked").into_response()))
        .layer(web::shared());
    api.router().with_state(state).layer(layers)
}

/// `api` and gRPC `routes` behind one listener. The API answers for paths that neither has.
pub fn with_grpc(api: Router, routes: Routes) -> Router {
    api.merge(routes.into_axum_router().reset_fallback().layer(telemetry::grpc_trace_layer()))
}
