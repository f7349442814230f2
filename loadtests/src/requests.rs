//! What a request to the region's API costs: CPU time of all the region's processes together, Postgres apart.
//!
//! Requests are sent to the service that serves them, and by way of the region's edge. `guarded` and `unguarded` are answered by
//! config with a few bytes that it has at hand: one behind the guard, with a decision of authz, the other in front of it. So the
//! difference is what it costs to know the caller, and that it may.

mod kinds;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use testbed::{Region, ServiceName, process::Process};
use tokio::time::sleep;

use crate::{
    Pace, machine,
    measured::Samples,
    proxy::{
        certificate::{self, Sessions},
        generator::{self, Arrivals, Load, Outcome, Reuse, Wire},
    },
    report::{COUNT, MICROSECONDS, MILLISECONDS, PER_SECOND, PERCENT, Report, milliseconds},
    stage::{self, say},
};
use kinds::{Kind, Sender};

/// Connections, each with one request at a time.
const CALLERS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
/// The fixed rate, as a share of what the callers got.
const OPEN_SHARE: f64 = 0.6;

/// Which way requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the service.
    Direct,
    /// Through the edge.
    Edge,
}

impl Way {
    const ALL: [Self; 2] = [Self::Direct, Self::Edge];

    const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Edge => "edge",
        }
    }

    fn address(self, region: &Region, service: ServiceName) -> SocketAddr {
        let addresses = &region.infrastructure().addresses;
        match self {
            Self::Direct => addresses.of(service).api,
            Self::Edge => addresses.edge,
        }
    }
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    let bench = Bench { sender: Sender::prepare(&region, report).await?, wire: wire(&region)?, region };
    for way in Way::ALL {
        for kind in Kind::ALL {
            bench.load(way, kind, Arrivals::Closed(WARM_UP)).await?;
        }
    }
    for round in 1..=pace.rounds {
        say(&format!("Closed loop, {CALLERS} callers, round {round} of {}", pace.rounds));
        let idle = bench.idle(pace.round).await?;
        report.record("idle.core_share", PERCENT, idle.services * 100.0);
        for way in Way::ALL {
            for kind in Kind::ALL {
                bench.closed(way, kind, (pace.round, &idle), report).await?;
            }
        }
    }
    let cpu = |kind: Kind| format!("direct.{}.cpu", kind.name());
    report.record_difference("guard_cpu_us", MICROSECONDS, &cpu(Kind::Guarded), &cpu(Kind::Unguarded));
    for kind in [Kind::Get, Kind::Check] {
        let per_second = report.median(&format!("direct.{}.requests", kind.name())) * OPEN_SHARE;
        for round in 1..=pace.rounds {
            say(&format!("{per_second:.0} {} a second, round {round} of {}", kind.name(), pace.rounds));
            let arrivals = Arrivals::Open { per_second, duration: pace.round };
            let outcome = bench.load(Way::Direct, kind, arrivals).await?;
            record_open(&format!("open.{}", kind.name()), per_second, &outcome, report);
        }
    }
    bench.region.stop().await
}

fn record_open(key: &str, per_second: f64, outcome: &Outcome, report: &mut Report) {
    report.record(format!("{key}.rate"), PER_SECOND, per_second);
    report.record_times(&format!("{key}.latency"), &outcome.latencies);
    report.record_times(&format!("{key}.lateness"), &outcome.lateness);
    report.record(format!("{key}.failed"), COUNT, outcome.failed as f64);
}

/// How TLS is spoken to the region: each caller is a client of its own.
fn wire(region: &Region) -> anyhow::Result<Wire> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(region.ca_file())? {
        roots.add(authority?)?;
    }
    ensure!(!roots.is_empty(), "the region has no authority");
    let client = || certificate::client(roots.clone(), &["http/1.1"], Sessions::Forgotten, None);
    Ok(Wire::Tls((0..CALLERS).map(|_| client()).collect::<Result<_, _>>()?))
}

