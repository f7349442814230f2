//! What a change costs a gateway that takes what has changed, beside one that takes the whole configuration each time, as gateways do that know
//! no other way.
//!
//! Each has a control plane of its own, both with the same 90,000 entities. In a cycle a service and a route are added, a request is served by
//! them, both are removed, and the same request is 404. The requests carry the consistency tokens of the writes, so that one request each waits
//! until the gateway has the change: to ask again and again would cost the gateway more than the change does. In the end the gateway that takes
//! what has changed is started anew, and its memory is looked at before and after 10,000 changes.
//!
//! The next step of a cycle begins when the one before is done. That is no load at a rate, and latencies are not what is measured here.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hyper::{
    HeaderMap, StatusCode, Uri,
    header::{HeaderName, HeaderValue},
};
use serde_json::json;
use testbed::{
    Api, Gateway, Region, ServiceName, api::Answer, api::CONSISTENCY, dataplane::create_enrolment,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    Pace,
    documents::{self, Size},
    ends::Ends,
    http1::Connections,
    machine,
    plot::{Panel, svg},
    report::{COUNT, MEBIBYTES, MILLISECONDS, PERCENT, Report, milliseconds},
    stage,
};

const ENTITIES: usize = 90_000;
/// Changes of a cycle: a service and a route made, and both deleted.
const CHANGES: usize = 4;
/// Cycles of the memory's measurement: 10,000 changes.
const CYCLES_MEMORY: usize = 2_500;
const CYCLES_WARM_UP: usize = 50;
/// How long a gateway is left alone before its memory is looked at: longer than its allocator keeps what is not used.
const QUIET: Duration = Duration::from_secs(20);
/// How long a change may take to be in force. A request with its token waits for some seconds, and then is sent again.
const IN_FORCE_DEADLINE: Duration = Duration::from_secs(60);

/// How a gateway takes changes.
#[derive(Clone, Copy)]
enum Mode {
    Incremental,
    Full,
}

impl Mode {
    const fn key(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
        }
    }

    /// Cycles of a round.
    const fn cycles(self) -> usize {
        match self {
            Self::Incremental => 50,
            Self::Full => 2,
        }
    }
}

/// Runs the scenario and adds its figures to the report. The length of a round is that of its work.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    report.record("entities", COUNT, ENTITIES as f64);
    let region = stage::start_region().await?;
    let sides = [Side::prepare(&region, Mode::Incremental).await?, Side::prepare(&region, Mode::Full).await?];
    stage::until_quiet(&region, report).await;
    for round in 1..=pace.rounds {
        for side in &sides {
            stage::say(&format!("Round {round} of {}, {}", pace.rounds, side.mode.key()));
            side.measure(&region, report).await?;
        }
    }
    for (ratio, figure) in [
        ("bytes_full_over_incremental", "bytes"),
        ("wire_bytes_full_over_incremental", "wire_bytes"),
        ("gateway_cpu_full_over_incremental", "gateway_cpu"),
        ("plane_cpu_full_over_incremental", "plane_cpu"),
        ("time_full_over_incremental", "in_force"),
    ] {
        report.record_ratio(ratio, &format!("full.{figure}"), &format!("incremental.{figure}"));
    }
    let [incremental, full] = sides;
    full.gateway.process().stop().await?;
    memory(&region, &incremental, report).await?;
    incremental.gateway.process().stop().await?;
    region.stop().await
}

/// A control plane with a gateway.
struct Side {
    mode: Mode,
    gateway: Gateway,
    connections: Connections,
    api: Api,
    entities: String,
}

impl Side {
    async fn prepare(region: &Region, mode: Mode) -> anyhow::Result<Self> {
        stage::say(&format!("Control plane of {ENTITIES} entities, {}", mode.key()));
        let document = documents::document(Size::of_entities(ENTITIES), &region.upstream().url(), false);
        let (control_plane, version) = stage::control_plane(region, mode.key(), &document).await?;
        let enrolment = create_enrolment(&region.edge_api(), &control_plane).await?;
        // In the place of the shell, whose memory would be looked at.
        let command = format!("exec env {} --sync {}", enrolment.command, mode.key());
        let gateway = Gateway::start(region, &control_plane, mode.key(), &command).await?;
        stage::until_served(&gateway, version).await?;
        Ok(Self {
            mode,
            connections: Connections::new(gateway.http_address(), 1)?,
            api: region.api(ServiceName::Config),
            entities: format!("/v2/control-planes/{control_plane}/core-entities"),
            gateway,
        })
    }

    /// One round, of which every figure is for a cycle.
    async fn measure(&self, region: &Region, report: &mut Report) -> anyhow::Result<()> {
        let ends = Ends { region, gateway: &self.gateway };
        let idle = ends.idle(Duration::from_secs(3)).await?;
        let costing = ends.begin().await?;
        let mut in_force = Duration::ZERO;
        for _ in 0..self.mode.cycles() {
            in_force += self.cycle(&region.upstream().url()).await?;
        }
        costing.record(self.mode.key(), self.mode.cycles(), &idle, report).await?;
        let each = in_force / u32::try_from(2 * self.mode.cycles())?;
        report.record(format!("{}.in_force", self.mode.key()), MILLISECONDS, milliseconds(each));
        Ok(())
    }

