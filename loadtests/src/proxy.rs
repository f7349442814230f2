//! The gateway beside nginx, HAProxy and Envoy: 10,000 routes, 10,000 keys, every request with a key.
//!
//! Saturation comes from a closed loop and says what one core carries; CPU time per request is what other load on the
//! machine disturbs least, so the ratios are of that. Latency comes from an open loop at a share of nginx's rate. The
//! upstream without any proxy shows what generator and upstream can do. All take turns in every round.
//!
//! Each proxy has the first core to itself; generator and upstream have the others.

pub mod balancing;
pub mod certificate;
mod churn;
pub mod coldstart;
pub mod generator;
mod http2;
mod idle;
mod keys;
mod measure;
mod peers;
mod picture;
pub mod plugins;
pub mod requests;
mod site;
pub mod take_over;
mod target;
pub mod telemetry;

use std::{num::NonZeroUsize, time::Duration};

use anyhow::{Context as _, ensure};
use hyper::{HeaderMap, StatusCode, Uri};

use crate::{
    Pace,
    documents::{Size, key, route_path},
    http1::{Connections, with_key},
    machine,
    report::{BYTES, MEBIBYTES, PER_SECOND, Report},
    stage::say,
};
use measure::{Clients, Way};
use peers::Peer;
pub use picture::draw;
use requests::Requests;
use site::{Site, Start};
use target::Target;

const SIZE: Size = Size { services: 100, routes: 10_000, consumers: 10_000 };
/// The fixed rate, as a share of nginx's saturation, or the gateway's where there is no nginx.
const OPEN_SHARE: f64 = 0.6;
const WARM_UP: Duration = Duration::from_secs(2);
const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Saturation over HTTP/1.1 and latency at the fixed rate.
    Quick,
    /// Everything.
    Full,
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, extent: Extent, report: &mut Report) -> anyhow::Result<()> {
    if machine::cores() == 1 {
        report.note("one core: proxy, generator and upstream share it");
    }
    say(&format!("{} routes, {} keys", SIZE.routes, SIZE.consumers));
    let mut site = Site::start(SIZE).await?;
    let proxies = start(&mut site, report).await?;
    for proxy in &proxies {
        check(proxy).await?;
    }
    let without_keys = site.one_thread("gateway_without_keys", "gateway-without-keys", false).await?;
    {
        let clients = Clients::new(SIZE, &site.certificate)?;
        // Those first whose difference is small.
        let all: Vec<&Target> = [&without_keys].into_iter().chain(&proxies).chain([&site.upstream]).collect();
        warm_up(&all, &clients, report).await?;
        saturate(pace, &all, &clients, report).await?;
        let all: Vec<&Target> = proxies.iter().chain([&site.upstream]).collect();
        at_fixed_rate(pace, &all, &clients, report).await?;
        if extent == Extent::Full {
            in_other_ways(pace, &proxies, &clients, report).await?;
        }
    }
    keys::record(report);
    if extent == Extent::Full {
        two_cores(pace, &mut site, &proxies, report).await?;
    }
    for target in proxies.iter().chain([&without_keys]) {
        target.process.stop().await?;
    }
    if extent == Extent::Full {
        idle_connections(&mut site, report).await?;
        churn::record(pace, &site, report).await?;
    }
    site.close().await
}

/// The gateway and, where they are installed, its peers.
async fn start(site: &mut Site, report: &mut Report) -> anyhow::Result<Vec<Target>> {
    let mut proxies = vec![site.one_thread("gateway", "gateway", true).await?];
    for peer in Peer::ALL {
        match site.peer(peer, peer.name()).await? {
            Some(target) => proxies.push(target),
            None => report.note(format!("{} is not installed: not compared", peer.name())),
        }
    }
    Ok(proxies)
}

/// A proxy that lets everything through, or nothing, would be measured in vain.
async fn check(target: &Target) -> anyhow::Result<()> {
    let connections = Connections::new(target.plain, 1)?;
    let path = |path: &str| path.parse::<Uri>();
    let (good, bad) = (with_key(&key(SIZE.consumers - 1))?, with_key("unknown")?);
    let route = path(&route_path(SIZE.routes - 1))?;
    for (path, headers, expected) in [
        (route.clone(), &good, StatusCode::OK),
        (route.clone(), &bad, StatusCode::UNAUTHORIZED),
        (route, &HeaderMap::new(), StatusCode::UNAUTHORIZED),
        (path("/elsewhere")?, &good, StatusCode::NOT_FOUND),
    ] {
        let status = connections.get(&path, headers).await?;
        ensure!(status == expected, "{}: {path} with {headers:?} is answered {status}", target.name);
    }
    Ok(())
}

