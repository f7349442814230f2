//! Several regions: what is granted in one is used in another, whatever becomes of the links between them.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{
    Api, Deployment, Gateway, Region, ServiceName,
    api::text,
    status::{ControlPlane as Shown, Status},
    tour::regions::Stage,
    wait,
};

use crate::{
    fixtures::{Account, exchange, served, until_status},
    harness::{SOON, run, shared_three, shared_two, unique},
};

/// Longest time between the answer to a revocation and the refusal in another region.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Accounts on each side of a cut.
const ACCOUNTS: usize = 5;

/// A team of the home region.
pub async fn make_team(home: &Region) -> anyhow::Result<String> {
    let made = home.edge_api().post("/v3/teams", &json!({ "name": unique("team") })).await?.expect(201)?;
    Ok(text(&made, "id")?.to_owned())
}

pub fn members(team: &str) -> String {
    format!("/v3/teams/{team}/system-accounts")
}

/// The body that assigns a role of control planes in every region.
pub fn role_everywhere(name: &str) -> Value {
    json!({ "role_name": name, "entity_id": "*", "entity_type_name": "Control Planes", "entity_region": "*" })
}

/// What a region shows of a team: members and roles, each in an order of its own.
pub async fn shown(region: &Region, team: &str) -> anyhow::Result<Value> {
    let mut shown = json!({});
    for path in [members(team), format!("/v3/teams/{team}/assigned-roles")] {
        let list = region.edge_api().get(&format!("{path}?page[size]=100")).await?.expect(200)?;
        let mut rows = list["data"].as_array().cloned().context("a list")?;
        rows.sort_by_key(Value::to_string);
        shown[path] = Value::Array(rows);
    }
    Ok(shown)
}

/// Waits until every region shows the same of a team; what they show.
pub async fn until_equal(deployment: &Deployment, team: &str) -> anyhow::Result<Value> {
    wait::until("all regions show the same", SOON, async || {
        let mut seen = Vec::new();
        for region in deployment.regions() {
            seen.push(shown(region, team).await.map_err(|error| format!("{error:#}"))?);
        }
        match seen.split_first() {
            Some((first, rest)) if rest.iter().all(|other| other == first) => Ok(first.clone()),
            _ => Err(format!("{seen:?}")),
        }
    })
    .await
}

/// Repeats a GET for as long as it is told that its region has not followed yet. Any other refusal is an error at once.
pub async fn get_when_known(api: &Api, path: &str) -> anyhow::Result<Value> {
    let what = format!("GET {path} is answered");
    let known = wait::until(&what, SOON, async || {
        let answer = api.get(path).await.map_err(|error| format!("{error:#}"))?;
        if answer.status == 503 { Err(answer.text) } else { Ok(answer.expect(200)) }
    });
    known.await?
}

/// A system account, made by the owner in the home region, that every region knows.
pub async fn account(deployment: &Deployment, name: &str) -> anyhow::Result<Account> {
    let account = Account::create(deployment.home()?, name).await?;
    for region in deployment.regions() {
        get_when_known(&region.edge_api().with_token(&account.token), "/v3/organizations/me").await?;
    }
    Ok(account)
}

/// The tour of the first two regions of a deployment.
async fn take_the_tour(deployment: &Deployment) -> anyhow::Result<()> {
    let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
    let mut status = Status::of(deployment)?;
    assert!(Stage::of(&status).is_err(), "the home region has no gateway yet");
    let (control_plane, at_home) = served(us, "tour").await?;
    let shown = Shown { id: control_plane.id, name: at_home.name().to_owned() };
    status.regions.first_mut().context("the home region")?.add(shown, &at_home);
    let stage = Stage::of(&status)?;
    let enrol = async |control_plane: &str, command: &str| {
        Gateway::start(eu, control_plane, &unique("tour"), command).await
    };
    let (report, gateway) = stage.take(enrol).await?;
    println!("{}", report.describe());
    let statuses: Vec<u16> = report.rows.iter().filter_map(|row| row.status).collect();
    assert_eq!(statuses, [201, 201, 200, 403, 503, 200, 200]);
    // No word of the grant reaches eu in less time than the link takes.
    assert!(report.delay_ms > 0, "the regions are apart");
    assert!(report.granted_to_used >= Duration::from_millis(report.delay_ms), "{report:?}");
    for gateway in [at_home, gateway] {
        gateway.process().stop().await?;
    }
    Ok(())
}

#[test]
fn the_tour_of_two_regions() {
    run(async { take_the_tour(&*shared_two().await?).await });
}

#[test]
fn the_tour_of_two_regions_beside_a_third() {
    run(async { take_the_tour(&*shared_three().await?).await });
}

