//! One of the region's services: its settings file, its one-shot commands and its running process.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use ids::ServiceName;
use tokio::process::Command;

use crate::{
    api, binaries,
    ca::{Pair, write_with_mode},
    folder::Folder,
    process::{Process, Program, log_tail},
    settings,
    site::{Site, random_hex},
    traces::Traces,
};

/// Longest time from start to readiness.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Longest run of a one-shot command such as `migrate`.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// Longest wait for one answer of the operator port.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A service with its settings written; it may or may not run.
#[derive(Debug)]
pub struct Settled {
    service: ServiceName,
    settings: PathBuf,
    logs: PathBuf,
    operator: SocketAddr,
}

impl Settled {
    /// Makes the service's certificate and keys and writes its settings into the region's folder.
    pub(crate) fn prepare(service: ServiceName, site: &Site, api: &Pair) -> anyhow::Result<Self> {
        let home = site.folder.make("settings")?;
        let secret = matches!(service, ServiceName::Identity | ServiceName::Config)
            .then(|| home.join(format!("{service}.secret")));
        if let Some(path) = &secret {
            write_with_mode(path, &random_hex(), 0o600)?;
        }
        let own = site.ca.internal(service.as_str())?;
        let text = settings::of(service, site, &own, api, secret.as_deref())?;
        let path = home.join(format!("{service}.toml"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        let operator = site.addresses.of(service).operator;
        Ok(Self { service, settings: path, logs: site.folder.logs(), operator })
    }

    /// The settings file.
    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Runs `landbridge <service> <arguments> --config <settings>` to its end and returns its standard output.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let what = format!("{} {}", self.service, arguments.join(" "));
        let mut command = Command::new(binaries::services()?);
        command
            .arg(self.service.as_str())
            .args(arguments)
            .arg("--config")
            .arg(&self.settings)
            .kill_on_drop(true);
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

    /// Starts `landbridge <service> serve`; it may not be ready yet.
    pub async fn serve(&self, folder: &Folder, traces: &Traces) -> anyhow::Result<Process> {
        let program = Program::new(self.service.as_str(), binaries::services()?)
            .arg(self.service.as_str())
            .arg("serve")
            .arg("--config")
            .arg(&self.settings);
        Process::start(traces.of(self.service.as_str(), program), folder).await
    }

    /// Starts another process of config with the same settings, at addresses of its own. Called for config only.
    pub(crate) async fn serve_replica(
        &self,
        [api, sync, operator]: [SocketAddr; 3],
        folder: &Folder,
        traces: &Traces,
    ) -> anyhow::Result<Process> {
        let name = format!("{}-replica", self.service);
        let program = Program::new(&name, binaries::services()?)
            .arg(self.service.as_str())
            .arg("serve")
            .arg("--config")
            .arg(&self.settings)
            .env("LANDBRIDGE_LISTEN__API", api.to_string())
            .env("LANDBRIDGE_LISTEN__SYNC", sync.to_string())
            .env("LANDBRIDGE_LISTEN__OPERATOR", operator.to_string());
        Process::start(traces.of(&name, program), folder).await
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
