//! What the plugins that limit have in common: for whom a request is counted, and what is told of a limit.

use std::{net::IpAddr, sync::Arc, time::Duration};

use gateway_model::{
    Secret,
    plugin::{LimitBy, Policy, Redis, WindowType},
};
use http::{HeaderName, HeaderValue, StatusCode};
use uuid::Uuid;

use super::{Answer, Exchange, NotExecutable, Tools, Verdict};
use crate::{
    calls::TlsWith,
    counters::{
        Limit, Period, Subject, Table, Windows, digest_of,
        remote::{Outside, Remote, Server},
    },
};

/// Longest time that a server of shared counts has to answer.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// By what requests are told apart that are counted separately.
#[derive(Debug)]
pub enum By {
    Consumer,
    Credential,
    Address,
    Service,
    Header(HeaderName),
    Path(String),
}

impl By {
    /// As settings say. `header` and `path` are those that belong to the kinds of this name.
    pub fn new(by: LimitBy, header: Option<&String>, path: Option<&String>) -> Result<Self, NotExecutable> {
        let missing = |field| NotExecutable(format!("{field}: is required by limit_by"));
        Ok(match by {
            LimitBy::Consumer => Self::Consumer,
            LimitBy::Credential => Self::Credential,
            LimitBy::Ip => Self::Address,
            LimitBy::Service => Self::Service,
            LimitBy::Header => {
                let name = HeaderName::try_from(header.ok_or_else(|| missing("header_name"))?);
                Self::Header(name.map_err(|_| NotExecutable("header_name: not a header name".to_owned()))?)
            }
            LimitBy::Path => Self::Path(path.ok_or_else(|| missing("path"))?.clone()),
        })
    }

    /// For whom the request counts, within `scope`. As in Kong, a request that does not have what it would be told apart by is counted for its
    /// client's address.
    pub fn subject(&self, scope: u128, exchange: &Exchange<'_, '_>) -> Subject {
        let consumer = exchange.consumer.as_deref();
        let found = match self {
            By::Address => None,
            By::Consumer => consumer.map(|identity| (1, identity.consumer.as_u128())),
            By::Credential => {
                consumer.and_then(|identity| identity.credential).map(|credential| (2, credential.as_u128()))
            }
            By::Service => exchange.place.service.as_ref().map(|service| (3, Uuid::as_u128(service))),
            By::Header(name) => exchange.headers.get(name).map(|value| (4, digest_of(value.as_bytes()))),
            By::Path(path) => (exchange.path == path).then_some((5, 0)),
        };
        let (kind, who) = found.unwrap_or((0, address(exchange.client.address)));
        Subject { scope, kind, who }
    }
}

fn address(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The limits that are set among those `by_period`, from the shortest period to the longest.
pub fn limits(by_period: [Option<u64>; 6]) -> Box<[Limit]> {
    let limits = Period::ALL.into_iter().zip(by_period);
    limits.filter_map(|(period, max)| Some(Limit { period, max: max? })).collect()
}

/// How settings want periods to be understood.
pub fn windows(window_type: WindowType) -> Windows {
    match window_type {
        WindowType::Fixed => Windows::Fixed,
        WindowType::Sliding => Windows::Sliding,
    }
}

/// The time that counts, in Unix milliseconds: fixed windows begin with whole seconds.
pub fn now_ms(windows: Windows, exchange: &Exchange<'_, '_>) -> u64 {
    match windows {
        Windows::Fixed => exchange.now * 1000,
        Windows::Sliding => (exchange.clock.now().unix_timestamp_nanos() / 1_000_000)
            .try_into()
            .unwrap_or(exchange.now * 1000),
    }
}

/// Where the counts of a plugin are.
#[derive(Debug)]
pub enum Place {
    /// In this gateway.
    Here(Tools),
    /// In a server, which every request asks.
    There(Arc<Remote>),
    /// In this gateway, which tells a server now and then.
    Both(Arc<Remote>),
}

impl Place {
    /// As settings say. Every how many seconds the server is told: `sync_rate`.
    pub fn new(policy: Policy, redis: &Redis, sync_rate: f64, tools: &Tools) -> Result<Self, NotExecutable> {
        let (Policy::Redis, Some(runtime)) = (policy, tools.runtime()) else {
            // Where nothing is served, nothing is counted.
            return Ok(Self::Here(tools.clone()));
        };
        let outside = || Outside {
            runtime: runtime.clone(),
            calls: tools.calls().clone(),
            random: tools.seams().random.clone(),
            clock: tools.seams().clock.clone(),
        };
        let synchronizes = Duration::try_from_secs_f64(sync_rate).ok();
        let remote = tools.counters().remotes().get(server(redis)?, synchronizes, outside);
        Ok(if synchronizes.is_some() { Self::Both(remote) } else { Self::There(remote) })
    }

    /// The counts, where they are in this gateway; else the server to ask.
    pub fn table(&self) -> Result<&Table, &Arc<Remote>> {
        match self {
            Self::Here(tools) => Ok(tools.counters().table()),
            Self::There(remote) => Err(remote),
            Self::Both(remote) => remote.own().ok_or(remote),
        }
    }
}

fn server(redis: &Redis) -> Result<Server, NotExecutable> {
    let host =
        redis.host.clone().ok_or_else(|| NotExecutable("redis.host: is required by policy".to_owned()))?;
    let password = match &redis.password {
        None => None,
        Some(Secret::Plain(password)) => Some(password.clone()),
        Some(_) => return Err(NotExecutable("redis.password: cannot be opened".to_owned())),
    };
    let tls = redis.ssl.then(|| TlsWith {
        verify: redis.ssl_verify,
        name: redis.server_name.clone().unwrap_or_else(|| host.clone()),
    });
    Ok(Server {
        host,
        port: redis.port,
        database: redis.database,
        username: redis.username.clone(),
        password,
        timeout: Duration::from_millis(redis.timeout.into()).min(TIMEOUT_MAX),
        tls,
    })
}

/// The answer while the server cannot be asked, as Kong gives it; requests pass where the settings tolerate the fault.
pub fn without_server(fault_tolerant: bool) -> Verdict {
    if fault_tolerant {
        return Verdict::Pass;
    }
    Verdict::Answer(Answer::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred"))
}

/// The headers that tell of one limit.
#[derive(Debug)]
pub struct Told {
    limit: (HeaderName, HeaderValue),
    remaining: HeaderName,
}

impl Told {
    /// `suffix` is what the limit is called in headers. Example: `Minute`.
    pub fn new(suffix: &str, max: u64) -> Result<Self, NotExecutable> {
        let name = |of: &str| {
            HeaderName::try_from(format!("X-RateLimit-{of}-{suffix}")).map_err(|_| {
                NotExecutable(format!("limits: `{suffix}` cannot stand in the name of a header"))
            })
        };
        Ok(Self { limit: (name("Limit")?, max.into()), remaining: name("Remaining")? })
    }

    /// Name and value of both, where `remaining` is left.
    pub fn headers(&self, remaining: u64) -> [(HeaderName, HeaderValue); 2] {
        [self.limit.clone(), (self.remaining.clone(), remaining.into())]
    }
}
