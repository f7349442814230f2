//! Requests to change what only an organization's home region may change. Every region takes them and forwards them there.
//!
//! After authentication the caller's organization says which region is its home. The whole request goes there over mTLS with
//! the caller's own token. The home region authenticates the caller and decides again. It believes nothing that the
//! forwarding region says, except how long that region waits. A forwarded request that arrives in a region that is not the
//! home is refused, so that no request goes in circles.

mod link;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use access::Caller;
use axum::{
    body::Body,
    extract::{FromRequest as _, FromRequestParts as _, RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::future::BoxFuture;
use ids::{OrganizationId, Region, ServiceName};
pub(crate) use link::Link;
pub use link::PENDING_SIGN_ON;
use serde::Deserialize;
use settings::sections::PeerRegion;
use web::{Answer, BODY_BYTES_MAX, Problem, ProblemType, RawBody, Served};

use crate::{Identity, Peer};

/// Something that knows each organization's home region: a service's replicated rows.
pub trait Homes: Send + Sync + 'static {
    fn home(&self, organization: OrganizationId) -> BoxFuture<'_, Answer<Region>>;
}

/// The parameter of a path that names the organization whose home serves the request.
const NAMED: &str = "organization_id";

/// The member of a body that names the region which serves the request.
#[derive(Deserialize)]
struct NamedRegion {
    home_region: Option<Region>,
}

/// Forwards requests to the region that they are served in. Cheap to clone.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    region: Region,
    homes: Arc<dyn Homes>,
    links: BTreeMap<Region, Link>,
}

impl Forwarder {
    /// For `service` in `region`, which knows the others by `regions`.
    pub fn new(
        region: &Region,
        service: ServiceName,
        homes: Arc<dyn Homes>,
        regions: &BTreeMap<Region, PeerRegion>,
        identity: &Identity,
    ) -> anyhow::Result<Self> {
        let link = |(name, peer)| Ok((Region::clone(name), Link::new(name, service, peer, identity)?));
        let links = regions.iter().map(link).collect::<anyhow::Result<_>>()?;
        Ok(Self(Arc::new(Inner { region: region.clone(), homes, links })))
    }

    /// The way to the region `named`; `None` when it is this one, or when none is named.
    fn way_to(&self, named: Option<Region>, from: Option<&Peer>) -> Answer<Option<&Link>> {
        let Some(named) = named.filter(|named| *named != self.0.region) else { return Ok(None) };
        match (self.0.links.get(&named), from) {
            (Some(link), None) => Ok(Some(link)),
            (Some(_), Some(_)) => {
                Err(Problem::unavailable("the request came to a region that it does not name; try again"))
            }
            (None, _) => {
                let mut regions: Vec<&str> =
                    self.0.links.keys().chain([&self.0.region]).map(Region::as_str).collect();
                regions.sort_unstable();
                let reason = format!("no such region; this deployment has {}", regions.join(", "));
                Err(Problem::invalid_field("home_region", reason))
            }
        }
    }

    /// The way to the organization's home region; `None` when it is this one. `from` is the region that forwarded the
    /// request, if one did.
    async fn way_home(&self, organization: OrganizationId, from: Option<&Peer>) -> Answer<Option<&Link>> {
        let home = self.0.homes.home(organization).await?;
        if home == self.0.region {
            return Ok(None);
        }
        if let Some(peer) = from {
            tracing::error!(%home, from = %peer.region, "a forwarded request arrived where the home is not");
            return Err(Problem::unavailable(format!(
                "regions disagree on where the organization's home is; {home} it is for this one; try again"
            )));
        }
        let link = self.0.links.get(&home).ok_or_else(|| {
            tracing::error!(%home, "an organization's home region is not among `regions`");
            Problem::unavailable(format!("this region does not know the organization's home region, {home}"))
        })?;
        Ok(Some(link))
    }
}

impl Forwarder {
    /// The answer of the home region of `organization` to a request that nobody has authenticated, because it shows a credential that only
    /// the home region knows; `None` where that is this region, whose handler answers.
    pub async fn answered_at_home(
        &self,
        organization: OrganizationId,
        request: Request,
    ) -> Answer<Option<Response>> {
        let from = request.extensions().get::<Peer>().cloned();
        match self.way_home(organization, from.as_ref()).await? {
            None => Ok(None),
            Some(link) => link.forward(&self.0.region, organization, request).await.map(Some),
        }
    }
}

/// A request whose organization or region it names itself.
async fn serve_at_named_home(forwarder: &Forwarder, request: Request, next: Next) -> Answer<Response> {
    let from = request.extensions().get::<Peer>().cloned();
    let Some(caller) = request.extensions().get::<Caller>().map(Caller::organization) else {
        return Err(Problem::internal("a public endpoint is served at no named home"));
    };
    let (mut parts, body) = request.into_parts();
    let named = RawPathParams::from_request_parts(&mut parts, &()).await;
    // What is no text names nothing.
    let named = named.map_err(|_| Problem::not_found("resource"))?;
    let named = named.iter().find(|(name, _)| *name == NAMED).map(|(_, id)| id.to_owned());
    let (organization, link, body) = match named {
        Some(id) => {
            let id: OrganizationId = id.parse().map_err(|_| Problem::not_found("organization"))?;
            let link = match forwarder.way_home(id, from.as_ref()).await {
                // Not known here: whether it exists, the handler finds out.
                Err(problem) if problem.kind == ProblemType::NotYetReplicated => None,
                link => link?,
            };
            (id, link, body)
        }
        None => {
            let RawBody(bytes) = RawBody::<BODY_BYTES_MAX>::from_request(Request::new(body), &()).await?;
            // What cannot be read is refused by the handler, here.
            let home = serde_json::from_slice::<NamedRegion>(&bytes).ok().and_then(|named| named.home_region);
            (caller, forwarder.way_to(home, from.as_ref())?, Body::from(bytes))
        }
    };
    let request = Request::from_parts(parts, body);
    match link {
        None => Ok(next.run(request).await),
        Some(link) => link.forward(&forwarder.0.region, organization, request).await,
    }
}

/// Middleware between the guard and the handler of an endpoint that is not `Served::Here`.
pub(crate) async fn serve_at_home(
    State((forwarder, served)): State<(Forwarder, Served)>,
    request: Request,
    next: Next,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Problem::internal("a public endpoint has no organization, hence no home").into_response();
    };
    if matches!(served, Served::Named) {
        return serve_at_named_home(&forwarder, request, next).await.unwrap_or_else(Problem::into_response);
    }
    if !served.at_home(caller.organization(), request.uri().path()) {
        return next.run(request).await;
    }
    let from = request.extensions().get::<Peer>().cloned();
    match forwarder.way_home(caller.organization(), from.as_ref()).await {
        Ok(None) => next.run(request).await,
        Ok(Some(link)) => {
            caller.decides_at_home();
            let answered = link.forward(&forwarder.0.region, caller.organization(), request).await;
            answered.unwrap_or_else(Problem::into_response)
        }
        Err(problem) => problem.into_response(),
    }
}