async fn warm_up(targets: &[&Target], clients: &Clients<'_>, report: &mut Report) -> anyhow::Result<()> {
    for target in targets {
        clients.saturate(target, Way::Closed, WARM_UP).await.context(target.name)?;
        let mebibytes = target.memory()? as f64 / (1024.0 * 1024.0);
        report.record(format!("{}.memory", target.name), MEBIBYTES, mebibytes);
    }
    Ok(())
}

async fn saturate(
    pace: Pace,
    targets: &[&Target],
    clients: &Clients<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    for round in 1..=pace.rounds {
        say(&format!("Closed loop, {} connections, round {round} of {}", measure::CONNECTIONS, pace.rounds));
        for target in in_turn(targets, round) {
            clients.record(target, Way::Closed, pace.round, report).await?;
        }
    }
    Ok(())
}

async fn at_fixed_rate(
    pace: Pace,
    targets: &[&Target],
    clients: &Clients<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let saturation =
        ["nginx", "gateway"].iter().find_map(|name| report.figure(&format!("{name}.closed.requests")));
    let per_second = saturation.context("nothing was measured")? * OPEN_SHARE;
    report.record("open.rate", PER_SECOND, per_second);
    for round in 1..=pace.rounds {
        say(&format!("{per_second:.0} requests a second, round {round} of {}", pace.rounds));
        for target in in_turn(targets, round) {
            let key = format!("{}.open", target.name);
            clients.record_open(target.plain, &key, (per_second, pace.round), report).await?;
        }
    }
    Ok(())
}

async fn in_other_ways(
    pace: Pace,
    proxies: &[Target],
    clients: &Clients<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    for way in Way::OTHERS {
        for round in 1..=pace.rounds {
            say(&format!("Closed loop, {}, round {round} of {}", way.name(), pace.rounds));
            for target in in_turn(proxies, round) {
                clients.record(target, way, pace.round, report).await?;
            }
        }
    }
    Ok(())
}

/// Forwards in odd rounds and backwards in even ones, so that nothing always comes first.
fn in_turn<T>(targets: &[T], round: u32) -> Vec<&T> {
    if round.is_multiple_of(2) { targets.iter().rev().collect() } else { targets.iter().collect() }
}

/// The gateway with two threads on two cores, beside the one with one.
async fn two_cores(
    pace: Pace,
    site: &mut Site,
    proxies: &[Target],
    report: &mut Report,
) -> anyhow::Result<()> {
    let (Some(cores), Some(one)) = (site.cores.two, proxies.first()) else {
        report.note("one core: no two to compare with it");
        return Ok(());
    };
    if site.cores.are_shared {
        report.note(
            "two_cores_scaling: the machine has two cores, so generator and upstream share the second one",
        );
    }
    let start = Start {
        name: "two_cores",
        label: "gateway-two-cores",
        key_auth: true,
        cores,
        threads: TWO,
        environment: &[],
    };
    let two = site.gateway(start).await?;
    let clients = Clients::new(SIZE, &site.certificate)?;
    clients.saturate(&two, Way::Closed, WARM_UP).await?;
    for round in 1..=pace.rounds {
        say(&format!("One core and two, round {round} of {}", pace.rounds));
        let requests = clients.saturate(one, Way::Closed, pace.round).await?.per_second;
        report.record("one_core.closed.requests", PER_SECOND, requests);
        clients.record(&two, Way::Closed, pace.round, report).await?;
    }
    report.record_ratio("two_cores_scaling", "two_cores.closed.requests", "one_core.closed.requests");
    two.process.stop().await.map(drop)
}

/// Memory of idle connections, one proxy after the other.
async fn idle_connections(site: &mut Site, report: &mut Report) -> anyhow::Result<()> {
    say("Idle connections");
    let mut fresh = vec![site.one_thread("gateway", "gateway-idle", true).await?];
    for peer in Peer::ALL {
        fresh.extend(site.peer(peer, &format!("{}-idle", peer.name())).await?);
    }
    let clients = Clients::new(SIZE, &site.certificate)?;
    for target in &fresh {
        idle::record(target, &clients, Requests::small(SIZE, ""), report).await.context(target.name)?;
        target.process.stop().await?;
    }
    if let Some(bytes) = report.figure("gateway.idle_connection") {
        report.record("idle_connection_bytes", BYTES, bytes);
    }
    Ok(())
}
