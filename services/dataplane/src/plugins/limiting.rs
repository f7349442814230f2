//! What the plugins that limit have in common: for whom a request is counted, and what is told of a limit.

use std::net::IpAddr;

use gateway_model::plugin::{LimitBy, WindowType};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::{Exchange, NotExecutable};
use crate::counters::{Limit, Period, Subject, Windows, digest_of};

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
