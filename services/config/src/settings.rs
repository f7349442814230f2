//! Settings of the config service.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    thread::available_parallelism,
    time::Duration,
};

use gateway_model::path_regex::CONFIGURATION_COST_MAX;
use ids::Region;
use listener::Balancers;
use serde::Deserialize;
use settings::AddressRanges;
use settings::sections::{
    Certificate, Connections, Consistency, Database, Nats, Public, Rates, Secrets, Telemetry, Tls,
};
use utoipa::ToSchema;

/// All settings of the service.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The region that this service is part of.
    #[schema(value_type = String)]
    pub region: Region,
    /// Where the service listens.
    pub listen: Listen,
    /// This service's certificate on internal connections.
    pub tls: Tls,
    /// Presented on `listen.api`. Nodes that enrol expect the region's CA in the chain.
    pub api_tls: Certificate,
    /// The service's own database.
    pub database: Database,
    /// The NATS server of the region.
    pub nats: Nats,
    /// Services of this region that this one calls.
    pub peers: Peers,
    /// The key that seals the secrets of entities in the database.
    pub secrets: Secrets,
    /// The region's CA. It signs the certificates of nodes, and the certificate that this service shows to nodes.
    pub region_ca: Certificate,
    /// The key of consistency tokens, the same in every region.
    pub consistency: Consistency,
    /// The region's public addresses. New nodes are told where to connect.
    pub public: Public,
    /// Where certificates are ordered.
    #[serde(default)]
    pub acme: Acme,
    /// How much a control plane may hold, and how much of the machine reading input may take.
    #[serde(default)]
    pub limits: Limits,
    /// How long is kept what nodes that were away need.
    #[serde(default)]
    pub retention: Retention,
    /// The audit log.
    #[serde(default)]
    pub audit: Audit,
    /// How much anybody may ask.
    #[serde(default)]
    pub rates: Rates,
    /// What connections to each of the service's ports may cost.
    #[serde(default)]
    pub connections: Connections,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// The audit log.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How long this service's entries are kept, days.
    #[schema(value_type = u32, default = 30)]
    pub retention_days: NonZeroU32,
    /// Whether the webhooks of organizations may have addresses that are not public. Leave it off where organizations are not to reach
    /// what this service reaches.
    #[schema(default = false)]
    pub webhook_private_addresses: bool,
    /// PEM file with the CA that webhooks' certificates are verified by, instead of the public ones.
    #[schema(value_type = Option<String>, default)]
    pub webhook_ca: Option<PathBuf>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            retention_days: const { NonZeroU32::new(30).expect("not zero") },
            webhook_private_addresses: false,
            webhook_ca: None,
        }
    }
}

/// Where certificates are ordered.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acme {
    /// The ACME servers that ACME certificates may name, by name; without one, none is taken.
    #[schema(default)]
    pub directories: BTreeMap<String, AcmeDirectory>,
    /// Which of them is for ACME certificates that name none. Not needed where there is one only.
    #[schema(default)]
    pub default: Option<String>,
    /// What makes records in DNS for the challenge `dns-01`, which is refused without.
    #[schema(default)]
    pub dns_hook: Option<DnsHook>,
}

/// An ACME server (RFC 8555).
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeDirectory {
    /// Of its directory, as in `https://acme-v02.api.letsencrypt.org/directory`.
    pub url: String,
    /// PEM file with the CA that its own certificate is verified by, instead of the public ones.
    #[serde(default)]
    #[schema(value_type = Option<String>, default)]
    pub ca: Option<PathBuf>,
}

/// A server that makes and removes records in DNS.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsHook {
    /// What is posted to: JSON with `action` (`present` or `cleanup`), `organization_id`, `control_plane_id`, `domain`, `record` (the name of a
    /// TXT record, which may have several values) and `value`. It has to refuse domains that are not the organization's, with 403: the record
    /// alone gets a certificate for them. It answers 2xx, and may say in JSON how many `wait_seconds` the record takes to be seen
    /// everywhere. HTTPS, but for loopback.
    pub url: String,
    /// File with the bearer token that is sent along.
    #[serde(default)]
    #[schema(value_type = Option<String>, default)]
    pub token_file: Option<PathBuf>,
    /// PEM file with the CA that its certificate is verified by, instead of the public ones.
    #[serde(default)]
    #[schema(value_type = Option<String>, default)]
    pub ca: Option<PathBuf>,
    /// How long a record takes to be seen everywhere, unless the hook says so itself; 600 at most.
    #[serde(default = "DnsHook::default_wait_seconds")]
    #[schema(default = 30)]
    pub wait_seconds: u32,
}

impl DnsHook {
    fn default_wait_seconds() -> u32 {
        30
    }
}

