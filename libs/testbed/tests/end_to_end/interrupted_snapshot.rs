//! A gateway that is killed in the middle of a snapshot goes on with what it has staged.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use testbed::{Gateway, wait};

use crate::{
    fixtures::{ControlPlane, node_of},
    harness::{SOON, run, shared, unique},
};

/// Services, each with a plugin of [`BODY_BYTES`]: about fifteen pages.
const SERVICES: usize = 250;
const BODY_BYTES: usize = 60_000;
/// The snapshot may be over before the gateway is killed; then another gateway is tried.
const ATTEMPTS: usize = 5;

/// How many entities of snapshots this process of the gateway was sent.
async fn received(gateway: &Gateway) -> anyhow::Result<usize> {
    let metrics = gateway.admin().get("/metrics").await?;
    let line = metrics.text.lines().find_map(|line| line.strip_prefix("landbridge_snapshot_entities_total "));
    Ok(line.map_or(Ok(0), str::parse)?)
}

/// Kills a new gateway once it has staged some of its first snapshot. `None`: it was over by then.
async fn killed_midway(gateway: &Gateway) -> anyhow::Result<Option<Value>> {
    let midway = wait::until("the snapshot has begun", SOON, async || {
        let status = gateway.status().await.map_err(|error| format!("{error:#}"))?;
        let snapshot = status["source"]["snapshot"].clone();
        let is_over = status["configuration"]["version"] != 0;
        if is_over || snapshot["buckets"].as_u64() > Some(0) {
            Ok((!is_over).then_some(snapshot))
        } else {
            Err(status.to_string())
        }
    })
    .await?;
    gateway.process().kill().await?;
    Ok(midway)
}

#[test]
fn a_gateway_killed_in_the_middle_of_a_snapshot_is_not_sent_it_again() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "interrupted").await?;
        let body = "x".repeat(BODY_BYTES);
        let mut file = "_format_version: '3.0'\nservices:\n".to_owned();
        for number in 0..SERVICES {
            let plugin = format!("plugins: [{{name: request-termination, config: {{body: {body}}}}}]");
            file.push_str(&format!("- {{name: s{number}, host: upstream.internal, {plugin}}}\n"));
        }
        control_plane.apply(&file).await?;
        let all = SERVICES * 2;
        for _ in 0..ATTEMPTS {
            let gateway = Gateway::enrol(region, &control_plane.id, &unique("interrupted")).await?;
            let Some(midway) = killed_midway(&gateway).await? else {
                gateway.start_again().await?;
                gateway.process().stop().await?;
                continue;
            };
            gateway.start_again().await?;
            gateway.until_ready().await?;
            let sent = received(&gateway).await?;
            ensure!(sent < all, "{sent} of {all} were sent again after {midway}");
            let version = control_plane.version().await?;
            control_plane.until_in_sync(&node_of(&gateway).await?, version).await?;
            let services = gateway.status().await?["configuration"]["counts"]["services"].as_u64();
            ensure!(services == Some(SERVICES as u64), "{services:?}");
            gateway.process().stop().await?;
            return Ok(());
        }
        None.context("every snapshot was over before its gateway was killed")
    });
}
