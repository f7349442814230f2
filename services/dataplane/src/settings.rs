//! The gateway's settings: a TOML file, environment variables over it, and the command line over both.

mod listen;
mod sections;

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, ensure};
use gateway_model::path_regex::CONFIGURATION_COST_MAX;
use serde::Deserialize;
use settings::{
    AddressRanges, Addresses, Names,
    sections::{Connections, Telemetry},
};
use sync::limits::ENDPOINTS_MAX;
use utoipa::ToSchema;

pub use self::{
    listen::{InvalidListen, Listen},
    sections::{AccessLog, Drain, MetricsSettings, Pinned, SyncMode},
};
use crate::{
    egress::EgressProxy,
    plugins::CACHE_BYTES_MAX,
    proxy::{ErrorFormat, HOPS_MAX, Limits, Trust},
    router::{path::DotSegments, readings::AmbiguousPaths},
};

/// Settings of `dataplane serve`.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address for plain HTTP traffic, or `off`.
    #[schema(value_type = String, default = "0.0.0.0:8000")]
    pub http: Listen,
    /// Address for HTTPS traffic, or `off`. When absent, `0.0.0.0:8443` if `tls_certificate` is set, and else off. The certificates are those
    /// of the configuration, by the names that clients ask for.
    #[schema(value_type = Option<String>, default)]
    pub https: Option<Listen>,
    /// PEM file with the certificate chain for the names that the configuration has no certificate for, leaf first. Read again when it
    /// changes.
    #[schema(value_type = Option<String>, default)]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[schema(value_type = Option<String>, default)]
    pub tls_key: Option<PathBuf>,
    /// PEM file with the CAs that HTTPS upstreams are verified by, in place of the public ones.
    #[schema(value_type = Option<String>, default)]
    pub upstream_ca: Option<PathBuf>,
    /// PEM file with the certificate chain that is shown to HTTPS upstreams which ask for one, leaf first. Not shown where a service's
    /// `tls_verify` is off.
    #[schema(value_type = Option<String>, default)]
    pub upstream_certificate: Option<PathBuf>,
    /// PEM file with that certificate's private key.
    #[schema(value_type = Option<String>, default)]
    pub upstream_key: Option<PathBuf>,
    /// How the gateway's own errors are written. `message`: JSON with a `message`, as Kong's. `problem`: problem details (RFC 9457)
    /// with the same `message`.
    #[schema(value_type = String, default = "message")]
    pub errors: ErrorFormat,
    /// How many threads serve requests; one per core when absent.
    #[schema(value_type = Option<u32>, default)]
    pub threads: Option<NonZeroUsize>,
    /// Proxies in front of the gateway that it trusts, such as a load balancer: addresses and ranges such as `10.0.0.0/8`. Their
    /// `X-Forwarded-*` headers and the like are kept; everybody else's are removed.
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub trusted_ips: AddressRanges,
    /// The header from which a trusted proxy's client is learned, for `X-Real-IP`: an address, or a list of which the last
    /// counts.
    #[schema(default = "X-Real-IP")]
    pub real_ip_header: String,
    /// Whether addresses in that list which are trusted themselves are skipped.
    #[schema(default = false)]
    pub real_ip_recursive: bool,
    /// Whether connections from `trusted_ips` begin with a header of the PROXY protocol, version 1 or 2. They are refused
    /// without one. Other connections never have one.
    #[schema(default = false)]
    pub proxy_protocol: bool,
    /// What happens to a request whose path has a segment `.` or `..`. `resolve`: `/a/../b` is `/b`, and the request is refused if
    /// only some upstreams would see the segment, as in `..%2F` or `..;x`. `resolve-and-pass-parameters`: the same, but `..;x` is
    /// an ordinary segment. `refuse`: the request is refused, however the segment is encoded.
    #[schema(value_type = String, default = "resolve")]
    pub dot_segments: DotSegments,
    /// What happens to a request whose path some upstreams would read as one of another route: they take `%2F` and `%5C` for
    /// slashes, drop parameters as in `/api;x/admin`, or decode twice. `refuse`: it is refused. `pass`: it is served by the route of
    /// the path as it stands.
    #[schema(value_type = String, default = "refuse")]
    pub ambiguous_paths: AmbiguousPaths,
    /// Whether upstreams may have link-local addresses and those of clouds' metadata services, such as 169.254.169.254. An
    /// upstream at an address of the gateway itself is always refused.
    #[schema(default = false)]
    pub allow_link_local_upstreams: bool,
    /// Name servers that the names of services' hosts and of targets are resolved by, each with its port: `10.0.0.2:53`. Those of the system when
    /// there are none. What `/etc/hosts` says of a name comes first.
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub name_servers: Addresses,
    /// How many gateways a request may pass, this one included. One that has passed more, as in a loop, is answered 508.
    #[schema(default = 8)]
    pub hops_max: usize,
    /// How many steps all regular expressions in paths of routes may take to compile. The routes beyond it, the newest ones, are
    /// answered 503. As much as a control plane may hold by default: about 0.2 seconds and 100 MiB.
    #[schema(default = 2000000)]
    pub path_regex_cost_max: u64,
    /// Bytes of the answers that the plugin `proxy-cache` keeps, all together. The least recently used ones go first.
    #[schema(default = 134217728)]
    pub proxy_cache_bytes_max: u64,
    /// Address of the admin port: status, health, metrics and, with `config_token_file`, `/config`. What it shows asks for no credentials,
    /// `/config` excepted: keep it off public networks.
    #[schema(value_type = String, default = "127.0.0.1:8001")]
    pub admin: SocketAddr,
    /// Names by which operators reach the admin port, besides `localhost` and its addresses. Requests that name another host, and
    /// those from pages of another origin, are refused.
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub admin_hosts: Names,
    /// In declarative mode: file with the token, of 16 characters or more, that `/config` on the admin port asks for: `POST` replaces the
    /// configuration, `GET` shows it without secrets. There is no `/config` without it.
    #[schema(value_type = Option<String>, default)]
    pub config_token_file: Option<PathBuf>,
    /// Folder for the configuration and the node's certificate. One gateway at a time, or one and the one whose place it takes.
    #[schema(value_type = String, default = "dataplane-data")]
    pub data_dir: PathBuf,
    /// Whether this process takes the place of the gateway that runs on the same data folder: it accepts connections on that one's ports,
    /// and no request is lost. When none runs, it starts as usual. Without this, a second gateway on a data folder does not start.
    #[schema(default = false)]
    pub take_over: bool,
    /// The token that enrols this node, `lbe_…`, here, in the environment, or in the file of `--enrolment-token-file`. Needed once;
    /// not used again while the node is enrolled with it.
    #[schema(default)]
    pub enrolment_token: Option<String>,
    /// A certificate of your own that is pinned to the control plane, in place of an enrolment token.
    #[schema(default)]
    pub pinned: Option<Pinned>,
    /// How changes are taken from the control plane. `incremental`: what has changed. `full`: the whole configuration with each change, as
    /// gateways do that know no other way. That is for measurements beside it, and for nothing else.
    #[schema(value_type = String, default = "incremental")]
    pub sync: SyncMode,
    /// The HTTP proxy by which the node reaches its control plane, to enrol and for its stream, where it cannot connect itself:
    /// `http://proxy.example:3128`, with `user:password@` if the proxy asks for them. Requests to upstreams do not use it.
    #[schema(value_type = Option<String>, default)]
    pub egress_proxy: Option<EgressProxy>,
    /// The node's name in the control plane's list of nodes; the machine's own when absent.
    #[schema(default)]
    pub hostname: Option<String>,
    /// Serve this declarative file (YAML or JSON) instead of following a control plane. What is written into it is put into service within
    /// three seconds; if it is not valid, nothing changes, and the log and `/readyz` say why.
    #[schema(value_type = Option<String>, default)]
    pub declarative: Option<PathBuf>,
    /// What connections to each of the gateway's ports may cost. Bodies that pass the gateway may be as slow as they like, as long as
    /// they make some progress within `stall_seconds`.
    #[schema(default)]
    pub connections: Connections,
    /// How the gateway ends.
    #[schema(default)]
    pub drain: Drain,
    /// A line of JSON for each request.
    #[schema(default)]
    pub access_log: AccessLog,
    /// Which metrics the admin port shows.
    #[schema(default)]
    pub metrics: MetricsSettings,
    /// The share of the requests without a trace context that begin a trace, from 0 to 1. Others follow what their client says. Only where
    /// `telemetry.otlp` is set.
    #[schema(default = 1.0)]
    pub trace_sample: f64,
    /// Logs and traces.
    #[schema(default)]
    pub telemetry: Telemetry,
}

