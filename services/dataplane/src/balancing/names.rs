//! The addresses of names: of the hosts file where it has the name, else by DNS. For targets that is SRV where there are such records, else
//! A, else AAAA, as in Kong. For the host of a service that is no upstream it is A and AAAA, as everywhere.
//!
//! An answer is asked for again when its TTL is over. An answer that there is nothing makes the targets of the name disappear. Without an
//! answer the last one counts on: a resolver that is dead or confused takes no target away.

use std::{
    fmt,
    fs::File,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use hickory_resolver::{
    Hosts as HostsFile, Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{IntoName as _, Name, RData, RecordType, rdata::SRV},
    },
};
use metrics::{counter, describe_counter};

const FAILURES: &str = "landbridge_dns_failures_total";
const HOSTS_FILE: &str = "/etc/hosts";

/// How long an answer counts at least, and at most.
pub const TTL_MIN: Duration = Duration::from_secs(1);
pub const TTL_MAX: Duration = Duration::from_secs(300);
/// How long what the hosts file says counts. It is read again then.
const HOSTS_FILE_TTL: Duration = Duration::from_secs(5);
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
    pub(super) is_srv: bool,
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

/// Asks the hosts file and name servers. Cheap to clone.
#[derive(Clone)]
pub struct Names {
    resolver: Result<TokioResolver, Arc<str>>,
    hosts_file: Arc<Path>,
}

impl Record {
    /// An address of which nothing else is said.
    pub(super) fn of(ip: IpAddr) -> Self {
        Self { tier: 0, ip, port: None, weight: None, srv_name: None }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// There is nobody to ask.
    #[error("no name server can be asked: {0}")]
    NoResolver(Arc<str>),
    /// The name servers do not answer, or not so that it can be understood.
    #[error(transparent)]
    Failed(#[from] NetError),
    /// Whoever asked has ended meanwhile.
    #[error("the gateway ends")]
    Ended,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    /// Asks `servers`, or those of the system if there are none.
    pub fn new(servers: &[SocketAddr]) -> Self {
        describe_counter!(
            FAILURES,
            "Queries for the addresses of upstreams and targets without an answer. The last answer counts on."
        );
        let resolver = Self::resolver(servers);
        if let Err(error) = &resolver {
            tracing::warn!(%error, "names of upstreams are looked up in the hosts file alone: set name_servers");
        }
        let resolver = resolver.map_err(|error| error.to_string().into());
        Self { resolver, hosts_file: PathBuf::from(HOSTS_FILE).into() }
    }

    /// The same, with another hosts file.
    #[must_use]
    pub fn with_hosts_file(self, path: &Path) -> Self {
        Self { hosts_file: path.into(), ..self }
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
        // It would be read once, and not be asked for short names where there are search domains.
        options.use_hosts_file = ResolveHosts::Never;
        (options.positive_min_ttl, options.positive_max_ttl) = (Some(TTL_MIN), Some(TTL_MAX));
        (options.negative_min_ttl, options.negative_max_ttl) = (Some(TTL_MIN), Some(TTL_MAX));
        builder.build()
    }

    /// What the name of a target resolves to now. `before`: what it resolved to last.
    pub async fn ask(&self, name: &str, before: Option<&Answer>) -> Result<Answer, NoAnswer> {
        let asked = async {
            match self.in_hosts_file(name) {
                Some(answer) => Ok(answer),
                None => self.of_target(name, before).await,
            }
        };
        asked.await.inspect_err(|_| counter!(FAILURES).increment(1))
    }

    /// The addresses that the host `name` has now: those of IPv4 first.
    pub async fn ask_host(&self, name: &str) -> Result<Answer, NoAnswer> {
        let asked = async {
            match self.in_hosts_file(name) {
                Some(answer) => Ok(answer),
                None => self.of_host(name).await,
            }
        };
        asked.await.inspect_err(|_| counter!(FAILURES).increment(1))
    }

    /// What the hosts file says of `name`, if it says something.
    fn in_hosts_file(&self, name: &str) -> Option<Answer> {
        let name: Name = name.into_name().ok()?;
        let mut hosts = HostsFile::default();
        hosts.read_hosts_conf(File::open(&self.hosts_file).ok()?).ok()?;
        let of_kind = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of_kind);
        let ips = found.flat_map(|lookup| {
            lookup.answers().iter().map(|record| record.data.ip_addr()).collect::<Vec<_>>()
        });
        let records: Vec<Record> = ips.flatten().map(Record::of).collect();
        let until = Instant::now() + HOSTS_FILE_TTL;
        (!records.is_empty()).then_some(Answer { records, until, is_srv: false })
    }

    fn resolver_or_none(&self) -> Result<&TokioResolver, NoAnswer> {
        self.resolver.as_ref().map_err(|reason| NoAnswer::NoResolver(reason.clone()))
    }

    /// The two are asked for at the same time. One of them is enough.
    async fn of_host(&self, name: &str) -> Result<Answer, NoAnswer> {
        let resolver = self.resolver_or_none()?;
        let of_kind = |kind| of_kind(resolver, name, kind);
        match futures::join!(of_kind(RecordType::A), of_kind(RecordType::AAAA)) {
            (Ok(mut answer), Ok(more)) => {
                answer.until = answer.until.min(more.until);
                answer.records.extend(more.records);
                answer.records.truncate(ADDRESSES_MAX);
                Ok(answer)
            }
            (Ok(answer), Err(_)) | (Err(_), Ok(answer)) if !answer.records.is_empty() => Ok(answer),
            (Err(error), _) | (_, Err(error)) => Err(error.into()),
        }
    }

    async fn of_target(&self, name: &str, before: Option<&Answer>) -> Result<Answer, NoAnswer> {
        let resolver = self.resolver_or_none()?;
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
    Ok(Answer { records: ips.map(Record::of).collect(), until: clamped(lookup.valid_until()), is_srv: false })
}

/// Addresses of `localhost` and the like count for ever otherwise.
fn clamped(until: Instant) -> Instant {
    let now = Instant::now();
    until.clamp(now + TTL_MIN, now + TTL_MAX)
}
