//! Postgres' own programs on this machine: where they are, which user runs them, and how a cluster is made with them.
//!
//! Used by `testbed`, whose clusters are durable and reachable over TLS only, and by `test-database`, whose cluster is
//! neither. Knows no SQL and starts no server.

#![warn(missing_docs)]

mod owner;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::Context;

pub use owner::{Owner, User};

/// Oldest Postgres that works (`clientcert`, 2021).
const MAJOR_MIN: u32 = 14;
/// Debian's folder of Postgres versions; their server binaries are not on the path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The folder of Postgres' server binaries (`initdb`, `postgres`): the newest of Debian's, else the path's.
pub fn programs() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(Result::ok);
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(major, folder)| *major >= MAJOR_MIN && folder.join("initdb").is_file())
        .max();
    let found = newest.map(|(_, folder)| folder).or_else(|| on_path("initdb")?.parent().map(Path::to_owned));
    found.with_context(|| format!("no Postgres {MAJOR_MIN} or newer: install Debian's postgresql package"))
}

/// The program of that name in a folder of `PATH`, links resolved.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    found.canonicalize().ok()
}

/// Makes an empty cluster in `data`, below the folder `home`, which `owner` can write to. The superuser is `postgres`.
/// `authentication` is what `initdb` writes into `pg_hba.conf`: `trust` or `reject`.
pub fn initialise(
    owner: Owner,
    programs: &Path,
    home: &Path,
    data: &Path,
    authentication: &str,
    log: &Path,
) -> anyhow::Result<()> {
    let mut command = owner.command(&programs.join("initdb"));
    // Nothing of value is in the cluster yet, so it need not be on disk yet.
    command.current_dir(home).arg("-D").arg(data).arg("--no-sync");
    command.args(["--username", "postgres", "--auth", authentication, "--encoding", "UTF8"]);
    command.args(["--locale", "C.UTF-8"]);
    run(command, "", log)
}

/// Runs a set-up command to its end with `input` on its standard input. Its output is appended to the file `log`.
pub fn run(mut command: Command, input: &str, log: &Path) -> anyhow::Result<()> {
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
    let said = String::from_utf8_lossy(&stderr);
    anyhow::ensure!(status.success(), "{program} failed ({status}); see {}\n{said}", log.display());
    Ok(())
}
