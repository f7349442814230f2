//! The gateway by itself, in declarative mode: 10,000 routes, 10,000 keys, every request with a key.
//!
//! Saturation comes from a closed loop and says what one core carries. Latency comes from an open loop at a share of
//! that rate. Beside it run what the machine has of nginx and HAProxy with the same routes and keys, and the upstream
//! without any proxy, which shows what generator and upstream can do. All take turns in every round.
//!
//! Each proxy has the first core to itself; generator and upstream have the others.

mod peers;
mod target;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::ensure;
use hyper::{StatusCode, Uri, header::HeaderValue};
use testbed::{folder::Folder, ports::Ports};

use crate::{
    Pace, closedloop,
    documents::{self, Size, key, route_path},
    http1::Connections,
    machine,
    openloop::{self, Schedule},
    report::{COUNT, MEBIBYTES, MICROSECONDS, PER_SECOND, RATIO, Report},
    stage,
};
use target::{PROXY_CORE, Target};

const SIZE: Size = Size { services: 100, routes: 10_000, consumers: 10_000 };
/// Connections, and callers in the closed loop.
const CONNECTIONS: usize = 64;
/// The fixed rate, as a share of the gateway's saturation.
const OPEN_SHARE: f64 = 0.6;
const IN_FLIGHT_MAX: usize = 10_000;
const CALL_DEADLINE: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(2);
/// Steps through routes and keys. Primes that divide neither number, so that every one has its turn.
const ROUTE_STEP: u64 = 7_919;
const KEY_STEP: u64 = 3_571;

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let folder = Folder::temporary()?;
    let mut ports = Ports::reserve()?;
    stage::say(&format!("{} routes, {} keys", SIZE.routes, SIZE.consumers));
    let upstream = target::upstream(&folder, &mut ports).await?;
    let mut targets = vec![target::gateway(&folder, &mut ports, &document(upstream.address)).await?];
    targets.extend(peers::start(&folder, &mut ports, upstream.address, SIZE, report).await?);
    for target in &targets {
        check(target).await?;
    }
    targets.push(upstream);
    if machine::cores() == 1 {
        report.note("one core: proxy, generator and upstream share it");
    }
    machine::leave_core(PROXY_CORE)?;
    measure(pace, report, &targets).await?;
    for target in &targets {
        target.process.stop().await?;
    }
    drop(targets);
    folder.close().await
}

async fn measure(pace: Pace, report: &mut Report, targets: &[Target]) -> anyhow::Result<()> {
    let requests = Requests::new()?;
    for target in targets {
        closed(target, WARM_UP, &requests).await?;
        if let Some(pid) = target.process.pid() {
            let mebibytes = machine::resident_bytes(pid)? as f64 / (1024.0 * 1024.0);
            report.record(format!("{}.memory", target.name), MEBIBYTES, mebibytes);
        }
    }
    for round in 1..=pace.rounds {
        stage::say(&format!("Closed loop, {CONNECTIONS} connections, round {round} of {}", pace.rounds));
        for target in targets {
            saturate(target, pace.round, &requests, report).await?;
        }
    }
    let per_second = report.median("gateway.closed.requests") * OPEN_SHARE;
    report.record("open.rate", PER_SECOND, per_second);
    for round in 1..=pace.rounds {
        stage::say(&format!("{per_second:.0} requests a second, round {round} of {}", pace.rounds));
        for target in targets {
            let schedule = Schedule {
                per_second,
                duration: pace.round,
                in_flight_max: IN_FLIGHT_MAX,
                deadline: CALL_DEADLINE,
            };
            open(target, schedule, &requests, report).await?;
        }
    }
    for peer in peers::NAMES {
        for figure in ["closed.requests", "closed.cpu_per_request", "open.latency.p50", "open.latency.p99"] {
            let (ours, theirs) = (format!("gateway.{figure}"), format!("{peer}.{figure}"));
            report.record_ratio(&format!("gateway_over_{peer}.{figure}"), &ours, &theirs);
        }
    }
    Ok(())
}