/// Where HTTPS is served when nobody says.
const HTTPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: Listen::At(SocketAddr::from(([0, 0, 0, 0], 8000))),
            https: None,
            tls_certificate: None,
            tls_key: None,
            upstream_ca: None,
            upstream_certificate: None,
            upstream_key: None,
            errors: ErrorFormat::default(),
            threads: None,
            trusted_ips: AddressRanges::default(),
            real_ip_header: "X-Real-IP".to_owned(),
            real_ip_recursive: false,
            proxy_protocol: false,
            dot_segments: DotSegments::default(),
            ambiguous_paths: AmbiguousPaths::default(),
            allow_link_local_upstreams: false,
            name_servers: Addresses::default(),
            hops_max: HOPS_MAX,
            path_regex_cost_max: CONFIGURATION_COST_MAX,
            proxy_cache_bytes_max: CACHE_BYTES_MAX,
            admin: SocketAddr::from(([127, 0, 0, 1], 8001)),
            admin_hosts: Names::default(),
            config_token_file: None,
            data_dir: PathBuf::from("dataplane-data"),
            take_over: false,
            enrolment_token: None,
            pinned: None,
            sync: SyncMode::default(),
            egress_proxy: None,
            hostname: None,
            declarative: None,
            connections: Connections::default(),
            drain: Drain::default(),
            access_log: AccessLog::default(),
            metrics: MetricsSettings::default(),
            trace_sample: 1.0,
            telemetry: Telemetry::default(),
        }
    }
}

