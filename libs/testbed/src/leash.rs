//! The leash: a tiny supervisor between the testbed and each program, so that no program outlives its testbed.
//!
//! `landbridge-testbed leash -- program args…` runs the program in a process group of its own. Its standard input is a
//! pipe that the testbed holds open; when that ends, because the testbed closed it or died in any way, the leash asks
//! the group to stop, waits a bounded time, and kills what is left. Started by [`crate::process`] only.
//!
//! Reports to the testbed, one a line on standard output: `started <pid>`, `failed <reason>`, `exited code <n>` or
//! `exited signal <n>`. The program's own output goes to the leash's standard error, which is the log file.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use local_postgres::User;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::wait::POLL_INTERVAL;

/// Command line of `landbridge-testbed leash`.
#[derive(Debug, clap::Args)]
pub struct LeashArguments {
    /// File on which a shared lock is held until the program is gone; see `folder`.
    #[arg(long)]
    pub hold: Option<PathBuf>,
    /// User to run the program as. Only root can.
    #[arg(long)]
    pub user: Option<String>,
    /// Signal that asks the program to stop.
    #[arg(long, value_enum, default_value_t = StopSignal::Term)]
    pub stop_signal: StopSignal,
    /// Seconds between that request and SIGKILL.
    #[arg(long, default_value_t = 10)]
    pub grace_seconds: u64,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// How a program wants to be asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StopSignal {
    /// Finish what is under way, then end.
    Term,
    /// For Postgres: end now, in good order, without waiting for clients to leave.
    Int,
}

impl StopSignal {
    /// As written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::Int => "int",
        }
    }

    fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
        }
    }
}

/// Runs the program until it ends or the testbed is gone.
pub async fn run(arguments: LeashArguments) -> anyhow::Result<()> {
    let _held = arguments.hold.as_ref().map(hold).transpose()?;
    let mut child = match spawn(&arguments) {
        Ok(child) => child,
        Err(error) => {
            report(&format!("failed {error:#}"));
            return Err(error);
        }
    };
    let pid =
        child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("the child has no id")?;
    report(&format!("started {pid}"));

    let testbed_gone = testbed_gone();
    let mut terminated = signal(SignalKind::terminate())?;
    let ended_by_itself = tokio::select! {
        status = child.wait() => Some(status?),
        _ = testbed_gone => None,
        _ = terminated.recv() => None,
    };
    let grace = Duration::from_secs(arguments.grace_seconds);
    let status = match ended_by_itself {
        Some(status) => status,
        None => stop(&mut child, pid, arguments.stop_signal, grace).await?,
    };
    stop_rest_of_group(pid, arguments.stop_signal, grace).await;
    report(&exit_report(status));
    Ok(())
}

fn hold(path: &PathBuf) -> anyhow::Result<File> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    file.lock_shared()?;
    Ok(file)
}

fn spawn(arguments: &LeashArguments) -> anyhow::Result<Child> {
    let (program, rest) = arguments.command.split_first().context("no program given")?;
    let log = std::io::stderr().as_fd().try_clone_to_owned()?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    if let Some(name) = &arguments.user {
        let user = User::named(name)?;
        command.uid(user.uid).gid(user.gid);
    }
    command.spawn().with_context(|| format!("run {}", program.display()))
}

/// Resolves when standard input ends. A thread, since a blocked read must not hold up the end of this process.
fn testbed_gone() -> oneshot::Receiver<()> {
    let (gone, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0_u8; 64];
        while std::io::stdin().read(&mut ignored).is_ok_and(|length| length > 0) {}
        // The receiver is dropped only when the program has ended first.
        let _ = gone.send(());
    });
    receiver
}

async fn stop(child: &mut Child, group: Pid, how: StopSignal, grace: Duration) -> anyhow::Result<ExitStatus> {
    send(group, how.signal());
    // A program that a test has suspended must wake up to stop.
    send(group, Signal::CONT);
    match tokio::time::timeout(grace, child.wait()).await {
        Ok(status) => Ok(status?),
        Err(_) => {
            send(group, Signal::KILL);
            Ok(child.wait().await?)
        }
    }
}

/// What the program left behind in its group, such as the command of a shell, goes with it.
async fn stop_rest_of_group(group: Pid, how: StopSignal, grace: Duration) {
    let started = Instant::now();
    if group_is_alive(group) {
        send(group, how.signal());
    }
    while group_is_alive(group) {
        if started.elapsed() >= grace {
            send(group, Signal::KILL);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The only error is that the group has ended already.
fn send(group: Pid, signal: Signal) {
    let _ = kill_process_group(group, signal);
}

/// Whether any process of the group still runs. Read from `/proc`, since the null signal counts zombies too.
fn group_is_alive(group: Pid) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter_map(|stat| Stat::read(&stat))
        .any(|stat| stat.group == group.as_raw_pid() && stat.is_alive())
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: i32,
    threads: u32,
}

impl Stat {
    /// From `pid (name) state parent group …`, where the 20th field counts the threads. The name may contain spaces and parentheses.
    fn read(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let group = fields.nth(1)?.parse().ok()?;
        Some(Self { state, group, threads: fields.nth(14)?.parse().ok()? })
    }

    /// The first thread of a killed process may be a zombie while others still hold its files and locks.
    const fn is_alive(self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }
}

/// The testbed may be gone, so a failure to tell it is no error.
fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn exit_report(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited code {code}"),
        (None, signal) => format!("exited signal {}", signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_does_not_confuse() {
        let rest = "0 -1 4194560 100 0 0 0 1 2 0 0 20 0 7 0 12345";
        let read = Stat::read(&format!("12 (a) b (c)) S 1 12 12 {rest}"));
        assert_eq!(read, Some(Stat { state: 'S', group: 12, threads: 7 }));
        assert_eq!(Stat::read("12 (cut off"), None);
        assert_eq!(Stat::read("12 (cut) S 1 12"), None);
        assert_eq!(Stat::read(""), None);
    }

    #[test]
    fn a_process_lives_as_long_as_any_of_its_threads() {
        let stat = |state, threads| Stat { state, group: 1, threads };
        assert!(stat('S', 1).is_alive() && stat('Z', 2).is_alive());
        assert!(!stat('Z', 1).is_alive());
    }
}
