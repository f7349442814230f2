//! How many entities a second can be put into one control plane, and how long one takes.
//!
//! The committer groups the writes that wait into one transaction, so many callers together should get far more than
//! one alone, at little more latency each. Every write changes a route for real: none is a repetition.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::json;
use testbed::{Api, ServiceName};
use uuid::Uuid;

use crate::{
    Pace, closedloop,
    documents::{self, Size, route_name, service_name},
    openloop::{self, Schedule},
    report::{COUNT, PER_SECOND, Report},
    stage,
};

/// Callers in the closed loop.
const CALLERS: [usize; 3] = [1, 16, 64];
/// Entities of the control plane.
const ENTITIES: usize = 5_000;
/// The fixed rate, as a share of what 64 callers got.
const OPEN_SHARE: f64 = 0.6;
const IN_FLIGHT_MAX: usize = 1_000;
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    stage::say(&format!("Control plane with {ENTITIES} entities"));
    let document = documents::document(Size::of_entities(ENTITIES), &region.upstream().url(), false);
    let (control_plane, _) = stage::control_plane(&region, "writes", &document).await?;
    let most = CALLERS.into_iter().max().unwrap_or(1);
    let writer = Writer::new(stage::callers(&region, ServiceName::Config, most)?, &control_plane).await?;
    measure(pace, report, writer).await?;
    region.stop().await
}

async fn measure(pace: Pace, report: &mut Report, writer: Writer) -> anyhow::Result<()> {
    // All callers, so that their connections are open afterwards.
    closed(writer.callers.len(), WARM_UP, &writer).await?;
    for round in 1..=pace.rounds {
        stage::say(&format!("Closed loop, round {round} of {}", pace.rounds));
        for callers in CALLERS {
            let outcome = closed(callers, pace.round, &writer).await?;
            report.record(format!("closed.{callers}.writes"), PER_SECOND, outcome.per_second);
            report.record_times(&format!("closed.{callers}.latency"), &outcome.latencies);
        }
    }
    report.record_ratio("grouping.16_over_1", "closed.16.writes", "closed.1.writes");
    report.record_ratio("grouping.64_over_1", "closed.64.writes", "closed.1.writes");

    let per_second = report.median("closed.64.writes") * OPEN_SHARE;
    report.record("open.rate", PER_SECOND, per_second);
    for round in 1..=pace.rounds {
        stage::say(&format!("{per_second:.0} writes a second, round {round} of {}", pace.rounds));
        let schedule = Schedule {
            per_second,
            duration: pace.round,
            in_flight_max: IN_FLIGHT_MAX,
            deadline: CALL_DEADLINE,
        };
        let writer = writer.clone();
        let outcome = openloop::run(schedule, move |arrival| {
            let (writer, caller) = (writer.clone(), arrival.number as usize);
            async move { writer.put(caller, arrival.number).await }
        })
        .await?;
        report.record_times("open.latency", &outcome.latencies);
        report.record_times("open.lateness", &outcome.lateness);
        report.record("open.failed", COUNT, outcome.failed as f64);
    }
    Ok(())
}

async fn closed(callers: usize, duration: Duration, writer: &Writer) -> anyhow::Result<closedloop::Outcome> {
    let writer = writer.clone();
    closedloop::run(callers, duration, move |call| {
        let writer = writer.clone();
        async move { writer.put(call.caller, call.number).await }
    })
    .await
}

/// Puts routes. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    callers: Arc<[Api]>,
    /// The collection of routes, as a path.
    routes: Arc<str>,
    /// Id of the service that the routes belong to.
    service: Arc<str>,
}

impl Writer {
    /// A writer with these callers for a control plane made of a document of [`documents::document`].
    pub async fn new(callers: Vec<Api>, control_plane: &str) -> anyhow::Result<Self> {
        let entities = format!("/v2/control-planes/{control_plane}/core-entities");
        let first = callers.first().context("a caller is needed")?;
        let service = first.get(&format!("{entities}/services/{}", service_name(0))).await?.expect(200)?;
        let service = testbed::api::text(&service, "id")?.into();
        Ok(Self { callers: callers.into(), routes: format!("{entities}/routes").into(), service })
    }

    /// Makes `count` writes, all callers at once.
    pub async fn put_many(&self, count: u64) -> anyhow::Result<()> {
        let callers = self.callers.len() as u64;
        let of_caller = |caller: u64| async move {
            for number in (caller..count).step_by(self.callers.len()) {
                self.put(caller as usize, number).await?;
            }
            anyhow::Ok(())
        };
        try_join_all((0..callers).map(of_caller)).await.map(drop)
    }

    /// Gives a route a path that no route ever had. Writes of one run are spread over all routes.
    async fn put(&self, caller: usize, number: u64) -> anyhow::Result<()> {
        let api = self.callers.get(caller % self.callers.len()).context("a caller is needed")?;
        let name = route_name(number as usize % Size::of_entities(ENTITIES).routes);
        let path = format!("/written/{}", Uuid::new_v4().simple());
        let route = json!({ "name": name, "paths": [path], "service": { "id": &*self.service } });
        api.put(&format!("{}/{name}", self.routes), &route).await?.expect(200)?;
        Ok(())
    }
}
