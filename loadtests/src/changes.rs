//! A control plane with gateways, whose routes are changed at a fixed rate: what `propagation` and `flatness` measure.
//!
//! A change gives a route a path of its own. Where it is watched, a gateway is asked for that path every millisecond, from before the write is
//! sent, and counts as serving it when the first answer with 200 is here. So the resolution is a millisecond, and a change that is served before
//! its acknowledgement arrives counts as 0.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hyper::{HeaderMap, StatusCode, Uri};
use serde_json::json;
use testbed::{Api, Gateway, Region, ServiceName};
use uuid::Uuid;

use crate::{
    documents::{self, Size, key, route_name, route_path, service_name},
    http1::{Connections, with_key},
    measured::Samples,
    openloop::{self, Arrival, Outcome, Schedule},
    report::{COUNT, Report, SECONDS},
    stage,
};

const IN_FLIGHT_MAX: usize = 200;
/// A change that is not served after this time counts as failed.
const SERVED_DEADLINE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Connections to each gateway.
const CONNECTIONS: usize = 64;
/// Connections to the API.
const CALLERS: usize = 8;
/// From one changed route to the next: a prime, so that routes all over the configuration take turns, and each comes again only when all
/// have been changed.
const STRIDE: u64 = 7919;

/// A control plane with its gateways. Cheap to clone.
#[derive(Clone)]
pub struct Subject(Arc<Inner>);

struct Inner {
    callers: Vec<Api>,
    /// The collections of entities, as a path.
    entities: String,
    /// Id of the service that changed routes belong to.
    service: String,
    routes: u64,
    gateways: Vec<Gateway>,
    connections: Vec<Connections>,
    /// Changes so far.
    changed: AtomicU64,
    with_key: HeaderMap,
}

/// How long a change took, from its scheduled time.
pub struct Change {
    acknowledged: Duration,
    served: Duration,
}

impl Subject {
    /// A control plane of `size` entities, with a key asked for by all routes, and so many gateways that serve it. How long the import and
    /// the first gateway took is recorded, `label` before it.
    pub async fn prepare(
        region: &Region,
        (label, entities): (&str, usize),
        gateways: usize,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        stage::say(&format!("Control plane of {entities} entities, {gateways} gateways"));
        // One of them is the plugin that asks for keys.
        let size = Size::of_entities(entities - 1);
        let document = documents::document(size, &region.upstream().url(), true);
        let started = Instant::now();
        let name = format!("changes-{entities}");
        let (control_plane, version) = stage::control_plane(region, &name, &document).await?;
        report.record(format!("{label}import"), SECONDS, started.elapsed().as_secs_f64());

        let mut running = Vec::new();
        for number in 0..gateways {
            let started = Instant::now();
            let gateway = Gateway::enrol(region, &control_plane, &format!("{name}-{number}")).await?;
            stage::until_served(&gateway, version).await?;
            if number == 0 {
                report.record(format!("{label}new_gateway_ready"), SECONDS, started.elapsed().as_secs_f64());
            }
            running.push(gateway);
        }
        Self::new(region, &control_plane, running, size.routes).await
    }

    async fn new(
        region: &Region,
        control_plane: &str,
        gateways: Vec<Gateway>,
        routes: usize,
    ) -> anyhow::Result<Self> {
        let callers = stage::callers(region, ServiceName::Config, CALLERS)?;
        let entities = format!("/v2/control-planes/{control_plane}/core-entities");
        let first = callers.first().context("a caller is needed")?;
        let service = first.get(&format!("{entities}/services/{}", service_name(0))).await?.expect(200)?;
        let connections =
            gateways.iter().map(|gateway| Connections::new(gateway.http_address(), CONNECTIONS));
        Ok(Self(Arc::new(Inner {
            service: testbed::api::text(&service, "id")?.to_owned(),
            connections: connections.collect::<Result<_, _>>()?,
            routes: routes as u64,
            changed: AtomicU64::new(0),
            with_key: with_key(&key(0))?,
            callers,
            entities,
            gateways,
        })))
    }

    /// The gateways.
    pub fn gateways(&self) -> &[Gateway] {
        &self.0.gateways
    }

    /// Connections to the gateway whose turn it is, to the API, and the collections of entities.
    pub fn turn(&self, number: u64) -> anyhow::Result<(&Connections, &Api, &str)> {
        let Inner { connections, callers, entities, .. } = &*self.0;
        let connections = turn(connections, number).context("a gateway is needed")?;
        Ok((connections, turn(callers, number).context("a caller is needed")?, entities))
    }

