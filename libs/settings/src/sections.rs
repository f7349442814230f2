//! Sections that several binaries share.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use serde::Deserialize;
use utoipa::ToSchema;

/// Where a service listens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// HTTPS: the public API.
    #[schema(value_type = String, example = "127.0.0.1:9443")]
    pub api: SocketAddr,
    /// gRPC over mTLS, for the other services.
    #[schema(value_type = String)]
    pub internal: SocketAddr,
    /// HTTPS and gRPC over mTLS, for the same service of other regions: replication, and requests that are served at an
    /// organization's home.
    #[schema(value_type = String)]
    pub peers: SocketAddr,
    /// Plain HTTP for the operator: `/livez`, `/readyz`, `/metrics`. Keep it off public networks.
    #[schema(value_type = String)]
    pub operator: SocketAddr,
}

/// This service's certificate on internal connections, as server and as client, Postgres and NATS included.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate chain.
    #[schema(value_type = String)]
    pub certificate: PathBuf,
    /// PEM file with the private key (PKCS #8).
    #[schema(value_type = String)]
    pub key: PathBuf,
    /// PEM file with the CA that signs every internal certificate of this region.
    #[schema(value_type = String)]
    pub ca: PathBuf,
}

/// A certificate and its private key.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// PEM file with the certificate chain, leaf first.
    #[schema(value_type = String)]
    pub certificate: PathBuf,
    /// PEM file with the private key (PKCS #8).
    #[schema(value_type = String)]
    pub key: PathBuf,
}

/// The service's own Postgres database, reached over TLS with the certificate of section `tls`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Name or address of the server. Its certificate must name it.
    pub host: String,
    /// Port of the server, as in 5432.
    pub port: u16,
    /// Name of the database.
    pub name: String,
    /// Role to connect as. The certificate of section `tls` must carry this name as its common name.
    pub user: String,
    /// Most connections that one process opens.
    #[serde(default = "Database::default_connections_max")]
    #[schema(default = 16)]
    pub connections_max: u32,
}

impl Database {
    fn default_connections_max() -> u32 {
        16
    }
}

/// The region's NATS server.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// As in `tls://127.0.0.1:4222`.
    pub url: String,
}

/// A key that seals secrets at rest.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// File with 32 random bytes in hexadecimal.
    #[schema(value_type = String)]
    pub key_file: PathBuf,
}

/// The key that consistency tokens, and the places in access tokens, are sealed with: the same in every region and service.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// File with 32 random bytes in hexadecimal.
    #[schema(value_type = String)]
    pub key_file: PathBuf,
    /// Files with keys that seal nothing and still open what they sealed. To replace the key, list the new one here everywhere,
    /// then let the two change places, and keep the old one here for 366 days: the longest life of an access token.
    #[serde(default)]
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub other_key_files: Vec<PathBuf>,
}

/// How much a process of a service answers before it says 429. What is left of a second can be used later: each limit lets through
/// two seconds' worth at once, unless a setting says otherwise.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Tokens that open nothing, from one address (of IPv6, from one /64), per second. An address that sent more is heard only with
    /// tokens that are known to be real.
    #[schema(value_type = u32, default = 100)]
    pub unknown_tokens: NonZeroU32,
    /// How many such tokens an address may send at once after it was quiet.
    #[schema(value_type = u32, default = 1000)]
    pub unknown_tokens_burst: NonZeroU32,
    /// Requests of one person or system account, per second.
    #[schema(value_type = u32, default = 10_000)]
    pub caller_requests: NonZeroU32,
    /// Bodies of requests of one person or system account, KiB per second.
    #[schema(value_type = u32, default = 65_536)]
    pub caller_kib: NonZeroU32,
    /// Requests of one organization, per second.
    #[schema(value_type = u32, default = 40_000)]
    pub organization_requests: NonZeroU32,
    /// Bodies of requests of one organization, KiB per second.
    #[schema(value_type = u32, default = 262_144)]
    pub organization_kib: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            unknown_tokens: number(100),
            unknown_tokens_burst: number(1000),
            caller_requests: number(10_000),
            caller_kib: number(64 * 1024),
            organization_requests: number(40_000),
            organization_kib: number(256 * 1024),
        }
    }
}

