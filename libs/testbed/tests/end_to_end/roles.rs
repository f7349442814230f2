//! What each role allows, through the services: exactly that, and for exactly as long as it is held.

use reqwest::Method;
use serde_json::json;
use testbed::{ServiceName, api::text};

use crate::{
    fixtures::{Account, ControlPlane, assign, plain_file, role},
    harness::{run, shared, unique},
    operations::{self, Things},
};

#[test]
fn a_creator_administers_what_it_creates_and_nothing_else() {
    run(async {
        let region = shared().await?;
        let account = Account::create(region, "creator").await?;
        let config = account.api(region, ServiceName::Config);
        let name = unique("created");
        config.post("/v2/control-planes", &json!({ "name": name })).await?.expect_problem(403)?;
        account.assign(region, "Creator", "*").await?;
        let created = config.post("/v2/control-planes", &json!({ "name": name })).await?.expect(201)?;
        let own = ControlPlane { id: text(&created, "id")?.to_owned(), api: config.clone() };

        own.apply(&plain_file(region)).await?;
        own.contents().await?;
        own.api.post(&own.path("enrolment-tokens"), &json!({})).await?.expect(201)?;
        let path = format!("/v2/control-planes/{}", own.id);
        own.api.patch(&path, &json!({ "description": "mine" })).await?.expect(200)?;

        let foreign = ControlPlane::create(region, "not-created").await?;
        let theirs = format!("/v2/control-planes/{}", foreign.id);
        config.get(&theirs).await?.expect_problem(403)?;
        config.patch(&theirs, &json!({ "description": "mine" })).await?.expect_problem(403)?;
        config.delete(&theirs).await?.expect_problem(403)?;
        config.get(&foreign.entity("services")).await?.expect_problem(403)?;
        config.put_yaml(&foreign.path("declarative"), &plain_file(region)).await?.expect_problem(403)?;
        let listed = config.get("/v2/control-planes").await?.expect(200)?;
        let ids: Vec<_> = listed["data"].as_array().into_iter().flatten().map(|shown| &shown["id"]).collect();
        assert_eq!(ids, [&json!(own.id)]);
        assert_eq!(listed["meta"]["page"]["total"], 1);

        // Nor may it hand on what it has.
        let authz = account.api(region, ServiceName::Authz);
        authz.post("/v3/teams", &json!({ "name": unique("mine") })).await?.expect_problem(403)?;
        let roles = format!("/v3/system-accounts/{}/assigned-roles", account.id);
        authz.post(&roles, &role("Admin", "*")).await?.expect_problem(403)?;
        config.delete(&path).await?.expect(204)?;
        config.get(&path).await?.expect_problem(404)?;
        Ok(())
    });
}

#[test]
fn a_viewer_reads_everything_and_writes_nothing() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let account = Account::create(region, "viewer").await?;
        account.assign(region, "Viewer", &things.control_plane).await?;
        let config = account.api(region, ServiceName::Config);
        let mut wrong = Vec::new();
        let all = operations::all(region).await?;
        for operation in all.iter().filter(|operation| operation.path.contains("{control_plane_id}")) {
            let reads = operation.method == Method::GET && !operation.path.contains("enrolment-tokens")
                || operation.path.ends_with("/validate");
            let answer = operation.send(&config, things).await?;
            if answer.status != if reads { 200 } else { 403 } {
                wrong.push(format!("{}: {} {}", operation.describe(), answer.status, answer.text));
            }
        }
        assert!(wrong.is_empty(), "a Viewer is answered otherwise:\n{}", wrong.join("\n"));

        let other = ControlPlane::create(region, "not-viewed").await?;
        config.get(&other.entity("services")).await?.expect_problem(403)?;
        Ok(())
    });
}

