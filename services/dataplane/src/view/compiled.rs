//! Services and routes in the form in which requests use them: checked and compiled once, when the view is derived.

use std::{sync::Arc, time::Duration};

use balancer::RetryBudget;
use gateway_model::{Application, Protocol, Route, Service, Target};
use http::{HeaderValue, StatusCode, uri::Authority};
use rustls_pki_types::ServerName;
use uuid::Uuid;

use super::{
    captures::Captures,
    destination::{Destination, Secured, Versions},
    scope::Blocked,
    tls_profile::{TlsProfile, TlsWishes},
};
use crate::{
    balancing::Balanced,
    plugins::{Chain, Divert},
    router::{Compile, InvalidRule, Rule, path},
};

/// Where and how requests are sent.
#[derive(Debug)]
pub struct Upstream {
    /// The service's name, if it has one.
    pub name: Option<Box<str>>,
    /// Host and port, and how TLS is spoken there unless a request asks for something else.
    pub destination: Destination,
    /// The `Host` header for the upstream, unless the client's is preserved. Without a default port.
    pub host: HeaderValue,
    /// Canonical path that is put before the request's; `/` if the service has none.
    pub base: String,
    /// Limit of connecting, TLS handshake included.
    pub connect_timeout: Duration,
    /// How long the upstream may pause while it takes the request.
    pub write_timeout: Duration,
    /// How long the upstream may pause while it answers.
    pub read_timeout: Duration,
    /// How many attempts may follow the first.
    pub retries: u16,
    /// Bounds how many of its requests are repeated. Kept when the service changes.
    pub budget: Arc<RetryBudget>,
}

/// The entity is valid, but this gateway cannot use it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The service's host and port do not make an address.
    #[error("host: not a host that can be connected to")]
    Host,
    /// The service's path has no canonical form.
    #[error("path: {0}")]
    Path(#[from] path::InvalidPath),
    /// The route's criteria do not compile.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// The service names a certificate.
    #[error("{field}: {id} is not there, or this gateway cannot use it")]
    Certificate {
        /// The field that names it.
        field: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The route's `https_redirect_status_code` is not an HTTP status.
    #[error("https_redirect_status_code: not a status code")]
    RedirectStatus,
}

impl Upstream {
    /// Compiles a service, how it wants TLS with `profile`. It shows `certificate`, which its upstream entity names, if it names none itself.
    pub fn new(service: &Service, certificate: Option<Uuid>, profile: Profile<'_>) -> Result<Self, Unusable> {
        let authority = Authority::from_maybe_shared(service.authority()).map_err(|_| Unusable::Host)?;
        let (tls, default_port) = if service.protocol.is_tls() {
            let name = ServerName::try_from(authority.host().trim_matches(['[', ']']));
            let name = name.map_err(|_| Unusable::Host)?.to_owned();
            (Some(Secured { name, profile: profile(&wishes(service, certificate))? }), 443)
        } else {
            (None, 80)
        };
        let versions = match service.protocol {
            Protocol::Http | Protocol::Ws | Protocol::Wss => Versions::Http1,
            Protocol::Https => Versions::Negotiated,
            Protocol::Grpc | Protocol::Grpcs => Versions::Http2,
        };
        let host = if service.port == default_port { authority.host() } else { authority.as_str() };
        let millis = |value: u32| Duration::from_millis(u64::from(value));
        Ok(Self {
            name: service.name.as_deref().map(Box::from),
            host: HeaderValue::from_str(host).map_err(|_| Unusable::Host)?,
            base: path::normalise(service.path.as_deref().unwrap_or("/"))?.into_owned(),
            connect_timeout: millis(service.connect_timeout),
            write_timeout: millis(service.write_timeout),
            read_timeout: millis(service.read_timeout),
            retries: service.retries,
            budget: Arc::default(),
            destination: Destination::new(authority, tls, versions),
        })
    }
}

impl Upstream {
    /// The same upstream at another host, port or path; `None` if those make no address.
    pub fn elsewhere(&self, divert: &Divert) -> Option<Upstream> {
        let usual = &self.destination;
        let tls = usual.tls().is_some();
        let default_port = if tls { 443 } else { 80 };
        let host = divert.host.as_deref().unwrap_or(usual.authority().host());
        let port = divert.port.or(usual.authority().port_u16()).unwrap_or(default_port);
        let authority = Authority::try_from(format!("{host}:{port}")).ok()?;
        let secured = match usual.tls() {
            Some(secured) if divert.host.is_some() => {
                let name = ServerName::try_from(host.trim_matches(['[', ']'])).ok()?.to_owned();
                Some(Secured { name, profile: secured.profile.clone() })
            }
            other => other.cloned(),
        };
        let told = if port == default_port { host } else { authority.as_str() };
        Some(Upstream {
            name: self.name.clone(),
            host: HeaderValue::from_str(told).ok()?,
            base: path::normalise(divert.path.as_deref().unwrap_or(&self.base)).ok()?.into_owned(),
            budget: self.budget.clone(),
            destination: Destination::new(authority, secured, usual.versions()),
            ..*self
        })
    }
}

/// Finds the profile for what a service wishes.
pub type Profile<'a> = &'a dyn Fn(&TlsWishes) -> Result<Arc<TlsProfile>, Unusable>;

fn wishes(service: &Service, certificate: Option<Uuid>) -> TlsWishes {
    TlsWishes {
        verify: service.tls_verify.unwrap_or(true),
        depth: service.tls_verify_depth,
        authorities: service.ca_certificates.iter().filter_map(Target::id).collect(),
        certificate: service.client_certificate.as_ref().and_then(Target::id).or(certificate),
    }
}

/// A service as held.
#[derive(Clone, Debug)]
pub enum ServiceState {
    Serving(Arc<Upstream>),
    /// Its routes do not exist, as in Kong.
    Disabled,
    Quarantined,
}

/// A route as held.
#[derive(Clone, Debug)]
pub struct RouteState {
    /// The route's name, if it has one.
    pub name: Option<Box<str>>,
    /// Which requests it matches.
    pub rule: Arc<Rule>,
    /// What the route itself says about forwarding.
    pub settings: RouteSettings,
    /// The service that requests go to; `None` if the route names none.
    pub service: Option<Uuid>,
    /// The route itself could not be read: requests that match it are answered 503.
    pub is_quarantined: bool,
}

/// How a route's requests are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// Whether the part of the path that matched is removed.
    pub strip_path: bool,
    /// Whether the upstream gets the client's `Host`.
    pub preserve_host: bool,
    /// The status that plain requests are answered with; `None`: they are served.
    pub https_only: Option<StatusCode>,
    /// What is spoken by those who use it.
    pub application: Application,
}

