//! Upstreams, targets and certificates from the API of a region to the clients of its gateways; and without the region, after a restart.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::Router;
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Gateway, Region, ServiceName, wait};
use tokio::net::TcpListener;

use crate::{
    certificates::Certificates,
    deck::{self, put, put_route, service},
    fixtures::{ControlPlane, node_of},
    harness::{SOON, run_alone},
};

const UPSTREAM: &str = "cb02ff57-bc79-4600-9ea0-9b743aa29a8d";
const BALANCED: &str = "d157531f-1c1b-4038-88cb-df5edca11bdc";

/// Requests that a question about targets takes: many times their number.
const ASKED: usize = 24;

#[test]
fn targets_and_certificates_reach_the_clients_of_a_region_and_outlive_it() {
    run_alone(async |region| {
        let plane = ControlPlane::create(region, "targets").await?;
        let targets = Targets::start(region, &plane).await?;
        let (one, other) = tokio::try_join!(
            Gateway::enrol(region, &plane.id, "targets-one"),
            Gateway::enrol(region, &plane.id, "targets-other"),
        )?;
        let gateways = [&one, &other];
        targets.a_dead_one_is_seen(&plane, gateways).await?;
        targets.one_is_set_by_hand(&plane, gateways).await?;
        let certificates = Certificates::new()?;
        certificates.are_shown_and_replaced(&plane, &one).await?;
        certificates.open_an_upstream(&plane, &one).await?;

        // What was set by hand is part of what is stored.
        targets.set(&plane, &targets.second, "unhealthy").await?;
        until_asked(&one, [("first", ASKED)]).await?;
        stop_the_region(region).await?;
        one.process().stop().await?;
        one.start_again().await?;
        one.until_ready().await?;
        until_asked(&one, [("first", ASKED)]).await?;
        certificates.are_served(&one).await?;
        other.process().kill().await?;
        one.process().stop().await?;
        Ok(())
    });
}

/// Kills all that a gateway follows.
async fn stop_the_region(region: &Region) -> anyhow::Result<()> {
    let on = region.infrastructure();
    let below = [on.nats.process(), on.postgres.process()];
    for process in ServiceName::ALL.map(|service| region.process(service)).into_iter().chain(below) {
        process.kill().await?;
    }
    Ok(())
}

/// Three targets, of which the third has never lived.
struct Targets {
    first: SocketAddr,
    second: SocketAddr,
    dead: SocketAddr,
    /// Requests that the second has got.
    asked: Arc<AtomicUsize>,
}

impl Targets {
    /// Starts them, and makes them those of an upstream that a service names.
    async fn start(region: &Region, plane: &ControlPlane) -> anyhow::Result<Self> {
        let (first, _) = target("first").await?;
        let (second, asked) = target("second").await?;
        let dead = region.infrastructure().next_address()?;
        put(plane, &format!("upstreams/{UPSTREAM}"), deck::upstream(UPSTREAM)).await?;
        for (n, address) in [first, second, dead].into_iter().enumerate() {
            let id = format!("88c1ef8b-b5bc-4041-abf8-bd22a0c82ee{n}");
            let body = json!({
                "failover": false, "id": id, "target": address.to_string(), "upstream": { "id": UPSTREAM }, "weight": 100
            });
            put(plane, &format!("upstreams/{UPSTREAM}/targets/{id}"), body).await?;
        }
        put(plane, &format!("services/{BALANCED}"), service(BALANCED, "http", "orders.internal", 80)).await?;
        put_route(plane, "5411eac1-e301-4c97-9e17-9f7e55027cb6", "/orders", BALANCED).await?;
        Ok(Self { first, second, dead, asked })
    }

    /// No request is lost at the dead one, and each node tells of it once it has met it.
    async fn a_dead_one_is_seen(&self, plane: &ControlPlane, gateways: [&Gateway; 2]) -> anyhow::Result<()> {
        for gateway in gateways {
            gateway.until_ready().await?;
            gateway.until_answers("/orders", None, 200).await?;
            let half = ASKED / 2;
            anyhow::ensure!(
                ask(gateway).await? == counts([("first", half), ("second", half)]),
                "they take turns"
            );
        }
        self.until_shown(plane, gateways, ["HEALTHY", "HEALTHY", "UNHEALTHY"]).await
    }

