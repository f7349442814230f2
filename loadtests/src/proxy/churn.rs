//! A gateway that follows a control plane while single routes change all the time, beside the same without changes.
//!
//! The control plane belongs on other machines. Here it shares the generator's cores, at the lowest priority, so that
//! the generator's own delays say as little as possible.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::setpriority_process;
use serde_json::json;
use testbed::{Api, Gateway, Region, ServiceName};
use tokio::{runtime::Builder, sync::oneshot};
use uuid::Uuid;

use super::{measure::Clients, site::Site};
use crate::{
    Pace,
    documents::{self, Size, key, route_name, route_path, service_name},
    machine,
    openloop::{self, Schedule},
    report::{COUNT, PER_SECOND, Report},
    stage,
};

/// As many routes as the other gateways have; fewer keys, which nothing here depends on.
const SIZE: Size = Size { services: 100, routes: 10_000, consumers: 1_000 };
const CHANGES_PER_SECOND: f64 = 100.0;
/// Requests a second: what generator, upstream and control plane can do together on one core.
const REQUESTS_PER_SECOND: f64 = 4_000.0;
/// Connections to the API.
const CALLERS: usize = 16;
const IN_FLIGHT_MAX: usize = 500;
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(2);
/// The nicest value there is.
const LOWEST_PRIORITY: i32 = 19;

/// Runs all rounds and records `churn.{with,without}.…`, `churn_p99_ratio` and `churn_errors`.
pub async fn record(pace: Pace, site: &Site, report: &mut Report) -> anyhow::Result<()> {
    let region = region_at_lowest_priority().await?;
    let document = documents::document(SIZE, &format!("http://{}", site.upstream.plain), true);
    let (control_plane, version) = stage::control_plane(&region, "churn", &document).await?;
    let gateway = Gateway::enrol(&region, &control_plane, "churn").await?;
    stage::until_served(&gateway, version).await?;
    machine::move_to(site.cores.proxy, gateway.process().pid().context("the gateway has ended")?)?;
    let changer = Changer::new(&region, &control_plane).await?;
    let clients = Clients::new(SIZE, &site.certificate)?;

    let at = gateway.http_address();
    let mut errors = 0;
    clients.open(at, (REQUESTS_PER_SECOND, WARM_UP)).await?;
    report.record("churn.rate", PER_SECOND, CHANGES_PER_SECOND);
    report.record("churn.requests", PER_SECOND, REQUESTS_PER_SECOND);
    for round in 1..=pace.rounds {
        stage::say(&format!(
            "{CHANGES_PER_SECOND} changes a second, and none, round {round} of {}",
            pace.rounds
        ));
        let rate = (REQUESTS_PER_SECOND, pace.round);
        clients.record_open(at, "churn.without", rate, report).await?;
        let requests = clients.record_open(at, "churn.with", rate, report);
        let started = Instant::now();
        let changes = async {
            let changes = changer.change_for(pace.round).await?;
            Ok((changes.latencies.len() as f64 / started.elapsed().as_secs_f64(), changes))
        };
        let (failed, (per_second, changes)) = tokio::try_join!(requests, changes)?;
        errors += failed;
        report.record("churn.changes", PER_SECOND, per_second);
        report.record_times("churn.acknowledged", &changes.latencies);
        report.record("churn.changes_failed", COUNT, changes.failed as f64);
    }
    report.record_ratio("churn_p99_ratio", "churn.with.latency.p99", "churn.without.latency.p99");
    report.record("churn_errors", COUNT, errors as f64);
    changer.until_served(&gateway).await?;
    gateway.process().stop().await?;
    region.stop().await
}

/// A thread of its own: what a thread starts has its priority.
async fn region_at_lowest_priority() -> anyhow::Result<Region> {
    let (done, region) = oneshot::channel();
    thread::spawn(move || {
        let start = || {
            setpriority_process(None, LOWEST_PRIORITY)?;
            Builder::new_current_thread().enable_all().build()?.block_on(stage::start_region())
        };
        // Nobody listens only when the scenario is over.
        let _ = done.send(start());
    });
    region.await.context("the thread has ended")?
}

/// Changes single routes. Cheap to clone.
#[derive(Clone)]
struct Changer(Arc<Inner>);

struct Inner {
    callers: Vec<Api>,
    /// The collection of routes, as a path.
    routes: String,
    /// Id of the service that changed routes belong to.
    service: String,
}

impl Changer {
    async fn new(region: &Region, control_plane: &str) -> anyhow::Result<Self> {
        let callers = stage::callers(region, ServiceName::Config, CALLERS)?;
        let entities = format!("/v2/control-planes/{control_plane}/core-entities");
        let first = callers.first().context("a caller is needed")?;
        let service = first.get(&format!("{entities}/services/{}", service_name(0))).await?.expect(200)?;
        let service = testbed::api::text(&service, "id")?.to_owned();
        Ok(Self(Arc::new(Inner { callers, routes: format!("{entities}/routes"), service })))
    }

    /// Gives one route after the other a second path, which no route ever had.
    async fn change_for(&self, duration: Duration) -> anyhow::Result<openloop::Outcome<()>> {
        let (per_second, in_flight_max, deadline) = (CHANGES_PER_SECOND, IN_FLIGHT_MAX, CHANGE_DEADLINE);
        let schedule = Schedule { per_second, duration, in_flight_max, deadline };
        let changer = self.clone();
        openloop::run(schedule, move |arrival| {
            let changer = changer.clone();
            async move { changer.change(arrival.number as usize, &new_path()).await }
        })
        .await
    }

    /// Makes one change more and waits until the gateway serves by it: so it has followed all the others.
    async fn until_served(&self, gateway: &Gateway) -> anyhow::Result<()> {
        let path = new_path();
        self.change(0, &path).await?;
        gateway.until_answers(&path, Some(&key(0)), 200).await.map(drop)
    }

    async fn change(&self, number: usize, path: &str) -> anyhow::Result<()> {
        let Inner { callers, routes, service } = &*self.0;
        let api = callers.get(number % callers.len()).context("a caller is needed")?;
        let route = number % SIZE.routes;
        let name = route_name(route);
        let body = json!({ "name": name, "paths": [route_path(route), path], "strip_path": false, "service": { "id": service } });
        api.put(&format!("{routes}/{name}"), &body).await?.expect(200)?;
        Ok(())
    }
}

fn new_path() -> String {
    format!("/changed/{}", Uuid::new_v4().simple())
}
