//! A program on a [`leash`](crate::leash), with its output in a log file of the region's folder.
//!
//! All methods take `&self`, so that tests which share a region can kill and restart its parts. Nothing here needs a
//! runtime to stay alive: reports are read by a thread.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process_group};
use tokio::sync::watch;

use crate::{
    binaries,
    folder::{Folder, private_file},
    leash::StopSignal,
    wait,
};

/// Longest time from starting the leash to its first report.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Time that a program has between the request to stop and SIGKILL: more than the services take to drain.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Longest wait for a killed program to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
/// What an error shows of a log, in lines.
const LOG_TAIL_LINES: usize = 30;
/// Settings of the testbed's own environment must not leak into the programs that it starts.
const SETTINGS_PREFIX: &str = "LANDBRIDGE_";

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    command: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    working_folder: Option<PathBuf>,
    user: Option<String>,
    stop_signal: StopSignal,
}

impl Program {
    /// `name` is unique in the region: it names the log file.
    pub fn new(name: impl Into<String>, program: impl Into<OsString>) -> Self {
        Self {
            name: name.into(),
            command: vec![program.into()],
            environment: Vec::new(),
            working_folder: None,
            user: None,
            stop_signal: StopSignal::Term,
        }
    }

    /// The program with one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.push(argument.as_ref().to_owned());
        self
    }

    /// The program with one more environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The program, started in `folder`.
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.working_folder = Some(folder.into());
        self
    }

    /// Runs as this user; only root can.
    pub fn as_user(mut self, user: Option<&str>) -> Self {
        self.user = user.map(str::to_owned);
        self
    }

    /// The program, told to stop by another signal than SIGTERM.
    pub fn stop_with(mut self, signal: StopSignal) -> Self {
        self.stop_signal = signal;
        self
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// The leash ended without a report.
    Unknown,
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Running(Pid),
    Failed(String),
    Ended(Exit),
}

/// A started program. Dropping it stops the program, without waiting.
#[derive(Debug)]
pub struct Process {
    program: Program,
    log: PathBuf,
    hold: PathBuf,
    /// `None` after the leash was let go.
    leash: Mutex<Option<ChildStdin>>,
    state: Mutex<watch::Receiver<State>>,
}

impl Process {
    /// Starts `program` and returns when it runs; that it is ready for work is the caller's to find out.
    pub async fn start(program: Program, folder: &Folder) -> anyhow::Result<Self> {
        let (_, state) = watch::channel(State::Ended(Exit::Unknown));
        let process = Self {
            log: folder.logs().join(format!("{}.log", program.name)),
            hold: folder.lock_file(),
            program,
            leash: Mutex::new(None),
            state: Mutex::new(state),
        };
        process.start_again().await?;
        Ok(process)
    }

    /// Starts the same program again after it ended. Its log goes on in the same file.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.is_running(), "{} runs already", self.name());
        let mut leash = self.leash_command()?.spawn().context("start the leash")?;
        let (reports, state) = watch::channel(State::Starting);
        *lock(&self.leash) = leash.stdin.take();
        *lock(&self.state) = state;
        let output = leash.stdout.take().context("the leash has no output")?;
        std::thread::spawn(move || follow_reports(leash, output, &reports));

