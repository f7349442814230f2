//! With the whole control plane gone, a data plane serves, restarts, and serves again; when it is back, it follows.

use serde_json::json;
use testbed::ServiceName;

use crate::{
    fixtures::{check_plain_file, node_of, served},
    harness::run_alone,
};

#[test]
fn a_data_plane_restarts_and_serves_without_its_control_plane() {
    run_alone(async |region| {
        let (control_plane, gateway) = served(region, "alone").await?;
        let node = node_of(&gateway).await?;
        let before = gateway.status().await?["configuration"].clone();
        let infrastructure = region.infrastructure();
        let infrastructure_parts = [infrastructure.nats.process(), infrastructure.postgres.process()];
        for process in
            ServiceName::ALL.map(|service| region.process(service)).into_iter().chain(infrastructure_parts)
        {
            process.kill().await?;
        }
        check_plain_file(&gateway).await?;

        for killed in [true, false] {
            if killed {
                gateway.process().kill().await?;
            } else {
                gateway.process().stop().await?;
            }
            gateway.start_again().await?;
            gateway.until_ready().await?;
            check_plain_file(&gateway).await?;
            let status = gateway.status().await?;
            for member in ["epoch", "version", "digest", "counts"] {
                assert_eq!(status["configuration"][member], before[member], "{member}");
            }
            assert_ne!(status["source"]["connection"]["state"], "connected");
        }

        infrastructure.postgres.start_again().await?;
        infrastructure.nats.start_again().await?;
        for service in ServiceName::ALL {
            region.start_again(service).await?;
        }
        let path = control_plane.entity("routes/back");
        let body = json!({ "paths": ["/back"], "service": { "name": "echo" } });
        control_plane.api.put(&path, &body).await?.expect(200)?;
        gateway.until_answers("/back", None, 200).await?;
        control_plane.until_in_sync(&node, control_plane.version().await?).await?;
        gateway.process().stop().await?;
        Ok(())
    });
}
