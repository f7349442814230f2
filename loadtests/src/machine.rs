//! What a measurement needs to know of the machine and of processes on it (Linux): cores, load, CPU time, memory.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Context as _, ensure};
use serde::Serialize;

/// `/proc` counts CPU time in hundredths of a second on every Linux.
const CLOCK_TICKS_PER_SECOND: u64 = 100;

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

/// CPU time that a process has used, all its threads, those that ended included.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parse_cpu_time(&text).with_context(|| format!("{path}: unexpected form"))
}

/// User and system time are fields 14 and 15; the name before them, in parentheses, may hold anything.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(Duration::from_millis(ticks * 1000 / CLOCK_TICKS_PER_SECOND))
}

/// Memory of a process that is its own and in RAM, bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

/// Keeps this process off `core`, where something else is measured. On a machine with one core they share it.
pub fn leave_core(core: usize) -> anyhow::Result<()> {
    if let Some(others) = cores_but(core) {
        let pid = std::process::id().to_string();
        let output =
            Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", &others, &pid]).output()?;
        ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// All cores but one, as `taskset` reads them; `None` when there is no other.
pub fn cores_but(core: usize) -> Option<String> {
    let others: Vec<String> =
        (0..cores()).filter(|other| *other != core).map(|other| other.to_string()).collect();
    (!others.is_empty()).then(|| others.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a b) (c)) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 8 20 0 3 0 1 2 3";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(parse_cpu_time("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_and_cpu_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).expect("readable") > 0);
        assert!(cpu_time(pid).is_ok());
    }
}
