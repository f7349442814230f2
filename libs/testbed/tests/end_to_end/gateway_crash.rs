//! A data plane that is killed in the middle of applying loses nothing and needs no new enrolment.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng};
use random::Random;
use serde_json::{Value, json};
use testbed::{Gateway, api::text, dataplane, wait};
use tokio::task::JoinSet;

use crate::{
    fixtures::{ControlPlane, check_plain_file, node_of, plain_file, served},
    harness::{SOON, run, shared, unique},
};

const WRITERS: u32 = 4;
const ROUTES_PER_WRITER: u32 = 25;
const KILLS: u32 = 5;
/// Versions that pass between a restart and the next kill, at most.
const VERSIONS_BETWEEN_KILLS: u64 = 40;

/// Last acknowledged value of each route, and the value before it.
type Acknowledged = BTreeMap<u32, (u64, Option<u64>)>;

fn route_path(route: u32, value: u64) -> String {
    format!("/crash/{route}/{value}")
}

/// Changes its routes in turn until it is told to stop.
async fn write(
    control_plane: ControlPlane,
    writer: u32,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Acknowledged> {
    let mut acknowledged = Acknowledged::new();
    let mut value = 0;
    while !stop.load(Ordering::Relaxed) {
        value += 1;
        for number in 0..ROUTES_PER_WRITER {
            let route = writer * ROUTES_PER_WRITER + number;
            let path = control_plane.entity(&format!("routes/crash-{route}"));
            let body = json!({ "paths": [route_path(route, value)], "service": { "name": "echo" } });
            control_plane.api.put(&path, &body).await?.expect(200)?;
            let before = acknowledged.get(&route).map(|(value, _)| *value);
            acknowledged.insert(route, (value, before));
        }
    }
    Ok(acknowledged)
}

fn held_version(status: &Value) -> anyhow::Result<u64> {
    status["configuration"]["version"].as_u64().with_context(|| format!("no version in {status}"))
}

/// Waits until the data plane holds `version` or a later one; the one that it holds.
async fn until_holds(gateway: &Gateway, version: u64) -> anyhow::Result<u64> {
    wait::until(&format!("the data plane holds version {version}"), SOON, async || {
        let status = gateway.status().await.map_err(|error| format!("{error:#}"))?;
        let held = held_version(&status).map_err(|error| format!("{error:#}"))?;
        if held >= version { Ok(held) } else { Err(status["source"].to_string()) }
    })
    .await
}

#[test]
fn a_data_plane_killed_while_applying_resumes_and_loses_nothing() {
    run(async {
        let seed: u64 = Random::system().number();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "crash").await?;
        let service = json!({ "name": "echo", "url": region.upstream().url() });
        control_plane.api.post(&control_plane.entity("services"), &service).await?.expect(201)?;
        let enrolment = dataplane::create_enrolment(&control_plane.api, &control_plane.id).await?;
        let gateway = Gateway::start(region, &control_plane.id, &unique("crash"), &enrolment.command).await?;
        let mut held = until_holds(&gateway, 1).await?;
        let node = node_of(&gateway).await?;
        // From here on nothing can enrol.
        let token = control_plane.path(&format!("enrolment-tokens/{}", enrolment.id));
        control_plane.api.delete(&token).await?.expect(204)?;

        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(control_plane.clone(), writer, stop.clone()));
        }
        for _ in 0..KILLS {
            held = until_holds(&gateway, held + random.random_range(1..=VERSIONS_BETWEEN_KILLS)).await?;
            gateway.process().kill().await?;
            gateway.start_again().await?;
            let status = gateway.status().await?;
            assert_eq!(text(&status, "node")?, node, "it is the same node");
            let resumed = held_version(&status)?;
            assert!(resumed >= held, "it served version {held} and came back with {resumed}");
            held = resumed;
        }
        stop.store(true, Ordering::Relaxed);
        let acknowledged: Vec<Acknowledged> =
            writers.join_all().await.into_iter().collect::<Result<_, _>>()?;

        control_plane.until_in_sync(&node, control_plane.version().await?).await?;
        assert_eq!(control_plane.nodes().await?.len(), 1, "it enrolled once");
        for (route, (value, before)) in acknowledged.into_iter().flatten() {
            let served = gateway.get(&route_path(route, value), None).await?;
            assert_eq!(served.status, 200, "route {route} value {value}: {}", served.text);
            if let Some(before) = before {
                let replaced = gateway.get(&route_path(route, before), None).await?;
                assert_eq!(replaced.status, 404, "route {route} still has value {before}");
            }
        }
        gateway.process().stop().await?;
        Ok(())
    });
}

/// How a store is spoilt while its gateway does not run.
type Spoil = fn(&mut Vec<u8>);

#[test]
fn a_data_plane_whose_store_was_spoilt_says_so_and_fetches_its_configuration() {
    run(async {
        let region = shared().await?;
        let (control_plane, gateway) = served(region, "spoilt").await?;
        let many: String = (0..2000).map(|n| format!("  - {{username: spoilt-{n}}}\n")).collect();
        control_plane.apply(&format!("{}{many}", plain_file(region))).await?;
        let node = node_of(&gateway).await?;
        let store = gateway.folder().join("landbridge-data/store");
        let spoils: [(&str, Spoil); 5] = [
            ("cut in half", |data| data.truncate(data.len() / 2)),
            ("cut to one page", |data| data.truncate(4096)),
            ("emptied", Vec::clear),
            ("no store at all", |data| data.fill(0x5a)),
            ("overwritten in its middle", |data| {
                let (from, to) = (data.len() / 8, data.len() / 8 * 7);
                data[from..to].fill(0xff);
            }),
        ];
        for (what, spoil) in spoils {
            control_plane.until_in_sync(&node, control_plane.version().await?).await?;
            gateway.process().kill().await?;
            let file = store.join("data.mdb");
            let mut data = fs::read(&file)?;
            spoil(&mut data);
            fs::write(&file, data)?;
            // What is damaged within may end the first process that reads it; whoever starts gateways starts it again.
            if gateway.start_again().await.is_err() {
                gateway.start_again().await.context(what)?;
            }
            gateway.until_ready().await.context(what)?;
            control_plane.until_in_sync(&node, control_plane.version().await?).await.context(what)?;
            check_plain_file(&gateway).await.context(what)?;
            assert_eq!(node_of(&gateway).await?, node, "{what}: it is the same node");
        }
        gateway.process().stop().await?;
        Ok(())
    });
}
