//! What it costs to spread requests over four targets, beside one host and beside nginx and HAProxy; and what clients notice when one of the
//! targets dies and comes back, and when one slows.

use std::{fs, num::NonZeroUsize, path::PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    in_turn,
    measure::{Clients, Way},
    peers::Peer,
    site::{Site, Start},
    target::Target,
    warm_up,
};
use crate::{
    Pace,
    documents::{self, Size},
    report::{COUNT, MICROSECONDS, Report},
    stage::say,
};

/// Few: nothing here depends on routes and keys.
const SIZE: Size = Size { services: 1, routes: 100, consumers: 100 };
const TARGETS: usize = 4;
/// The name of the upstream.
const POOL: &str = "pool.internal";
/// Requests a second while a target dies or slows.
const RATE: f64 = 2_000.0;

/// Algorithms: as in the keys of figures, and fields of the upstream.
fn algorithms() -> [(&'static str, Value); 4] {
    [
        ("round_robin", json!({ "algorithm": "round-robin" })),
        ("least_connections", json!({ "algorithm": "least-connections" })),
        (
            "hashing",
            json!({ "algorithm": "consistent-hashing", "hash_on": "header", "hash_on_header": "apikey" }),
        ),
        ("latency", json!({ "algorithm": "latency" })),
    ]
}

/// What peers say of four servers: name, peer, and the text that chooses the algorithm.
const PEERS: [(&str, Peer, &str); 4] = [
    ("nginx_round_robin", Peer::Nginx, ""),
    ("nginx_least_connections", Peer::Nginx, "least_conn;"),
    ("haproxy_round_robin", Peer::Haproxy, "balance roundrobin"),
    ("haproxy_least_connections", Peer::Haproxy, "balance leastconn"),
];

/// Four upstreams, of which the first one is slow while a file is there.
struct Pool {
    targets: Vec<Target>,
    slow: PathBuf,
}

impl Pool {
    async fn start(site: &mut Site) -> anyhow::Result<Self> {
        let slow = site.folder.make("slow")?.join("slow");
        let mut targets = Vec::new();
        for number in 0..TARGETS {
            targets.push(
                site.another_upstream(&format!("target-{number}"), (number == 0).then_some(&slow)).await?,
            );
        }
        Ok(Self { targets, slow })
    }

    /// A gateway's document whose requests are spread over the targets.
    fn document(&self, fields: &Value) -> Value {
        let mut document = documents::document(SIZE, "http://unused", true);
        for service in document["services"].as_array_mut().into_iter().flatten() {
            service["url"] = format!("http://{POOL}").into();
        }
        let targets = self.targets.iter().map(|target| json!({ "target": target.plain.to_string() }));
        let mut upstream = json!({ "name": POOL, "targets": targets.collect::<Vec<_>>() });
        if let (Some(upstream), Some(fields)) = (upstream.as_object_mut(), fields.as_object()) {
            upstream.extend(fields.clone());
        }
        document["upstreams"] = json!([upstream]);
        document
    }

    /// A peer's configuration with the targets in the place of one upstream.
    fn spread(&self, peer: Peer, balance: &str, configuration: &str, upstream: &str) -> String {
        let lines = self.targets.iter().enumerate().map(|(number, target)| match peer {
            Peer::Haproxy => format!("    server target-{number} {}\n", target.plain),
            Peer::Nginx | Peer::Envoy => format!("        server {};\n", target.plain),
        });
        let lines: String = lines.collect();
        let one = match peer {
            Peer::Haproxy => format!("    server upstream {upstream}\n"),
            Peer::Nginx | Peer::Envoy => format!("        server {upstream};\n"),
        };
        configuration.replace(&one, &format!("    {balance}\n{lines}"))
    }
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("{TARGETS} targets"));
    let mut site = Site::start(SIZE).await?;
    let pool = Pool::start(&mut site).await?;
    costs(pace, &mut site, &pool, report).await?;
    dies(pace, &mut site, &pool, report).await?;
    slows(pace, &mut site, &pool, report).await?;
    for target in &pool.targets {
        target.process.stop().await?;
    }
    site.close().await
}

