//! CPU time of a region's processes, and what calls cost them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use testbed::{Region, ServiceName, process::Process};
use tokio::time::sleep;

use crate::{
    machine,
    report::{MICROSECONDS, Report},
};

/// CPU time in seconds, or a rate of it in cores.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// Of identity, authz, config and the edge.
    each: [f64; 4],
    postgres: f64,
}

impl Cpu {
    /// What the processes have used until now.
    pub fn until_now(region: &Region) -> anyhow::Result<Self> {
        let mut each = [0.0; 4];
        for (part, process) in each.iter_mut().zip(processes(region)) {
            *part = cpu_time(process)?;
        }
        Ok(Self { each, postgres: cpu_time(region.infrastructure().postgres.process())? })
    }

    /// What they use while nobody asks them anything, in cores.
    pub async fn idle(region: &Region, duration: Duration) -> anyhow::Result<Self> {
        let (started, before) = (Instant::now(), Self::until_now(region)?);
        sleep(duration).await;
        let (elapsed, after) = (started.elapsed().as_secs_f64(), Self::until_now(region)?);
        Ok(after.less(&before, |after, before| (after - before) / elapsed))
    }

    /// Of config.
    pub fn of_config(&self) -> f64 {
        self.each[2]
    }

    /// Of Postgres.
    pub fn postgres(&self) -> f64 {
        self.postgres
    }

    /// Of the services and the edge.
    pub fn services(&self) -> f64 {
        self.each.iter().sum()
    }

    /// Each part less that of `other`, as `less` says.
    pub fn less(&self, other: &Self, less: impl Fn(f64, f64) -> f64) -> Self {
        let mut each = self.each;
        each.iter_mut().zip(other.each).for_each(|(part, other)| *part = less(*part, other));
        Self { each, postgres: less(self.postgres, other.postgres) }
    }
}

/// A measurement that has begun.
pub struct Spending<'a> {
    region: &'a Region,
    /// What the processes use anyway.
    idle: &'a Cpu,
    started: Instant,
    before: Cpu,
}

impl<'a> Spending<'a> {
    /// Begins to measure.
    pub fn begin(region: &'a Region, idle: &'a Cpu) -> anyhow::Result<Self> {
        Ok(Self { region, idle, started: Instant::now(), before: Cpu::until_now(region)? })
    }

    /// Records what each of `calls` has cost since then: `<key>.cpu` of the services together, `<key>.cpu_of.<process>`, and
    /// `<key>.postgres_cpu`. Answers the first, in microseconds.
    pub fn record(self, key: &str, calls: usize, report: &mut Report) -> anyhow::Result<f64> {
        let (elapsed, after) = (self.started.elapsed().as_secs_f64(), Cpu::until_now(self.region)?);
        let spent = after.less(&self.before, |after, before| after - before);
        let each = spent.less(self.idle, |spent, idle| (spent - idle * elapsed) * 1e6 / calls as f64);
        report.record(format!("{key}.cpu"), MICROSECONDS, each.services());
        for (cpu, process) in each.each.iter().zip(processes(self.region)) {
            report.record(format!("{key}.cpu_of.{}", process.name()), MICROSECONDS, *cpu);
        }
        report.record(format!("{key}.postgres_cpu"), MICROSECONDS, each.postgres);
        Ok(each.services())
    }
}

fn processes(region: &Region) -> [&Process; 4] {
    let [identity, authz, config] = ServiceName::ALL.map(|service| region.process(service));
    [identity, authz, config, region.edge()]
}

/// CPU time of a process and its children, seconds.
pub fn cpu_time(process: &Process) -> anyhow::Result<f64> {
    let pid = process.pid().with_context(|| process.failure("has ended").to_string())?;
    Ok(machine::cpu_time(pid)?.as_secs_f64())
}
