//! An upstream entity with its targets, in the form in which its group follows it. Pure.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use balancer::{Policy, Rules, Settings, Thresholds};
use gateway_model::{Algorithm, HashOn, Healthchecks, Probe, Upstream, UpstreamTarget};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::checks::Checks;
use crate::view::{self, TlsProfile};

/// Finds how TLS is spoken where certificates are verified, or are not.
pub type FindTls<'a> = &'a dyn Fn(bool) -> Result<Arc<TlsProfile>, view::Unusable>;

/// The entity is valid, but this gateway cannot use it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A field asks for what this gateway does not do.
    #[error("{0}: this gateway does not do that yet")]
    NotDone(&'static str),
    /// The host header is not one.
    #[error("host_header: not a host")]
    HostHeader,
    /// A field has no usable value.
    #[error("{0}: cannot be used")]
    Invalid(&'static str),
    /// TLS cannot be spoken as it is asked for.
    #[error(transparent)]
    Tls(#[from] view::Unusable),
}

/// An upstream with its targets. What requests and checks need of it, compiled once.
#[derive(Debug)]
pub struct Definition {
    /// Id of the upstream.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its targets, by host and port.
    pub targets: Vec<Arc<Target>>,
    /// How requests are spread, and when an endpoint is up.
    pub settings: Settings,
    /// The `Host` that the targets see; `None`: each its own.
    pub host_header: Option<HeaderValue>,
    /// Whether targets that are found by SRV see the name in the record as `Host`.
    pub use_srv_name: bool,
    /// What requests are hashed by: the first of it that a request has.
    pub hash_by: Vec<HashBy>,
    /// How targets are checked; `None`: not at all.
    pub checks: Option<Checks>,
    /// What statuses of answers to requests count as.
    pub passive: Statuses,
}

/// What a request is hashed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The consumer's id.
    Consumer,
    /// The client's address.
    Ip,
    /// A header.
    Header(HeaderName),
    /// A cookie, which is set where it is missing, for a path.
    Cookie {
        /// Its name.
        name: String,
        /// Path for which it is set.
        path: String,
    },
    /// The path.
    Path,
    /// A query argument.
    QueryArg(String),
    /// A named group of the route's regular expression.
    UriCapture(String),
}

/// A target: a host and port.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Host name or address.
    pub host: Host,
    /// Port, unless an SRV record names another.
    pub port: u16,
    /// Id of the entity.
    pub id: Uuid,
    /// Share of the requests of each of its addresses, unless an SRV record names another; 0: none.
    pub weight: u16,
    /// The state that an operator has set it to last.
    pub by_hand: Option<ByHand>,
}

/// A state that an operator has set a target to, once: from then on checks decide again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByHand {
    /// When, in Unix milliseconds.
    pub at: u64,
    /// Whether it takes requests.
    pub is_up: bool,
}

/// A host as it is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, in lower case.
    Name(String),
}

/// Which statuses count as success and as failure. Sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Successes.
    pub successes: Vec<u16>,
    /// Failures.
    pub failures: Vec<u16>,
}

