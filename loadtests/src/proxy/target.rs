//! What requests are sent to: the gateway, a peer, or the upstream itself.

use std::{env, fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use hyper::Uri;
use testbed::{
    binaries,
    folder::Folder,
    ports::Ports,
    process::{Process, Program},
};

use crate::{http1::Connections, machine};

/// The core that each proxy runs on.
pub const PROXY_CORE: usize = 0;
/// Longest time from start to the first answer.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct Target {
    /// As in the keys of figures.
    pub name: &'static str,
    /// Where the proxy takes requests.
    pub address: SocketAddr,
    /// The running proxy.
    pub process: Process,
}

impl Target {
    /// CPU time that the proxy has used since its start.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(self.process.pid().with_context(|| self.process.failure("has ended"))?)
    }

    /// Starts a program and waits until `probe`, an address and path, is answered at all.
    pub async fn start(
        name: &'static str,
        address: SocketAddr,
        program: Program,
        folder: &Folder,
        probe: (SocketAddr, &'static str),
    ) -> anyhow::Result<Self> {
        let process = Process::start(program, folder).await?;
        let (connections, path) = (Connections::new(probe.0, 1)?, Uri::from_static(probe.1));
        process
            .until_ready(READY_DEADLINE, async || match connections.get(&path, None).await {
                Ok(status) if status.is_server_error() => Err(format!("{path} is answered {status}")),
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error:#}")),
            })
            .await?;
        Ok(Self { name, address, process })
    }
}

/// A program on the given cores, as `taskset` reads them.
pub fn pinned(name: &'static str, cores: &str, program: &Path) -> Program {
    Program::new(name, "taskset").arg("--cpu-list").arg(cores).arg(program)
}

/// A program on the core of proxies.
pub fn on_proxy_core(name: &'static str, program: &Path) -> Program {
    pinned(name, &PROXY_CORE.to_string(), program)
}

/// The upstream, beside the proxies' core if there is another.
pub async fn upstream(folder: &Folder, ports: &mut Ports) -> anyhow::Result<Target> {
    let address = ports.take()?;
    let cores = machine::cores_but(PROXY_CORE).unwrap_or_else(|| PROXY_CORE.to_string());
    let program = pinned("upstream", &cores, &env::current_exe()?);
    let program = program.arg("upstream").arg("--listen").arg(address.to_string());
    Target::start("upstream", address, program, folder, (address, "/")).await
}

/// The gateway with a declarative file, as a user starts it.
pub async fn gateway(
    folder: &Folder,
    ports: &mut Ports,
    document: &serde_json::Value,
) -> anyhow::Result<Target> {
    let (address, admin) = (ports.take()?, ports.take()?);
    let home = folder.make("gateway")?;
    let file = home.join("gateway.json");
    fs::write(&file, document.to_string()).with_context(|| format!("write {}", file.display()))?;
    let program = on_proxy_core("gateway", &binaries::workspace("dataplane")?)
        .arg("serve")
        .arg("--declarative")
        .arg(&file)
        .arg("--data-dir")
        .arg(home.join("data"))
        .arg("--http")
        .arg(address.to_string())
        .arg("--admin")
        .arg(admin.to_string())
        .in_folder(&home);
    Target::start("gateway", address, program, folder, (admin, "/status/ready")).await
}
