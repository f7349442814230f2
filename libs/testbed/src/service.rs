//! One of the region's services: its settings file, its one-shot commands and its running process.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tokio::process::Command;

use crate::{
    api, binaries,
    ca::{Ca, Pair, write_with_mode},
    folder::Folder,
    ports::Ports,
    process::{Process, Program, log_tail},
};

/// Longest time from start to readiness.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Longest run of a one-shot command such as `migrate`.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// Longest wait for one answer of the operator port.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the key that seals secrets at rest.
const SECRET_BYTES: usize = 32;

/// The services of a region. The name is that of the binary, the database, the role and the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Identity,
    Authz,
    Config,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Identity, Self::Authz, Self::Config];

    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Authz => "authz",
            Self::Config => "config",
        }
    }

    fn seals_secrets(self) -> bool {
        matches!(self, Self::Identity | Self::Config)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a service listens.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// HTTPS: the public API.
    pub api: SocketAddr,
    /// gRPC over mTLS, for the other services.
    pub internal: SocketAddr,
    /// Plain HTTP: `/livez`, `/readyz`, `/metrics`.
    pub operator: SocketAddr,
}

/// Where everything of a region listens; chosen before anything starts, since settings name each other's addresses.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub postgres: SocketAddr,
    pub nats: SocketAddr,
    pub identity: Listen,
    pub authz: Listen,
    pub config: Listen,
    /// `config`'s mTLS listener for data planes.
    pub sync: SocketAddr,
}

impl Addresses {
    pub fn choose(ports: &mut Ports) -> anyhow::Result<Self> {
        let mut listen = || -> anyhow::Result<Listen> {
            Ok(Listen { api: ports.take()?, internal: ports.take()?, operator: ports.take()? })
        };
        let (identity, authz, config) = (listen()?, listen()?, listen()?);
        Ok(Self {
            identity,
            authz,
            config,
            postgres: ports.take()?,
            nats: ports.take()?,
            sync: ports.take()?,
        })
    }

    pub fn of(&self, service: Service) -> Listen {
        match service {
            Service::Identity => self.identity,
            Service::Authz => self.authz,
            Service::Config => self.config,
        }
    }
}

/// A service with its settings written; it may or may not run.
#[derive(Debug)]
pub struct Settled {
    service: Service,
    settings: PathBuf,
    logs: PathBuf,
    operator: SocketAddr,
}

impl Settled {
    /// Makes the service's certificate and key and writes its settings into the region's folder.
    pub fn prepare(
        service: Service,
        folder: &Folder,
        addresses: &Addresses,
        region: &ids::Region,
        ca: &Ca,
        api: &Pair,
    ) -> anyhow::Result<Self> {
        let home = folder.make("settings")?;
        let mut settings =
            shared_settings(service, addresses, region, &ca.internal(service.name())?, ca, api)?;
        if service.seals_secrets() {
            let path = home.join(format!("{service}.secret"));
            write_with_mode(&path, &random_hex(), 0o600)?;
            settings += &format!("\n[secrets]\nkey_file = {}\n", quoted(&path)?);
        }
        if service == Service::Config {
            settings += &config_settings(addresses, &ca.region_ca())?;
        }
        let path = home.join(format!("{service}.toml"));
        fs::write(&path, settings).with_context(|| format!("write {}", path.display()))?;
        let operator = addresses.of(service).operator;
        Ok(Self { service, settings: path, logs: folder.logs(), operator })
    }

    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Runs `<service> <arguments> --config <settings>` to its end and returns its standard output.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let what = format!("{} {}", self.service, arguments.join(" "));
        let mut command = Command::new(binaries::workspace(self.service.name())?);
        command.args(arguments).arg("--config").arg(&self.settings).kill_on_drop(true);
        let run = tokio::time::timeout(COMMAND_DEADLINE, command.output()).await;
        let output =
            run.with_context(|| format!("{what}: not done in {} s", COMMAND_DEADLINE.as_secs()))??;

        let verb = arguments.first().unwrap_or(&"command");
        let log = self.logs.join(format!("{}-{verb}.log", self.service));
        fs::write(&log, &output.stderr)?;
        let status = output.status;
        anyhow::ensure!(
            status.success(),
            "{what} failed ({status})\n--- {}\n{}---",
            log.display(),
            log_tail(&log)
        );
        String::from_utf8(output.stdout).with_context(|| format!("{what}: output is not UTF-8"))
    }

    /// Starts `<service> serve`; it may not be ready yet.
    pub async fn serve(&self, folder: &Folder) -> anyhow::Result<Process> {
        let program = Program::new(self.service.name(), binaries::workspace(self.service.name())?)
            .arg("serve")
            .arg("--config")
            .arg(&self.settings);
        Process::start(program, folder).await
    }

    /// Waits until the service's operator port says that it is ready.
    pub async fn until_ready(&self, process: &Process) -> anyhow::Result<()> {
        until_answers_200(process, &format!("http://{}/readyz", self.operator)).await
    }
}

/// Waits until `url` answers 200.
pub(crate) async fn until_answers_200(process: &Process, url: &str) -> anyhow::Result<()> {
    let http = api::http_client()?;
    let probe = async || match http.get(url).timeout(PROBE_TIMEOUT).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{url}: {} {}", answer.status(), answer.text().await.unwrap_or_default())),
        Err(error) => Err(format!("{url}: {error}")),
    };
    process.until_ready(READY_DEADLINE, probe).await
}

fn shared_settings(
    service: Service,
    addresses: &Addresses,
    region: &ids::Region,
    own: &Pair,
    ca: &Ca,
    api: &Pair,
) -> anyhow::Result<String> {
    let listen = addresses.of(service);
    // config is called by nodes, not by services.
    let grpc = match service {
        Service::Config => format!("sync = \"{}\"", addresses.sync),
        Service::Identity | Service::Authz => format!("internal = \"{}\"", listen.internal),
    };
    let peers = [Service::Identity, Service::Authz].into_iter().filter(|peer| *peer != service);
    let peers: String =
        peers.map(|peer| format!("{peer} = \"https://{}\"\n", addresses.of(peer).internal)).collect();
    Ok(format!(
        r#"region = "{region}"

[listen]
api = "{api_address}"
operator = "{operator}"
{grpc}

[tls]
certificate = {certificate}
key = {key}
ca = {ca}

[api_tls]
certificate = {api_certificate}
key = {api_key}

[database]
host = "{host}"
port = {port}
name = "{service}"
user = "{service}"

[nats]
url = "tls://{nats}"

[peers]
{peers}
[telemetry]
log = "info"
"#,
        api_address = listen.api,
        operator = listen.operator,
        certificate = quoted(&own.certificate)?,
        key = quoted(&own.key)?,
        ca = quoted(&ca.internal_ca().certificate)?,
        api_certificate = quoted(&api.certificate)?,
        api_key = quoted(&api.key)?,
        host = addresses.postgres.ip(),
        port = addresses.postgres.port(),
        nats = addresses.nats,
    ))
}

fn config_settings(addresses: &Addresses, region_ca: &Pair) -> anyhow::Result<String> {
    Ok(format!(
        "\n[region_ca]\ncertificate = {}\nkey = {}\n\n[public]\napi = \"https://{}\"\nsync = [\"{}\"]\n",
        quoted(&region_ca.certificate)?,
        quoted(&region_ca.key)?,
        addresses.config.api,
        addresses.sync,
    ))
}

/// A path as a TOML string: JSON's escapes are TOML's too.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(serde_json::to_string(text)?)
}

fn random_hex() -> String {
    let secret: [u8; SECRET_BYTES] = rand::random();
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}
