//! A large document, and a config process that is killed while it is written: all of it is there afterwards or nothing, what others wrote
//! meanwhile stays, and the same import done again is done once.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::ensure;
use serde_json::{Value, json};
use testbed::{Gateway, ServiceName, wait};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    fixtures::{ControlPlane, check_plain_file, node_of, plain_file},
    harness::{SOON, run_alone, unique},
};

/// Consumers of the document, each with a key: more than is written with the control plane locked.
const CONSUMERS: usize = 6_000;
/// How long after the import has begun to be written its process is killed.
const KILLED_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(900), Duration::from_millis(1800)];
/// Longest that a document may take on a busy machine, in a debug build.
const APPLIED: Duration = Duration::from_secs(120);

fn document(generation: usize) -> Value {
    let consumers: Vec<Value> = (0..CONSUMERS)
        .map(|number| {
            json!({"username": format!("imported-{number}"), "custom_id": format!("{generation}-{number}"),
                   "keyauth_credentials": [{"key": format!("the-key-of-imported-{number}")}]})
        })
        .collect();
    json!({"_format_version": "3.0", "_info": {"select_tags": ["imported"]}, "consumers": consumers})
}

#[test]
fn a_document_whose_process_is_killed_is_there_as_a_whole_or_not_at_all() {
    run_alone(async |region| {
        let on = ControlPlane::create(region, "imports").await?;
        on.apply(&plain_file(region)).await?;
        let gateway = Gateway::enrol(region, &on.id, &unique("imports")).await?;
        gateway.until_ready().await?;
        let api = region.api(ServiceName::Config);
        let imports = format!("/v2/control-planes/{}/imports", on.id);
        let put = async |generation: usize, import: Uuid| {
            let path = format!("/v2/control-planes/{}/declarative?import_id={import}", on.id);
            let request = api.request(reqwest::Method::PUT, &path).timeout(APPLIED);
            api.send(request.json(&document(generation))).await
        };
        let generation_of = async |number: usize| {
            let answer = api.get(&on.entity(&format!("consumers/imported-{number}"))).await?;
            let shown = if answer.status == 404 { Value::Null } else { answer.expect(200)? };
            let custom_id = shown["custom_id"].as_str().unwrap_or("none-").to_owned();
            anyhow::Ok(custom_id.split('-').next().unwrap_or_default().to_owned())
        };

        let (written, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let writing = async {
            while !stop.load(Ordering::Relaxed) {
                let name = format!("by-hand-{}", written.load(Ordering::Relaxed));
                let body = json!({ "username": name });
                match api.put(&on.entity(&format!("consumers/{name}")), &body).await {
                    Ok(answer) if answer.status == 200 => drop(written.fetch_add(1, Ordering::Relaxed)),
                    // Killed, or not there again yet.
                    _ => sleep(Duration::from_millis(50)).await,
                }
            }
            anyhow::Ok(())
        };
        let killing = async {
            for (generation, after) in KILLED_AFTER.into_iter().enumerate() {
                let import = Uuid::now_v7();
                let kill = async {
                    wait::until("the document is written", SOON, async || {
                        let shown = api.get(&format!("{imports}/{import}")).await;
                        let shown =
                            shown.and_then(|answer| answer.json()).map_err(|error| format!("{error:#}"))?;
                        if shown["phase"] == "writing" { Ok(()) } else { Err(shown.to_string()) }
                    })
                    .await?;
                    sleep(after).await;
                    region.process(ServiceName::Config).kill().await?;
                    region.start_again(ServiceName::Config).await
                };
                let (answered, killed) = tokio::join!(put(generation, import), kill);
                killed?;
                println!("generation {generation}: {:?}", answered.map(|answer| answer.status));
                let expected = generation_of(0).await?;
                for number in (0..CONSUMERS).step_by(CONSUMERS / 50) {
                    let found = generation_of(number).await?;
                    ensure!(found == expected, "consumer 0 is of {expected}, and {number} of {found}");
                }
                let done = wait::until("the import is done again", APPLIED, async || {
                    // The one that was killed runs for all that anybody knows, for 15 seconds.
                    let answer = put(generation, import).await.map_err(|error| format!("{error:#}"))?;
                    answer.expect(200).map_err(|error| format!("{error:#}"))
                });
                done.await?;
                ensure!(generation_of(CONSUMERS - 1).await? == generation.to_string());
            }
            anyhow::Ok(())
        };
        let killed = async {
            let killed = killing.await;
            stop.store(true, Ordering::Relaxed);
            killed
        };
        let (killed, wrote) = tokio::join!(killed, writing);
        killed?;
        wrote?;
        let written = written.load(Ordering::Relaxed);
        println!("{written} single writes meanwhile");
        for number in 0..written {
            api.get(&on.entity(&format!("consumers/by-hand-{number}"))).await?.expect(200)?;
        }
        check_plain_file(&gateway).await?;
        on.until_in_sync(&node_of(&gateway).await?, on.version().await?).await?;
        Ok(())
    });
}
