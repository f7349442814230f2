//! The addresses of names, by DNS: SRV where there are such records, else A, else AAAA, as in Kong.
//!
//! An answer is asked for again when its TTL is over. An answer that there is nothing makes the targets of the name disappear. Without an
//! answer the last one counts on: a resolver that is dead or confused takes no target away.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType, rdata::SRV},
};

/// How long an answer counts at least, and at most.
pub const TTL_MIN: Duration = Duration::from_secs(1);
pub const TTL_MAX: Duration = Duration::from_secs(300);
/// How long a resolver may take for one query, and how often it is asked.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
const QUERY_ATTEMPTS: usize = 2;
/// Most addresses that one name has; the others are left out.
pub const ADDRESSES_MAX: usize = 1_024;
/// Most names that one answer with SRV records leads to.
const SRV_NAMES_MAX: usize = 256;
/// The weight of an SRV record with the weight 0, as in Kong: "very small, but not none" (RFC 2782).
const SRV_WEIGHT_MIN: u16 = 1;

/// What a name resolved to.
#[derive(Debug)]
pub struct Answer {
    /// The addresses, sorted.
    pub records: Vec<Record>,
    /// When to ask again.
    pub until: Instant,
    /// Whether it came from SRV records.
    is_srv: bool,
}

/// An address in an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The place of its priority among those in the answer: 0 is the best.
    pub tier: u16,
    /// The address.
    pub ip: IpAddr,
    /// Port of an SRV record.
    pub port: Option<u16>,
    /// Weight of an SRV record, at least 1.
    pub weight: Option<u16>,
    /// The name in an SRV record.
    pub srv_name: Option<String>,
}

/// Asks name servers. Cheap to clone.
#[derive(Clone)]
pub struct Names(Result<TokioResolver, Arc<str>>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// There is nobody to ask.
    #[error("no name server can be asked: {0}")]
    NoResolver(Arc<str>),
    /// The name servers do not answer, or not so that it can be understood.
    #[error(transparent)]
    Failed(#[from] NetError),
}

impl Names {
    /// Asks `servers`, or those of the system if there are none.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let resolver = Self::resolver(servers);
        if let Err(error) = &resolver {
            tracing::warn!(%error, "names of targets cannot be resolved: set name_servers");
        }
        Self(resolver.map_err(|error| error.to_string().into()))
    }

    fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
        let mut builder = if servers.is_empty() {
            Resolver::builder_tokio()?
        } else {
            let server = |server: &SocketAddr| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            };
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (QUERY_TIMEOUT, QUERY_ATTEMPTS);
        (options.positive_min_ttl, options.positive_max_ttl) = (Some(TTL_MIN), Some(TTL_MAX));
        (options.negative_min_ttl, options.negative_max_ttl) = (Some(TTL_MIN), Some(TTL_MAX));
        builder.build()
    }

    /// What `name` resolves to now. `before`: what it resolved to last.
    pub async fn ask(&self, name: &str, before: Option<&Answer>) -> Result<Answer, NoAnswer> {
        let resolver = self.0.as_ref().map_err(|reason| NoAnswer::NoResolver(reason.clone()))?;
        let (services, addresses) = futures::join!(services(resolver, name), addresses(resolver, name));
        let mut answer = match services {
            Ok(Some(services)) => services,
            Ok(None) => addresses?,
            // Its ports are in records that nobody got.
            Err(error) if before.is_some_and(|before| before.is_srv) => return Err(error.into()),
            Err(_) => addresses?,
        };
        answer.records.sort_unstable();
        answer.records.dedup();
        if answer.records.len() > ADDRESSES_MAX {
            tracing::warn!(
                name,
                addresses = answer.records.len(),
                "a name has too many addresses: {ADDRESSES_MAX} of them are used"
            );
            answer.records.truncate(ADDRESSES_MAX);
        }
        Ok(answer)
    }
}

/// The addresses that SRV records lead to; `None` if there are no such records.
async fn services(resolver: &TokioResolver, name: &str) -> Result<Option<Answer>, NetError> {
    let lookup = match resolver.srv_lookup(name).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let services = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(service) => Some(service.clone()),
        _ => None,
    });
    let services: Vec<SRV> = services.take(SRV_NAMES_MAX).collect();
    if services.is_empty() {
        return Ok(None);
    }
    let mut priorities: Vec<u16> = services.iter().map(|service| service.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let (mut records, mut until) = (Vec::new(), lookup.valid_until());
    let found = join_all(services.iter().map(async |service| {
        let target = service.target.to_utf8();
        (service, addresses(resolver, &target).await)
    }));
    for (service, addresses) in found.await {
        let addresses = addresses?;
        until = until.min(addresses.until);
        let tier = priorities.iter().position(|priority| *priority == service.priority);
        let name = service.target.to_utf8().trim_end_matches('.').to_ascii_lowercase();
        records.extend(addresses.records.into_iter().map(|record| Record {
            tier: tier.and_then(|tier| u16::try_from(tier).ok()).unwrap_or_default(),
            port: Some(service.port),
            weight: Some(service.weight.max(SRV_WEIGHT_MIN)),
            srv_name: Some(name.clone()),
            ..record
        }));
    }
    Ok(Some(Answer { records, until, is_srv: true }))
}

/// The addresses of a name: those of IPv4, or those of IPv6 if there are none.
async fn addresses(resolver: &TokioResolver, name: &str) -> Result<Answer, NetError> {
    let answer = of_kind(resolver, name, RecordType::A).await?;
    if answer.records.is_empty() { of_kind(resolver, name, RecordType::AAAA).await } else { Ok(answer) }
}

async fn of_kind(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Answer, NetError> {
    let lookup = match resolver.lookup(name, kind).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => {
            return Ok(Answer { records: Vec::new(), until: Instant::now() + TTL_MIN, is_srv: false });
        }
        Err(error) => return Err(error),
    };
    let ips = lookup.answers().iter().filter_map(|record| record.data.ip_addr());
    let record = |ip| Record { tier: 0, ip, port: None, weight: None, srv_name: None };
    Ok(Answer { records: ips.map(record).collect(), until: clamped(lookup.valid_until()), is_srv: false })
}

/// Addresses in the hosts file and the like count for ever otherwise.
fn clamped(until: Instant) -> Instant {
    let now = Instant::now();
    until.clamp(now + TTL_MIN, now + TTL_MAX)
}
