//! Regions for a scenario: the testbed's, with the release binaries beside this one.

use std::time::Duration;

use serde_json::Value;
use testbed::{
    Api, Deployment, Gateway, Options, Region, ServiceName, api, dataplane::create_control_plane, options,
    wait,
};

/// Longest time from the acknowledgement of a configuration to the gateway that holds it.
const SERVED_DEADLINE: Duration = Duration::from_secs(120);

/// Tells what is going on.
pub fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Starts a region.
pub async fn start_region() -> anyhow::Result<Region> {
    Region::start(&Options { report: reporter(), ..Options::temporary()? }).await
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
    let id = create_control_plane(&api, name).await?;
    let applied = api
        .put_yaml(&format!("/v2/control-planes/{id}/declarative"), &document.to_string())
        .await?
        .expect(200)?;
    Ok((id, applied["version"].as_u64().unwrap_or_default()))
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
