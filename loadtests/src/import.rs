//! What a large document costs: how long it takes, how much memory, and how long it holds up those who write to the same control plane.
//!
//! Each round has a region of its own. In it a document of 100,000 entities is applied to a control plane that has a thousand others, while
//! entities of those are changed at a fixed rate and, in the middle, one key is deleted that a gateway serves. Then the document is applied once
//! more with one entity changed, and a document of 1,000,000 entities to a control plane of its own. The documents are JSON, sent as one body.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testbed::{Api, Gateway, Region, ServiceName, dataplane::create_control_plane};
use tokio::{
    task::spawn_blocking,
    time::{interval, sleep},
};

use crate::{
    Pace,
    documents::{self, Size, consumer_name, key, route_path},
    machine,
    openloop::{self, Schedule},
    report::{COUNT, MEBIBYTES, MILLISECONDS, Report, SECONDS},
    stage,
};

/// Entities that are there before.
const THERE: usize = 1_000;
/// Entities of the two documents.
const LARGE: usize = 100_000;
const LARGEST: usize = 1_000_000;
/// Single writes a second meanwhile, and for how long: about as long as the import takes.
const WRITES_PER_SECOND: f64 = 50.0;
const WRITING: Duration = Duration::from_secs(5);
const CALLERS: usize = 16;
/// When the key is deleted, after the import has begun.
const REVOKED_AFTER: Duration = Duration::from_millis(1500);
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at config's memory, and between two requests with the deleted key.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ASK_EVERY: Duration = Duration::from_millis(1);

/// Runs the scenario and adds its figures to the report. The length of a round is that of its work.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    report.record("entities", COUNT, LARGE as f64);
    for round in 1..=pace.rounds {
        stage::say(&format!("Round {round} of {}", pace.rounds));
        let region = stage::start_region().await?;
        beside_writers(&region, report).await?;
        largest(&region, report).await?;
        region.stop().await?;
    }
    Ok(())
}

/// The entities that others own carry no tag; those of the document have one, and it owns them alone.
fn tagged(mut document: Value) -> Value {
    document["_info"] = json!({ "select_tags": ["import"] });
    for entity in lists(&mut document, &["services", "consumers"]) {
        rename(entity, &["name", "username"]);
        for below in lists(entity, &["routes", "keyauth_credentials"]) {
            rename(below, &["name", "key"]);
            if below.get("paths").is_some() {
                below["hosts"] = json!(["imported.example"]);
            }
        }
    }
    document
}

fn lists<'v>(value: &'v mut Value, names: &[&str]) -> Vec<&'v mut Value> {
    let fields = value.as_object_mut().into_iter().flatten();
    let lists = fields.filter(|(name, _)| names.contains(&name.as_str()));
    lists.flat_map(|(_, list)| list.as_array_mut().into_iter().flatten()).collect()
}

fn rename(entity: &mut Value, fields: &[&str]) {
    for field in fields {
        if let Some(Value::String(name)) = entity.get_mut(*field) {
            name.insert_str(0, "imported-");
        }
    }
}

