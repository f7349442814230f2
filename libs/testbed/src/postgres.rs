//! The region's Postgres: one cluster with a database and a role for each service.
//!
//! There is one way in: TCP on loopback with TLS and a client certificate whose common name is the role. Roles and
//! databases are made in single-user mode, before the server listens at all.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use local_postgres::{Owner, run};

use crate::{
    ca::{Ca, OPERATOR, Pair, write_with_mode},
    folder::Folder,
    leash::StopSignal,
    process::{Process, Program, log_tail},
    template,
};

const CONFIGURATION: &str = include_str!("../../../infra/postgres/region.conf");
const CLIENT_AUTHENTICATION: &str = include_str!("../../../infra/postgres/pg_hba.conf");

/// Longest time to readiness, crash recovery included.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Line of `postmaster.pid` that holds the server's state.
const PID_FILE_STATE_LINE: usize = 7;
/// After SIGKILL of the server, its children need a moment to notice; until then a new server refuses to start.
const STILL_IN_USE: &str = "shared memory block";
/// Largest number of starts against that.
const STARTS_MAX: usize = 50;

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    address: SocketAddr,
    data: PathBuf,
}

impl Postgres {
    /// Makes a cluster in the region's folder with `databases`, each owned by the role of the same name, and starts it.
    pub async fn start(
        folder: &Folder,
        address: SocketAddr,
        ca: &Ca,
        databases: &[&str],
    ) -> anyhow::Result<Self> {
        let owner = Owner::of_cluster()?;
        let binaries = local_postgres::programs()?;
        let home = folder.make_reachable("postgres")?;
        owner.give(&home)?;
        let data = home.join("data");

        let setup = Setup {
            owner,
            binaries: binaries.clone(),
            home: home.clone(),
            data: data.clone(),
            log: folder.logs().join("postgres-setup.log"),
        };
        let databases: Vec<String> = databases.iter().map(|name| (*name).to_owned()).collect();
        let (pair, authority) = (ca.internal("postgres")?, ca.internal_ca().certificate);
        // Takes seconds, and several regions are made at a time.
        tokio::task::spawn_blocking(move || setup.make(&databases, address, &pair, &authority)).await??;

        let program = Program::new("postgres", binaries.join("postgres"))
            .arg("-D")
            .arg(&data)
            .in_folder(&home)
            .as_user(owner.name())
            .stop_with(StopSignal::Int);
        let postgres = Self { process: Process::start(program, folder).await?, address, data };
        postgres.until_ready().await?;
        Ok(postgres)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data folder of the cluster.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The running server.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts the server again after it was killed or stopped, and waits until it has recovered.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        for _ in 1..STARTS_MAX {
            self.process.start_again().await?;
            match self.until_ready().await {
                Err(_)
                    if !self.process.is_running() && log_tail(self.process.log()).contains(STILL_IN_USE) =>
                {
                    tokio::time::sleep(crate::wait::POLL_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
        Err(self.process.failure("does not start: its memory stays in use"))
    }

    /// Copies the cluster into the folder `to`, which must not exist, while the server is stopped for it.
    pub async fn copy_to(&self, to: &Path) -> anyhow::Result<()> {
        anyhow::ensure!(!to.exists(), "{} exists", to.display());
        self.process.stop().await?;
        copy(&self.data, to).await?;
        self.start_again().await
    }

    /// Puts a copy in place of the cluster, as an operator does who restores a backup, and starts the server with it.
    pub async fn restore_from(&self, from: &Path) -> anyhow::Result<()> {
        anyhow::ensure!(from.is_dir(), "{} is no copy", from.display());
        self.process.stop().await?;
        fs::remove_dir_all(&self.data).with_context(|| format!("remove {}", self.data.display()))?;
        copy(from, &self.data).await?;
        self.start_again().await
    }

    /// The server writes its state into its pid file; nothing else could be asked without a client certificate.
    async fn until_ready(&self) -> anyhow::Result<()> {
        let path = self.data.join("postmaster.pid");
        let ready = async || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let mut lines = text.lines().map(str::trim);
            let is_this_server = lines.next().is_some_and(|pid| pid.parse().ok() == self.process.pid());
            match lines.nth(PID_FILE_STATE_LINE - 1) {
                Some("ready") if is_this_server => Ok(()),
                state => Err(format!("state {state:?}")),
            }
        };
        self.process.until_ready(READY_DEADLINE, ready).await
    }
}

/// How a cluster comes to be.
#[derive(Debug)]
struct Setup {
    owner: Owner,
    /// Folder of the server's programs.
    binaries: PathBuf,
    home: PathBuf,
    data: PathBuf,
    log: PathBuf,
}

impl Setup {
    fn make(
        &self,
        databases: &[String],
        address: SocketAddr,
        pair: &Pair,
        authority: &Path,
    ) -> anyhow::Result<()> {
        local_postgres::initialise(self.owner, &self.binaries, &self.home, &self.data, "reject", &self.log)?;
        self.make_databases(databases)?;
        self.configure(address, pair, authority)
    }

    fn make_databases(&self, names: &[String]) -> anyhow::Result<()> {
        let mut command = self.owner.command(&self.binaries.join("postgres"));
        command
            .current_dir(&self.data)
            .args(["--single", "-c", "exit_on_error=on", "-D"])
            .arg(&self.data)
            .arg("postgres");
        let databases = names.iter().map(|name| {
            format!("CREATE ROLE \"{name}\" LOGIN;\nCREATE DATABASE \"{name}\" OWNER \"{name}\" TEMPLATE template0;\n")
        });
        let operator =
            format!("CREATE ROLE {OPERATOR} LOGIN;\nGRANT pg_read_all_data, pg_monitor TO {OPERATOR};\n");
        run(command, &databases.chain([operator]).collect::<String>(), &self.log)
    }

    fn configure(&self, address: SocketAddr, pair: &Pair, authority: &Path) -> anyhow::Result<()> {
        let path = self.data.join("postgresql.conf");
        let ours = template::fill(CONFIGURATION, &[("port", &address.port().to_string())])?;
        fs::write(&path, fs::read_to_string(&path)? + "\n" + &ours)?;
        fs::write(self.data.join("pg_hba.conf"), CLIENT_AUTHENTICATION)?;
        for (from, name) in
            [(pair.certificate.as_path(), "server.pem"), (&pair.key, "server.key"), (authority, "ca.pem")]
        {
            let to = self.data.join(name);
            write_with_mode(&to, &fs::read_to_string(from)?, 0o600)?;
            self.owner.give(&to)?;
        }
        Ok(())
    }
}

/// Copies a folder with owners and modes, which Postgres insists on.
async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut command = tokio::process::Command::new("cp");
    command.arg("--archive").arg("--no-target-directory").arg(from).arg(to).kill_on_drop(true);
    let output = command.output().await.context("run cp")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "copy {} to {}: {said}", from.display(), to.display());
    Ok(())
}
