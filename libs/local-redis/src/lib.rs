//! A Redis server for tests: Debian's, on a free port of loopback, in a folder of its own, which keeps nothing.

#![warn(missing_docs)]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use local_postgres::{User, on_path};
use tempfile::TempDir;

/// Root runs it as this user.
const UNPRIVILEGED_USER: &str = "nobody";
/// Debian's package `redis-tools` has the server under this name: what the program does depends on how it is called. The package `redis-server` adds
/// only a link, and a service that tests do not need.
const PROGRAM: &str = "redis-check-rdb";
/// Longest time of a start.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two looks at whether it has started.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Starts with other ports, after somebody else has taken one.
const STARTS_MAX: u32 = 5;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct LocalRedis {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

/// What a server may be asked by whom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'o> {
    /// Nobody who says no name may ask without this password.
    pub password: Option<&'o str>,
    /// A further user who may ask everything, with a password.
    pub user: Option<(&'o str, &'o str)>,
    /// A certificate and its private key, in PEM: the server speaks TLS only.
    pub tls: Option<(&'o str, &'o str)>,
}

impl LocalRedis {
    /// Starts a server, and waits until it answers.
    pub fn start(options: Options<'_>) -> anyhow::Result<Self> {
        let mut starts = 1;
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match Self::start_at(port, options) {
                Err(_) if starts < STARTS_MAX => starts += 1,
                started => return started,
            }
        }
    }

    /// Starts a server at `port`. Example: where another one was before.
    pub fn start_at(port: u16, options: Options<'_>) -> anyhow::Result<Self> {
        let Options { password, user, tls } = options;
        let program = on_path(PROGRAM).context("no Redis: install Debian's package redis-tools")?;
        let folder = tempfile::tempdir()?;
        let mut command = as_nobody(&program, folder.path())?;
        command.arg0("redis-server").current_dir(folder.path()).args(["--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]).stdin(Stdio::null()).stdout(Stdio::null());
        match tls {
            None => drop(command.args(["--port", &port.to_string()])),
            Some((certificate, key)) => {
                for (name, pem) in [("certificate.pem", certificate), ("key.pem", key)] {
                    std::fs::write(folder.path().join(name), pem)?;
                }
                command.args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
                command.args(["--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem"]);
            }
        }
        command.args(password.map(|password| ["--requirepass", password]).into_iter().flatten());
        if let Some((name, password)) = user {
            command.args(["--user", name, "on", &format!(">{password}"), "~*", "&*", "+@all"]);
        }
        let child = command.spawn().with_context(|| format!("run {}", program.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut redis = Self { address, child, _folder: folder };
        redis.wait(tls.is_some())?;
        Ok(redis)
    }

    /// Until it answers anything; one with TLS, until it takes a connection.
    fn wait(&mut self, speaks_tls: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        let is_there = || {
            if speaks_tls { TcpStream::connect(self.address).is_ok() } else { answer(self.address).is_ok() }
        };
        while !is_there() {
            anyhow::ensure!(self.child.try_wait()?.is_none(), "redis-server ended at its start");
            anyhow::ensure!(Instant::now() < deadline, "redis-server does not answer at {}", self.address);
            #[expect(clippy::disallowed_methods, reason = "a pause between two looks, until a deadline")]
            sleep(LOOK_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for LocalRedis {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first byte that it says to a ping.
fn answer(address: SocketAddr) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect_timeout(&address, START_DEADLINE)?;
    stream.set_read_timeout(Some(START_DEADLINE))?;
    stream.write_all(b"PING\r\n")?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
    Ok(first[0])
}

/// The program, run by somebody other than root, who can write to `folder`.
fn as_nobody(program: &Path, folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        let user = User::named(UNPRIVILEGED_USER)?;
        std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid))?;
        command.uid(user.uid).gid(user.gid);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_until_it_is_dropped() {
        let redis = LocalRedis::start(Options::default()).unwrap();
        let address = redis.address;
        assert_eq!(answer(address).unwrap(), b'+');
        drop(redis);
        assert!(answer(address).is_err());
        let redis =
            LocalRedis::start_at(address.port(), Options { password: Some("secret"), ..Options::default() })
                .unwrap();
        assert_eq!(answer(redis.address).unwrap(), b'-');
    }
}
