//! How many entities a second can be put into one control plane, and how long one takes.
//!
//! The committer groups the writes that wait into one transaction, so many callers together should get far more than
//! one alone, at little more latency each. Every write changes a route for real: none is a repetition.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::future::try_join_all;
use hyper::Method;
use serde_json::{Value, json};
use testbed::{Api, Region, ServiceName};
use uuid::Uuid;

use crate::{
    Pace,
    documents::{self, Size, route_name, service_name},
    message::{Message, wire},
    openloop::{self, Schedule},
    proxy::{
        generator::{self, Arrivals, Load, Outcome, Reuse, Wire},
        requests::Requests,
    },
    report::{COUNT, PER_SECOND, Report},
    spent::{Cpu, Spending},
    stage,
};

/// Callers at the fixed rate.
const CALLERS: usize = 64;
/// Different requests of a closed loop: more than it makes.
const REQUESTS: usize = 20_000;
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
    let writer = Writer::new(stage::callers(&region, ServiceName::Config, CALLERS)?, &control_plane).await?;
    measure(pace, report, &region, &writer).await?;
    region.stop().await
}

/// A closed loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loop {
    /// So many callers, each of which gives a route, by its name, a path that no route ever had.
    Callers(usize),
    /// As decK writes what is new: ten at a time, each whole and under an id that the client has made.
    Deck,
}

impl Loop {
    const ALL: [Self; 4] = [Self::Callers(1), Self::Deck, Self::Callers(16), Self::Callers(64)];

    const fn callers(self) -> usize {
        match self {
            Self::Callers(callers) => callers,
            Self::Deck => 10,
        }
    }

    fn key(self) -> String {
        match self {
            Self::Callers(callers) => format!("closed.{callers}"),
            Self::Deck => "deck.10".to_owned(),
        }
    }
}

async fn measure(pace: Pace, report: &mut Report, region: &Region, writer: &Writer) -> anyhow::Result<()> {
    let most = Loop::ALL.map(Loop::callers).into_iter().max().unwrap_or(1);
    let wire = wire(region, most)?;
    closed(Loop::Callers(most), WARM_UP, (region, writer, &wire)).await?;
    for round in 1..=pace.rounds {
        stage::say(&format!("Closed loops, round {round} of {}", pace.rounds));
        let idle = Cpu::idle(region, pace.round).await?;
        for each in Loop::ALL {
            let spending = Spending::begin(region, &idle)?;
            let outcome = closed(each, pace.round, (region, writer, &wire)).await?;
            let key = each.key();
            spending.record(&key, outcome.latencies.len(), report)?;
            report.record(format!("puts_{}_per_s", each.callers()), PER_SECOND, outcome.per_second);
            report.record_times(&format!("{key}.latency"), &outcome.latencies);
            report.record(format!("{key}.failed"), COUNT, outcome.failed as f64);
        }
    }
    report.record_ratio("grouping.16_over_1", "puts_16_per_s", "puts_1_per_s");
    report.record_ratio("grouping.64_over_1", "puts_64_per_s", "puts_1_per_s");
    open(pace, report, writer).await
}

/// At a fixed rate, by callers that do not wait for each other.
async fn open(pace: Pace, report: &mut Report, writer: &Writer) -> anyhow::Result<()> {
    let per_second = report.median("puts_64_per_s") * OPEN_SHARE;
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

async fn closed(
    each: Loop,
    duration: Duration,
    (region, writer, wire): (&Region, &Writer, &Wire),
) -> anyhow::Result<Outcome> {
    let load = Load {
        address: region.infrastructure().addresses.of(ServiceName::Config).api,
        requests: Arc::new(writer.requests(each, &region.owner().token).await?),
        connections: each.callers(),
        reuse: Reuse::Kept,
        wire: wire.clone(),
        arrivals: Arrivals::Closed(duration),
    };
    generator::run(load).await.with_context(|| each.key())
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

    /// Requests of a closed loop, which differ from all that were made before, and the right answer.
    async fn requests(&self, each: Loop, token: &str) -> anyhow::Result<Requests> {
        let routes = Size::of_entities(ENTITIES).routes;
        let message = |number: usize| {
            let path = format!("/written/{}", Uuid::new_v4().simple());
            match each {
                Loop::Callers(_) => {
                    let name = route_name(number % routes);
                    let route = json!({ "name": name, "paths": [path], "service": { "id": &*self.service } });
                    Message::with(Method::PUT, format!("{}/{name}", self.routes), route)
                }
                Loop::Deck => {
                    let id = Uuid::new_v4();
                    Message::with(
                        Method::PUT,
                        format!("{}/{id}", self.routes),
                        deck_route(id, path, &self.service),
                    )
                }
            }
        };
        let first = self.callers.first().context("a caller is needed")?;
        let expected = message(0).answer_of(first).await?;
        Ok(Requests::whole((1..=REQUESTS).map(|number| message(number).bytes(token)).collect(), expected))
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

/// A route with all its fields, as decK sends it.
fn deck_route(id: Uuid, path: String, service: &str) -> Value {
    json!({
        "id": id, "name": format!("route-of-{}", id.simple()), "paths": [path], "service": { "id": service },
        "protocols": ["http", "https"], "https_redirect_status_code": 426, "path_handling": "v0",
        "preserve_host": false, "regex_priority": 0, "request_buffering": true, "response_buffering": true,
        "strip_path": true, "tags": ["deck"],
    })
}
