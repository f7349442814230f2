//! What one organization has does not exist for another.

use serde_json::json;
use testbed::{Api, ServiceName};

use crate::{
    fixtures::{ControlPlane, other_organization, role},
    harness::{run, shared},
    operations::{self, Things},
};

#[test]
fn another_organizations_ids_are_404_everywhere() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let ours = ControlPlane { id: things.control_plane.clone(), api: region.api(ServiceName::Config) };
        let before = (ours.contents().await?, ours.version().await?);
        let stranger = other_organization(region).await?;

        let (mut asked, mut wrong) = (0, Vec::new());
        let all = operations::all(region).await?;
        let of_organizations =
            all.iter().filter(|operation| !["operator", "public"].contains(&operation.protection.as_str()));
        for operation in of_organizations.filter(|operation| operation.takes_ids()) {
            let answer =
                operation.send(&region.api(operation.service).with_token(&stranger.token), things).await?;
            asked += 1;
            if answer.status != 404 || answer.expect_problem(404).is_err() {
                wrong.push(format!("{}: {} {}", operation.describe(), answer.status, answer.text));
            }
            // The ids are right: with them, the owner of the things is answered. Deletes come last of all: not here.
            if operation.method == reqwest::Method::GET {
                let own = operation.send(&region.api(operation.service), things).await?;
                anyhow::ensure!(own.status == 200, "{}: {} {}", operation.describe(), own.status, own.text);
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {asked} answered something else than 404:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert!(asked >= 70, "only {asked} operations take ids: are the documents whole?");
        assert_eq!((ours.contents().await?, ours.version().await?), before);
        Ok(())
    });
}

#[test]
fn ids_of_another_organization_in_bodies_and_below_own_things_are_404_too() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let stranger = other_organization(region).await?;
        let api = |service| -> Api { region.api(service).with_token(&stranger.token) };
        let (identity, authz, config) =
            (api(ServiceName::Identity), api(ServiceName::Authz), api(ServiceName::Config));

        // A team and a control plane of the stranger's own, with ids of the first organization below or within them.
        let team = authz.post("/v3/teams", &json!({ "name": "own" })).await?.expect(201)?;
        let team = testbed::api::text(&team, "id")?;
        let user = json!({ "id": things.user });
        authz.post(&format!("/v3/teams/{team}/users"), &user).await?.expect_problem(404)?;
        let account = json!({ "account_id": things.account });
        authz.post(&format!("/v3/teams/{team}/system-accounts"), &account).await?.expect_problem(404)?;
        let foreign_role = format!("/v3/teams/{team}/assigned-roles/{}", things.team_role);
        authz.delete(&foreign_role).await?.expect_problem(404)?;

        let own = config.post("/v2/control-planes", &json!({ "name": "own" })).await?.expect(201)?;
        let own = ControlPlane { id: testbed::api::text(&own, "id")?.to_owned(), api: config.clone() };
        for path in [
            format!("services/{}", things.service),
            format!("routes/{}", things.route),
            format!("consumers/{}", things.consumer),
            format!("plugins/{}", things.plugin),
            format!("key-auths/{}", things.key),
            format!("services/{}/routes", things.service),
        ] {
            own.api.get(&own.entity(&path)).await?.expect_problem(404)?;
        }
        let below_foreign = own.entity(&format!("services/{}/routes", things.service));
        own.api.post(&below_foreign, &json!({ "paths": ["/x"] })).await?.expect_problem(404)?;
        let to_foreign = json!({ "paths": ["/x"], "service": { "id": things.service } });
        own.api.post(&own.entity("routes"), &to_foreign).await?.expect_problem(400)?;
        own.api.delete(&own.path(&format!("nodes/{}", things.node))).await?.expect_problem(404)?;
        own.api
            .delete(&own.path(&format!("enrolment-tokens/{}", things.enrolment_token)))
            .await?
            .expect_problem(404)?;

        // A role on a foreign control plane opens nothing there.
        let me = format!("/v3/users/{}/assigned-roles", stranger.owner_id);
        let granted = authz.post(&me, &role("Admin", &things.control_plane)).await?;
        assert!([201, 400, 404].contains(&granted.status), "{} {}", granted.status, granted.text);
        config.get(&format!("/v2/control-planes/{}", things.control_plane)).await?.expect_problem(404)?;
        let listed = config.get("/v2/control-planes?page[size]=100").await?.expect(200)?;
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
        let accounts = identity.get("/v3/system-accounts").await?.expect(200)?;
        assert_eq!(accounts["data"], json!([]));
        Ok(())
    });
}
