//! Services and routes in the form in which requests use them: checked and computed once.

use std::{sync::Arc, time::Duration};

use gateway_model::{Protocol, Route, Service, Target};
use http::{
    HeaderValue, StatusCode,
    uri::{Authority, Scheme},
};
use uuid::Uuid;

use super::scope::Blocked;
use crate::{
    plugins::Chain,
    router::{InvalidRule, Rule, path},
};

/// Where and how requests are sent.
#[derive(Debug)]
pub struct Upstream {
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The `Host` that the upstream sees unless the client's is preserved: without a default port.
    pub host: HeaderValue,
    /// Canonical path put before the request's; `/` when the service has none.
    pub base: String,
    pub connect_timeout: Duration,
    pub write_timeout: Duration,
    pub read_timeout: Duration,
    /// Attempts after the first.
    pub retries: u16,
    /// Whether the upstream's certificate is verified.
    pub verify: bool,
}

/// Valid by itself, and yet nothing that this gateway can use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("host: not a host that can be connected to")]
    Host,
    #[error("path: {0}")]
    Path(#[from] path::InvalidPath),
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    #[error("https_redirect_status_code: not a status code")]
    RedirectStatus,
}

impl Upstream {
    pub fn new(service: &Service) -> Result<Self, Unusable> {
        let authority = Authority::from_maybe_shared(service.authority()).map_err(|_| Unusable::Host)?;
        let (scheme, default_port) = match service.protocol {
            Protocol::Http => (Scheme::HTTP, 80),
            Protocol::Https => (Scheme::HTTPS, 443),
        };
        let host = if service.port == default_port { authority.host() } else { authority.as_str() };
        let millis = |value: u32| Duration::from_millis(u64::from(value));
        Ok(Self {
            scheme,
            host: HeaderValue::from_str(host).map_err(|_| Unusable::Host)?,
            base: path::normalise(service.path.as_deref().unwrap_or("/"))?.into_owned(),
            connect_timeout: millis(service.connect_timeout),
            write_timeout: millis(service.write_timeout),
            read_timeout: millis(service.read_timeout),
            retries: service.retries,
            verify: service.tls_verify.unwrap_or(true),
            authority,
        })
    }
}

/// A service as held.
#[derive(Clone, Debug)]
pub enum ServiceState {
    Serving(Arc<Upstream>),
    /// Its routes are not there at all, as in Kong.
    Disabled,
    Quarantined,
}

/// A route as held.
#[derive(Clone, Debug)]
pub struct RouteState {
    pub rule: Arc<Rule>,
    pub settings: RouteSettings,
    pub service: Option<Uuid>,
    /// Matched only to answer 503: the route itself could not be understood.
    pub is_quarantined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    pub strip_path: bool,
    pub preserve_host: bool,
    /// What plain requests are answered with, if they are not served.
    pub https_only: Option<StatusCode>,
}

impl RouteState {
    pub fn new(id: Uuid, route: &Route) -> Result<Self, Unusable> {
        let allows = |protocol| route.protocols.contains(&protocol);
        let redirect =
            StatusCode::from_u16(route.https_redirect_status_code).map_err(|_| Unusable::RedirectStatus)?;
        let https = allows(Protocol::Https);
        let rule = Rule::new(id, &route.hosts, &route.paths, &route.methods, https, route.regex_priority)?;
        Ok(Self {
            rule: Arc::new(rule),
            settings: RouteSettings {
                strip_path: route.strip_path,
                preserve_host: route.preserve_host,
                https_only: (!allows(Protocol::Http)).then_some(redirect),
            },
            service: route.service.as_ref().and_then(Target::id),
            is_quarantined: false,
        })
    }
}

/// A route with all that a request to it needs.
#[derive(Clone, Debug)]
pub struct Served {
    pub route: Uuid,
    pub service: Option<Uuid>,
    pub settings: RouteSettings,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    /// Runs these plugins; then goes to the upstream, if the route has a service.
    Serve { chain: Chain, upstream: Option<Arc<Upstream>> },
    /// Something that the route needs is quarantined or missing.
    Quarantined,
}

impl From<Blocked> for Outcome {
    fn from(_: Blocked) -> Self {
        Self::Quarantined
    }
}