/// How much a control plane may hold, and how much of the machine reading input may take.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Live entities of one control plane, and of one declarative document. Each gateway of the control plane holds all of them: about 1 KB
    /// on disk for each.
    #[schema(value_type = u64, default = 1_000_000)]
    pub entities_max: NonZeroUsize,
    /// How many steps all regular expressions in paths of a control plane's routes may take to compile; 2,000,000 when absent: about
    /// 0.2 seconds and 100 MiB at each gateway. Gateways have the same limit (`path_regex_cost_max`); raise theirs first. A
    /// declarative document never takes more than 2,000,000.
    pub path_regex_cost_max: Option<u64>,
    /// Threads that read bodies of entities, and as many that read declarative documents; two at least. When absent: half of the
    /// machine's. One organization gets half of them at most.
    pub validation_threads: Option<usize>,
    /// Where declarative documents are kept, sealed, that do not fit in memory: a directory on disk. Each may take 1 GiB, and 4 do at the
    /// same time.
    #[schema(value_type = String, default = "/var/tmp")]
    pub documents_directory: PathBuf,
    /// Snapshots that are sent to nodes at the same time. Further nodes wait.
    #[schema(default)]
    pub snapshots: Snapshots,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entities_max: const { NonZeroUsize::new(1_000_000).expect("not zero") },
            path_regex_cost_max: None,
            validation_threads: None,
            documents_directory: PathBuf::from("/var/tmp"),
            snapshots: Snapshots::default(),
        }
    }
}

/// Snapshots that are sent to nodes at the same time.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshots {
    /// In all.
    #[schema(value_type = u32, default = 16)]
    pub max: NonZeroUsize,
    /// For nodes of one organization.
    #[schema(value_type = u32, default = 12)]
    pub per_organization_max: NonZeroUsize,
    /// For nodes of one control plane.
    #[schema(value_type = u32, default = 8)]
    pub per_control_plane_max: NonZeroUsize,
}

impl Default for Snapshots {
    fn default() -> Self {
        const fn count(count: usize) -> NonZeroUsize {
            NonZeroUsize::new(count).expect("not zero")
        }
        Self {
            max: const { count(16) },
            per_organization_max: const { count(12) },
            per_control_plane_max: const { count(8) },
        }
    }
}

/// How long is kept what nodes that were away need.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How long a node that is not heard of any more stays in the list, seconds.
    #[schema(default = 3600)]
    pub nodes_listed_seconds: u32,
    /// How long after the end of its certificate a node that was not removed may renew it, seconds; 90 days. Then it has to enrol anew.
    #[schema(default = 7_776_000)]
    pub nodes_renewable_seconds: u32,
    /// How long it is kept that an entity was deleted, seconds; a day. A node that was away for longer compares buckets.
    #[schema(default = 86_400)]
    pub tombstones_seconds: u32,
    /// How long a revocation is sent again to nodes that were away, seconds; a week. Then they learn of the delete by a delta or by buckets.
    #[schema(default = 604_800)]
    pub revocations_seconds: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            nodes_listed_seconds: 3600,
            nodes_renewable_seconds: 90 * 86_400,
            tombstones_seconds: 86_400,
            revocations_seconds: 7 * 86_400,
        }
    }
}

impl Retention {
    /// How long a node that is not heard of any more stays in the list.
    pub fn nodes_listed(&self) -> Duration {
        Duration::from_secs(self.nodes_listed_seconds.into())
    }
}

impl Limits {
    /// What one control plane may hold.
    pub fn entities(&self) -> crate::Limits {
        let path_cost_max = self.path_regex_cost_max.unwrap_or(CONFIGURATION_COST_MAX);
        crate::Limits { entities_max: self.entities_max.get(), path_cost_max, ..crate::Limits::default() }
    }

    /// The threads for each of bodies and documents.
    pub fn validation_threads(&self) -> usize {
        let half = || available_parallelism().map_or(0, usize::from) / 2;
        self.validation_threads.unwrap_or_else(half)
    }
}

impl Settings {
    /// What may stand in front of `listen.sync`.
    pub fn sync_balancers(&self) -> Balancers {
        let Listen { sync_balancers, sync_proxy_protocol, .. } = &self.listen;
        Balancers { addresses: sync_balancers.clone(), proxy_protocol: *sync_proxy_protocol }
    }
}

/// Where the service listens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// HTTPS: the public API.
    #[schema(value_type = String)]
    pub api: SocketAddr,
    /// Plain HTTP for the operator: `/livez`, `/readyz`, `/metrics`. Keep it off public networks.
    #[schema(value_type = String)]
    pub operator: SocketAddr,
    /// gRPC over mTLS, for nodes. Balance it at L4.
    #[schema(value_type = String)]
    pub sync: SocketAddr,
    /// Load balancers in front of `sync`: addresses and ranges such as `10.0.0.0/8`. Connections from elsewhere are counted against
    /// their address.
    #[serde(default)]
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub sync_balancers: AddressRanges,
    /// Whether connections from `sync_balancers` begin with a header of the PROXY protocol, version 1 or 2, that names the node's
    /// address. They are refused without one.
    #[serde(default)]
    #[schema(default = false)]
    pub sync_proxy_protocol: bool,
}

/// Services that this one calls.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Internal address of identity, as in `https://127.0.0.1:9444`.
    pub identity: String,
    /// Internal address of authz.
    pub authz: String,
}
