//! What a measurement needs to know of the machine and of processes on it (Linux): cores, load, CPU time, memory.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

/// Where figures come from.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Cores that the scenario may use.
    pub cores: usize,
    cpu: String,
    /// Processes that ran or wanted to run, averaged over the minute before the scenario. Above 0, others were busy.
    pub load_before: f64,
    /// The same at its end, with the scenario itself.
    load_after: f64,
}

impl Machine {
    /// Before the scenario starts: it may leave cores to others.
    pub fn before() -> Self {
        Self { cores: cores(), cpu: cpu(), load_before: load(), load_after: 0.0 }
    }

    /// The machine after the scenario.
    pub fn after(&self) -> Self {
        Self { load_after: load(), ..self.clone() }
    }
}

/// The unit of times in `/proc/<pid>/stat`, on every machine that Linux calls x86 or ARM.
const TICK_MILLISECONDS: u64 = 10;

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Load average over one minute; 0 where it is unknown.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// The commit that is checked out, with `-dirty` when files differ from it; `none` outside a repository with commits.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        // Looks only: it must not contend for the index.
        let output = Command::new("git").arg("--no-optional-locks").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "none".to_owned() };
    let is_clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    if is_clean { commit } else { format!("{commit}-dirty") }
}

/// CPU time that a process and its children have used, in nanoseconds' resolution. Threads that have ended count too, and so do children
/// that have ended, in hundredths of a second.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut sum = own_cpu_time(pid)? + of_ended_children(pid)?;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while it is looked at.
        let children = fs::read_to_string(entry?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            sum += cpu_time(child.parse()?).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// CPU time of all threads of a process, those that have ended included. `/proc` has it in hundredths of a second only.
pub fn own_cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    #[expect(unsafe_code, reason = "both calls write to what they are given, and keep no pointer")]
    let found = unsafe {
        libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    ensure!(found, "no process {pid}");
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// CPU time of the children of a process that have ended.
fn of_ended_children(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parse_ended_children(&text).with_context(|| format!("{path}: unexpected form"))
}

/// The 16th and 17th field, in ticks. The second one, which may have any character, stands in parentheses.
fn parse_ended_children(stat: &str) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = ticks(13)?.checked_add(ticks(14)?)?;
    Some(Duration::from_millis(ticks.checked_mul(TICK_MILLISECONDS)?))
}

/// CPU time of the calling thread.
pub fn cpu_time_of_thread() -> anyhow::Result<Duration> {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    parse_cpu_time(&text).with_context(|| format!("{path}: unexpected form"))
}

/// The first field is the time on a CPU, in nanoseconds.
fn parse_cpu_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Lets this process, and what it starts, have as many open files as the system allows; returns that number.
pub fn raise_open_files() -> anyhow::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Memory of a process that is its own and in RAM, bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

/// Keeps this process, and what it starts from now on, on `cores`, as `taskset` reads them.
pub fn stay_on(cores: &str) -> anyhow::Result<()> {
    move_to(cores, std::process::id())
}

/// Moves a process with all its threads to `cores`.
pub fn move_to(cores: &str, pid: u32) -> anyhow::Result<()> {
    let output = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", cores])
        .arg(pid.to_string())
        .output()?;
    ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_the_first_field() {
        assert_eq!(parse_cpu_time("3000000000 7 8\n"), Some(Duration::from_secs(3)));
        assert_eq!(parse_cpu_time(""), None);
    }

    #[test]
    fn children_that_have_ended_are_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 150 50 20 0";
        assert_eq!(parse_ended_children(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_ended_children("7 (a) S 1"), None);
    }

    #[test]
    fn a_thread_that_has_ended_counts() {
        let used = thread::spawn(|| {
            let until = |time| while cpu_time_of_thread().expect("readable") < time {};
            until(Duration::from_millis(30));
            cpu_time_of_thread().expect("readable")
        });
        let used = used.join().expect("no panic");
        assert!(cpu_time(std::process::id()).expect("readable") >= used);
    }

    #[test]
    fn this_process_has_memory_and_cpu_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).expect("readable") > 0);
        let thread = cpu_time_of_thread().expect("readable");
        assert!(cpu_time(pid).expect("readable") >= thread);
    }
}
