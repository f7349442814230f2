//! Requests of people without a token: to sign on, to go on with a session, to accept an invite, to get a new password.
//!
//! Nobody knows whose they are before the body is read, so the forwarder of requests with a token cannot send them home. Their handlers
//! do: they find the organization in the body, and ask [`Arrived::answered_at_home`] first.

use std::{net::IpAddr, sync::Arc};

use access::Requested;
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::Response,
};
use ids::{OrganizationId, Region};
use serde::de::DeserializeOwned;
use service::{Forwarder, Peer};
use web::{BODY_BYTES_MAX, Json, Problem, RawBody};

use crate::{app::App, error::Answer};

/// Longest `User-Agent` that is kept, characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// Such a request, with its body read as a `T`.
pub struct Arrived<T> {
    /// What the body says.
    pub body: T,
    /// What the audit log says of the request.
    pub requested: Arc<Requested>,
    parts: Parts,
    bytes: Bytes,
}

impl<T: DeserializeOwned> FromRequest<App> for Arrived<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let RawBody(bytes) = RawBody::<BODY_BYTES_MAX>::from_request(Request::new(body), app).await?;
        let again = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let Json(body) = Json::<T>::from_request(again, app).await?;
        Ok(Self { body, requested: requested(&parts)?, parts, bytes })
    }
}

/// A request of a browser that was sent here by a link: it has no body, and its path or query says whose it is.
pub struct Navigation(pub Arrived<()>);

impl FromRequest<App> for Navigation {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        let (parts, _) = request.into_parts();
        Ok(Self(Arrived { body: (), requested: requested(&parts)?, parts, bytes: Bytes::new() }))
    }
}

/// What the guard of an endpoint that takes a credential says of the request.
fn requested(parts: &Parts) -> Result<Arc<Requested>, Problem> {
    let requested = parts.extensions.get().cloned();
    requested.ok_or_else(|| Problem::internal("the guard has told nothing of the request"))
}

impl<T> Arrived<T> {
    /// The answer of the home region of `organization`; `None` where that is this region. 503 if it cannot be reached.
    pub async fn answered_at_home(&self, organization: OrganizationId) -> Answer<Option<Response>> {
        self.answered_with(organization, self.bytes.clone()).await
    }

    /// The same for a request whose body is `bytes` there.
    pub async fn answered_with(
        &self,
        organization: OrganizationId,
        bytes: Bytes,
    ) -> Answer<Option<Response>> {
        let Some(forwarder) = self.parts.extensions.get::<Forwarder>() else { return Ok(None) };
        let request = Request::from_parts(self.parts.clone(), Body::from(bytes));
        Ok(forwarder.answered_at_home(organization, request).await?)
    }

    /// Sends `value` along in the header `name` if the request goes home; `None` sends none, whatever the client has sent.
    pub fn send_along(&mut self, name: HeaderName, value: Option<HeaderValue>) {
        match value {
            Some(value) => drop(self.parts.headers.insert(name, value)),
            None => drop(self.parts.headers.remove(name)),
        }
    }

    /// The region that has forwarded it, if one has.
    pub fn forwarded_by(&self) -> Option<&Region> {
        self.parts.extensions.get::<Peer>().map(|peer| &peer.region)
    }

    /// Whether another region has forwarded it.
    pub fn is_forwarded(&self) -> bool {
        self.forwarded_by().is_some()
    }

    /// Where it comes from: as the listener has seen it, or as the region says that has forwarded it.
    pub fn address(&self) -> Option<IpAddr> {
        service::client_address(&self.parts).map(|address| address.0)
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What sends it, as it says itself; may be empty.
    pub fn user_agent(&self) -> String {
        let text = self.parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect()
    }
}