impl Settings {
    /// The files with the certificate chain and the key for HTTPS; an error if only one of them is set.
    pub fn tls(&self) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
        pair("tls", &self.tls_certificate, &self.tls_key)
    }

    /// The files with the certificate chain and the key that upstreams are shown; an error if only one of them is set.
    pub fn upstream_certificate(&self) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
        pair("upstream", &self.upstream_certificate, &self.upstream_key)
    }

    /// The address for HTTPS; `None` if it is off.
    pub fn https(&self) -> anyhow::Result<Option<SocketAddr>> {
        let with_files = self.tls()?.map(|_| Listen::At(HTTPS));
        Ok(self.https.or(with_files).and_then(Listen::address))
    }

    /// Which proxies in front of the gateway are believed.
    pub fn trust(&self) -> anyhow::Result<Trust> {
        let nobody = self.proxy_protocol && self.trusted_ips.is_empty();
        ensure!(
            !nobody,
            "proxy_protocol needs trusted_ips: the addresses of the load balancers that send it"
        );
        let header = self.real_ip_header.parse();
        Ok(Trust {
            proxies: self.trusted_ips.clone(),
            real_ip_header: header.context("real_ip_header: not the name of a header")?,
            recursive: self.real_ip_recursive,
            proxy_protocol: self.proxy_protocol,
        })
    }

    /// Checks what can be checked without opening a file or a port.
    pub fn check(&self) -> anyhow::Result<()> {
        let listens = self.https()?.is_some() || self.http.address().is_some();
        ensure!(listens, "nothing to serve on: set http or https");
        if let Some(token) = &self.enrolment_token {
            sync::enrolment::EnrolmentToken::parse(token).context("enrolment_token")?;
        }
        self.upstream_certificate()?;
        self.trust()?;
        let sources = [self.declarative.is_some(), self.enrolment_token.is_some(), self.pinned.is_some()];
        ensure!(
            sources.into_iter().filter(|is_set| *is_set).count() <= 1,
            "declarative, enrolment_token and pinned exclude each other: a gateway has one source"
        );
        if let Some(pinned) = &self.pinned {
            let endpoints = pinned.sync.names();
            ensure!(
                (1..=ENDPOINTS_MAX).contains(&endpoints.len()) && !endpoints.iter().any(String::is_empty),
                "pinned.sync: 1 to {ENDPOINTS_MAX} addresses, each `host:port`"
            );
        }
        let nothing_to_replace = self.config_token_file.is_some() && self.declarative.is_none();
        ensure!(
            !nothing_to_replace,
            "config_token_file needs declarative: POST /config replaces the file's content"
        );
        for (name, share) in
            [("access_log.sample", self.access_log.sample), ("trace_sample", self.trace_sample)]
        {
            ensure!((0.0..=1.0).contains(&share), "{name} must be a share from 0 to 1");
        }
        ensure!(self.hops_max > 0, "hops_max must be at least 1: a request passes this gateway");
        Ok(())
    }

    /// How many threads serve requests.
    pub fn threads(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or_else(cores)
    }

    /// What clients may cost.
    pub fn limits(&self) -> Limits {
        let last_request_timeout = Duration::from_secs(self.drain.last_request_seconds.into());
        Limits { connections: (&self.connections).into(), last_request_timeout }
    }

    /// The node's name in the control plane's list of nodes.
    pub fn hostname(&self) -> String {
        let machine = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = self.hostname.clone().or_else(machine).unwrap_or_default();
        if name.trim().is_empty() { "unnamed".to_owned() } else { name.trim().to_owned() }
    }
}

