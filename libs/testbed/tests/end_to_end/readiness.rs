//! `/readyz` of the services follows what becomes of the parts that they stand on.

use serde_json::Value;
use testbed::{Region, Service, wait};

use crate::harness::{SOON, run_alone};

/// Waits until every service answers `/readyz` with `status` and says of `condition` that it is met, or not.
async fn until(region: &Region, status: u16, condition: &str, met: bool) -> anyhow::Result<()> {
    for service in Service::ALL {
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
        until(region, 200, "database", true).await?;

        infrastructure.nats.process().kill().await?;
        until(region, 200, "nats", false).await?;
        infrastructure.nats.start_again().await?;
        until(region, 200, "nats", true).await?;

        infrastructure.postgres.process().kill().await?;
        until(region, 503, "database", false).await?;
        for service in Service::ALL {
            let alive = region.operator(service)?.get("/livez").await?;
            assert_eq!(alive.status, 200, "{service} goes on running");
        }
        infrastructure.postgres.start_again().await?;
        until(region, 200, "database", true).await?;
        // The database was started anew, so the log was compared with other copies before it took writes.
        for service in [Service::Identity, Service::Authz] {
            let report = region.operator(service)?.get("/readyz").await?.expect(200)?;
            assert!(report["conditions"]["log"].is_object(), "{service}: {report}");
        }
        Ok(())
    });
}
