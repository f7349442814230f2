//! Gateways with a certificate of their own, which is pinned to their control plane.

use std::fs;

use serde_json::{Value, json};
use testbed::{Gateway, Region, api::text, wait};

use crate::{
    fixtures::{ControlPlane, check_plain_file, node_of, own_certificate, plain_file},
    harness::{SOON, run, shared, unique},
};

/// Starts a gateway that follows `on` with the certificate and key in `folder`.
async fn start(region: &Region, on: &ControlPlane, gateway: &Value, folder: &str) -> anyhow::Result<Gateway> {
    let sync: Vec<&str> =
        gateway["sync"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let command = format!(
        "LANDBRIDGE_PINNED__CERTIFICATE={folder}/certificate.pem LANDBRIDGE_PINNED__KEY={folder}/key.pem \
         LANDBRIDGE_PINNED__CA={folder}/ca.pem LANDBRIDGE_PINNED__SYNC={} LANDBRIDGE_PINNED__REGION={} \
         LANDBRIDGE_PINNED__CONTROL_PLANE={} exec dataplane serve --data-dir ./landbridge-data",
        sync.join(","),
        text(gateway, "region")?,
        text(gateway, "control_plane")?,
    );
    Gateway::start(region, &on.id, &unique("pinned"), &command).await
}

#[test]
fn two_gateways_share_a_pinned_certificate_and_are_cut_off_when_it_is_deleted() {
    run(async {
        let region = shared().await?;
        let on = ControlPlane::create(region, "pinned").await?;
        on.apply(&plain_file(region)).await?;
        let folder = tempfile::tempdir()?;
        let (certificate, key) = own_certificate()?;
        let certificates = on.path("dp-client-certificates");
        let made = on.api.post(&certificates, &json!({ "cert": certificate })).await?.expect(201)?;
        for (file, content) in [
            ("certificate.pem", &certificate),
            ("key.pem", &key),
            ("ca.pem", &text(&made["gateway"], "ca")?.to_owned()),
        ] {
            fs::write(folder.path().join(file), content)?;
        }
        let at = folder.path().to_string_lossy().into_owned();
        let first = start(region, &on, &made["gateway"], &at).await?;
        let second = start(region, &on, &made["gateway"], &at).await?;
        for gateway in [&first, &second] {
            gateway.until_ready().await?;
            check_plain_file(gateway).await?;
            let shown = on.until_in_sync(&node_of(gateway).await?, on.version().await?).await?;
            anyhow::ensure!(shown["pinned_certificate_id"] == made["item"]["id"], "{shown}");
        }

        // It is the same node after a restart.
        let node = node_of(&first).await?;
        first.process().stop().await?;
        first.start_again().await?;
        on.until_in_sync(&node, on.version().await?).await?;
        anyhow::ensure!(on.nodes().await?.len() == 2, "two nodes");

        let id = text(&made["item"], "id")?;
        on.api.delete(&format!("{certificates}/{id}")).await?.expect(204)?;
        anyhow::ensure!(on.nodes().await?.is_empty(), "no node");
        for gateway in [&first, &second] {
            wait::until("the gateway is turned away", SOON, async || {
                let status = gateway.status().await.map_err(|error| format!("{error:#}"))?;
                match status["source"]["last_error"].as_str() {
                    Some(_) if status["source"]["connection"]["state"] != "connected" => Ok(()),
                    _ => Err(status["source"].to_string()),
                }
            })
            .await?;
            check_plain_file(gateway).await?;
            gateway.process().stop().await?;
        }
        Ok(())
    });
}