fn pair(
    name: &str,
    certificate: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
        (None, None) => Ok(None),
        _ => anyhow::bail!("{name}_certificate and {name}_key go together: set both or neither"),
    }
}

/// Leaves out the enrolment token, which is a secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("http", &self.http)
            .field("https", &self.https)
            .field("admin", &self.admin)
            .field("data_dir", &self.data_dir)
            .field("declarative", &self.declarative)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let reference = settings::reference::markdown::<Settings>("dataplane");
        let settings = Settings::default();
        for (name, default) in [
            ("http", "0.0.0.0:8000".to_owned()),
            ("https", "0.0.0.0:8443".to_owned()),
            ("admin", settings.admin.to_string()),
            ("hops_max", settings.hops_max.to_string()),
            ("path_regex_cost_max", settings.path_regex_cost_max.to_string()),
            ("proxy_cache_bytes_max", settings.proxy_cache_bytes_max.to_string()),
            ("real_ip_header", settings.real_ip_header.clone()),
            ("data_dir", settings.data_dir.display().to_string()),
        ] {
            let row =
                reference.lines().find(|line| line.starts_with(&format!("| `{name}` "))).expect("a row");
            assert!(row.contains(&format!("`{default}`")), "{row}");
        }
        assert_eq!(
            settings.http.address().map(|address| address.to_string()).as_deref(),
            Some("0.0.0.0:8000")
        );
        assert_eq!(settings.https().expect("valid"), None, "no certificate, no HTTPS");
        assert!(settings.check().is_ok());
    }

    #[test]
    fn contradictions_are_named() {
        let refused = |settings: Settings| settings.check().expect_err("refused").to_string();
        let off = Settings { http: Listen::Off, ..Settings::default() };
        assert!(refused(off).contains("nothing to serve on"));
        let half = Settings { tls_key: Some("key.pem".into()), ..Settings::default() };
        assert!(refused(half).contains("go together"));
        let token = Settings { enrolment_token: Some("lbe_cut".into()), ..Settings::default() };
        assert!(refused(token).contains("enrolment_token"));
        let balanced = Settings { proxy_protocol: true, ..Settings::default() };
        assert!(refused(balanced).contains("trusted_ips"));
        let pinned = |sync: &str| {
            let control_plane = "0190a2b4-0000-7000-8000-00000000000a";
            let section = serde_json::json!({
                "certificate": "a", "key": "b", "ca": "c", "sync": sync, "region": "us", "control_plane": control_plane,
            });
            let pinned = serde_json::from_value(section).expect("the section");
            Settings { pinned: Some(pinned), ..Settings::default() }
        };
        assert!(pinned("sync.us.example:443, 10.0.0.1:443").check().is_ok());
        assert!(refused(pinned("")).contains("pinned.sync"));
        let two = Settings { declarative: Some("kong.yaml".into()), ..pinned("sync.us.example:443") };
        assert!(refused(two).contains("exclude each other"));
        let token_file = Settings { config_token_file: Some("token".into()), ..Settings::default() };
        assert!(refused(token_file).contains("needs declarative"));
        let header = Settings { real_ip_header: "X Real".to_owned(), ..Settings::default() };
        assert!(refused(header).contains("real_ip_header"));
        assert!("8000".parse::<Listen>().is_err());
        assert_eq!("off".parse::<Listen>().expect("valid"), Listen::Off);
    }
}
