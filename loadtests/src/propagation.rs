//! From a change's acknowledgement to the first request that a gateway serves by it.
//!
//! Two control planes, one twenty times as large as the other, each with a gateway; changes come at the same fixed rate
//! to one and then the other. The ratio shows what the size of the configuration costs: a change costs what it changes,
//! so it should be near one.
//!
//! A change gives a route a path of its own; the gateway is asked for that path, every millisecond, from before the
//! write is sent, and counts as serving it when the first answer with 200 is here. So the resolution is a millisecond,
//! and a change that is served before its acknowledgement arrives counts as 0.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hyper::{StatusCode, Uri};
use serde_json::json;
use testbed::{Api, Gateway, Region, ServiceName};
use uuid::Uuid;

use crate::{
    Pace,
    documents::{self, Size, route_name, route_path, service_name},
    http1::Connections,
    measured::Samples,
    openloop::{self, Arrival, Schedule},
    report::{COUNT, PER_SECOND, Report, SECONDS},
    stage,
};

/// Entities of the two control planes, and what they are called in the figures.
const SIZES: [(&str, usize); 2] = [("1k", 1_000), ("20k", 20_000)];
const CHANGES_PER_SECOND: f64 = 20.0;
/// Routes that take turns. At the fixed rate, a route is changed again long after its last change is served.
const ROUTES_CHANGED: usize = 200;
const IN_FLIGHT_MAX: usize = 200;
/// A change that is not served after this time counts as failed.
const SERVED_DEADLINE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Connections to a gateway.
const CONNECTIONS: usize = 64;
/// Connections to the API.
const CALLERS: usize = 8;
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    let (mut subjects, mut gateways) = (Vec::new(), Vec::new());
    for (label, entities) in SIZES {
        let (subject, gateway) = prepare(&region, label, entities, report).await?;
        subjects.push((label, subject));
        gateways.push(gateway);
    }
    report.record("rate", PER_SECOND, CHANGES_PER_SECOND);
    for (_, subject) in &subjects {
        changes(subject, WARM_UP).await?;
    }
    for round in 1..=pace.rounds {
        stage::say(&format!("Round {round} of {}", pace.rounds));
        for (label, subject) in &subjects {
            let outcome = changes(subject, pace.round).await?;
            record(report, label, outcome)?;
        }
    }
    for figure in
        ["served_after_acknowledged.p50", "served_after_acknowledged.p99", "served.p50", "acknowledged.p50"]
    {
        report.record_ratio(
            &format!("20k_over_1k.{figure}"),
            &format!("20k.{figure}"),
            &format!("1k.{figure}"),
        );
    }
    for gateway in gateways {
        gateway.process().stop().await?;
    }
    region.stop().await
}

/// A control plane of `entities` entities and a gateway that serves it.
async fn prepare(
    region: &Region,
    label: &str,
    entities: usize,
    report: &mut Report,
) -> anyhow::Result<(Subject, Gateway)> {
    stage::say(&format!("Control plane and gateway with {entities} entities"));
    let document = documents::document(Size::of_entities(entities), &region.upstream().url(), false);
    let started = Instant::now();
    let (control_plane, version) =
        stage::control_plane(region, &format!("propagation-{label}"), &document).await?;
    report.record(format!("{label}.import"), SECONDS, started.elapsed().as_secs_f64());

    let started = Instant::now();
    let gateway = Gateway::enrol(region, &control_plane, label).await?;
    stage::until_served(&gateway, version).await?;
    report.record(format!("{label}.new_gateway_ready"), SECONDS, started.elapsed().as_secs_f64());

    let callers = stage::callers(region, ServiceName::Config, CALLERS)?;
    let entities = format!("/v2/control-planes/{control_plane}/core-entities");
    let first = callers.first().context("a caller is needed")?;
    let service = first.get(&format!("{entities}/services/{}", service_name(0))).await?.expect(200)?;
    let subject = Inner {
        service: testbed::api::text(&service, "id")?.to_owned(),
        routes: format!("{entities}/routes"),
        callers,
        gateway: Connections::new(gateway.http_address(), CONNECTIONS)?,
    };
    Ok((Arc::new(subject), gateway))
}

async fn changes(subject: &Subject, duration: Duration) -> anyhow::Result<openloop::Outcome<Change>> {
    let schedule = Schedule {
        per_second: CHANGES_PER_SECOND,
        duration,
        in_flight_max: IN_FLIGHT_MAX,
        deadline: SERVED_DEADLINE,
    };
    let subject = Arc::clone(subject);
    openloop::run(schedule, move |arrival| {
        let subject = Arc::clone(&subject);
        async move { subject.change(arrival).await }
    })
    .await
}

fn record(report: &mut Report, label: &str, outcome: openloop::Outcome<Change>) -> anyhow::Result<()> {
    let times = |time: fn(&Change) -> Duration| Samples::new(outcome.values.iter().map(time).collect());
    report.record_times(&format!("{label}.acknowledged"), &times(|change| change.acknowledged)?);
    report.record_times(&format!("{label}.served"), &times(|change| change.served)?);
    let after = times(|change| change.served.saturating_sub(change.acknowledged))?;
    report.record_times(&format!("{label}.served_after_acknowledged"), &after);
    report.record_times(&format!("{label}.lateness"), &outcome.lateness);
    report.record(format!("{label}.failed"), COUNT, outcome.failed as f64);
    Ok(())
}

/// How long a change took, from its scheduled time.
struct Change {
    acknowledged: Duration,
    served: Duration,
}

type Subject = Arc<Inner>;

/// A control plane with its gateway.
struct Inner {
    callers: Vec<Api>,
    /// The collection of routes, as a path.
    routes: String,
    /// Id of the service that changed routes belong to.
    service: String,
    gateway: Connections,
}

impl Inner {
    async fn change(&self, arrival: Arrival) -> anyhow::Result<Change> {
        let path = format!("/changed/{}", Uuid::new_v4().simple());
        let put = self.put(arrival.number as usize, &path);
        let acknowledged = async { put.await.map(|()| arrival.scheduled.elapsed()) };
        let served = async { self.until_served(&path).await.map(|()| arrival.scheduled.elapsed()) };
        let (acknowledged, served) = tokio::try_join!(acknowledged, served)?;
        Ok(Change { acknowledged, served })
    }

    async fn put(&self, number: usize, path: &str) -> anyhow::Result<()> {
        let api = self.callers.get(number % self.callers.len()).context("a caller is needed")?;
        let route = number % ROUTES_CHANGED;
        let name = route_name(route);
        let body =
            json!({ "name": name, "paths": [route_path(route), path], "service": { "id": self.service } });
        api.put(&format!("{}/{name}", self.routes), &body).await?.expect(200)?;
        Ok(())
    }

    async fn until_served(&self, path: &str) -> anyhow::Result<()> {
        let path: Uri = path.parse()?;
        let mut ticks = pace::ticks(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            match self.gateway.get(&path, None).await? {
                StatusCode::OK => return Ok(()),
                status => ensure!(status == StatusCode::NOT_FOUND, "the gateway answers {status}"),
            }
        }
    }
}
