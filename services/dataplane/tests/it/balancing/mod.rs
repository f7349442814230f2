//! Upstreams whose requests are spread over targets: real sockets, counted on both sides.

mod changes;
mod checks;
mod flapping;
mod health;
mod hosts;
mod name_server;
mod names;
mod spreading;
mod target;

use std::collections::BTreeMap;

use dataplane::balancing::State;
use tokio::time::timeout;

use self::target::Target;

use crate::{
    client::{Client, DEADLINE, Response},
    gateway::Gateway,
};

/// A configuration with one upstream, whose fields are `upstream`, and one service for it, whose further fields are `service`.
fn configuration(upstream: &str, service: &str, targets: &[String]) -> String {
    let targets: String = targets.iter().map(|target| format!("  - {{{target}}}\n")).collect();
    format!(
        "_format_version: \"3.0\"\n\
         upstreams:\n- name: orders.test\n  {upstream}\n  targets:\n{targets}\
         services:\n- {{name: s, host: orders.test, {service} routes: [{{name: r, paths: [/]}}]}}\n"
    )
}

/// Targets of equal weight.
fn equal(targets: &[Target]) -> Vec<String> {
    targets.iter().map(|target| format!("target: '{}'", target.address)).collect()
}

async fn targets<const N: usize>(names: [&'static str; N]) -> [Target; N] {
    futures::future::join_all(names.map(Target::start)).await.try_into().ok().unwrap()
}

/// The statuses and bodies of `count` requests in turn on one connection, counted.
async fn ask(gateway: &Gateway, count: usize) -> BTreeMap<(u16, String), usize> {
    let (mut client, mut answers) = (Client::connect(gateway.http()).await, BTreeMap::new());
    for _ in 0..count {
        let response = client.get("/").await;
        *answers.entry(told(&response)).or_default() += 1;
    }
    answers
}

/// Asks until the answers are those.
async fn until<const N: usize>(gateway: &Gateway, count: usize, expected: [(u16, &str, usize); N]) {
    let expected = counts(expected);
    let becomes = async { while ask(gateway, count).await != expected {} };
    timeout(DEADLINE, becomes).await.expect("the answers become those");
}

/// Waits until a target is shown as in `state`.
async fn shown(gateway: &Gateway, target: &Target, state: State) {
    let is_shown = || {
        let shown = gateway.groups.shown();
        let targets = shown.iter().flat_map(|upstream| &upstream.targets);
        let mut endpoints = targets.flat_map(|target| &target.endpoints);
        endpoints.any(|endpoint| endpoint.address == target.address && endpoint.state == state)
    };
    let becomes = async {
        while !is_shown() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, becomes).await.expect("it is found to be so");
}

/// The status of an answer; and its target's name, or why there was none.
fn told(response: &Response) -> (u16, String) {
    let reason = || {
        serde_json::from_slice::<serde_json::Value>(&response.body).ok()?["reason"]
            .as_str()
            .map(str::to_owned)
    };
    (response.status, reason().unwrap_or_else(|| response.text().to_owned()))
}

fn counts<const N: usize>(counts: [(u16, &str, usize); N]) -> BTreeMap<(u16, String), usize> {
    counts.into_iter().map(|(status, told, count)| ((status, told.to_owned()), count)).collect()
}
