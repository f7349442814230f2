//! `POST /config` of a large document to a gateway in declarative mode that answers requests meanwhile.
//!
//! Requests come at a fixed rate, open loop, from before the document is sent until it is acknowledged. They are for routes and with keys that
//! the gateway had before, so that each has a right answer all the time. Beside them stand the same requests to the same gateway while it has
//! nothing else to do.

use std::{
    fs,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gateway_model::declarative::write::to_yaml;
use hyper::{HeaderMap, StatusCode, Uri};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Api, api::http_client};

use crate::{
    Pace,
    documents::{self, Size, key, route_path},
    http1::{Connections, with_key},
    proxy::{
        generator::Cut,
        measure::Clients,
        site::{Site, Start},
        target::Target,
    },
    report::{COUNT, MEBIBYTES, MILLISECONDS, PER_SECOND, Report, SECONDS, milliseconds},
    stage::say,
};

/// What the gateway has before.
const BEFORE: Size = Size { services: 100, routes: 100, consumers: 100 };
/// What the document says. With a key for each consumer and a plugin for each route: 50,000 objects, all of those before among them.
const SIZE: Size = Size { services: 10_000, routes: 10_000, consumers: 10_000 };
const OBJECTS: usize = objects_of(SIZE);
/// Requests a second: what a gateway that shares a machine with its load carries easily.
const RATE: f64 = 4000.0;
/// Longest time that a document may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// What `POST /config` asks for.
const TOKEN: &str = "a-token-of-the-load-tests";

/// Records `config_load_s`, `reader_p99_ms_during_load` and the like.
pub async fn record(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("A document of {OBJECTS} objects, {RATE} requests a second"));
    let mut site = Site::start(BEFORE).await?;
    let token = site.folder.path().join("token");
    fs::write(&token, TOKEN)?;
    let environment = [("LANDBRIDGE_CONFIG_TOKEN_FILE", token.to_str().context("a path that is text")?)];
    let (name, threads, cores) = ("gateway", NonZeroUsize::MIN, site.cores.proxy);
    let upstream = format!("http://{}", site.upstream.plain);
    let (before, document) = (document(BEFORE, &upstream), document(SIZE, &upstream));
    let start = Start { name, label: name, key_auth: true, cores, threads, environment: &environment };
    let place = site.place_with(start, &before)?;
    let gateway = place.start(&site.folder, name).await?;
    let documents = Documents {
        admin: Api::new(http_client()?, format!("http://{}", place.admin()), Some(TOKEN)),
        before: before.to_string(),
        large: document.to_string(),
        yaml: to_yaml(document.as_object().context("a mapping")?),
    };
    report.record("objects", COUNT, OBJECTS as f64);
    report.record("document", MEBIBYTES, documents.large.len() as f64 / f64::from(1 << 20));
    report.record("rate", PER_SECOND, RATE);
    {
        let clients = Clients::new(BEFORE, &site.certificate)?;
        clients.open(gateway.plain, (RATE, pace.round)).await?;
        for round in 1..=pace.rounds {
            say(&format!("Documents, round {round} of {}", pace.rounds));
            measure(pace, (&gateway, &documents, &clients), report).await?;
        }
    }
    report.record_ratio("reader_p99_load_over_idle", "reader_p99_ms_during_load", "reader_p99_ms_idle");
    gateway.process.stop().await?;
    site.close().await
}

/// Every route asks for a key by a plugin of its own.
fn document(size: Size, upstream: &str) -> Value {
    let mut document = documents::document(size, upstream, false);
    let services = document["services"].as_array_mut().into_iter().flatten();
    for route in services.flat_map(|service| service["routes"].as_array_mut().into_iter().flatten()) {
        route["plugins"] = json!([{ "name": "key-auth" }]);
    }
    document
}

async fn measure(
    pace: Pace,
    (gateway, documents, clients): (&Target, &Documents, &Clients<'_>),
    report: &mut Report,
) -> anyhow::Result<()> {
    let idle = clients.open(gateway.plain, (RATE, pace.round)).await?;
    report.record("reader_p99_ms_idle", MILLISECONDS, milliseconds(idle.latencies.percentile(990)));
    report.record_spread("idle.latency", &idle.latencies);

    let (cut, cpu) = (Cut::default(), gateway.cpu_time()?);
    let load = async {
        let took = documents.post(&documents.large, OBJECTS - objects_of(BEFORE)).await?;
        cut.set(Instant::now()).ok().context("the load ends once")?;
        Ok(took)
    };
    let readers = clients.open_until(gateway.plain, (RATE, DEADLINE), cut.clone());
    let (took, seen) = tokio::try_join!(load, readers)?;
    report.record("config_load_s", SECONDS, took.as_secs_f64());
    report.record("config_load_cpu_s", SECONDS, gateway.cpu_time()?.saturating_sub(cpu).as_secs_f64());
    report.record("reader_p99_ms_during_load", MILLISECONDS, milliseconds(seen.latencies.percentile(990)));
    report.record_spread("load.latency", &seen.latencies);
    report.record_times("load.lateness", &seen.lateness);
    report.record("readers.failed", COUNT, (idle.failed + seen.failed) as f64);
    if seen.failed > 0 {
        report.fault(format!("{} requests were not answered while a document was applied", seen.failed));
    }
    documents.check(gateway).await?;

    let again = documents.post(&documents.large, 0).await?;
    report.record("config_again_s", SECONDS, again.as_secs_f64());
    let unloaded = documents.post(&documents.before, 0).await?;
    report.record("config_unload_s", SECONDS, unloaded.as_secs_f64());
    let yaml = documents.post(&documents.yaml, OBJECTS - objects_of(BEFORE)).await?;
    report.record("config_load_yaml_s", SECONDS, yaml.as_secs_f64());
    documents.post(&documents.before, 0).await.map(drop)
}

const fn objects_of(size: Size) -> usize {
    size.services + 2 * size.routes + 2 * size.consumers
}

/// The documents, and who takes them.
struct Documents {
    admin: Api,
    before: String,
    large: String,
    /// The same as YAML, which takes longer to read.
    yaml: String,
}

impl Documents {
    /// Sends one, of which `created` entities are new; answers how long that took.
    async fn post(&self, document: &str, created: usize) -> anyhow::Result<Duration> {
        let form = if document.starts_with('{') { "application/json" } else { "application/yaml" };
        let request = self.admin.request(Method::POST, "/config").header("content-type", form);
        let request = request.timeout(DEADLINE).body(document.to_owned());
        let began = Instant::now();
        let answer = self.admin.send(request).await?.expect(200)?;
        let took = began.elapsed();
        ensure!(
            answer["created"] == created && answer["updated"] == 0,
            "other changes than expected: {answer}"
        );
        Ok(took)
    }

    /// Whether the large document is in service: its last route asks for a key, and its last key opens it.
    async fn check(&self, gateway: &Target) -> anyhow::Result<()> {
        let connections = Connections::new(gateway.plain, 1)?;
        let path = route_path(SIZE.routes - 1).parse::<Uri>()?;
        let (key, nothing) = (with_key(&key(SIZE.consumers - 1))?, HeaderMap::new());
        for (headers, expected) in [(&key, StatusCode::OK), (&nothing, StatusCode::UNAUTHORIZED)] {
            let status = connections.get(&path, headers).await?;
            ensure!(status == expected, "{path} is answered {status} where {expected} is right");
        }
        Ok(())
    }
}
