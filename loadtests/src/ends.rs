//! What changes cost both ends: CPU time of config, of Postgres and of a gateway, and the bytes that reach the gateway.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use testbed::{Gateway, Region, ServiceName};
use tokio::time::sleep;

use crate::{
    report::{BYTES, COUNT, MICROSECONDS, Report},
    spent::cpu_time,
};

/// What a gateway counts of what it receives and does.
const WIRE: &str = "landbridge_sync_received_bytes_total";
const UNPACKED: &str = "landbridge_sync_unpacked_bytes_total";
const COMMITS: &str = "landbridge_apply_commit_seconds_count";

/// The two ends of a stream.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    /// Its config and its Postgres are one end.
    pub region: &'a Region,
    /// The other one.
    pub gateway: &'a Gateway,
}

/// CPU time in seconds, or a rate of it in cores.
#[derive(Clone, Copy)]
struct Cpu {
    config: f64,
    postgres: f64,
    gateway: f64,
}

/// What a gateway has counted.
#[derive(Clone, Copy)]
struct Counted {
    wire: f64,
    unpacked: f64,
    commits: f64,
}

/// What both ends use while nothing changes, in cores.
pub struct Idle(Cpu);

/// A measurement that has begun.
pub struct Costing<'a> {
    ends: Ends<'a>,
    counted: Counted,
    started: Instant,
    before: Cpu,
}

impl<'a> Ends<'a> {
    /// What they use while nothing changes.
    pub async fn idle(self, duration: Duration) -> anyhow::Result<Idle> {
        let (started, before) = (Instant::now(), self.cpu()?);
        sleep(duration).await;
        let (elapsed, after) = (started.elapsed().as_secs_f64(), self.cpu()?);
        Ok(Idle(after.with(&before, |after, before| (after - before) / elapsed)))
    }

    /// Begins to measure.
    pub async fn begin(self) -> anyhow::Result<Costing<'a>> {
        // What it costs to ask the gateway is not measured.
        let counted = self.counted().await?;
        Ok(Costing { ends: self, counted, started: Instant::now(), before: self.cpu()? })
    }

    fn cpu(self) -> anyhow::Result<Cpu> {
        Ok(Cpu {
            config: cpu_time(self.region.process(ServiceName::Config))?,
            postgres: cpu_time(self.region.infrastructure().postgres.process())?,
            gateway: cpu_time(self.gateway.process())?,
        })
    }

    async fn counted(self) -> anyhow::Result<Counted> {
        let answer = self.gateway.admin().get("/metrics").await?;
        let value = |name: &str| value(&answer.text, name).with_context(|| format!("no {name} in /metrics"));
        Ok(Counted { wire: value(WIRE)?, unpacked: value(UNPACKED)?, commits: value(COMMITS)? })
    }
}

impl Costing<'_> {
    /// Records what each of `changes` has cost since then, beyond what both ends use anyway, `key` before each figure: `plane_cpu` of config and
    /// Postgres together, `config_cpu` and `postgres_cpu` of each, `gateway_cpu`, `bytes` unpacked and `wire_bytes`, and `commits` of the gateway.
    pub async fn record(
        self,
        key: &str,
        changes: usize,
        Idle(idle): &Idle,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (elapsed, after) = (self.started.elapsed().as_secs_f64(), self.ends.cpu()?);
        let counted = self.ends.counted().await?;
        let each = after
            .with(&self.before, |after, before| after - before)
            .with(idle, |spent, idle| (spent - idle * elapsed) * 1e6 / changes as f64);
        for (name, cpu) in [
            ("plane_cpu", each.config + each.postgres),
            ("config_cpu", each.config),
            ("postgres_cpu", each.postgres),
            ("gateway_cpu", each.gateway),
        ] {
            report.record(format!("{key}.{name}"), MICROSECONDS, cpu);
        }
        for (name, unit, after, before) in [
            ("bytes", BYTES, counted.unpacked, self.counted.unpacked),
            ("wire_bytes", BYTES, counted.wire, self.counted.wire),
            ("commits", COUNT, counted.commits, self.counted.commits),
        ] {
            report.record(format!("{key}.{name}"), unit, (after - before) / changes as f64);
        }
        Ok(())
    }
}

impl Cpu {
    /// Each part together with that of `other`, as `join` says.
    fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            config: join(self.config, other.config),
            postgres: join(self.postgres, other.postgres),
            gateway: join(self.gateway, other.gateway),
        }
    }
}

/// The value of a series without labels, in Prometheus' text format.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let text = "# TYPE a counter\na_total{b=\"c\"} 1\na_total_more 2\na_total 17\n";
        assert_eq!(value(text, "a_total"), Some(17.0));
        assert_eq!(value(text, "a"), None);
    }
}
