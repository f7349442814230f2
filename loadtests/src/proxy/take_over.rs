//! One process of the gateway takes the place of another while requests come at a fixed rate: how many are lost, and what they wait. Each
//! round has a takeover in its middle, and is compared with one without.

use std::{num::NonZeroUsize, time::Duration};

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::{
    SIZE,
    measure::Clients,
    site::{Site, Start},
};
use crate::{
    Pace,
    report::{COUNT, MILLISECONDS, Report, milliseconds},
    stage::say,
};

/// Requests a second: what a gateway that shares a machine with its load carries easily.
const RATE: f64 = 4000.0;
/// How long the process before may take to end.
const END_DEADLINE: Duration = Duration::from_secs(30);

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("{} routes, {} keys, {RATE} requests a second", SIZE.routes, SIZE.consumers));
    let mut site = Site::start(SIZE).await?;
    let (name, threads, cores) = ("gateway", NonZeroUsize::MIN, site.cores.proxy);
    let place = site.place(Start { name, label: name, key_auth: true, cores, threads, environment: &[] })?;
    let mut running = place.start(&site.folder, name).await?;
    let mut lost = 0;
    {
        let clients = Clients::new(SIZE, &site.certificate)?;
        for round in 1..=pace.rounds {
            say(&format!("Round {round} of {}", pace.rounds));
            let rate = (RATE, pace.round);
            lost += clients.record_open(running.plain, "before", rate, report).await?;
            let takeover = async {
                sleep(pace.round / 2).await;
                let begun = Instant::now();
                let next = place.start(&site.folder, &format!("{name}-{round}")).await?;
                running.process.wait(END_DEADLINE).await.context("the process before does not end")?;
                Ok((next, begun.elapsed()))
            };
            let requests = clients.record_open(running.plain, "during", rate, report);
            let (failed, (next, took)) = tokio::try_join!(requests, takeover)?;
            report.record("takeover", MILLISECONDS, milliseconds(took));
            lost += failed;
            running = next;
        }
    }
    report.record("lost_requests", COUNT, lost as f64);
    report.record_ratio("takeover_p99_ratio", "during.latency.p99", "before.latency.p99");
    running.process.stop().await?;
    site.close().await
}
