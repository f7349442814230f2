//! config's database is put back to an earlier copy, while a gateway holds what is lost.

use anyhow::ensure;
use serde_json::{Value, json};
use testbed::{Answer, Gateway, ServiceName, wait};

use crate::{
    fixtures::{ControlPlane, check_plain_file, node_of, served},
    harness::{SOON, run_alone, unique},
    read_your_write::token_of,
};

/// Makes a route, as soon as the region takes writes.
async fn make_route(control_plane: &ControlPlane, name: &str) -> anyhow::Result<Answer> {
    let path = control_plane.entity(&format!("routes/{name}"));
    let body = json!({ "paths": [format!("/{name}")], "service": { "name": "echo" } });
    wait::until(&format!("the route {name} is made"), SOON, async || {
        let answer = control_plane.api.put(&path, &body).await.map_err(|error| format!("{error:#}"))?;
        if answer.status == 200 { Ok(answer) } else { Err(format!("{} {}", answer.status, answer.text)) }
    })
    .await
}

async fn incarnation(gateway: &Gateway) -> anyhow::Result<Value> {
    Ok(gateway.status().await?["configuration"]["epoch"].clone())
}

#[test]
fn gateways_become_equal_to_a_database_that_was_put_back() {
    run_alone(async |region| {
        let (control_plane, ahead) = served(region, "restored").await?;
        let behind = Gateway::enrol(region, &control_plane.id, &unique("restored-behind")).await?;
        behind.until_ready().await?;
        let postgres = &region.infrastructure().postgres;
        let copy = region.folder().make_reachable("backups")?.join("minutes-ago");
        postgres.copy_to(&copy).await?;
        make_route(&control_plane, "kept").await?;
        behind.until_answers("/kept", None, 200).await?;
        behind.process().stop().await?;
        let lost = token_of(&make_route(&control_plane, "lost").await?)?;
        ensure!(ahead.get_after(&lost, "/lost", None).await?.status == 200);

        postgres.restore_from(&copy).await?;
        behind.start_again().await?;
        for gateway in [&ahead, &behind] {
            // Serves on until it is equal to what was put back.
            check_plain_file(gateway).await?;
            gateway.until_answers("/lost", None, 404).await?;
            gateway.until_answers("/kept", None, 404).await?;
            check_plain_file(gateway).await?;
            // What was written before holds nobody up.
            ensure!(gateway.get_after(&lost, "/open", None).await?.status == 200);
        }
        let again = token_of(&make_route(&control_plane, "again").await?)?;
        for gateway in [&ahead, &behind] {
            let answer = gateway.get_after(&again, "/again", None).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
            control_plane.until_in_sync(&node_of(gateway).await?, control_plane.version().await?).await?;
        }
        let first = incarnation(&ahead).await?;
        ensure!(first.as_u64() > Some(1) && first == incarnation(&behind).await?, "{first}");

        // What no gateway can tell, an operator does.
        region.infrastructure().service(ServiceName::Config).command(&["accept-restore"]).await?;
        for gateway in [&ahead, &behind] {
            let begun = wait::until("a new incarnation is served", SOON, async || {
                let now = incarnation(gateway).await.map_err(|error| format!("{error:#}"))?;
                if now.as_u64() > first.as_u64() { Ok(()) } else { Err(now.to_string()) }
            });
            begun.await?;
            check_plain_file(gateway).await?;
        }
        Ok(())
    });
}
