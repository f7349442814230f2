//! The home region: records of an organization are written there, wherever the request arrives; and where a write has
//! arrived.

use anyhow::Context;
use futures::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Answer, Api, ServiceName, api::text, wait};

use crate::{
    harness::{SOON, run, shared_two, unique},
    regions::{account, get_when_known, make_team, members},
};

#[test]
fn records_are_written_at_home_from_anywhere() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);

        // One request, sent to both regions: one team, one answer.
        let (body, key) = (json!({ "name": unique("away") }), unique("once"));
        let made = eu.edge_api().post_once("/v3/teams", &body, &key).await?;
        let team = text(&made.expect(201)?, "id")?.to_owned();
        let again = us.edge_api().post_once("/v3/teams", &body, &key).await?;
        assert_eq!(text(&again.expect(201)?, "id")?, team);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        us.edge_api().get(&format!("/v3/teams/{team}")).await?.expect(200)?;
        // With the answer's token, the region that forwarded it has it too.
        eu.edge_api().after(&made).get(&format!("/v3/teams/{team}")).await?.expect(200)?;

        // A name that is taken is taken everywhere.
        eu.edge_api().post("/v3/teams", &body).await?.expect_problem(409)?;
        // People are at home only; the other region asks there.
        let people = eu.edge_api().get("/v3/users").await?.expect(200)?;
        assert!(people["data"].as_array().is_some_and(|people| !people.is_empty()), "{people}");
        // The caller's own rights count at home: this one has none.
        let nobody = account(&deployment, "nobody").await?;
        let refused =
            eu.edge_api().with_token(&nobody.token).post("/v3/teams", &json!({ "name": "no" })).await?;
        refused.expect_problem(403)?;
        Ok(())
    });
}

#[test]
fn a_home_that_cannot_be_reached_stops_records_alone() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let (team, member) = (make_team(us).await?, account(&deployment, "cut-off").await?);
        get_when_known(&eu.edge_api(), &format!("/v3/teams/{team}")).await?;

        deployment.wan().cut("us", "eu")?;
        let record = eu.edge_api().post("/v3/teams", &json!({ "name": unique("never") })).await?;
        record.expect_problem(503)?;
        assert!(record.header("retry-after").is_some(), "{}", record.text);
        let people = eu.edge_api().get("/v3/users").await?;
        people.expect_problem(503)?;
        let edge = json!({ "account_id": member.id });
        eu.edge_api().post(&members(&team), &edge).await?.expect(201)?;
        us.edge_api().post("/v3/teams", &json!({ "name": unique("at-home") })).await?.expect(201)?;
        Ok(())
    });
}

/// Adds a person to a team, and removes one: what each is answered with.
async fn change_people(api: &Api, team: &str, person: &str) -> anyhow::Result<[Answer; 2]> {
    let (path, body) = (format!("/v3/teams/{team}/users"), json!({ "id": person }));
    let one = format!("{path}/{person}");
    Ok(tokio::try_join!(api.post(&path, &body), api.delete(&one))?.into())
}

#[test]
fn administrators_are_changed_at_home_however_their_team_is_spelled() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let teams = us.edge_api().get("/v3/teams?page[size]=100").await?.expect(200)?;
        let teams = teams["data"].as_array().context("teams")?;
        let administrators = teams.iter().find(|team| team["name"] == "Organization Admin");
        let plain = text(administrators.context("the administrators' team")?, "id")?.to_owned();
        let (first, rest) = plain.split_at(1);
        let encoded = format!("%{:02x}{rest}", first.as_bytes().first().context("an id")?);
        let people = format!("/v3/teams/{plain}/users");
        let before = get_when_known(&eu.edge_api(), &people).await?;

        deployment.wan().cut("us", "eu")?;
        let owner = &eu.owner().owner_id;
        let upper_case = plain.to_uppercase();
        let spellings = [&plain, &encoded, &upper_case];
        let apis = [eu.edge_api(), eu.api(ServiceName::Authz)];
        let changes = apis.iter().flat_map(|api| spellings.map(|team| change_people(api, team, owner)));
        for answer in try_join_all(changes).await?.iter().flatten() {
            let problem = answer.expect_problem(503)?;
            assert!(text(&problem, "detail")?.contains("home region, us"), "{problem}");
        }
        assert_eq!(eu.edge_api().get(&people).await?.expect(200)?, before);
        Ok(())
    });
}

#[test]
fn a_write_can_be_followed_to_every_region() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let regions = eu.edge_api().get("/v1/regions").await?.expect(200)?;
        let names: Vec<&str> =
            regions["data"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["eu", "us"], "{regions}");
        let api = |name: &str| -> Option<String> {
            let one = regions["data"].as_array()?.iter().find(|one| one["name"] == name)?;
            one["api"].as_str().map(str::to_owned)
        };
        assert_eq!((api("us"), api("eu")), (Some(us.edge_url()), Some(eu.edge_url())));

        deployment.wan().cut("us", "eu")?;
        let made = us.edge_api().post("/v3/teams", &json!({ "name": unique("followed") })).await?;
        made.expect(201)?;
        let token = made.consistency().context("a write has a consistency token")?;
        let path = format!("/v1/consistency/{token}");
        let arrived = us.edge_api().get(&path).await?.expect(200)?;
        assert_eq!(
            (&arrived["everywhere"], in_region(&arrived, "us")),
            (&json!(false), Some(true)),
            "{arrived}"
        );
        assert_eq!(in_region(&arrived, "eu"), Some(false), "{arrived}");
        wait::until("the other region is not reachable", SOON, async || {
            let regions = us.edge_api().get("/v1/regions").await.map_err(|error| format!("{error:#}"))?;
            if regions.text.contains(r#""reachable":false"#) { Ok(()) } else { Err(regions.text) }
        })
        .await?;

        deployment.wan().heal("us", "eu")?;
        wait::until("the write is everywhere", SOON, async || {
            let arrived = us.edge_api().get(&path).await.map_err(|error| format!("{error:#}"))?;
            if arrived.text.contains(r#""everywhere":true"#) { Ok(()) } else { Err(arrived.text) }
        })
        .await?;
        us.edge_api().get("/v1/consistency/nonsense").await?.expect_problem(404)?;
        let forged = us.edge_api().with_consistency("nonsense").get("/v3/teams").await?;
        forged.expect_problem(400)?;
        Ok(())
    });
}

fn in_region(arrived: &Value, name: &str) -> Option<bool> {
    let one = arrived["regions"].as_array()?.iter().find(|one| one["region"] == name)?;
    one["arrived"].as_bool()
}