/// A region under load.
struct Bench {
    region: Region,
    sender: Sender,
    wire: Wire,
}

/// CPU time, or a rate of it in cores.
struct Cpu {
    /// Of identity, authz, config and the edge.
    services: f64,
    postgres: f64,
    each: [f64; 4],
}

impl Bench {
    async fn load(&self, way: Way, kind: Kind, arrivals: Arrivals) -> anyhow::Result<Outcome> {
        let load = Load {
            address: way.address(&self.region, kind.service()),
            requests: Arc::new(self.sender.requests(kind)),
            connections: CALLERS,
            reuse: Reuse::Kept,
            wire: self.wire.clone(),
            arrivals,
        };
        generator::run(load).await.with_context(|| format!("{}.{}", way.name(), kind.name()))
    }

    async fn closed(
        &self,
        way: Way,
        kind: Kind,
        (duration, idle): (Duration, &Cpu),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (started, before) = (Instant::now(), self.cpu()?);
        let outcome = self.load(way, kind, Arrivals::Closed(duration)).await?;
        let (elapsed, after) = (started.elapsed().as_secs_f64(), self.cpu()?);
        let count = outcome.latencies.len() as f64;
        // Less what an idle region uses in that time.
        let each = |before: f64, after: f64, idle: f64| (after - before - idle * elapsed) * 1e6 / count;
        let key = format!("{}.{}", way.name(), kind.name());
        let cpu = each(before.services, after.services, idle.services);
        report.record(format!("{key}.cpu"), MICROSECONDS, cpu);
        let parts = before.each.iter().zip(after.each).zip(idle.each).zip(self.processes());
        for (((before, after), idle), process) in parts {
            let cpu = each(*before, after, idle);
            report.record(format!("{key}.cpu_of.{}", process.name()), MICROSECONDS, cpu);
        }
        let postgres = each(before.postgres, after.postgres, idle.postgres);
        report.record(format!("{key}.postgres_cpu"), MICROSECONDS, postgres);
        report.record(format!("{key}.requests"), PER_SECOND, outcome.per_second);
        record_latency(&key, &outcome.latencies, report);
        if way == Way::Direct {
            kind.record_headline((cpu, outcome.per_second), report);
        }
        Ok(())
    }

    /// What the region uses while nobody asks it anything, in cores.
    async fn idle(&self, duration: Duration) -> anyhow::Result<Cpu> {
        let (started, before) = (Instant::now(), self.cpu()?);
        sleep(duration).await;
        let (elapsed, after) = (started.elapsed().as_secs_f64(), self.cpu()?);
        let rate = |before: f64, after: f64| (after - before) / elapsed;
        let mut each = before.each;
        each.iter_mut().zip(after.each).for_each(|(part, after)| *part = rate(*part, after));
        Ok(Cpu {
            services: rate(before.services, after.services),
            postgres: rate(before.postgres, after.postgres),
            each,
        })
    }

    fn processes(&self) -> [&Process; 4] {
        let [identity, authz, config] = ServiceName::ALL.map(|service| self.region.process(service));
        [identity, authz, config, self.region.edge()]
    }

    fn cpu(&self) -> anyhow::Result<Cpu> {
        let mut each = [0.0; 4];
        for (part, process) in each.iter_mut().zip(self.processes()) {
            *part = cpu_time(process)?;
        }
        let postgres = cpu_time(self.region.infrastructure().postgres.process())?;
        Ok(Cpu { services: each.iter().sum(), postgres, each })
    }
}

/// CPU time of a process and its children, seconds.
fn cpu_time(process: &Process) -> anyhow::Result<f64> {
    let pid = process.pid().with_context(|| process.failure("has ended").to_string())?;
    Ok(machine::cpu_time(pid)?.as_secs_f64())
}

fn record_latency(key: &str, latencies: &Samples, report: &mut Report) {
    report.record(format!("{key}.p50"), MILLISECONDS, milliseconds(latencies.percentile(500)));
}