impl RouteState {
    /// Compiles `route`, its regular expressions with `compile`. Fails if its redirect status is not an HTTP status, a path has no canonical form, a regex does not
    /// compile, or a method is not a token of HTTP.
    pub fn new(id: Uuid, route: &Route, compile: Compile<'_>) -> Result<Self, Unusable> {
        let is_tls = |protocol: &Protocol| protocol.is_tls();
        let application =
            route.protocols.first().map_or(Application::Http, |protocol| protocol.application());
        let redirect =
            StatusCode::from_u16(route.https_redirect_status_code).map_err(|_| Unusable::RedirectStatus)?;
        let rule = Rule::new(id, route.into(), compile)?;
        Ok(Self {
            name: route.name.as_deref().map(Box::from),
            rule: Arc::new(rule),
            settings: RouteSettings {
                strip_path: route.strip_path,
                preserve_host: route.preserve_host,
                https_only: route.protocols.iter().all(is_tls).then_some(redirect),
                application,
            },
            service: route.service.as_ref().and_then(Target::id),
            is_quarantined: false,
        })
    }
}

/// A route with all that a request to it needs.
#[derive(Clone, Debug)]
pub struct Served {
    /// Id of the route.
    pub route: Uuid,
    /// Id of its service.
    pub service: Option<Uuid>,
    /// What both are called, for those who watch.
    pub labels: Arc<Labels>,
    /// How its requests are forwarded.
    pub settings: RouteSettings,
    /// Whether it is served.
    pub outcome: Outcome,
}

/// What people call a route and its service: their names, or their ids where they have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The route.
    pub route: Box<str>,
    /// Its service; empty if it has none.
    pub service: Box<str>,
}

/// What happens to the requests of a route.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The plugins run, then the request goes to the upstream.
    Serve {
        /// The plugins.
        chain: Chain,
        /// The upstream; `None` if the route has no service.
        upstream: Option<Arc<Upstream>>,
        /// The targets that its requests are spread over; `None` if they go to one host.
        balanced: Option<Arc<Balanced>>,
        /// What its requests may be hashed by of their paths.
        captures: Captures,
    },
    /// They are answered 503: an entity that the route needs is quarantined or missing.
    Quarantined,
}

impl From<Blocked> for Outcome {
    fn from(_: Blocked) -> Self {
        Self::Quarantined
    }
}
