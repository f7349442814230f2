//! The region's Postgres: one cluster with a database and a role for each service.
//!
//! There is one way in: TCP on loopback with TLS and a client certificate whose common name is the role. Roles and
//! databases are made in single-user mode, before the server listens at all.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::Context;

use crate::{
    binaries,
    ca::{Ca, OPERATOR, Pair, write_with_mode},
    folder::Folder,
    leash::{StopSignal, User},
    process::{Process, Program, log_tail},
};

const CONFIGURATION: &str = include_str!("../../../infra/postgres/region.conf");
const CLIENT_AUTHENTICATION: &str = include_str!("../../../infra/postgres/pg_hba.conf");

/// Postgres refuses to run as root; root uses this user, which Debian's package makes.
const UNPRIVILEGED_USER: &str = "postgres";
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
        let binaries = binaries::postgres()?;
        let home = folder.make_reachable("postgres")?;
        owner.give(&home)?;
        let data = home.join("data");

        let log = folder.logs().join("postgres-setup.log");
        owner.initialise(&binaries, &home, &data, &log)?;
        owner.make_databases(&binaries, &data, databases, &log)?;
        owner.configure(&data, address, &ca.internal("postgres")?, &ca.internal_ca().certificate)?;

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

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

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

/// Who owns the cluster's files and runs its programs.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// Whoever runs the testbed.
    Ourselves,
    /// We are root, so it is the user `postgres`.
    Unprivileged(User),
}

impl Owner {
    fn of_cluster() -> anyhow::Result<Self> {
        if rustix::process::geteuid().is_root() {
            User::named(UNPRIVILEGED_USER).map(Self::Unprivileged)
        } else {
            Ok(Self::Ourselves)
        }
    }

    fn name(self) -> Option<&'static str> {
        matches!(self, Self::Unprivileged(_)).then_some(UNPRIVILEGED_USER)
    }

    fn give(self, path: &Path) -> anyhow::Result<()> {
        if let Self::Unprivileged(user) = self {
            chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("give {}", path.display()))?;
        }
        Ok(())
    }

    fn initialise(self, binaries: &Path, home: &Path, data: &Path, log: &Path) -> anyhow::Result<()> {
        let mut command = self.command(&binaries.join("initdb"));
        // Nothing of value is in the cluster yet, so it need not be on disk yet.
        command.current_dir(home).arg("-D").arg(data).arg("--no-sync");
        command.args([
            "--username",
            "postgres",
            "--auth",
            "reject",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
        ]);
        run(command, "", log)
    }

    fn make_databases(self, binaries: &Path, data: &Path, names: &[&str], log: &Path) -> anyhow::Result<()> {
        let mut command = self.command(&binaries.join("postgres"));
        command
            .current_dir(data)
            .args(["--single", "-c", "exit_on_error=on", "-D"])
            .arg(data)
            .arg("postgres");
        let databases = names.iter().map(|name| {
            format!("CREATE ROLE \"{name}\" LOGIN;\nCREATE DATABASE \"{name}\" OWNER \"{name}\" TEMPLATE template0;\n")
        });
        let operator =
            format!("CREATE ROLE {OPERATOR} LOGIN;\nGRANT pg_read_all_data, pg_monitor TO {OPERATOR};\n");
        run(command, &databases.chain([operator]).collect::<String>(), log)
    }

    fn configure(self, data: &Path, address: SocketAddr, pair: &Pair, ca: &Path) -> anyhow::Result<()> {
        let path = data.join("postgresql.conf");
        let ours = CONFIGURATION.replace("{{port}}", &address.port().to_string());
        fs::write(&path, fs::read_to_string(&path)? + "\n" + &ours)?;
        fs::write(data.join("pg_hba.conf"), CLIENT_AUTHENTICATION)?;
        for (from, name) in
            [(pair.certificate.as_path(), "server.pem"), (&pair.key, "server.key"), (ca, "ca.pem")]
        {
            let to = data.join(name);
            write_with_mode(&to, &fs::read_to_string(from)?, 0o600)?;
            self.give(&to)?;
        }
        Ok(())
    }

    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Unprivileged(user) = self {
            std::os::unix::process::CommandExt::uid(&mut command, user.uid);
            std::os::unix::process::CommandExt::gid(&mut command, user.gid);
        }
        command
    }
}

/// Runs a set-up command to its end, with its output in the log.
fn run(mut command: Command, input: &str, log: &Path) -> anyhow::Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().display().to_string();
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("write to {program}"))?;
    }
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log)?;
    file.write_all(&stdout)?;
    file.write_all(&stderr)?;
    anyhow::ensure!(
        status.success(),
        "{program} failed ({status})\n--- {}\n{}---",
        log.display(),
        log_tail(log)
    );
    Ok(())
}
