//! A client that retries ([`client`]) makes things in two regions while services are killed and the link between the regions is cut, and what
//! is there afterwards is counted: each intended write has had its effect once.
//!
//! Two kinds of things, which tell two faults. System accounts are written in the organization's home, from either region, by attempts that
//! go to both in turn; a second effect under the same name would be a conflict. Enrolment tokens belong to one region and may have equal
//! names, so a second effect would be a second token.

mod client;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Api, Deployment, Region, ServiceName};
use tokio::time::{Instant, sleep};

use crate::{
    Pace,
    report::{COUNT, Report},
    stage,
};
use client::Client;

const HOME: &str = "us";
const AWAY: &str = "eu";
/// One-way delay between the regions.
const DELAY: Duration = Duration::from_millis(10);
/// Clients of each kind.
const CLIENTS: usize = 4;
/// Between two faults, so that some attempts succeed at once.
const QUIET: Duration = Duration::from_millis(700);
/// How long a link stays cut.
const CUT: Duration = Duration::from_millis(1500);
/// Items of a page.
const PAGE: usize = 100;

/// What the clients of one round did.
#[derive(Default)]
struct Sum {
    writes: u64,
    attempts: u64,
    replayed: u64,
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let deployment = stage::start_regions(&[HOME, AWAY], DELAY).await?;
    let home = deployment.region(HOME)?;
    let (plane, _) = stage::control_plane(home, "retrying", &json!({ "_format_version": "3.0" })).await?;
    for round in 1..=pace.rounds {
        stage::say(&format!("Writes under faults: round {round} of {}", pace.rounds));
        let (sum, faults) = under_faults(&deployment, &plane, round, pace.round).await?;
        let counted = count(home, &plane, round).await?;
        let once = counted.values().filter(|times| **times == 1).count() as u64;
        report.record("writes", COUNT, sum.writes as f64);
        report.record("attempts", COUNT, sum.attempts as f64);
        report.record("answers_replayed", COUNT, sum.replayed as f64);
        report.record("faults", COUNT, f64::from(faults));
        report.record("effects_once", COUNT, once as f64);
        report.record("effects_twice", COUNT, counted.values().filter(|times| **times > 1).count() as f64);
        if once != sum.writes || counted.len() as u64 != sum.writes {
            report.fault(format!(
                "round {round}: {} writes, of which {once} have their effect once",
                sum.writes
            ));
        }
    }
    deployment.stop().await
}

/// Writes for `time` while faults happen; waits until every write that was begun is done.
async fn under_faults(
    deployment: &Deployment,
    plane: &str,
    round: u32,
    time: Duration,
) -> anyhow::Result<(Sum, u32)> {
    let (home, away) = (deployment.region(HOME)?, deployment.region(AWAY)?);
    let (stop, end) = (Arc::new(AtomicBool::new(false)), Instant::now() + time);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let both = vec![client::caller(home)?, client::caller(away)?];
        let name = format!("account-{round}-{number}");
        clients.push(writing(Client::new(both), "/v3/system-accounts".to_owned(), name, stop.clone()));
        let tokens = format!("/v2/control-planes/{plane}/enrolment-tokens");
        let name = format!("token-{round}-{number}");
        clients.push(writing(Client::new(vec![client::caller(home)?]), tokens, name, stop.clone()));
    }
    let faults = async {
        let faults = faults(deployment, end).await;
        stop.store(true, Ordering::Release);
        faults
    };
    let (sums, faults) = tokio::join!(try_join_all(clients), faults);
    let mut sum = Sum::default();
    for one in sums? {
        sum.writes += one.writes;
        sum.attempts += one.attempts;
        sum.replayed += one.replayed;
    }
    Ok((sum, faults?))
}

/// One client: one write after the other, each under a name of its own.
async fn writing(
    mut client: Client,
    path: String,
    name: String,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    while !stop.load(Ordering::Acquire) {
        let done = client.post(&path, &json!({ "name": format!("{name}-{}", sum.writes) })).await?;
        anyhow::ensure!(done.body["id"].is_string(), "{}", done.body);
        sum.writes += 1;
        sum.attempts += u64::from(done.attempts);
        sum.replayed += u64::from(done.replayed);
    }
    Ok(sum)
}

/// Kills a service of the home region, or cuts the link, in turn until `end`; answers how often.
async fn faults(deployment: &Deployment, end: Instant) -> anyhow::Result<u32> {
    let home = deployment.region(HOME)?;
    for number in 0.. {
        if Instant::now() >= end {
            return Ok(number);
        }
        sleep(QUIET).await;
        match ServiceName::ALL.get(number as usize % (ServiceName::ALL.len() + 1)) {
            Some(service) => {
                home.process(*service).kill().await?;
                home.start_again(*service).await?;
            }
            None => {
                deployment.wan().cut(HOME, AWAY)?;
                sleep(CUT).await;
                deployment.wan().heal(HOME, AWAY)?;
            }
        }
    }
    Ok(0)
}

/// How often each of the round's names is there.
async fn count(home: &Region, plane: &str, round: u32) -> anyhow::Result<BTreeMap<String, usize>> {
    let api = client::caller(home)?;
    let tokens = format!("/v2/control-planes/{plane}/enrolment-tokens");
    let mut counted = BTreeMap::new();
    for (path, prefix) in [("/v3/system-accounts", "account"), (tokens.as_str(), "token")] {
        let prefix = format!("{prefix}-{round}-");
        for item in all(&api, path).await? {
            if let Some(name) = item["name"].as_str().filter(|name| name.starts_with(&prefix)) {
                *counted.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(counted)
}

/// Every item of a list.
async fn all(api: &Api, path: &str) -> anyhow::Result<Vec<Value>> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}?page[size]={PAGE}{after}")).await?.expect(200)?;
        items.extend(page["data"].as_array().context("a list")?.iter().cloned());
        match page["meta"]["page"]["next"].as_str() {
            Some(next) => after = format!("&page[after]={next}"),
            None => return Ok(items),
        }
    }
}
