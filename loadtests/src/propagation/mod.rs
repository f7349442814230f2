//! From a change's acknowledgement to the first request that a gateway serves by it, with 100,000 entities; and what that could be at best.
//!
//! Three things take turns in each round, each at the same fixed rate. Routes are changed, and a gateway is asked for them. What cannot be
//! avoided is done alone, which is the floor: one row is committed to LMDB, then a message goes over the region's NATS. And keys are made and
//! used at once, at any of the gateways, with the consistency token of the answer.

mod floor;
mod own_writes;

use std::time::Duration;

use crate::{
    Pace,
    changes::{self, Subject},
    plot::{Chart, chart},
    report::{DISTRIBUTION, MILLISECONDS, PER_SECOND, Report, milliseconds},
    stage,
};
use floor::Floor;

const ENTITIES: usize = 100_000;
const GATEWAYS: usize = 3;
const CHANGES_PER_SECOND: f64 = 50.0;
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    let subject = Subject::prepare(&region, ("", ENTITIES), GATEWAYS, report).await?;
    let floor = Floor::prepare(&region).await?;
    report.record("rate", PER_SECOND, CHANGES_PER_SECOND);
    subject.watched(CHANGES_PER_SECOND, WARM_UP).await?;
    stage::until_quiet(&region, report).await;
    for round in 1..=pace.rounds {
        stage::say(&format!("Round {round} of {}", pace.rounds));
        let outcome = subject.watched(CHANGES_PER_SECOND, pace.round).await?;
        let times = changes::record(report, "", outcome)?;
        report.record("ack_to_served_p50_ms", MILLISECONDS, milliseconds(times.percentile(500)));
        report.record("ack_to_served_p99_ms", MILLISECONDS, milliseconds(times.percentile(990)));
        report.record_distribution("served_after_acknowledged", &times);
        let schedule = changes::schedule(CHANGES_PER_SECOND, pace.round);
        floor.measure(schedule, report).await?;
        own_writes::measure(&subject, schedule, report).await?;
    }
    report.record_ratio("ratio_to_floor_p99", "ack_to_served_p99_ms", "floor.p99");
    subject.stop().await?;
    region.stop().await
}

/// Of how many changes how many were served when.
pub fn draw(report: &Report) -> String {
    let lines = [("served_after_acknowledged", "acknowledged to served"), ("floor", "floor")];
    let lines = lines.map(|(key, name)| (name.to_owned(), report.distribution(key)));
    chart(&Chart {
        title: format!(
            "{ENTITIES} entities, {CHANGES_PER_SECOND} changes a second: acknowledged to served, ms"
        ),
        places: DISTRIBUTION.map(|(name, _)| name.to_owned()).to_vec(),
        lines: lines.to_vec(),
    })
}
