//! A gateway that follows a control plane starts while its control plane is away: all that it serves comes from its own store.
//!
//! Time runs from before its process begins to its first right answer by a route and a key. Before each start the store is taken out of the
//! system's memory, as after the machine began; then once more with the store in memory, as after a process began.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hyper::{StatusCode, Uri};
use rustix::fs::{Advice, fadvise};
use testbed::{Gateway, ServiceName, wait};

use crate::{
    Pace,
    documents::{self, Size, key, route_path},
    http1::{Connections, with_key},
    machine,
    report::{COUNT, Report, SECONDS},
    stage,
};

/// With a plugin that asks all routes for a key: 100,000 entities.
const SIZE: Size = Size { services: 101, routes: 10_000, consumers: 44_949 };
const ENTITIES: usize = SIZE.services + SIZE.routes + 2 * SIZE.consumers + 1;
/// The store of a gateway, below the folder that it was started in.
const STORE: &str = "landbridge-data/store/data.mdb";
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Resolution of the time: a gateway that is not ready is asked again after so long.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// Records `ready_s`, `ready_in_memory_s` and what the gateway has used until then.
pub async fn record(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    stage::say(&format!("A gateway with {ENTITIES} entities, of which {} are routes", SIZE.routes));
    let document = documents::document(SIZE, &region.upstream().url(), true);
    let (control_plane, version) = stage::control_plane(&region, "coldstart", &document).await?;
    let gateway = Gateway::enrol(&region, &control_plane, "coldstart").await?;
    stage::until_served(&gateway, version).await?;
    gateway.process().stop().await?;
    // What a gateway serves without its control plane comes from its store.
    region.process(ServiceName::Config).stop().await?;
    report.record("entities", COUNT, ENTITIES as f64);
    for round in 1..=pace.rounds {
        stage::say(&format!("Starts, round {round} of {}", pace.rounds));
        forget_pages(&gateway)?;
        report.record("ready_s", SECONDS, start(&gateway).await?.as_secs_f64());
        let pid = gateway.process().pid().context("the gateway has ended")?;
        report.record("ready_cpu_s", SECONDS, machine::cpu_time(pid)?.as_secs_f64());
        check(&gateway, version).await?;
        gateway.process().stop().await?;
        report.record("ready_in_memory_s", SECONDS, start(&gateway).await?.as_secs_f64());
        gateway.process().stop().await?;
    }
    region.stop().await
}

/// Starts it; answers how long it took to the first right answer.
async fn start(gateway: &Gateway) -> anyhow::Result<Duration> {
    let (route, key) = (SIZE.routes - 1, key(SIZE.consumers - 1));
    let (path, key) = (route_path(route).parse::<Uri>()?, with_key(&key)?);
    let connections = Connections::new(gateway.http_address(), 1)?;
    let began = Instant::now();
    gateway.process().start_again().await?;
    loop {
        let answer = connections.get(&path, &key).await;
        if matches!(answer, Ok(StatusCode::OK)) {
            return Ok(began.elapsed());
        }
        let is_late = began.elapsed() > READY_DEADLINE || !gateway.process().is_running();
        ensure!(!is_late, gateway.process().failure(&format!("is not ready: {answer:?}")));
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Whether it serves all that it had, and lets nobody in without a key.
async fn check(gateway: &Gateway, version: u64) -> anyhow::Result<()> {
    let configuration = wait::until("the gateway tells what it serves", READY_DEADLINE, async || {
        let status = gateway.status().await.map_err(|error| format!("{error:#}"))?;
        Ok(status["configuration"].clone())
    });
    let configuration = configuration.await?;
    ensure!(
        configuration["version"] == version && configuration["counts"]["routes"] == SIZE.routes,
        "the gateway serves something else than it had stored: {configuration}"
    );
    gateway.get(&route_path(0), None).await?.expect(401).map(drop)
}

/// Takes the store out of the system's memory. Nothing maps it while no process runs.
fn forget_pages(gateway: &Gateway) -> anyhow::Result<()> {
    let path = gateway.folder().join(STORE);
    let store = File::open(&path).with_context(|| format!("open {}", path.display()))?;
    store.sync_all()?;
    fadvise(&store, 0, None, Advice::DontNeed).context("forget the pages of the store")
}