#[test]
fn a_deployer_writes_services_routes_and_plugins_and_never_credentials() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "deployed").await?;
        control_plane.apply(&plain_file(region)).await?;
        let account = Account::create(region, "deployer").await?;
        account.assign(region, "Deployer", &control_plane.id).await?;
        let config = account.api(region, ServiceName::Config);
        let at = |rest: &str| control_plane.entity(rest);

        config.put(&at("services/new"), &json!({ "host": "new.example" })).await?.expect(200)?;
        let route = json!({ "paths": ["/new"] });
        config.post(&at("services/new/routes"), &route).await?.expect(201)?;
        config.post(&at("services/new/plugins"), &json!({ "name": "key-auth" })).await?.expect(201)?;
        for readable in ["services", "routes", "plugins", "consumers", "consumers/alice"] {
            config.get(&at(readable)).await?.expect(200)?;
        }
        for hidden in ["key-auths", "consumers/alice/key-auth"] {
            config.get(&at(hidden)).await?.expect_problem(403)?;
        }
        config.post(&at("consumers"), &json!({ "username": "mallory" })).await?.expect_problem(403)?;
        config.delete(&at("consumers/alice")).await?.expect_problem(403)?;
        config.post(&at("consumers/alice/key-auth"), &json!({ "key": "mine" })).await?.expect_problem(403)?;
        config
            .put_yaml(&control_plane.path("declarative"), &plain_file(region))
            .await?
            .expect_problem(403)?;
        config.post(&control_plane.path("enrolment-tokens"), &json!({})).await?.expect_problem(403)?;
        config.delete(&format!("/v2/control-planes/{}", control_plane.id)).await?.expect_problem(403)?;
        Ok(())
    });
}

#[test]
fn a_role_holds_from_its_assignment_until_it_is_taken_back() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "held").await?;
        let account = Account::create(region, "holder").await?;
        let config = account.api(region, ServiceName::Config);
        let path = format!("/v2/control-planes/{}", control_plane.id);
        for on in [control_plane.id.as_str(), "*"] {
            for _ in 0..3 {
                config.get(&path).await?.expect_problem(403)?;
                let assignment = account.assign(region, "Viewer", on).await?;
                config.get(&path).await?.expect(200)?;
                account.take_back(region, &assignment).await?;
            }
        }
        config.get(&path).await?.expect_problem(403)?;
        Ok(())
    });
}

#[test]
fn an_assignment_is_one_however_its_id_is_spelt_and_goes_with_the_control_plane() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "spelt").await?;
        let account = Account::create(region, "spelt").await?;
        let authz = region.api(ServiceName::Authz);
        let path = format!("/v3/system-accounts/{}/assigned-roles", account.id);
        let upper = role("Viewer", &control_plane.id.to_uppercase());
        let assigned = authz.post(&path, &upper).await?.expect(201)?;
        assert_eq!(text(&assigned, "entity_id")?, control_plane.id);
        authz.post(&path, &role("Viewer", &control_plane.id)).await?.expect_problem(409)?;
        for (wrong, field) in [
            (role("Owner", &control_plane.id), "role_name"),
            (role("Viewer", "all"), "entity_id"),
            (role("Creator", &control_plane.id), "entity_id"),
        ] {
            let problem = authz.post(&path, &wrong).await?.expect_problem(400)?;
            assert_eq!(problem["invalid_parameters"][0]["field"], field);
        }
        control_plane.api.delete(&format!("/v2/control-planes/{}", control_plane.id)).await?.expect(204)?;
        let left = authz.get(&path).await?.expect(200)?;
        assert_eq!(left["data"], json!([]));
        Ok(())
    });
}

