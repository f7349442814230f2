//! Regions for a scenario: the testbed's, with the release binaries beside this one.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::Value;
use testbed::{
    Api, Deployment, Gateway, Options, Region, ServiceName, api, dataplane::create_control_plane, options,
    wait,
};
use uuid::Uuid;

use crate::{report::Report, spent::Cpu};

/// Longest time from the acknowledgement of a configuration to the gateway that holds it.
const SERVED_DEADLINE: Duration = Duration::from_secs(300);
/// Longest time that a document may take.
const IMPORT_DEADLINE: Duration = Duration::from_secs(900);
/// So much of a core, for so long, is nothing; and how long that is waited for.
const QUIET_CORES: f64 = 0.05;
const QUIET: Duration = Duration::from_secs(3);
const QUIET_DEADLINE: Duration = Duration::from_secs(300);

/// One caller asks for as much as all callers of a region would.
const NO_RATES: &str = "[rates]\ncaller_requests = 1000000\norganization_requests = 1000000\n";

/// Tells what is going on.
pub fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Starts a region.
pub async fn start_region() -> anyhow::Result<Region> {
    start_region_with("").await
}

/// Starts a region whose config has further settings, as TOML.
pub async fn start_region_with(settings: &str) -> anyhow::Result<Region> {
    let (config, services) = (settings.to_owned(), NO_RATES.to_owned());
    Region::start(&Options { report: reporter(), config, services, ..Options::temporary()? }).await
}

/// Starts these regions, the first of which is the organization's home, `delay` apart one way.
pub async fn start_regions(names: &[&str], delay: Duration) -> anyhow::Result<Deployment> {
    let mut options = Options { report: reporter(), ..Options::of_regions(names)? };
    options.wan.delay = delay;
    Deployment::start(&options).await
}

fn reporter() -> options::Report {
    Box::new(|what, took| say(&format!("{what} ({:.1} s)", took.as_secs_f64())))
}

/// Callers of a service as the owner, each with connections of its own, as separate programs have them.
pub fn callers(region: &Region, service: ServiceName, count: usize) -> anyhow::Result<Vec<Api>> {
    callers_of(region, &region.api_url(service), count)
}

/// The same, of all APIs by way of the region's edge.
pub fn edge_callers(region: &Region, count: usize) -> anyhow::Result<Vec<Api>> {
    callers_of(region, &region.edge_url(), count)
}

fn callers_of(region: &Region, url: &str, count: usize) -> anyhow::Result<Vec<Api>> {
    let token = &region.owner().token;
    (0..count).map(|_| Ok(Api::new(api::https_client(&region.ca_file())?, url, Some(token)))).collect()
}

/// Makes a control plane with the configuration `document`; returns its id and version.
pub async fn control_plane(region: &Region, name: &str, document: &Value) -> anyhow::Result<(String, u64)> {
    let api = region.api(ServiceName::Config);
    let (id, import) = (create_control_plane(&api, name).await?, Uuid::new_v4());
    let put = api.request(Method::PUT, &format!("/v2/control-planes/{id}/declarative?import_id={import}"));
    let put = put.header("content-type", "application/json").timeout(IMPORT_DEADLINE);
    let answer = api.send(put.body(document.to_string())).await?;
    // A very large document is not done within the time of a request. It is gone on with.
    let applied = match answer.status {
        503 => imported(&api, &format!("/v2/control-planes/{id}/imports/{import}")).await?,
        _ => answer.expect(200)?,
    };
    Ok((id, applied["version"].as_u64().context("a version")?))
}

/// Waits until an import is done, and answers what it came to.
async fn imported(api: &Api, import: &str) -> anyhow::Result<Value> {
    let shown = wait::until("the document is applied", IMPORT_DEADLINE, async || {
        let answer = api.get(import).await.and_then(|answer| answer.expect(200));
        let shown = answer.map_err(|error| format!("{error:#}"))?;
        if shown["ended_at"].is_string() { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await?;
    ensure!(shown["result"].is_object(), "the document was not applied: {shown}");
    Ok(shown["result"].clone())
}

/// Waits until config and Postgres have nothing to do any more, such as after a large document. If that takes too long, a note says so.
pub async fn until_quiet(region: &Region, report: &mut Report) {
    let quiet = wait::until("config and Postgres are quiet", QUIET_DEADLINE, async || {
        let look = Cpu::idle(region, QUIET).await.map_err(|error| format!("{error:#}"))?;
        let cores = look.of_config() + look.postgres();
        if cores <= QUIET_CORES { Ok(()) } else { Err(format!("they use {cores:.2} cores")) }
    })
    .await;
    if let Err(error) = quiet {
        report.note(format!("{error:#}"));
    }
}

/// Waits until a gateway serves the newest version of its control plane.
pub async fn until_newest_served(region: &Region, gateway: &Gateway) -> anyhow::Result<()> {
    let path = format!("/v2/control-planes/{}/expected-config-version", gateway.control_plane());
    let newest = region.api(ServiceName::Config).get(&path).await?.expect(200)?;
    let version = newest["expected_config_version"].as_u64().context("a version")?;
    until_served(gateway, version).await
}

/// Waits until a gateway serves at least `version` and its digest is the control plane's.
pub async fn until_served(gateway: &Gateway, version: u64) -> anyhow::Result<()> {
    let what = format!("gateway {} serves version {version}", gateway.name());
    wait::until(&what, SERVED_DEADLINE, async || {
        let status = gateway.status().await.map_err(|error| format!("{error:#}"))?;
        let configuration = &status["configuration"];
        let is_there =
            configuration["version"].as_u64() >= Some(version) && configuration["digest_matches"] == true;
        if is_there { Ok(()) } else { Err(configuration.to_string()) }
    })
    .await
}
