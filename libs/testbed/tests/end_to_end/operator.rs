//! What the platform operator does to an organization is in force in every region: it is made from a region that is not its home, is
//! suspended while its gateways serve, and is deleted with all that it has.

use serde_json::{Value, json};
use testbed::{Api, Deployment, Gateway, Region, ServiceName, api::text, dataplane, wait};

use crate::{
    fixtures::{exchange, operator_token, plain_file},
    harness::{SOON, run, shared_two, unique},
};

const ALL: &str = "/v1/operator/organizations";

/// Waits until `token` is answered so in every region, both as it is and signed.
async fn until(deployment: &Deployment, tokens: &[String], status: u16, problem: &str) -> anyhow::Result<()> {
    for region in deployment.regions() {
        for token in tokens {
            let api = region.edge_api().with_token(token);
            let what = format!("{} answers {status} {problem}", region.name());
            wait::until(&what, SOON, async || {
                let answer = api.get("/v3/roles").await.map_err(|error| format!("{error:#}"))?;
                let is_so = answer.status == status && answer.text.contains(problem);
                if is_so { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) }
            })
            .await?;
        }
    }
    Ok(())
}

/// Waits until a region shows the organization in this state.
async fn until_state(operator: &Api, path: &str, state: &str) -> anyhow::Result<Value> {
    wait::until(&format!("it is {state}"), SOON, async || {
        let answer = operator.get(path).await.map_err(|error| format!("{error:#}"))?;
        let body = answer.json().map_err(|error| format!("{error:#}"))?;
        if body["state"] == state { Ok(body) } else { Err(answer.text) }
    })
    .await
}

/// A gateway of the organization, which serves.
async fn gateway(region: &Region, token: &str) -> anyhow::Result<(Gateway, String)> {
    let config = region.edge_api().with_token(token);
    let plane = dataplane::create_control_plane(&config, &unique("owned")).await?;
    let path = format!("/v2/control-planes/{plane}/declarative");
    config.put_yaml(&path, &plain_file(region)).await?.expect(200)?;
    let enrolment = dataplane::create_enrolment(&config, &plane).await?;
    let gateway = Gateway::start(region, &plane, &unique("owned"), &enrolment.command).await?;
    gateway.until_ready().await?;
    Ok((gateway, plane))
}

#[test]
fn an_organization_is_made_suspended_and_deleted_in_all_regions() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let token = operator_token(us).await?;
        let [operator, in_eu] = [us, eu].map(|region| region.edge_api().with_token(&token));

        // Asked in us, done in eu, once.
        let (name, key) = (unique("theirs"), unique("once"));
        let body = json!({
            "name": name, "home_region": "eu", "owner_email": format!("owner@{name}.example"),
            "limits": { "access_tokens": 5 },
        });
        // The token is new: eu may hear of it a moment later than of the request.
        let answer = wait::until("it is made", SOON, async || {
            let answer = operator.post_once(ALL, &body, &key).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == 201 { Ok(answer) } else { Err(answer.text) }
        });
        let answer = answer.await?;
        let made = answer.expect(201)?;
        let again = operator.post_once(ALL, &body, &key).await?;
        anyhow::ensure!(again.expect(201)? == made, "{}", again.text);
        anyhow::ensure!(made["home_region"] == "eu", "{made}");
        let path = format!("{ALL}/{}", text(&made, "id")?);
        let shown = operator.after(&answer).get(&path).await?.expect(200)?;
        anyhow::ensure!(shown["limits"]["access_tokens"] == 5, "{shown}");

        let owner = text(&made, "owner_token")?.to_owned();
        until(&deployment, std::slice::from_ref(&owner), 200, "").await?;
        let tokens = [owner.clone(), exchange(eu, &owner).await?];
        until(&deployment, &tokens, 200, "").await?;
        let (gateway, plane) = gateway(us, &owner).await?;

        let suspended = operator.post(&format!("{path}/suspend"), &json!({})).await?.expect(200)?;
        anyhow::ensure!(suspended["state"] == "inactive", "{suspended}");
        until(&deployment, &tokens, 403, "organization-inactive").await?;
        anyhow::ensure!(gateway.get("/open", None).await?.status == 200, "its gateways serve");
        in_eu.post(&format!("{path}/resume"), &json!({})).await?.expect(200)?;
        until(&deployment, &tokens, 200, "").await?;

        let answer = operator.delete(&path).await?.expect(202)?;
        anyhow::ensure!(answer["state"] == "deleting" || answer["state"] == "deleted", "{answer}");
        for operator in [&operator, &in_eu] {
            let gone = until_state(operator, &path, "deleted").await?;
            anyhow::ensure!(gone["name"] == "", "{gone}");
        }
        until(&deployment, &tokens, 401, "").await?;
        // The control plane in the other region is gone, which its gateway is told.
        let connected =
            async || anyhow::Ok(gateway.status().await?.to_string().contains(r#""state":"connected""#));
        wait::until("the stream has ended", SOON, async || match connected().await {
            Ok(false) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        let config = us.api(ServiceName::Config);
        config.get(&format!("/v2/control-planes/{plane}")).await?.expect_problem(404)?;
        gateway.process().stop().await.map(drop)
    });
}

#[test]
fn what_is_asked_of_a_home_that_cannot_be_reached_is_not_done() {
    run(async {
        let deployment = shared_two().await?;
        let us = deployment.region("us")?;
        let operator = us.edge_api().with_token(&operator_token(us).await?);
        let name = unique("cut");
        let body = json!({ "name": name, "home_region": "eu", "owner_email": "o@example.com" });
        let key = unique("once");
        deployment.wan().cut("us", "eu")?;
        let refused = operator.post_once(ALL, &body, &key).await?;
        refused.expect_problem(503)?;
        anyhow::ensure!(refused.header("retry-after").is_some(), "{}", refused.text);
        deployment.wan().heal("us", "eu")?;
        wait::until("the same request is done", SOON, async || {
            let answer = operator.post_once(ALL, &body, &key).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == 201 { Ok(()) } else { Err(answer.text) }
        })
        .await?;
        wait::until("it is there once", SOON, async || {
            let path = format!("{ALL}?filter[name]={name}");
            let listed = operator.get(&path).await.map_err(|error| format!("{error:#}"))?;
            let listed = listed.json().map_err(|error| format!("{error:#}"))?;
            if listed["meta"]["page"]["total"] == 1 { Ok(()) } else { Err(listed.to_string()) }
        })
        .await
    });
}
