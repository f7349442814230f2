//! Personal data stays in the home region: what eu keeps of people at home in us, after they have done everything in eu, is searched byte
//! by byte. The same search finds each of the texts in us, so it would find them in eu. And with its home away, an organization lacks
//! personal data and records, and nothing else.

mod journey;
mod search;

use std::collections::BTreeSet;

use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Answer, Deployment, Options, Region, WebhookReceiver, api::text, dataplane, wait};
use uuid::Uuid;

use self::{
    journey::{Travelled, address},
    search::{Found, Kept, Marker, in_region},
};
use crate::{
    fixtures::check_plain_file,
    harness::{SOON, run, unique},
    operations,
};

#[test]
fn personal_data_is_in_no_region_but_home_and_everything_else_goes_on_without_home() {
    run(async {
        let folder = tempfile::tempdir()?;
        let receiver = WebhookReceiver::start(folder.path()).await?;
        let config = receiver.settings()?;
        let options = Options { config, ..Options::of_regions(&["us", "eu"])? };
        let deployment = Deployment::start(&options).await?;
        let outcome = check(&deployment, &receiver).await;
        if outcome.is_err() {
            deployment.folder().keep()?;
        }
        outcome?;
        deployment.stop().await
    });
}

async fn check(deployment: &Deployment, receiver: &WebhookReceiver) -> anyhow::Result<()> {
    let travelled = journey::travel(deployment, receiver).await?;
    check_clients(deployment, &travelled).await?;
    check_search(deployment, &travelled.markers).await?;
    check_webhooks(receiver, &travelled.markers)?;
    check_without_home(deployment, &travelled).await?;
    travelled.gateway.process().stop().await.map(drop)
}

/// The audit log says at home where somebody was, also in eu; and in eu it says nothing of it.
async fn check_clients(deployment: &Deployment, travelled: &Travelled) -> anyhow::Result<()> {
    let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
    let agent = format!("filter[user_agent]={}", travelled.person.user_agent());
    for region in deployment.regions() {
        let path = format!("/v3/audit-logs?page[size]=1000&filter[client_ip]={}", address(region));
        let wait = wait::until("the log at home knows the address", SOON, async || {
            let page = us.edge_api().get(&path).await.and_then(|answer| answer.expect(200));
            let page = page.map_err(|error| format!("{error:#}"))?;
            let entries = page["data"].as_array().cloned().unwrap_or_default();
            let mut signed_on = entries.iter().filter(|entry| entry["type"] == "authentication");
            let all = entries.iter().all(|entry| {
                entry["client_ip"] == address(region)
                    && entry["user_agent"] == travelled.person.user_agent()
                    && entry["region"] == "us"
                    && entry["service"] == "identity"
            });
            if all && signed_on.any(|entry| entry["outcome"] == "allowed") {
                Ok(())
            } else {
                Err(page.to_string())
            }
        });
        wait.await?;
        let refused = eu.edge_api().get(&path).await?.expect_problem(400)?;
        anyhow::ensure!(refused["invalid_parameters"][0]["field"] == "filter[client_ip]", "{refused}");
        eu.edge_api().get(&format!("/v3/audit-logs?{agent}")).await?.expect_problem(400)?;
    }
    let found = us.edge_api().get(&format!("/v3/audit-logs?{agent}")).await?.expect(200)?;
    anyhow::ensure!(found["data"].as_array().is_some_and(|entries| !entries.is_empty()), "{found}");
    for path in ["/v3/audit-logs?page[size]=1000", "/v3/audit-logs/export"] {
        let of_eu = eu.edge_api().get(path).await?.text;
        anyhow::ensure!(of_eu.contains(r#""region":"eu""#) && !of_eu.contains("client_"), "{of_eu}");
        let of_us = us.edge_api().get(path).await?.text;
        anyhow::ensure!(of_us.contains(address(eu)) && of_us.contains("client_salt"), "{of_us}");
    }
    Ok(())
}

/// The names of what was found.
fn names(found: &Found) -> BTreeSet<&'static str> {
    found.iter().map(|(what, _)| *what).collect()
}

async fn check_search(deployment: &Deployment, markers: &[Marker]) -> anyhow::Result<()> {
    let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
    let found = in_region(eu, markers).await?;
    anyhow::ensure!(found.is_empty(), "personal data in eu: {found:#?}");

    // The same search is able to find each of them: in a dump, and in the files of Postgres.
    let at_home = in_region(us, markers).await?;
    let named = |of: &[Kept]| -> BTreeSet<&'static str> {
        markers.iter().filter(|marker| of.contains(&marker.kept)).map(|marker| marker.what).collect()
    };
    let below =
        |part: &str| -> Found { at_home.iter().filter(|(_, place)| place.contains(part)).cloned().collect() };
    for (part, kept) in [("identity.sql", named(&[Kept::Yes])), ("pg_wal", named(&[Kept::Yes, Kept::Once]))] {
        let there = names(&below(part));
        let missing: Vec<_> = kept.difference(&there).collect();
        anyhow::ensure!(missing.is_empty(), "the search of us finds no {missing:?} in {part}");
    }
    // In us too, none of it is where it leaves the region or where more people look.
    for part in ["/logs/", "/nats/", ".message", "authz.sql", "config.sql"] {
        let there = below(part);
        anyhow::ensure!(there.is_empty(), "personal data in us: {there:#?}");
    }
    let never = named(&[Kept::Never]);
    let secret: Vec<_> = at_home.iter().filter(|(what, _)| never.contains(what)).collect();
    anyhow::ensure!(secret.is_empty(), "secrets in us: {secret:#?}");
    Ok(())
}