#[test]
fn what_is_written_on_both_sides_of_a_cut_is_equal_after_it() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let team = make_team(us).await?;
        let mut accounts = Vec::new();
        for _ in 0..2 * ACCOUNTS {
            accounts.push(account(&deployment, "both").await?);
        }
        until_equal(&deployment, &team).await?;

        deployment.wan().cut("us", "eu")?;
        let sides = [us.edge_api(), eu.edge_api()];
        for (account, api) in accounts.iter().zip(sides.iter().cycle()) {
            let body = json!({ "account_id": account.id });
            api.post(&members(&team), &body).await?.expect(201)?;
        }
        // One side adds and removes, the other one adds the same: the removal did not know of that, and stays.
        let (first, others) = accounts.split_first().context("no accounts")?;
        let body = json!({ "account_id": first.id });
        sides[0].delete(&format!("{}/{}", members(&team), first.id)).await?.expect(204)?;
        sides[1].post(&members(&team), &body).await?.expect(201)?;
        for (api, role) in sides.iter().zip(["Viewer", "Deployer"]) {
            let path = format!("/v3/teams/{team}/assigned-roles");
            api.post(&path, &role_everywhere(role)).await?.expect(201)?;
        }
        assert_ne!(shown(us, &team).await?, shown(eu, &team).await?, "they know nothing of each other");

        deployment.wan().heal("us", "eu")?;
        let equal = until_equal(&deployment, &team).await?;
        let rows = equal[members(&team)].as_array().context("members")?;
        let listed = |account: &Account| rows.iter().any(|row| row.to_string().contains(&account.id));
        assert!(others.iter().all(listed) && !listed(first), "{equal}");
        assert_eq!(equal[format!("/v3/teams/{team}/assigned-roles")].as_array().map(Vec::len), Some(2));
        Ok(())
    });
}

#[test]
fn a_token_revoked_in_one_region_is_refused_in_the_other_within_a_second() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let account = account(&deployment, "revoked").await?;
        let signed = exchange(us, &account.token).await?;
        let apis = [&account.token, &signed].map(|token| eu.edge_api().with_token(token));
        for api in &apis {
            get_when_known(api, "/v2/control-planes").await?;
        }
        let path = format!("/v3/system-accounts/{}/access-tokens/{}", account.id, account.token_id);
        us.edge_api().delete(&path).await?.expect(204)?;
        let revoked = Instant::now();
        for api in &apis {
            let what = "a token revoked in us is refused in eu";
            let took = until_status(what, 401, REFUSED_WITHIN, revoked, async || {
                api.get("/v2/control-planes").await
            });
            println!("refused after {:?}", took.await?);
        }
        for api in &apis {
            api.get("/v2/control-planes").await?.expect_problem(401)?;
        }
        Ok(())
    });
}

/// us revokes a token while eu, which cannot hear of it, makes another one with it. Both end everywhere, and so does what was signed
/// for them.
#[test]
fn what_one_region_made_with_a_token_ends_when_the_other_has_revoked_it() {
    run(async {
        const OWN: &str = "/v3/users/me/access-tokens";
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let made = us.edge_api().post(OWN, &json!({ "name": unique("parent") })).await?.expect(201)?;
        let parent = text(&made, "token")?.to_owned();
        let in_eu = eu.edge_api().with_token(&parent);
        get_when_known(&in_eu, "/v3/organizations/me").await?;
        get_when_known(&in_eu, "/v2/control-planes").await?;

        deployment.wan().cut("us", "eu")?;
        let child = in_eu.post(OWN, &json!({ "name": unique("child") })).await?.expect(201)?;
        let child = text(&child, "token")?.to_owned();
        let signed = exchange(eu, &child).await?;
        us.edge_api().delete(&format!("{OWN}/{}", text(&made, "id")?)).await?.expect(204)?;
        get_when_known(&eu.edge_api().with_token(&signed), "/v2/control-planes").await?;

        deployment.wan().heal("us", "eu")?;
        let healed = Instant::now();
        for region in [us, eu] {
            for token in [&parent, &child, &signed] {
                let api = region.edge_api().with_token(token);
                let what = "what was made with a revoked token is refused";
                until_status(what, 401, SOON, healed, async || api.get("/v2/control-planes").await).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_third_region_bridges_a_cut_link() {
    run(async {
        let deployment = shared_three().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let (team, account) = (make_team(us).await?, account(&deployment, "bridged").await?);
        let roles = format!("/v3/teams/{team}/assigned-roles");
        us.edge_api().post(&roles, &role_everywhere("Creator")).await?.expect(201)?;
        until_equal(&deployment, &team).await?;

        deployment.wan().cut("us", "eu")?;
        let joined = us.edge_api().post(&members(&team), &json!({ "account_id": account.id })).await?;
        joined.expect(201)?;
        let in_eu = eu.edge_api().with_token(&account.token).after(&joined);
        let body = json!({ "name": unique("bridged") });
        let created = wait::until("the grant is used in eu", SOON, async || {
            let answer =
                in_eu.post("/v2/control-planes", &body).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == 503 { Err(answer.text) } else { Ok(answer.expect(201)) }
        });
        let created = created.await??;
        let plane = format!("/v2/control-planes/{}", text(&created, "id")?);
        eu.edge_api().delete(&plane).await?.expect(204)?;

        let path = format!("/v3/system-accounts/{}/access-tokens/{}", account.id, account.token_id);
        us.edge_api().delete(&path).await?.expect(204)?;
        let plain = eu.edge_api().with_token(&account.token);
        let what = "the revocation travels by the third region";
        let took =
            until_status(what, 401, SOON, Instant::now(), async || plain.get("/v3/organizations/me").await);
        println!("refused in eu after {:?}, by way of ap", took.await?);
        for service in ServiceName::ALL {
            for region in deployment.regions() {
                assert!(region.process(service).is_running(), "{service} of {}", region.name());
            }
        }
        Ok(())
    });
}