    /// On all nodes, without a lost request.
    async fn one_is_set_by_hand(&self, plane: &ControlPlane, gateways: [&Gateway; 2]) -> anyhow::Result<()> {
        self.set(plane, &self.second, "unhealthy").await?;
        for gateway in gateways {
            until_asked(gateway, [("first", ASKED)]).await?;
        }
        let before = self.asked.load(Relaxed);
        for gateway in gateways {
            anyhow::ensure!(ask(gateway).await? == counts([("first", ASKED)]), "it stays so");
        }
        anyhow::ensure!(self.asked.load(Relaxed) == before, "a request went to a target that is down");
        self.until_shown(plane, gateways, ["HEALTHY", "UNHEALTHY", "UNHEALTHY"]).await?;
        self.set(plane, &self.second, "healthy").await?;
        for gateway in gateways {
            until_asked(gateway, [("first", ASKED / 2), ("second", ASKED / 2)]).await?;
        }
        self.until_shown(plane, gateways, ["HEALTHY", "HEALTHY", "UNHEALTHY"]).await
    }

    async fn set(&self, plane: &ControlPlane, target: &SocketAddr, state: &str) -> anyhow::Result<()> {
        let path = plane.entity(&format!("upstreams/orders.internal/targets/{target}/{state}"));
        plane.api.send(plane.api.request(Method::PUT, &path)).await?.expect(204).map(drop)
    }

    /// Waits until each node, and so all together, see the targets as in `expected`.
    async fn until_shown(
        &self,
        plane: &ControlPlane,
        gateways: [&Gateway; 2],
        expected: [&str; 3],
    ) -> anyhow::Result<()> {
        let nodes = [node_of(gateways[0]).await?, node_of(gateways[1]).await?];
        let addresses = [self.first, self.second, self.dead];
        let expected: BTreeMap<String, Value> = addresses
            .iter()
            .zip(expected)
            .map(|(address, health)| {
                let unhealthy = if health == "UNHEALTHY" { vec![address.to_string()] } else { Vec::new() };
                let seen: BTreeMap<_, _> =
                    nodes.iter().map(|node| (node, json!([health, unhealthy]))).collect();
                (address.to_string(), json!([health, seen]))
            })
            .collect();
        wait::until("the targets are shown as they are", SOON, async || {
            let path = plane.entity("upstreams/orders.internal/health");
            let shown = plane.api.get(&path).await.and_then(|answer| answer.expect(200));
            let shown = shown.map_err(|error| format!("{error:#}"))?;
            let of_node = |node: &Value| {
                let id = node["id"].as_str().unwrap_or_default().to_owned();
                (id, json!([node["health"], node["unhealthy_addresses"]]))
            };
            let of_target = |target: &Value| {
                let nodes = target["nodes"].as_array().into_iter().flatten();
                let seen: BTreeMap<_, _> = nodes.map(of_node).collect();
                (target["target"].as_str().unwrap_or_default().to_owned(), json!([target["health"], seen]))
            };
            let targets = shown["data"].as_array().into_iter().flatten();
            let seen: BTreeMap<_, _> = targets.map(of_target).collect();
            if seen == expected { Ok(()) } else { Err(format!("{seen:?} and not {expected:?}")) }
        })
        .await
    }
}

/// A target that answers with its name, and how many requests it has got.
async fn target(name: &'static str) -> anyhow::Result<(SocketAddr, Arc<AtomicUsize>)> {
    let (listener, asked) = (TcpListener::bind("127.0.0.1:0").await?, Arc::new(AtomicUsize::new(0)));
    let (address, counted) = (listener.local_addr()?, asked.clone());
    let answer = move || {
        counted.fetch_add(1, Relaxed);
        async move { name }
    };
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    Ok((address, asked))
}

/// The answers to [`ASKED`] requests, counted. All are 200.
async fn ask(gateway: &Gateway) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut answers = BTreeMap::new();
    for _ in 0..ASKED {
        let answer = gateway.get("/orders", None).await?;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
        *answers.entry(answer.text).or_default() += 1;
    }
    Ok(answers)
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Asks until the answers are those; all are 200 meanwhile.
async fn until_asked<const N: usize>(gateway: &Gateway, expected: [(&str, usize); N]) -> anyhow::Result<()> {
    let expected = counts(expected);
    wait::until(&format!("{} asks {expected:?}", gateway.name()), SOON, async || {
        let answers = ask(gateway).await.map_err(|error| format!("{error:#}"))?;
        if answers == expected { Ok(()) } else { Err(format!("{answers:?}")) }
    })
    .await
}