async fn beside_writers(region: &Region, report: &mut Report) -> anyhow::Result<()> {
    let there = documents::document(Size::of_entities(THERE), &region.upstream().url(), true);
    let (control_plane, version) = stage::control_plane(region, "import", &there).await?;
    let gateway = Gateway::enrol(region, &control_plane, "import").await?;
    stage::until_served(&gateway, version).await?;
    let callers: Arc<[Api]> = stage::callers(region, ServiceName::Config, CALLERS)?.into();
    let entities: Arc<str> = format!("/v2/control-planes/{control_plane}/core-entities").into();
    let mut document = tagged(documents::document(Size::of_entities(LARGE), &region.upstream().url(), false));

    let writers = {
        let (callers, entities) = (Arc::clone(&callers), Arc::clone(&entities));
        let schedule = Schedule {
            per_second: WRITES_PER_SECOND,
            duration: WRITING,
            in_flight_max: 1000,
            deadline: DEADLINE,
        };
        openloop::run(schedule, move |arrival| {
            let (callers, entities) = (Arc::clone(&callers), Arc::clone(&entities));
            async move {
                let caller = callers.get(arrival.number as usize % CALLERS).context("a caller")?;
                // The first consumers are left alone: their keys are asked for.
                let consumer = consumer_name(100 + arrival.number as usize % 50);
                let body = json!({ "username": consumer, "tags": [format!("write-{}", arrival.number)] });
                caller.put(&format!("{entities}/consumers/{consumer}"), &body).await?.expect(200)?;
                Ok(())
            }
        })
    };
    let revocation = async {
        sleep(REVOKED_AFTER).await;
        revoke(&callers, &entities, &gateway).await
    };
    let import = apply(region, &control_plane, document.clone());
    let (imported, written, revoked) = tokio::join!(import, writers, revocation);
    let (took, answer) = imported?;
    ensure!(answer["created"] == LARGE, "{answer}");
    report.record("import_100k_s", SECONDS, took.as_secs_f64());
    let written = written?;
    report.record_times("writer_wait_during_import", &written.latencies);
    report.record(
        "writer_wait_p99_ms_during_import",
        MILLISECONDS,
        milliseconds(written.latencies.percentile(990)),
    );
    report.record("writers.failed", COUNT, written.failed as f64);
    report.record("revoked_during_import_ms", MILLISECONDS, milliseconds(revoked?));

    if let Some(consumer) = document["consumers"].get_mut(7) {
        consumer["custom_id"] = "changed".into();
    }
    let (took, answer) = apply(region, &control_plane, document).await?;
    ensure!(answer["updated"] == 1 && answer["created"] == 0, "{answer}");
    report.record("import_100k_again_s", SECONDS, took.as_secs_f64());
    gateway.process().stop().await.map(drop)
}

/// Deletes a key, and answers how long after its acknowledgement the gateway still served it.
async fn revoke(callers: &[Api], entities: &str, gateway: &Gateway) -> anyhow::Result<Duration> {
    let (caller, path) = (callers.first().context("a caller")?, route_path(0));
    let keys = format!("{entities}/consumers/{}/key-auth", consumer_name(0));
    let listed = caller.get(&keys).await?.expect(200)?;
    let id = testbed::api::text(&listed["data"][0], "id")?.to_owned();
    gateway.get(&path, Some(&key(0))).await?.expect(200)?;
    caller.delete(&format!("{keys}/{id}")).await?.expect(204)?;
    let acknowledged = Instant::now();
    while gateway.get(&path, Some(&key(0))).await?.status != 401 {
        ensure!(acknowledged.elapsed() < DEADLINE, "a deleted key is served");
        sleep(ASK_EVERY).await;
    }
    Ok(acknowledged.elapsed())
}

async fn largest(region: &Region, report: &mut Report) -> anyhow::Result<()> {
    let control_plane = create_control_plane(&region.api(ServiceName::Config), "largest").await?;
    let document = documents::document(Size::of_entities(LARGEST), &region.upstream().url(), false);
    let idle = resident(region)?;
    let mut peak = idle;
    let import = apply(region, &control_plane, document);
    tokio::pin!(import);
    let mut looks = interval(LOOK_EVERY);
    let (took, answer) = loop {
        tokio::select! {
            imported = &mut import => break imported?,
            _ = looks.tick() => peak = peak.max(resident(region)?),
        }
    };
    ensure!(answer["created"] == LARGEST, "{answer}");
    report.record("import_1m_s", SECONDS, took.as_secs_f64());
    report.record("import_1m_idle_mib", MEBIBYTES, idle);
    report.record("import_1m_peak_mib", MEBIBYTES, peak);
    report.record("import_1m_above_idle_mib", MEBIBYTES, peak - idle);
    Ok(())
}

/// Applies a document; answers how long that took.
async fn apply(region: &Region, control_plane: &str, document: Value) -> anyhow::Result<(Duration, Value)> {
    let api = region.api(ServiceName::Config);
    let text = spawn_blocking(move || document.to_string()).await?;
    let request =
        api.request(reqwest::Method::PUT, &format!("/v2/control-planes/{control_plane}/declarative"));
    let request = request.header("content-type", "application/json").timeout(DEADLINE * 10).body(text);
    let began = Instant::now();
    let answer = api.send(request).await?.expect(200)?;
    Ok((began.elapsed(), answer))
}

fn resident(region: &Region) -> anyhow::Result<f64> {
    let pid = region.process(ServiceName::Config).pid().context("config runs")?;
    Ok(machine::resident_bytes(pid)? as f64 / (1024.0 * 1024.0))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