async fn saturate(
    target: &Target,
    duration: Duration,
    requests: &Requests,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = target.name;
    let before = target.cpu_time()?;
    let outcome = closed(target, duration, requests).await?;
    let used = target.cpu_time()?.saturating_sub(before).as_secs_f64();
    let count = outcome.latencies.len() as f64;
    report.record(format!("{name}.closed.requests"), PER_SECOND, outcome.per_second);
    report.record(format!("{name}.closed.cpu_per_request"), MICROSECONDS, used * 1e6 / count);
    report.record(format!("{name}.closed.core_share"), RATIO, used * outcome.per_second / count);
    report.record_times(&format!("{name}.closed.latency"), &outcome.latencies);
    report.record(format!("{name}.closed.failed"), COUNT, outcome.failed as f64);
    Ok(())
}

async fn closed(
    target: &Target,
    duration: Duration,
    requests: &Requests,
) -> anyhow::Result<closedloop::Outcome> {
    let (connections, requests) = (Connections::new(target.address, CONNECTIONS)?, requests.clone());
    closedloop::run(CONNECTIONS, duration, move |call| {
        let (connections, requests) = (connections.clone(), requests.clone());
        async move { requests.send(&connections, call.number).await }
    })
    .await
}

async fn open(
    target: &Target,
    schedule: Schedule,
    requests: &Requests,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (connections, requests) = (Connections::new(target.address, CONNECTIONS)?, requests.clone());
    let outcome = openloop::run(schedule, move |arrival| {
        let (connections, requests) = (connections.clone(), requests.clone());
        async move { requests.send(&connections, arrival.number).await }
    })
    .await?;
    let name = target.name;
    report.record_times(&format!("{name}.open.latency"), &outcome.latencies);
    report.record_times(&format!("{name}.open.lateness"), &outcome.lateness);
    report.record(format!("{name}.open.failed"), COUNT, outcome.failed as f64);
    Ok(())
}

/// A proxy that lets everything through, or nothing, would be measured in vain.
async fn check(target: &Target) -> anyhow::Result<()> {
    let connections = Connections::new(target.address, 1)?;
    let path = |path: &str| path.parse::<Uri>();
    let key_of = |consumer: usize| HeaderValue::from_str(&key(consumer));
    let (good, bad) = (key_of(SIZE.consumers - 1)?, HeaderValue::from_static("unknown"));
    let route = path(&route_path(SIZE.routes - 1))?;
    for (path, key, expected) in [
        (route.clone(), Some(&good), StatusCode::OK),
        (route.clone(), Some(&bad), StatusCode::UNAUTHORIZED),
        (route, None, StatusCode::UNAUTHORIZED),
        (path("/elsewhere")?, Some(&good), StatusCode::NOT_FOUND),
    ] {
        let status = connections.get(&path, key).await?;
        ensure!(status == expected, "{}: {path} with key {key:?} is answered {status}", target.name);
    }
    Ok(())
}

/// What is sent: all routes and all keys in turn. Cheap to clone.
#[derive(Clone)]
struct Requests {
    paths: Arc<[Uri]>,
    keys: Arc<[HeaderValue]>,
}

impl Requests {
    fn new() -> anyhow::Result<Self> {
        let paths = (0..SIZE.routes).map(|route| route_path(route).parse()).collect::<Result<_, _>>()?;
        let keys = (0..SIZE.consumers).map(|consumer| HeaderValue::from_str(&key(consumer)));
        Ok(Self { paths, keys: keys.collect::<Result<_, _>>()? })
    }

    async fn send(&self, connections: &Connections, number: u64) -> anyhow::Result<()> {
        let path = in_turn(&self.paths, number, ROUTE_STEP)?;
        let key = in_turn(&self.keys, number, KEY_STEP)?;
        let status = connections.get(path, Some(key)).await?;
        ensure!(status == StatusCode::OK, "{path} is answered {status}");
        Ok(())
    }
}

fn in_turn<T>(items: &[T], number: u64, step: u64) -> anyhow::Result<&T> {
    let at = number.wrapping_mul(step) % items.len().max(1) as u64;
    items.get(at as usize).ok_or_else(|| anyhow::anyhow!("nothing to choose from"))
}

/// What the gateway is configured with; the peers' files say the same.
fn document(upstream: SocketAddr) -> serde_json::Value {
    documents::document(SIZE, &format!("http://{upstream}"), true)
}
