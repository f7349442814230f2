//! What requests are sent to: the gateway, a peer, or the upstream itself.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use hyper::{HeaderMap, Uri};
use testbed::{
    folder::Folder,
    process::{Process, Program},
};

use crate::{http1::Connections, machine};

/// Longest time from start to the first answer.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct Target {
    /// As in the keys of figures.
    pub name: &'static str,
    /// Where it takes HTTP/1.1.
    pub plain: SocketAddr,
    /// Where it takes HTTPS, with HTTP/1.1 and HTTP/2. The upstream does not.
    pub tls: Option<SocketAddr>,
    /// The running server.
    pub process: Process,
}

impl Target {
    /// Starts a program and waits until `probe`, an address and path, is answered at all.
    pub async fn start(
        name: &'static str,
        (plain, tls): (SocketAddr, Option<SocketAddr>),
        program: Program,
        folder: &Folder,
        probe: (SocketAddr, &'static str),
    ) -> anyhow::Result<Self> {
        let process = Process::start(program, folder).await?;
        let (connections, path) = (Connections::new(probe.0, 1)?, Uri::from_static(probe.1));
        let no_headers = HeaderMap::new();
        process
            .until_ready(READY_DEADLINE, async || match connections.get(&path, &no_headers).await {
                Ok(status) if status.is_server_error() => Err(format!("{path} is answered {status}")),
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error:#}")),
            })
            .await?;
        Ok(Self { name, plain, tls, process })
    }

    /// CPU time that it has used since its start.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(self.pid()?)
    }

    /// Memory of its own, bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        machine::resident_bytes(self.pid()?)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.process.pid().with_context(|| self.process.failure("has ended"))
    }
}

/// A program on these cores, as `taskset` reads them. `label` is unique in the run: it names the log.
pub fn pinned(label: &str, cores: &str, program: &Path) -> Program {
    Program::new(label, "taskset").arg("--cpu-list").arg(cores).arg(program)
}
