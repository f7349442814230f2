//! Calls between the services of a region: how another service is called, and who may call.

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    extract::Request,
    middleware::{self, Next},
};
use ids::{Region, ServiceName};
use listener::Client;
use telemetry::{TraceContext, TracedChannel};
use tonic::{
    Status,
    service::{Routes, interceptor::InterceptedService},
    transport::Endpoint,
};

use crate::{Identity, Peer};

/// Longest time that one call to another service of the region may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is said to whoever may not call a method.
const REFUSAL: &str = "this certificate may not call this method";

/// A connection to another service, made at first use and again after a loss. Calls carry the current trace.
pub fn channel(url: &str, identity: &Identity) -> anyhow::Result<TracedChannel> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("peers: {url} is not a URL"))?
        .tls_config(identity.tonic_client())
        .context("tls: unusable for a client")?
        .timeout(CALL_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    Ok(InterceptedService::new(endpoint.connect_lazy(), TraceContext))
}

/// Which services of the region may call each method, by its path, as in `/landbridge.authz.v1.Authz/Check`. A method that is
/// missing may be called by nobody.
pub type Callers = &'static [(&'static str, &'static [ServiceName])];

/// `routes`, for those services of `region` that `callers` names, known by their certificates. Everybody else is refused with
/// `PERMISSION_DENIED` before anything is read.
pub fn only_callers(region: &Region, callers: Callers, routes: Routes) -> Routes {
    let region = region.clone();
    let guarded = routes.prepare().into_axum_router().layer(middleware::from_fn(
        move |request: Request, next: Next| {
            let may_call = may_call(&region, callers, &request);
            async move {
                match may_call {
                    true => next.run(request).await,
                    false => Status::permission_denied(REFUSAL).into_http(),
                }
            }
        },
    ));
    guarded.into()
}

fn may_call(region: &Region, callers: Callers, request: &Request) -> bool {
    let certificate = request.extensions().get::<Client>().and_then(|client| client.certificate.as_ref());
    let peer = certificate.and_then(Peer::of);
    let allowed = callers.iter().find(|(path, _)| *path == request.uri().path());
    peer.zip(allowed)
        .is_some_and(|(peer, (_, services))| peer.region == *region && services.contains(&peer.service))
}