/// Endpoints of webhooks may be anywhere.
fn check_webhooks(receiver: &WebhookReceiver, markers: &[Marker]) -> anyhow::Result<()> {
    let bodies: Vec<String> = receiver
        .deliveries()
        .iter()
        .map(|delivery| String::from_utf8_lossy(&delivery.body).into_owned())
        .collect();
    anyhow::ensure!(bodies.iter().any(|body| body.contains("invite.create")), "nothing was delivered");
    let found: Vec<_> =
        markers.iter().filter(|marker| bodies.iter().any(|body| body.contains(&marker.text))).collect();
    anyhow::ensure!(found.is_empty(), "personal data in deliveries: {found:#?}");
    Ok(())
}

/// 503 with a word on when to come again, and where the home is.
fn is_away(answer: &Answer) -> anyhow::Result<()> {
    let problem = answer.expect_problem(503)?;
    anyhow::ensure!(answer.header("retry-after").is_some(), "no Retry-After: {problem}");
    anyhow::ensure!(text(&problem, "detail")?.contains("home region, us"), "{problem}");
    Ok(())
}

async fn check_without_home(deployment: &Deployment, travelled: &Travelled) -> anyhow::Result<()> {
    let eu = deployment.region("eu")?;
    deployment.wan().cut("us", "eu")?;
    check_away(eu, travelled).await?;
    check_goes_on(eu, travelled).await?;
    Ok(deployment.wan().heal("us", "eu")?)
}

/// Everything that is served at home, and what people without a token ask for.
async fn check_away(eu: &Region, travelled: &Travelled) -> anyhow::Result<()> {
    let mut asked = Vec::new();
    for operation in operations::all(eu).await? {
        if !operation.at_home || operation.protection == "public" {
            continue;
        }
        let api = eu.api(operation.service);
        let path = operation.fill_with(&Uuid::now_v7().to_string());
        let request = api.request(operation.method.clone(), &path);
        let request = match operation.has_body() {
            true => request.json(&json!({})),
            false => request,
        };
        asked.push(async move {
            let answer = api.send(request).await?;
            is_away(&answer).with_context(|| operation.describe())
        });
    }
    anyhow::ensure!(asked.len() >= 20, "{} operations are served at home", asked.len());
    // Each waits for home as long as a request may.
    try_join_all(asked).await?;
    let person = &travelled.person;
    let credential =
        |prefix: &str| format!("{prefix}_{}_{}", person.organization.replace('-', ""), "cd".repeat(24));
    let named = json!({ "organization": person.organization, "email": person.email });
    let mut sign_on = named.clone();
    sign_on["password"] = json!("wrong-wrong-wrong");
    let accept = |prefix: &str| json!({ "token": credential(prefix), "password": "wrong-wrong-wrong" });
    let refresh = json!({ "refresh_token": travelled.session["refresh_token"] });
    let public: [(&str, Value); 5] = [
        ("/v3/authenticate", sign_on),
        ("/v3/authenticate/refresh", refresh),
        ("/v3/password-resets", named),
        ("/v3/password-resets/accept", accept("lbw")),
        ("/v3/invites/accept", accept("lbi")),
    ];
    let api = eu.edge_api().anonymous();
    let asked = public.iter().map(async |(path, body)| is_away(&api.post(path, body).await?).context(*path));
    try_join_all(asked).await.map(drop)
}

/// Tokens, decisions, configuration, gateways, and the session that there is.
async fn check_goes_on(eu: &Region, travelled: &Travelled) -> anyhow::Result<()> {
    let owner = eu.edge_api();
    let session = owner.with_token(text(&travelled.session, "access_token")?);
    session.get("/v3/roles").await?.expect(200)?;
    session.get("/v3/teams").await?.expect_problem(403)?;
    let token =
        session.post("/v3/users/me/access-tokens", &json!({ "name": "cut off" })).await?.expect(201)?;
    owner.with_token(text(&token, "token")?).get("/v3/roles").await?.expect(200)?;
    let own = format!("/v3/users/me/access-tokens/{}", text(&token, "id")?);
    session.delete(&own).await?.expect(204)?;
    owner.with_token(text(&token, "token")?).get("/v3/roles").await?.expect_problem(401)?;
    owner.post("/v1/token", &json!({})).await?.expect(200)?;
    let check = json!({ "checks": [{ "action": "iam:ReadTeams" }] });
    owner.post("/v1/authz/check", &check).await?.expect(200)?;
    let plane = dataplane::create_control_plane(&owner, &unique("cut-off")).await?;
    let services = format!("/v2/control-planes/{plane}/core-entities/services");
    owner.post(&services, &json!({ "host": "made.example" })).await?.expect(201)?;
    check_plain_file(&travelled.gateway).await
}