#[test]
fn a_teams_roles_are_its_members_and_end_with_membership_or_team() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "teamed").await?;
        let account = Account::create(region, "member").await?;
        let (authz, config) = (region.api(ServiceName::Authz), account.api(region, ServiceName::Config));
        let path = format!("/v2/control-planes/{}", control_plane.id);
        let team = authz.post("/v3/teams", &json!({ "name": unique("team") })).await?.expect(201)?;
        let team = format!("teams/{}", text(&team, "id")?);
        let members = format!("/v3/{team}/system-accounts");
        let member = json!({ "account_id": account.id });

        assign(&authz, &team, "Viewer", &control_plane.id).await?;
        config.get(&path).await?.expect_problem(403)?;
        authz.post(&members, &member).await?.expect(201)?;
        config.get(&path).await?.expect(200)?;
        authz.post(&members, &member).await?.expect_problem(409)?;
        authz.delete(&format!("{members}/{}", account.id)).await?.expect(204)?;
        config.get(&path).await?.expect_problem(403)?;
        authz.post(&members, &member).await?.expect(201)?;
        config.get(&path).await?.expect(200)?;
        let deployer = assign(&authz, &team, "Deployer", &control_plane.id).await?;
        let service = json!({ "host": "team.example" });
        config.post(&control_plane.entity("services"), &service).await?.expect(201)?;
        authz.delete(&format!("/v3/{team}/assigned-roles/{deployer}")).await?.expect(204)?;
        config.post(&control_plane.entity("services"), &service).await?.expect_problem(403)?;
        authz.delete(&format!("/v3/{team}")).await?.expect(204)?;
        config.get(&path).await?.expect_problem(403)?;
        Ok(())
    });
}

#[test]
fn who_manages_identity_gives_nobody_more_than_it_has() {
    run(async {
        let region = shared().await?;
        let manager = Account::create(region, "manager").await?;
        let body = json!({
            "role_name": "Admin", "entity_id": "*", "entity_type_name": "Identity", "entity_region": "*"
        });
        let roles = format!("/v3/system-accounts/{}/assigned-roles", manager.id);
        region.api(ServiceName::Authz).post(&roles, &body).await?.expect(201)?;
        let (identity, authz) =
            (manager.api(region, ServiceName::Identity), manager.api(region, ServiceName::Authz));

        // To itself, to a team, by a team that exists, by a stronger account's token.
        authz.post(&roles, &role("Admin", "*")).await?.expect_problem(403)?;
        let team = authz.post("/v3/teams", &json!({ "name": unique("ladder") })).await?.expect(201)?;
        let team_roles = format!("/v3/teams/{}/assigned-roles", text(&team, "id")?);
        authz.post(&team_roles, &role("Viewer", "*")).await?.expect_problem(403)?;
        let teams = authz.get("/v3/teams?page[size]=100").await?.expect(200)?;
        let admins = teams["data"].as_array().into_iter().flatten().find(|team| team["system_team"] == true);
        let admins = text(admins.expect("the predefined team"), "id")?;
        let member = json!({ "account_id": manager.id });
        authz.post(&format!("/v3/teams/{admins}/system-accounts"), &member).await?.expect_problem(403)?;
        let strong = Account::create(region, "strong").await?;
        strong.assign(region, "Admin", "*").await?;
        let tokens = format!("/v3/system-accounts/{}/access-tokens", strong.id);
        identity.post(&tokens, &json!({ "name": "mine" })).await?.expect_problem(403)?;
        Ok(())
    });
}

#[test]
fn the_predefined_team_stays_as_it_is_and_keeps_a_member() {
    run(async {
        let region = shared().await?;
        let authz = region.api(ServiceName::Authz);
        let teams = authz.get("/v3/teams?page[size]=100").await?.expect(200)?;
        let admins = teams["data"].as_array().into_iter().flatten().find(|team| team["system_team"] == true);
        let admins = format!("/v3/teams/{}", text(admins.expect("the predefined team"), "id")?);
        authz.delete(&admins).await?.expect_problem(403)?;
        authz.patch(&admins, &json!({ "name": "others" })).await?.expect_problem(403)?;
        authz.post(&format!("{admins}/assigned-roles"), &role("Viewer", "*")).await?.expect_problem(403)?;
        let owner = format!("{admins}/users/{}", region.owner().owner_id);
        authz.delete(&owner).await?.expect_problem(409)?;
        authz.get("/v3/roles").await?.expect(200)?;
        Ok(())
    });
}
