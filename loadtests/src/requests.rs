//! What a request to the region's API costs: CPU time of all the region's processes together, Postgres apart.
//!
//! Requests are sent to the service that serves them, and by way of the region's edge. `guarded` and `unguarded` are answered by
//! config with a few bytes that it has at hand: one behind the guard, with a decision of authz, the other in front of it. So the
//! difference is what it costs to know the caller, and that it may.

mod kinds;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use testbed::{Region, ServiceName};

use crate::{
    Pace,
    measured::Samples,
    message::wire,
    proxy::generator::{self, Arrivals, Load, Outcome, Reuse, Wire},
    report::{COUNT, MICROSECONDS, MILLISECONDS, PER_SECOND, PERCENT, Report, milliseconds},
    spent::{Cpu, Spending},
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
    let bench =
        Bench { sender: Sender::prepare(&region, report).await?, wire: wire(&region, CALLERS)?, region };
    for way in Way::ALL {
        for kind in Kind::ALL {
            bench.load(way, kind, Arrivals::Closed(WARM_UP)).await?;
        }
    }
    for round in 1..=pace.rounds {
        say(&format!("Closed loop, {CALLERS} callers, round {round} of {}", pace.rounds));
        let idle = Cpu::idle(&bench.region, pace.round).await?;
        report.record("idle.core_share", PERCENT, idle.services() * 100.0);
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

/// A region under load.
struct Bench {
    region: Region,
    sender: Sender,
    wire: Wire,
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
        let spending = Spending::begin(&self.region, idle)?;
        let outcome = self.load(way, kind, Arrivals::Closed(duration)).await?;
        let key = format!("{}.{}", way.name(), kind.name());
        let cpu = spending.record(&key, outcome.latencies.len(), report)?;
        report.record(format!("{key}.requests"), PER_SECOND, outcome.per_second);
        record_latency(&key, &outcome.latencies, report);
        if way == Way::Direct {
            kind.record_headline((cpu, outcome.per_second), report);
        }
        Ok(())
    }
}

fn record_latency(key: &str, latencies: &Samples, report: &mut Report) {
    report.record(format!("{key}.p50"), MILLISECONDS, milliseconds(latencies.percentile(500)));
}
