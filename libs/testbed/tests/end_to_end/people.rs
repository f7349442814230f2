//! People, from the invite to the end of their sessions, across two regions and by way of the edge.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Answer, Api, Deployment, Region, ServiceName, api::text, mail::until_kept, wait};

use crate::{
    fixtures::until_status,
    harness::{SOON, run, shared_two, unique},
};

pub const PASSWORD: &str = "correct horse battery";

/// A person of the organization.
pub struct Person {
    organization: String,
    pub id: String,
    email: String,
}

impl Person {
    /// Is invited at home, us, and accepts the invite in eu, with what the mail says.
    pub async fn come(deployment: &Deployment) -> anyhow::Result<Self> {
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let email = format!("{}@example.com", unique("grace"));
        us.edge_api().post("/v3/invites", &json!({ "email": email })).await?.expect(201)?;
        let mail = until_kept(us.mail().folder(), &email, 1).await?;
        let body = json!({ "token": mail.credential(), "full_name": "Grace Hopper", "password": PASSWORD });
        let user = eu.edge_api().anonymous().post("/v3/invites/accept", &body).await?.expect(201)?;
        let organization = us.owner().organization_id.clone();
        Ok(Self { organization, id: text(&user, "id")?.to_owned(), email })
    }

    /// Signs on in a region.
    pub async fn sign_on(&self, region: &Region, password: &str) -> anyhow::Result<Answer> {
        let body = json!({ "organization": self.organization, "email": self.email, "password": password });
        region.edge_api().anonymous().post("/v3/authenticate", &body).await
    }
}

/// Goes on with the session of `answer` in `region`.
async fn go_on(region: &Region, answer: &Value) -> anyhow::Result<Answer> {
    let body = json!({ "refresh_token": answer["refresh_token"] });
    region.edge_api().anonymous().post("/v3/authenticate/refresh", &body).await
}

/// The APIs of all services of both regions, with the signed token of `answer`.
fn everywhere(deployment: &Deployment, answer: &Value) -> anyhow::Result<Vec<(Api, &'static str)>> {
    let token = text(answer, "access_token")?;
    let mut apis = Vec::new();
    for region in deployment.regions() {
        for (service, path) in [
            (ServiceName::Identity, "/v3/users/me"),
            (ServiceName::Authz, "/v3/roles"),
            (ServiceName::Config, "/v2/control-planes"),
        ] {
            apis.push((region.api(service).with_token(token), path));
        }
    }
    Ok(apis)
}

#[test]
fn a_person_comes_signs_on_away_from_home_and_signs_out_everywhere() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let grace = Person::come(&deployment).await?;
        let [first, second] = [
            grace.sign_on(eu, PASSWORD).await?.expect(200)?,
            grace.sign_on(us, PASSWORD).await?.expect(200)?,
        ];
        for (api, path) in everywhere(&deployment, &first)? {
            let served = wait::until("the session is served", SOON, async || {
                let answer = api.get(path).await.map_err(|error| error.to_string())?;
                if answer.status == 200 { Ok(()) } else { Err(answer.text) }
            });
            served.await?;
        }
        let first = go_on(eu, &first).await?.expect(200)?;
        go_on(us, &second).await?.expect(200)?;

        let signed = eu.edge_api().with_token(text(&first, "access_token")?);
        let token =
            signed.post("/v3/users/me/access-tokens", &json!({ "name": "laptop" })).await?.expect(201)?;
        signed.delete("/v3/users/me/sessions").await?.expect(204)?;
        let ended = Instant::now();
        for answer in [&first, &second] {
            for (api, path) in everywhere(&deployment, answer)? {
                let what = format!("{path} of {} is 401", api.base());
                until_status(&what, 401, SOON, ended, async || api.get(path).await).await?;
            }
            go_on(us, answer).await?.expect_problem(401)?;
            go_on(eu, answer).await?.expect_problem(401)?;
        }
        // What the person has made for its programs goes on.
        eu.edge_api().with_token(text(&token, "token")?).get("/v3/users/me").await?.expect(200)?;

        // Deactivated, it is nobody in either region.
        let path = format!("/v3/users/{}", grace.id);
        us.edge_api().patch(&path, &json!({ "active": false })).await?.expect(200)?;
        grace.sign_on(eu, PASSWORD).await?.expect_problem(401)?;
        let deactivated = Instant::now();
        for region in deployment.regions() {
            let api = region.edge_api().with_token(text(&token, "token")?);
            let what = format!("the token is 401 in {}", region.name());
            until_status(&what, 401, SOON, deactivated, async || api.get("/v3/organizations/me").await)
                .await?;
        }
        us.edge_api().delete(&path).await?.expect(204)?;
        Ok(())
    });
}

#[test]
fn with_home_away_a_session_is_served_until_its_signed_token_ends() {
    run(async {
        let deployment = shared_two().await?;
        let eu = deployment.region("eu")?;
        let grace = Person::come(&deployment).await?;
        let answer = grace.sign_on(eu, PASSWORD).await?.expect(200)?;
        let roles = eu.api(ServiceName::Authz).with_token(text(&answer, "access_token")?);
        let served = wait::until("the session is served in eu", SOON, async || {
            let answer = roles.get("/v3/roles").await.map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        });
        served.await?;
        deployment.wan().cut("us", "eu")?;
        roles.get("/v3/roles").await?.expect(200)?;
        let refused = go_on(eu, &answer).await?;
        refused.expect_problem(503)?;
        assert!(refused.header("retry-after").is_some(), "{}", refused.text);
        grace.sign_on(eu, PASSWORD).await?.expect_problem(503)?;
        deployment.wan().heal("us", "eu")?;
        Ok(())
    });
}

#[test]
fn a_page_of_the_console_keeps_its_session_in_a_cookie_by_way_of_the_edge() {
    run(async {
        let deployment = shared_two().await?;
        let us = deployment.region("us")?;
        let grace = Person::come(&deployment).await?;
        let api = us.edge_api().anonymous();
        let console = us.edge_url();
        let body = json!({
            "organization": grace.organization, "email": grace.email, "password": PASSWORD, "cookie": true
        });
        let page = |request: reqwest::RequestBuilder| {
            request.header("origin", &console).header("landbridge-console", "1")
        };
        let sign_on = || api.request(Method::POST, "/v3/authenticate").json(&body);
        api.send(sign_on()).await?.expect_problem(403)?;
        let answer = api.send(page(sign_on())).await?;
        answer.expect(200)?;
        let cookie = answer.header("set-cookie").unwrap_or_default().to_owned();
        let kept = cookie.split(';').next().unwrap_or_default();
        anyhow::ensure!(kept.starts_with("__Host-landbridge-session=lbr_"), "{cookie}");
        let refresh = api.request(Method::POST, "/v3/authenticate/refresh").header("cookie", kept);
        let next = api.send(page(refresh.json(&json!({ "cookie": true })))).await?;
        let signed = text(&next.expect(200)?, "access_token")?.to_owned();
        us.edge_api().with_token(&signed).delete("/v3/users/me/sessions/current").await?.expect(204)?;
        Ok(())
    });
}