    /// One cycle, step by step. How long it took in all from the acknowledgement of the last write to the answer by it, of what was added and of
    /// what was removed.
    async fn cycle(&self, upstream: &str) -> anyhow::Result<Duration> {
        let name = format!("cycle-{}", Uuid::new_v4().simple());
        let path: Uri = format!("/{name}").parse()?;
        let added = self.add(&name, upstream).await?;
        let served = self.until_answered(&path, &added, StatusCode::OK).await?;
        let removed = self.remove(&name).await?;
        let gone = self.until_answered(&path, &removed, StatusCode::NOT_FOUND).await?;
        Ok(served + gone)
    }

    async fn add(&self, name: &str, upstream: &str) -> anyhow::Result<Answer> {
        let Self { api, entities, .. } = self;
        let service = json!({ "name": name, "url": upstream });
        api.put(&format!("{entities}/services/{name}"), &service).await?.expect(200)?;
        let route = json!({ "name": name, "paths": [format!("/{name}")], "service": { "name": name } });
        let answer = api.put(&format!("{entities}/routes/{name}"), &route).await?;
        answer.expect(200)?;
        Ok(answer)
    }

    async fn remove(&self, name: &str) -> anyhow::Result<Answer> {
        let Self { api, entities, .. } = self;
        api.delete(&format!("{entities}/routes/{name}")).await?.expect(204)?;
        let answer = api.delete(&format!("{entities}/services/{name}")).await?;
        answer.expect(204)?;
        Ok(answer)
    }

    /// Asks the gateway, which waits until it serves what `write` has written.
    async fn until_answered(
        &self,
        path: &Uri,
        write: &Answer,
        expected: StatusCode,
    ) -> anyhow::Result<Duration> {
        let token = write.consistency().context("an answer without a consistency token")?;
        let headers: HeaderMap =
            [(HeaderName::from_static(CONSISTENCY), HeaderValue::from_str(token)?)].into_iter().collect();
        let began = Instant::now();
        loop {
            let status = self.connections.get(path, &headers).await?;
            if status == expected {
                return Ok(began.elapsed());
            }
            ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{path} is answered {status}, not {expected}");
            ensure!(began.elapsed() < IN_FORCE_DEADLINE, "{path} is not answered {expected}");
        }
    }
}

/// What 10,000 changes leave behind in the memory of a gateway that has just been started.
async fn memory(region: &Region, side: &Side, report: &mut Report) -> anyhow::Result<()> {
    stage::say(&format!("Memory before and after {} changes", CYCLES_MEMORY * CHANGES));
    side.gateway.process().stop().await?;
    side.gateway.start_again().await?;
    write(region, side, CYCLES_WARM_UP).await?;
    let before = resident(&side.gateway).await?;
    write(region, side, CYCLES_MEMORY).await?;
    let after = resident(&side.gateway).await?;
    report.record("gateway_rss_mib", MEBIBYTES, before);
    report.record("gateway_rss_after_mib", MEBIBYTES, after);
    report.record("gateway_rss_growth_pct", PERCENT, (after / before - 1.0) * 100.0);
    Ok(())
}

/// Adds and removes as in a cycle, without requests between.
async fn write(region: &Region, side: &Side, cycles: usize) -> anyhow::Result<()> {
    for _ in 0..cycles {
        let name = format!("memory-{}", Uuid::new_v4().simple());
        side.add(&name, &region.upstream().url()).await?;
        side.remove(&name).await?;
    }
    stage::until_newest_served(region, &side.gateway).await
}

/// Memory of a gateway that is left alone, which no file stands behind.
async fn resident(gateway: &Gateway) -> anyhow::Result<f64> {
    sleep(QUIET).await;
    let pid = gateway.process().pid().context("the gateway runs")?;
    Ok(machine::resident_bytes(pid)? as f64 / (1024.0 * 1024.0))
}

/// What a cycle costs with each of the two.
pub fn draw(report: &Report) -> String {
    let panel = |title: &str, figure: &str, unit: f64| {
        let bar = |name: &str| Some((name.to_owned(), report.figure(&format!("{name}.{figure}"))? / unit));
        Panel { title: title.to_owned(), bars: ["incremental", "full"].into_iter().filter_map(bar).collect() }
    };
    svg(
        &format!("A service and a route come and go among {ENTITIES} entities: less is better"),
        &[
            panel("Bytes to the gateway, unpacked, kB", "bytes", 1e3),
            panel("Bytes to the gateway on the wire, kB", "wire_bytes", 1e3),
            panel("CPU time of the gateway, ms", "gateway_cpu", 1e3),
            panel("CPU time of config and Postgres, ms", "plane_cpu", 1e3),
            panel("From acknowledged to in force, ms", "in_force", 1.0),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::BYTES;

    #[test]
    fn both_are_drawn_beside_each_other() {
        let mut report =
            Report::new("incremental-vs-full", Pace { rounds: 1, round: Duration::from_secs(1) });
        report.record("incremental.bytes", BYTES, 2_000.0);
        report.record("full.bytes", BYTES, 30_000_000.0);
        let picture = draw(&report);
        assert!(picture.contains(">2.0<") && picture.contains(">30000.0<"), "{picture}");
        assert!(!picture.contains("wire"), "{picture}");
    }
}