        match self.wait_for(START_DEADLINE, |state| !matches!(state, State::Starting)).await? {
            State::Running(_) => Ok(()),
            State::Failed(reason) => anyhow::bail!("{} did not start: {reason}", self.name()),
            State::Starting | State::Ended(_) => Err(self.failure("ended at once")),
        }
    }

    fn leash_command(&self) -> anyhow::Result<Command> {
        let log = private_file(&self.log, OpenOptions::new().append(true))?;
        let mut command = Command::new(binaries::testbed()?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(SETTINGS_PREFIX) {
                command.env_remove(name);
            }
        }
        command.arg("leash").arg("--hold").arg(&self.hold);
        command.args(["--stop-signal", self.program.stop_signal.as_str()]);
        command.args(["--grace-seconds", &STOP_GRACE.as_secs().to_string()]);
        if let Some(user) = &self.program.user {
            command.args(["--user", user]);
        }
        if let Some(folder) = &self.program.working_folder {
            command.current_dir(folder);
        }
        // A group of its own: Ctrl-C in a terminal reaches the testbed alone, which stops its parts in order.
        command.process_group(0);
        command.arg("--").args(&self.program.command).envs(self.program.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        Ok(command)
    }

    /// The name that it was started under, as in `authz`.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Process id of the program itself (not of its leash), which also is its process group. `None` when it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.group().and_then(|group| u32::try_from(group.as_raw_pid()).ok())
    }

    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        self.group().is_some()
    }

    /// Sends a signal to the program and its children; an error when it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let group = self.group().with_context(|| format!("{} does not run", self.name()))?;
        kill_process_group(group, signal).with_context(|| format!("signal {}", self.name()))
    }

    /// SIGKILL; returns when the program is gone.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(KILL_DEADLINE).await.map(drop)
    }

    /// Asks the program to stop, kills it when it takes too long, and returns how it ended. Fine when it has ended.
    pub async fn stop(&self) -> anyhow::Result<Exit> {
        drop(lock(&self.leash).take());
        self.wait(STOP_GRACE + KILL_DEADLINE).await
    }

    /// Waits until the program ends.
    pub async fn wait(&self, deadline: Duration) -> anyhow::Result<Exit> {
        match self.wait_for(deadline, |state| matches!(state, State::Failed(_) | State::Ended(_))).await? {
            State::Ended(exit) => Ok(exit),
            _ => Ok(Exit::Unknown),
        }
    }

    /// Waits until `probe` succeeds. Fails at once when the program ends, and shows the end of its log.
    pub async fn until_ready(
        &self,
        deadline: Duration,
        mut probe: impl AsyncFnMut() -> Result<(), String>,
    ) -> anyhow::Result<()> {
        let what = format!("{} becomes ready", self.name());
        let ready = wait::until(&what, deadline, async || match probe().await {
            Ok(()) => Ok(true),
            Err(_) if !self.is_running() => Ok(false),
            Err(reason) => Err(reason),
        });
        match ready.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.failure("ended before it was ready")),
            Err(error) => Err(self.failure(&error.to_string())),
        }
    }

    /// An error that says what happened, and shows the end of the log.
    pub fn failure(&self, what: &str) -> anyhow::Error {
        anyhow::anyhow!("{} {what}\n--- {}\n{}---", self.name(), self.log.display(), log_tail(&self.log))
    }

    fn group(&self) -> Option<Pid> {
        match *lock(&self.state).borrow() {
            State::Running(pid) => Some(pid),
            _ => None,
        }
    }

    async fn wait_for(&self, deadline: Duration, wanted: impl Fn(&State) -> bool) -> anyhow::Result<State> {
        let mut state = lock(&self.state).clone();
        let found = tokio::time::timeout(deadline, state.wait_for(|state| wanted(state))).await;
        let found = found.map(|state| state.map(|state| state.clone()));
        match found {
            Ok(Ok(state)) => Ok(state),
            // The thread that reads the reports has ended: the last state stays.
            Ok(Err(_)) => Ok(state.borrow().clone()),
            Err(_) => anyhow::bail!("{}: nothing heard of it for {} s", self.name(), deadline.as_secs()),
        }
    }
}

/// The last lines of a log file; empty when there is none.
pub fn log_tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(LOG_TAIL_LINES)..).unwrap_or_default();
    shown.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// Reads the leash's reports until it ends, then reaps it.
fn follow_reports(mut leash: Child, output: ChildStdout, reports: &watch::Sender<State>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(state) = parse_report(&line) {
            reports.send_replace(state);
        }
    }
    // The leash is done: its exit status adds nothing to what it reported.
    let _ = leash.wait();
    reports.send_if_modified(|state| {
        let is_open = matches!(state, State::Starting | State::Running(_));
        if is_open {
            *state = State::Ended(Exit::Unknown);
        }
        is_open
    });
}

fn parse_report(line: &str) -> Option<State> {
    let (word, rest) = line.split_once(' ')?;
    match word {
        "started" => Some(State::Running(Pid::from_raw(rest.parse().ok()?)?)),
        "failed" => Some(State::Failed(rest.to_owned())),
        "exited" => {
            let (how, number) = rest.split_once(' ')?;
            let number = number.parse().ok()?;
            Some(State::Ended(if how == "code" { Exit::Code(number) } else { Exit::Signal(number) }))
        }
        _ => None,
    }
}

/// The values behind these locks stay whole whatever panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