/// The service's audit log.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How long entries are kept, days.
    #[schema(value_type = u32, default = 30)]
    pub retention_days: NonZeroU32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { retention_days: const { NonZeroU32::new(30).expect("not zero") } }
    }
}

/// The keys of the log that this service writes. Each service of each region has its own.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogKeys {
    /// File with the private key that entries are signed with: 32 random bytes in hexadecimal, as `openssl rand -hex 32` makes
    /// them. Whoever has it can write in this service's name, in every region.
    #[schema(value_type = String)]
    pub key_file: PathBuf,
    /// Public keys that the log was signed with before, for as long as some region holds entries that were.
    #[serde(default)]
    pub earlier_keys: Vec<String>,
}

/// A region's public addresses, as people and nodes are told.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Where all APIs and enrolment are, as in `https://api.us.example`.
    pub api: String,
    /// Where nodes connect to, `host:port` each.
    pub sync: Vec<String>,
}

impl Public {
    /// The first of the sync addresses.
    pub fn sync_endpoint(&self) -> String {
        self.sync.first().cloned().unwrap_or_default()
    }
}

/// Another region, as this service reaches it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerRegion {
    /// `listen.peers` of the same service there, as in `https://authz.eu.example:9445`.
    pub service: String,
    /// The NATS there, as in `tls://nats.eu.example:4222`.
    pub nats: String,
    /// PEM file with the CA that signs internal certificates there.
    #[schema(value_type = String)]
    pub ca: PathBuf,
    /// Public keys of the same service's log there, the present one first: `landbridge <service> log-key` prints it there.
    pub log_keys: Vec<String>,
    /// The addresses there that people and nodes are told.
    pub public: Public,
}

/// What connections may cost. The limits hold for each port by itself.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Connections at the same time, at most half of the open files that the system allows. When all are taken, the one that has
    /// been without a request for longest is closed for a new one.
    #[schema(value_type = u64, default = 16384)]
    pub max: NonZeroUsize,
    /// Connections at the same time from one IPv4 address, or one /64 of IPv6, that have shown no certificate.
    #[schema(value_type = u64, default = 12000)]
    pub per_address_max: NonZeroUsize,
    /// Connections at the same time of clients with the same certificate.
    #[schema(value_type = u64, default = 4096)]
    pub per_certificate_max: NonZeroUsize,
    /// How long a TLS handshake may take.
    #[schema(value_type = u32, default = 10)]
    pub handshake_seconds: NonZeroU32,
    /// How long the head of a request may take from its first byte.
    #[schema(value_type = u32, default = 10)]
    pub head_seconds: NonZeroU32,
    /// How long a connection may be without a request. Keep it longer than what stands in front keeps connections.
    #[schema(value_type = u32, default = 75)]
    pub idle_seconds: NonZeroU32,
    /// How long a client may send nothing within its body, or take nothing of an answer.
    #[schema(value_type = u32, default = 30)]
    pub stall_seconds: NonZeroU32,
    /// Mebibytes of answers that clients may leave untaken, on all connections together. Beyond that, the connection that has taken
    /// nothing for longest is closed.
    #[schema(value_type = u32, default = 256)]
    pub untaken_mib: NonZeroU32,
    /// Bytes per second that a client has to send of its body, on average after `stall_seconds`.
    #[schema(value_type = u32, default = 500)]
    pub bytes_per_second_min: NonZeroU32,
}

impl Default for Connections {
    fn default() -> Self {
        const fn count(count: usize) -> NonZeroUsize {
            NonZeroUsize::new(count).expect("not zero")
        }
        const fn number(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).expect("not zero")
        }
        Self {
            max: const { count(16_384) },
            per_address_max: const { count(12_000) },
            per_certificate_max: const { count(4096) },
            handshake_seconds: const { number(10) },
            head_seconds: const { number(10) },
            idle_seconds: const { number(75) },
            stall_seconds: const { number(30) },
            untaken_mib: const { number(256) },
            bytes_per_second_min: const { number(500) },
        }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Log filter, as in `info,sqlx=warn`.
    #[schema(default = "info")]
    pub log: String,
    /// `text` or `json`.
    #[schema(default = "text")]
    pub format: LogFormat,
    /// OTLP endpoint (gRPC) that traces are sent to; none are when absent.
    #[schema(default)]
    pub otlp: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".to_owned(), format: LogFormat::Text, otlp: None }
    }
}
