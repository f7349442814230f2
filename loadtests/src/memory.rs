//! What a large import and many single writes leave behind in config's memory.
//!
//! Figures are the process's own resident memory. Each is taken once config has been left alone for a while: what is
//! still held then is held for ever. `import.peak` is the most that was seen while the import ran.

use std::time::Duration;

use anyhow::Context as _;
use testbed::{Gateway, Region, ServiceName};
use tokio::time::{interval, sleep};

use crate::{
    Pace,
    documents::{self, Size},
    machine,
    report::{COUNT, MEBIBYTES, Report},
    stage,
    writes::Writer,
};

/// Entities of the import.
const ENTITIES: usize = 90_000;
/// Single writes after it, and how many callers send them.
const WRITES: u64 = 4_000;
const CALLERS: usize = 64;
/// How long config is left alone: longer than it keeps for other nodes what was read for one.
const QUIET: Duration = Duration::from_secs(20);
/// Between two looks at its memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the scenario and adds its figures to the report. Each round has a region of its own; the length of a round is
/// that of its work.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    report.record("entities", COUNT, ENTITIES as f64);
    report.record("single_writes", COUNT, WRITES as f64);
    for round in 1..=pace.rounds {
        stage::say(&format!("Round {round} of {}", pace.rounds));
        let region = stage::start_region().await?;
        measure(&region, report).await?;
        region.stop().await?;
    }
    Ok(())
}

async fn measure(region: &Region, report: &mut Report) -> anyhow::Result<()> {
    let mebibytes = || resident(region);
    report.record("idle", MEBIBYTES, mebibytes()?);

    let document = documents::document(Size::of_entities(ENTITIES), &region.upstream().url(), false);
    let mut peak = 0.0_f64;
    let (control_plane, version) = {
        let import = stage::control_plane(region, "memory", &document);
        tokio::pin!(import);
        let mut looks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                imported = &mut import => break imported?,
                _ = looks.tick() => peak = peak.max(mebibytes()?),
            }
        }
    };
    report.record("import.peak", MEBIBYTES, peak);
    sleep(QUIET).await;
    report.record("import.after", MEBIBYTES, mebibytes()?);

    let gateway = Gateway::enrol(region, &control_plane, "memory").await?;
    stage::until_served(&gateway, version).await?;
    sleep(QUIET).await;
    report.record("new_gateway.after", MEBIBYTES, mebibytes()?);

    let writer = Writer::new(stage::callers(region, ServiceName::Config, CALLERS)?, &control_plane).await?;
    writer.put_many(WRITES).await?;
    sleep(QUIET).await;
    report.record("writes.after", MEBIBYTES, mebibytes()?);
    gateway.process().stop().await.map(drop)
}

fn resident(region: &Region) -> anyhow::Result<f64> {
    let pid = region.process(ServiceName::Config).pid().context("config runs")?;
    Ok(machine::resident_bytes(pid)? as f64 / (1024.0 * 1024.0))
}