impl Target {
    /// A target as held; `None` if its host and port cannot be read.
    pub fn new(id: Uuid, target: &UpstreamTarget) -> Option<Self> {
        let (host, port) = target.host_and_port()?;
        let host = host.parse().map_or_else(|_| Host::Name(host.to_ascii_lowercase()), Host::Address);
        let by_hand = target.by_hand.map(|set| ByHand { at: set.at, is_up: set.is_healthy });
        Some(Self { host, port, id, weight: target.weight, by_hand })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Definition {
    /// Compiles an upstream and its targets. `tls` finds how TLS is spoken where certificates are verified, or are not.
    pub fn new(
        id: Uuid,
        upstream: &Upstream,
        mut targets: Vec<Arc<Target>>,
        tls: FindTls<'_>,
    ) -> Result<Self, Unusable> {
        targets.sort_unstable();
        let checks = &upstream.healthchecks;
        let host = upstream.host_header.as_deref().map(HeaderValue::from_str).transpose();
        let policy = match (upstream.algorithm, upstream.hash_on) {
            (Algorithm::RoundRobin, _) | (Algorithm::ConsistentHashing, HashOn::None) => Policy::RoundRobin,
            (Algorithm::ConsistentHashing, _) => Policy::Hashing,
            (Algorithm::LeastConnections, _) => Policy::LeastConnections,
            (Algorithm::Latency, _) => Policy::Latency,
        };
        let settings = Settings {
            policy,
            slots: upstream.slots as usize,
            threshold: checks.threshold,
            // The model bounds the seconds.
            slow_start: Duration::try_from_secs_f64(upstream.slow_start).unwrap_or_default(),
            rules: rules(checks),
        };
        let passive = match checks.passive.probe {
            // Only connections count.
            Probe::Tcp => Statuses::default(),
            Probe::Http | Probe::Https | Probe::Grpc | Probe::Grpcs => {
                Statuses::new(&checks.passive.healthy.http_statuses, &checks.passive.unhealthy.http_statuses)
            }
        };
        Ok(Self {
            id,
            name: upstream.name.clone(),
            targets,
            settings,
            host_header: host.map_err(|_| Unusable::HostHeader)?,
            use_srv_name: upstream.use_srv_name,
            checks: Checks::new(&checks.active, tls)?,
            hash_by: hash_by(upstream, policy)?,
            passive,
        })
    }

    /// The groups of paths that requests are hashed by.
    pub fn captures(&self) -> impl Iterator<Item = &str> + Clone {
        self.hash_by.iter().filter_map(|by| match by {
            HashBy::UriCapture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The names that have to be resolved.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().filter_map(|target| match &target.host {
            Host::Name(name) => Some(name.as_str()),
            Host::Address(_) => None,
        })
    }
}

fn hash_by(upstream: &Upstream, policy: Policy) -> Result<Vec<HashBy>, Unusable> {
    if policy != Policy::Hashing {
        return Ok(Vec::new());
    }
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let of = |on: HashOn, field, [header, argument, capture]: [&Option<String>; 3]| {
        Ok::<_, Unusable>(match on {
            HashOn::None => None,
            HashOn::Consumer => Some(HashBy::Consumer),
            HashOn::Ip => Some(HashBy::Ip),
            HashOn::Path => Some(HashBy::Path),
            HashOn::Header => {
                Some(HashBy::Header(given(header).parse().map_err(|_| Unusable::Invalid(field))?))
            }
            HashOn::QueryArg => Some(HashBy::QueryArg(given(argument))),
            HashOn::UriCapture => Some(HashBy::UriCapture(given(capture))),
            HashOn::Cookie => Some(HashBy::Cookie {
                name: given(&upstream.hash_on_cookie),
                path: upstream.hash_on_cookie_path.clone(),
            }),
        })
    };
    let on = [&upstream.hash_on_header, &upstream.hash_on_query_arg, &upstream.hash_on_uri_capture];
    let first = of(upstream.hash_on, "hash_on_header", on)?;
    let fallback = [
        &upstream.hash_fallback_header,
        &upstream.hash_fallback_query_arg,
        &upstream.hash_fallback_uri_capture,
    ];
    let second = of(upstream.hash_fallback, "hash_fallback_header", fallback)?;
    Ok(first.into_iter().chain(second).collect())
}

fn rules(checks: &Healthchecks) -> Rules {
    let (active, passive) = (&checks.active, &checks.passive);
    Rules {
        active: Thresholds {
            successes: active.healthy.successes,
            tcp_failures: active.unhealthy.tcp_failures,
            http_failures: active.unhealthy.http_failures,
            timeouts: active.unhealthy.timeouts,
        },
        passive: Thresholds {
            successes: passive.healthy.successes,
            tcp_failures: passive.unhealthy.tcp_failures,
            http_failures: passive.unhealthy.http_failures,
            timeouts: passive.unhealthy.timeouts,
        },
        active_brings_back: active.unhealthy.interval > 0.0 && active.healthy.successes > 0,
    }
}

impl Statuses {
    /// Statuses of two lists.
    pub fn new(successes: &[u16], failures: &[u16]) -> Self {
        let sorted = |statuses: &[u16]| {
            let mut statuses = statuses.to_vec();
            statuses.sort_unstable();
            statuses
        };
        Self { successes: sorted(successes), failures: sorted(failures) }
    }

    /// What an answer with `status` counts as. A status in both lists is a failure.
    pub fn judge(&self, status: http::StatusCode) -> balancer::Observed {
        let status = status.as_u16();
        if self.failures.binary_search(&status).is_ok() {
            balancer::Observed::HttpFailure
        } else if self.successes.binary_search(&status).is_ok() {
            balancer::Observed::Success
        } else {
            balancer::Observed::Neutral
        }
    }
}
