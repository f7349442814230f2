//! The Postgres server that all test processes of one build folder share.
//!
//! It lives in a folder of its own, in memory where there is enough, else below the system's temporary folder. Three files there are locked with `flock(2)`, which the
//! kernel releases when a process ends in whatever way:
//! * `start`: held while the server is started or stopped, so that processes do not race for it.
//! * `in-use`: held shared by every process that has asked for a database, until it ends.
//! * `supervisor`: held by the supervisor, a small shell script in a process group of its own. It starts the server, waits
//!   until nobody has held `in-use` for [`IDLE_SECONDS`], stops the server and removes the folder.
//!
//! Nothing of the server listens on the network: there is a Unix socket in the folder.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, ensure};
use local_postgres::Owner;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Arguments: the folder of Postgres' programs, the server's folder, seconds of idleness.
const SUPERVISOR: &str = include_str!("supervisor.sh");
/// Seconds after the last process has ended at which the server is stopped. Between two test programs of one `cargo test`
/// there are less.
const IDLE_SECONDS: u32 = 10;
/// Files there are in memory. Copying a database is then ten times as fast as on a disk that a build is writing to.
const MEMORY_FOLDER: &str = "/dev/shm";
/// Free bytes that [`MEMORY_FOLDER`] must have to be used; containers often have 64 MiB there.
const MEMORY_FREE_MIN: u64 = 2 << 30;
/// Appended to the `postgresql.conf` that `initdb` writes.
const CONFIGURATION: &str = "
listen_addresses = ''
max_connections = 400
shared_buffers = 64MB
# Nothing has to outlive the server.
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 256MB
autovacuum = off
jit = off
log_checkpoints = off
log_line_prefix = '%m [%p] %d '
";

/// A running server, which goes on running at least until this process ends.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    _in_use: File,
}

impl Server {
    /// The server, started if it does not run. Blocks meanwhile, about a second.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::start().expect("start the Postgres of the tests"))
    }

    /// How to connect to one of its databases.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .username("postgres")
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Whether no connection to a database does anything: none runs a statement, is within a transaction, or is just being made. From what
    /// the kernel says of Postgres' processes.
    pub fn is_at_rest(&self, database: &str) -> bool {
        let read = |path: String| fs::read_to_string(path).unwrap_or_default();
        let file = read(format!("{}/data/postmaster.pid", self.folder.display()));
        let server = file.lines().next().unwrap_or_default();
        read(format!("/proc/{server}/task/{server}/children")).split_whitespace().all(|process| {
            // As in "postgres: postgres test_7_0 [local] idle".
            let title = read(format!("/proc/{process}/cmdline"));
            let title = title.trim_end_matches(['\0', ' ']);
            let is_others = title.starts_with("postgres: ") && !title.contains(database);
            is_others || (title.ends_with(" idle") && sleeps(&read(format!("/proc/{process}/stat"))))
        })
    }

    fn start() -> anyhow::Result<Self> {
        let owner = Owner::of_cluster()?;
        let folder = folder_of_build()?;
        let start = locked_folder(owner, &folder)?;
        let in_use = lock_file(owner, &folder.join("in-use"))?;
        in_use.lock_shared()?;
        if !is_running(owner, &folder)? {
            run_anew(owner, &folder).with_context(|| format!("in {}", folder.display()))?;
        }
        start.unlock()?;
        Ok(Self { folder, _in_use: in_use })
    }
}

/// Whether a process waits, by its line in `/proc/…/stat`. Its state stands behind its name, which is in parentheses.
fn sleeps(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// One folder for each build folder, so that two checkouts do not share a server.
fn folder_of_build() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?;
    let build = program.ancestors().find(|folder| folder.ends_with("deps")).unwrap_or(&program);
    let mut hasher = DefaultHasher::new();
    build.hash(&mut hasher);
    Ok(parent_folder().join(format!("landbridge-test-database-{:016x}", hasher.finish())))
}

fn parent_folder() -> PathBuf {
    let free = rustix::fs::statvfs(MEMORY_FOLDER).map_or(0, |is| is.f_bavail * is.f_frsize);
    if free >= MEMORY_FREE_MIN { MEMORY_FOLDER.into() } else { env::temp_dir() }
}

/// Makes the folder if need be, and returns its file `start`, locked.
fn locked_folder(owner: Owner, folder: &Path) -> anyhow::Result<File> {
    loop {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        match builder.create(folder) {
            Ok(()) => owner.give(folder)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("make {}", folder.display())),
        }
        let path = folder.join("start");
        let file = match lock_file(owner, &path) {
            Ok(file) => file,
            // The supervisor has just removed the folder.
            Err(_) if !folder.exists() => continue,
            Err(error) => return Err(error),
        };
        file.lock()?;
        // The supervisor may have removed the folder while this waited for the lock.
        if fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino()))
        {
            return Ok(file);
        }
    }
}

fn lock_file(owner: Owner, path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    owner.give(path)?;
    Ok(file)
}

/// Whether there is a server with a supervisor. A server that has lost its supervisor is stopped.
fn is_running(owner: Owner, folder: &Path) -> anyhow::Result<bool> {
    let supervisor = lock_file(owner, &folder.join("supervisor"))?;
    let answers = UnixStream::connect(folder.join(".s.PGSQL.5432")).is_ok();
    match supervisor.try_lock() {
        Err(TryLockError::WouldBlock) => {
            ensure!(answers, "the server of {} has a supervisor and does not answer", folder.display());
            Ok(true)
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
        Ok(()) => {
            if answers {
                let mut stop = owner.command(&local_postgres::programs()?.join("pg_ctl"));
                stop.current_dir(folder).args([
                    "--silent",
                    "--wait",
                    "-m",
                    "immediate",
                    "-D",
                    "data",
                    "stop",
                ]);
                local_postgres::run(stop, "", &folder.join("log"))?;
            }
            Ok(false)
        }
    }
}

fn run_anew(owner: Owner, folder: &Path) -> anyhow::Result<()> {
    let programs = local_postgres::programs()?;
    let (data, log) = (folder.join("data"), folder.join("log"));
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::write(&log, "")?;
    owner.give(&log)?;
    local_postgres::initialise(owner, &programs, folder, &data, "trust", &log)?;
    let path = data.join("postgresql.conf");
    let socket = format!("unix_socket_directories = '{}'\n", folder.display());
    fs::write(&path, fs::read_to_string(&path)? + CONFIGURATION + &socket)?;

    let mut command: Command = owner.command(Path::new("/bin/sh"));
    command.args(["-c", SUPERVISOR, "supervisor"]).arg(&programs).arg(folder).arg(IDLE_SECONDS.to_string());
    command.current_dir(folder).process_group(0).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(OpenOptions::new().append(true).open(&log)?);
    let mut supervisor = command.spawn().context("run /bin/sh")?;
    let mut said = String::new();
    let output = supervisor.stdout.take().context("the supervisor has no output")?;
    BufReader::new(output).read_line(&mut said)?;
    ensure!(said.trim() == "ready", "the server did not start:\n{}", fs::read_to_string(&log)?);
    Ok(())
}
