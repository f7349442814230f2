//! `/readyz` of the services follows what becomes of the parts that they stand on.

use serde_json::Value;
use testbed::{Region, ServiceName, wait};

use crate::harness::{SOON, run_alone};

/// The services that write a log.
const WITH_LOG: &[ServiceName] = &[ServiceName::Identity, ServiceName::Authz];

/// Waits until each of `services` answers `/readyz` with `status` and says of `condition` that it is met, or not.
async fn until(
    region: &Region,
    services: &[ServiceName],
    status: u16,
    condition: &str,
    met: bool,
) -> anyhow::Result<()> {
    for &service in services {
        let operator = region.operator(service)?;
        let what = format!("/readyz of {service} answers {status} and that `{condition}` is {met}");
        wait::until(&what, SOON, async || {
            let answer = operator.get("/readyz").await.map_err(|error| format!("{error:#}"))?;
            let report: Value = answer.json().map_err(|error| format!("{error:#}"))?;
            let is_as_expected =
                answer.status == status && report["conditions"][condition]["met"] == Value::Bool(met);
            if is_as_expected { Ok(()) } else { Err(format!("{} {report}", answer.status)) }
        })
        .await?;
    }
    Ok(())
}

#[test]
fn a_service_is_not_ready_while_its_database_is_away_and_comes_back_with_it() {
    run_alone(async |region| {
        let infrastructure = region.infrastructure();
        until(region, &ServiceName::ALL, 200, "database", true).await?;
        until(region, WITH_LOG, 200, "log", true).await?;

        infrastructure.nats.process().kill().await?;
        until(region, &ServiceName::ALL, 200, "nats", false).await?;
        infrastructure.nats.start_again().await?;
        until(region, &ServiceName::ALL, 200, "nats", true).await?;

        infrastructure.postgres.process().kill().await?;
        until(region, &ServiceName::ALL, 503, "database", false).await?;
        for service in ServiceName::ALL {
            let alive = region.operator(service)?.get("/livez").await?;
            assert_eq!(alive.status, 200, "{service} goes on running");
        }
        infrastructure.postgres.start_again().await?;
        until(region, &ServiceName::ALL, 200, "database", true).await?;
        // The database was started anew: the log is compared with other copies before it takes writes.
        until(region, WITH_LOG, 200, "log", true).await?;
        Ok(())
    });
}