fn start(site: &Site, name: &'static str) -> Start<'static> {
    let (cores, threads) = (site.cores.proxy, NonZeroUsize::MIN);
    Start { name, label: name, key_auth: true, cores, threads, environment: &[] }
}

/// CPU time per request of each algorithm, over that of one host.
async fn costs(pace: Pace, site: &mut Site, pool: &Pool, report: &mut Report) -> anyhow::Result<()> {
    let mut proxies = vec![site.gateway(start(site, "one_host")).await?];
    for (name, fields) in algorithms() {
        let place = site.place_with(start(site, name), &pool.document(&fields))?;
        proxies.push(place.start(&site.folder, name).await?);
    }
    for (name, peer, balance) in PEERS {
        let upstream = site.upstream.plain.to_string();
        let spread = |text: &str| pool.spread(peer, balance, text, &upstream);
        match site.peer_with(peer, name, spread).await? {
            Some(target) => proxies.push(Target { name, ..target }),
            None => report.note(format!("{} is not installed: not compared", peer.name())),
        }
    }
    {
        let clients = Clients::new(SIZE, &site.certificate)?;
        let all: Vec<&Target> = proxies.iter().collect();
        warm_up(&all, &clients, report).await?;
        for round in 1..=pace.rounds {
            say(&format!("Closed loop, round {round} of {}", pace.rounds));
            for target in in_turn(&all, round) {
                clients.record(target, Way::Closed, pace.round, report).await?;
            }
        }
    }
    let cpu = |name: &str| format!("{name}.closed.cpu_per_request");
    for (name, _) in algorithms() {
        report.record_difference(&format!("{name}_cost_us"), MICROSECONDS, &cpu(name), &cpu("one_host"));
    }
    for proxy in &proxies {
        proxy.process.stop().await?;
    }
    Ok(())
}

/// One of four targets is killed in the middle of each round, and comes back in the next one's beginning.
async fn dies(pace: Pace, site: &mut Site, pool: &Pool, report: &mut Report) -> anyhow::Result<()> {
    let checks = json!({ "healthchecks": {
        "active": { "type": "tcp", "healthy": { "interval": 0.5, "successes": 1 },
            "unhealthy": { "interval": 0.5, "tcp_failures": 1 } },
        "passive": { "unhealthy": { "tcp_failures": 1 } },
    }});
    let gateway = site.place_with(start(site, "dying"), &pool.document(&checks))?;
    let gateway = gateway.start(&site.folder, "dying").await?;
    let clients = Clients::new(SIZE, &site.certificate)?;
    let victim = pool.targets.get(1).context("there are four targets")?;
    let mut errors = 0;
    for round in 1..=pace.rounds {
        say(&format!("One of {TARGETS} targets is killed, round {round} of {}", pace.rounds));
        let rate = (RATE, pace.round);
        errors += clients.record_open(gateway.plain, "dying.before", rate, report).await?;
        let requests = clients.record_open(gateway.plain, "dying.during", rate, report);
        let killed = async {
            sleep(pace.round / 3).await;
            victim.process.kill().await?;
            sleep(pace.round / 3).await;
            victim.process.start_again().await
        };
        let (failed, ()) = tokio::try_join!(requests, killed)?;
        errors += failed;
    }
    report.record("errors_when_target_dies", COUNT, errors as f64);
    report.record_ratio("p99_ratio_when_target_dies", "dying.during.latency.p99", "dying.before.latency.p99");
    gateway.process.stop().await.map(drop)
}

/// One of four targets takes 50 ms for each answer in every second part.
async fn slows(pace: Pace, site: &mut Site, pool: &Pool, report: &mut Report) -> anyhow::Result<()> {
    for (name, fields) in algorithms().into_iter().filter(|(name, _)| *name != "hashing") {
        let label: &'static str = match name {
            "round_robin" => "slowing-round-robin",
            "least_connections" => "slowing-least-connections",
            _ => "slowing-latency",
        };
        let gateway = site.place_with(start(site, label), &pool.document(&fields))?;
        let gateway = gateway.start(&site.folder, label).await?;
        let clients = Clients::new(SIZE, &site.certificate)?;
        for round in 1..=pace.rounds {
            say(&format!("One of {TARGETS} targets slows, {name}, round {round} of {}", pace.rounds));
            let (rate, plain) = ((RATE, pace.round), gateway.plain);
            clients.record_open(plain, &format!("slowing.{name}.before"), rate, report).await?;
            fs::write(&pool.slow, "").context("the file that slows a target")?;
            let during = clients.record_open(plain, &format!("slowing.{name}.during"), rate, report).await;
            fs::remove_file(&pool.slow).context("the file that slows a target")?;
            during?;
            sleep(pace.round / 4).await;
        }
        gateway.process.stop().await?;
        let p99 = |part: &str| format!("slowing.{name}.{part}.latency.p99");
        report.record_ratio(&format!("p99_ratio_when_target_slows.{name}"), &p99("during"), &p99("before"));
    }
    let p99 = |part: &str| format!("slowing.latency.{part}.latency.p99");
    report.record_ratio("p99_ratio_when_target_slows", &p99("during"), &p99("before"));
    Ok(())
}
