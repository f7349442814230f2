//! A gateway whose disk is full: it serves what it holds, says why it is behind, and goes on once there is room.

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use testbed::{Gateway, dataplane::create_enrolment, wait};

use crate::{
    fixtures::{ControlPlane, check_plain_file, node_of, plain_file},
    harness::{SOON, run, shared, unique},
};

/// How large a file may become, in blocks of 512 bytes: 4 MiB. Writing past it fails as on a full disk, and no privilege is needed.
const FILE_BLOCKS_MAX: u64 = 4 * 1024 * 2;
/// Services, each with a plugin of [`BODY_BYTES`]: about twice as much.
const SERVICES: usize = 140;
const BODY_BYTES: usize = 60_000;

/// Starts a gateway by its enrolment command, with a soft limit that can be lifted later. Without the trap it would be killed.
async fn start(control_plane: &ControlPlane) -> anyhow::Result<Gateway> {
    let region = shared().await?;
    let enrolment = create_enrolment(&region.edge_api(), &control_plane.id).await?;
    let command =
        format!("ulimit -S -f {FILE_BLOCKS_MAX}; trap '' XFSZ; exec env {}", enrolment.command.trim_start());
    Gateway::start(region, &control_plane.id, &unique("full-disk"), &command).await
}

fn make_room(gateway: &Gateway) -> anyhow::Result<()> {
    let pid = gateway.process().pid().context("the gateway runs")?.try_into()?;
    prlimit(Pid::from_raw(pid), Resource::Fsize, Rlimit { current: None, maximum: None })?;
    Ok(())
}

#[test]
fn a_gateway_with_a_full_disk_serves_on_says_so_and_recovers() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "full-disk").await?;
        let plain = plain_file(region);
        let before = control_plane.apply(&plain).await?;
        let gateway = start(&control_plane).await?;
        gateway.until_ready().await?;
        let node = node_of(&gateway).await?;
        control_plane.until_in_sync(&node, before).await?;

        let body = "x".repeat(BODY_BYTES);
        let mut file = plain.replace("consumers:", "LARGE\nconsumers:");
        let large: String = (0..SERVICES)
            .map(|number| {
                let plugin = format!("plugins: [{{name: request-termination, config: {{body: {body}}}}}]");
                format!("  - {{name: s{number}, host: upstream.internal, {plugin}}}\n")
            })
            .collect();
        file = file.replace("LARGE\n", &large);
        let after = control_plane.apply(&file).await?;
        let shown = wait::until("the node list says what is wrong", SOON, async || {
            let nodes = control_plane.nodes().await.map_err(|error| format!("{error:#}"))?;
            let shown = nodes.into_iter().find(|shown| shown["id"] == *node).ok_or("no node")?;
            if shown["last_error"]
                .as_str()
                .is_some_and(|error| error.contains("the disk of the data folder is full"))
            {
                Ok(shown)
            } else {
                Err(shown.to_string())
            }
        })
        .await?;
        ensure!(shown["applied_version"] == before, "{shown}");
        check_plain_file(&gateway).await?;

        make_room(&gateway)?;
        control_plane.until_in_sync(&node, after).await?;
        check_plain_file(&gateway).await?;
        let services = gateway.status().await?["configuration"]["counts"]["services"].as_u64();
        ensure!(services == Some(SERVICES as u64 + 1), "{services:?}");
        gateway.process().stop().await?;
        Ok(())
    });
}