    /// Changes routes at this rate, and sees each change served.
    pub async fn watched(&self, per_second: f64, duration: Duration) -> anyhow::Result<Outcome<Change>> {
        let subject = self.clone();
        openloop::run(schedule(per_second, duration), move |arrival| {
            let subject = subject.clone();
            async move { subject.0.change(arrival).await }
        })
        .await
    }

    /// Changes routes at this rate. Answers how many, once every gateway serves the last of them.
    pub async fn unwatched(
        &self,
        region: &Region,
        per_second: f64,
        duration: Duration,
    ) -> anyhow::Result<usize> {
        let subject = self.clone();
        let outcome = openloop::run(schedule(per_second, duration), move |arrival| {
            let subject = subject.clone();
            async move { subject.0.put(arrival.number, &new_path()).await }
        })
        .await?;
        ensure!(outcome.failed == 0, "{} changes were not made: what one costs is not known", outcome.failed);
        for gateway in &self.0.gateways {
            stage::until_newest_served(region, gateway).await?;
        }
        Ok(outcome.latencies.len())
    }

    /// Stops the gateways.
    pub async fn stop(&self) -> anyhow::Result<()> {
        for gateway in &self.0.gateways {
            gateway.process().stop().await?;
        }
        Ok(())
    }
}

impl Inner {
    async fn change(&self, arrival: Arrival) -> anyhow::Result<Change> {
        let path = new_path();
        let put = self.put(arrival.number, &path);
        let acknowledged = async { put.await.map(|()| arrival.scheduled.elapsed()) };
        let served =
            async { self.until_served(arrival.number, &path).await.map(|()| arrival.scheduled.elapsed()) };
        let (acknowledged, served) = tokio::try_join!(acknowledged, served)?;
        Ok(Change { acknowledged, served })
    }

    async fn put(&self, number: u64, path: &str) -> anyhow::Result<()> {
        let api = turn(&self.callers, number).context("a caller is needed")?;
        let changed = self.changed.fetch_add(STRIDE, Ordering::Relaxed);
        let route = usize::try_from(changed % self.routes)?;
        let name = route_name(route);
        let body =
            json!({ "name": name, "paths": [route_path(route), path], "service": { "id": self.service } });
        api.put(&format!("{}/routes/{name}", self.entities), &body).await?.expect(200)?;
        Ok(())
    }

    async fn until_served(&self, number: u64, path: &str) -> anyhow::Result<()> {
        let gateway = turn(&self.connections, number).context("a gateway is needed")?;
        let path: Uri = path.parse()?;
        let mut ticks = pace::ticks(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            match gateway.get(&path, &self.with_key).await? {
                StatusCode::OK => return Ok(()),
                status => ensure!(status == StatusCode::NOT_FOUND, "the gateway answers {status}"),
            }
        }
    }
}

/// A path that no route ever had.
fn new_path() -> String {
    format!("/changed/{}", Uuid::new_v4().simple())
}

/// The one whose turn it is.
fn turn<T>(of: &[T], number: u64) -> Option<&T> {
    of.get(number as usize % of.len().max(1))
}

/// A schedule of changes.
pub fn schedule(per_second: f64, duration: Duration) -> Schedule {
    Schedule { per_second, duration, in_flight_max: IN_FLIGHT_MAX, deadline: SERVED_DEADLINE }
}

impl Change {
    /// From its acknowledgement to the first answer by it.
    pub fn after_acknowledged(&self) -> Duration {
        self.served.saturating_sub(self.acknowledged)
    }
}

/// Records one round of watched changes, `label` before each key. Answers the times from acknowledged to served.
pub fn record(report: &mut Report, label: &str, outcome: Outcome<Change>) -> anyhow::Result<Samples> {
    let times = |time: fn(&Change) -> Duration| Samples::new(outcome.values.iter().map(time).collect());
    report.record_times(&format!("{label}acknowledged"), &times(|change| change.acknowledged)?);
    report.record_times(&format!("{label}served"), &times(|change| change.served)?);
    report.record_times(&format!("{label}lateness"), &outcome.lateness);
    report.record(format!("{label}failed"), COUNT, outcome.failed as f64);
    times(Change::after_acknowledged)
}
