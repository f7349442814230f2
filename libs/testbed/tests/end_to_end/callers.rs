//! Every endpoint of every service, for everybody who may or may not call it: what is expected follows from the endpoint's own entry
//! (who may call it, whether its path names a thing), so an endpoint that is added is in it by itself.

use std::time::Duration;

use anyhow::Context;
use clock::Clock;
use serde_json::json;
use testbed::{Region, ServiceName, api::text, dataplane, wait};
use time::format_description::well_known::Rfc3339;

use crate::{
    fixtures::{Account, exchange, operator_token, other_organization},
    harness::{SOON, run, run_alone, shared, shared_two, unique},
    operations::{self, Operation, Things},
    people::{PASSWORD, Person},
    regions,
};

/// Somebody who calls.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    /// With a token that has expired.
    Expired,
    /// With a token of an account that was deleted.
    Deleted,
    /// The owner of another organization.
    Foreign,
    /// A person who was deactivated.
    Deactivated,
    /// The same, in a region where the control plane that is named is not.
    DeactivatedElsewhere,
    /// Who holds no role.
    WithoutRole,
    /// Who holds what the endpoints ask for, in another region.
    RoleElsewhere,
    /// An administrator of the organization.
    WithRole,
    /// The owner of an organization that is suspended.
    Suspended,
    Operator,
}

/// Endpoints that show whoever is a member something of its own, or nothing: lists of what one may see, and which roles there are.
const OPEN_TO_MEMBERS: [&str; 3] =
    ["config GET /v2/control-planes", "config GET /konnect-api/api/runtime_groups", "authz GET /v3/roles"];

/// Whether the answer is what the endpoint's entry says for `who`.
fn is_expected(who: Who, operation: &Operation, status: u16, problem: &str) -> bool {
    let (protection, inactive) = (operation.protection.as_str(), problem == "organization-inactive");
    match (who, protection) {
        // The one that takes a credential of another kind refuses what is none.
        (_, "public") if operation.path.starts_with("/v3/authenticate/") => {
            matches!(status, 400 | 401 | 404)
        }
        (_, "public") => matches!(status, 200 | 204) || (matches!(status, 400 | 401) && operation.has_body()),
        // A signed token is asked about only where its holder could be let in.
        (Who::Deleted | Who::Deactivated | Who::DeactivatedElsewhere, "operator") => {
            status == 401 || status == 403
        }
        (Who::Suspended, "operator") => status == 403,
        (Who::Nobody | Who::Expired | Who::Deleted | Who::Deactivated, _) => status == 401,
        (Who::DeactivatedElsewhere, _) => {
            // A signed token is asked about once the control plane is found.
            status == 401 || (status == 404 && operation.path.contains("{control_plane_id}"))
        }
        // The things are another organization's: for a signed token they may not be there before it is asked about.
        (Who::Suspended, _) => (status == 403 && inactive) || (status == 404 && operation.takes_ids()),
        (Who::Operator, "operator") => status < 500 && status != 401 && status != 403,
        (Who::Operator, _) | (_, "operator") => status == 403 && problem == "forbidden",
        // What other people's tokens are is nobody's business.
        (_, "caller") => status < 500 && status != 401,
        (Who::Foreign, _) if operation.takes_ids() => status == 404,
        (Who::Foreign, _) => status < 500 && status != 401,
        // DNS has nothing of these domains, and cannot be asked from everywhere.
        (Who::WithRole, _) if operation.path.ends_with("/verify") => status == 409 || status == 503,
        (Who::WithRole, _) => status < 500 && status != 401 && status != 403,
        (Who::WithoutRole | Who::RoleElsewhere, _) => {
            let open = OPEN_TO_MEMBERS.contains(&operation.describe().as_str());
            if open { status == 200 } else { status == 403 || status == 404 }
        }
    }
}

/// Sends every operation as `who`, and collects the answers that are not as expected.
async fn check(who: Who, token: Option<&str>, things: &Things) -> anyhow::Result<()> {
    check_in(shared().await?, who, token, things).await
}

/// The same in another region. What reads comes first, and what deletes last, the inner things before the outer ones.
async fn check_in(region: &Region, who: Who, token: Option<&str>, things: &Things) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let mut all = operations::all(region).await?;
    anyhow::ensure!(all.iter().filter(|operation| operation.protection == "operator").count() >= 9);
    all.sort_by_key(|operation| match operation.method.as_str() {
        "GET" => (0, 0),
        "DELETE" => (2, usize::MAX - operation.path.split('/').count()),
        _ => (1, 0),
    });
    for operation in all {
        // The owner of another organization would end it.
        let is_organization = operation.path.starts_with("/v3/organizations/me");
        if matches!(who, Who::Foreign | Who::WithRole) && is_organization && operation.method != "GET" {
            continue;
        }
        let api = region.api(operation.service);
        let api = token.map_or_else(|| api.anonymous(), |token| api.with_token(token));
        let answer = operation.send(&api, things).await?;
        let problem = answer.json().ok().and_then(|body| body["type"].as_str().map(str::to_owned));
        let problem = problem.unwrap_or_default();
        let problem = problem.strip_prefix("urn:landbridge:problem:").unwrap_or_default();
        if !is_expected(who, &operation, answer.status, problem) {
            wrong.push(format!("{}: {} {}", operation.describe(), answer.status, answer.text));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{who:?}: {} answered otherwise:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Both kinds of token that somebody with `token` has.
async fn both(region: &Region, token: &str) -> anyhow::Result<[String; 2]> {
    Ok([token.to_owned(), exchange(region, token).await?])
}

/// Waits until the token is answered so.
async fn until(region: &Region, token: &str, status: u16) -> anyhow::Result<()> {
    let api = region.api(ServiceName::Authz).with_token(token);
    wait::until(&format!("the token is answered {status}"), SOON, async || {
        let answer = api.get("/v3/roles").await.map_err(|error| format!("{error:#}"))?;
        if answer.status == status { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) }
    })
    .await
}

#[test]
fn whose_token_has_ended_is_401_everywhere() {
    run(async {
        let (region, things) = (shared().await?, Things::shared().await?);
        check(Who::Nobody, None, things).await?;

        let account = Account::create(region, "expiring").await?;
        let end = (Clock::system().now() + Duration::from_secs(3)).format(&Rfc3339)?;
        let tokens = format!("/v3/system-accounts/{}/access-tokens", account.id);
        let api = region.api(ServiceName::Identity);
        let made = api.post(&tokens, &json!({ "name": "short", "expires_at": end })).await?.expect(201)?;
        let short = both(region, text(&made, "token")?).await?;
        for token in &short {
            until(region, token, 401).await?;
            check(Who::Expired, Some(token), things).await?;
        }

        let deleted = both(region, &account.token).await?;
        api.delete(&format!("/v3/system-accounts/{}", account.id)).await?.expect(204)?;
        for token in &deleted {
            until(region, token, 401).await?;
            check(Who::Deleted, Some(token), things).await?;
        }
        Ok(())
    });
}

#[test]
fn who_holds_nothing_here_is_let_in_nowhere() {
    run(async {
        let (region, things) = (shared().await?, Things::shared().await?);
        let account = Account::create(region, "without-role").await?;
        for token in both(region, &account.token).await? {
            check(Who::WithoutRole, Some(&token), things).await?;
        }
        let stranger = other_organization(region).await?;
        for token in both(region, &stranger.token).await? {
            check(Who::Foreign, Some(&token), things).await?;
        }
        Ok(())
    });
}

/// Also with a signed token that was made before, and with an enrolment token.
#[test]
fn nobody_of_a_suspended_organization_is_let_in_anywhere() {
    run(async {
        let (region, things) = (shared().await?, Things::shared().await?);
        let operator = region.api(ServiceName::Identity).with_token(operations::operator().await?);
        let owner = other_organization(region).await?;
        let tokens = both(region, &owner.token).await?;
        let config = region.api(ServiceName::Config).with_token(&owner.token);
        let plane = dataplane::create_control_plane(&config, "suspended").await?;
        let enrolment = dataplane::create_enrolment(&config, &plane).await?;
        let path = format!("/v1/operator/organizations/{}", owner.organization_id);
        operator.post(&format!("{path}/suspend"), &json!({})).await?.expect(200)?;
        for token in &tokens {
            until(region, token, 403).await?;
            check(Who::Suspended, Some(token), things).await?;
        }
        let enrol = json!({ "token": enrolment.token, "csr": "none" });
        let refused = config.anonymous().post("/v1/nodes/enrol", &enrol).await?;
        anyhow::ensure!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text);
        operator.post(&format!("{path}/resume"), &json!({})).await?.expect(200)?;
        for token in &tokens {
            until(region, token, 200).await?;
        }
        Ok(())
    });
}

#[test]
fn the_platform_operator_calls_its_own_endpoints_and_no_others() {
    run(async {
        let region = shared().await?;
        let token = operator_token(region).await.context("a token")?;
        // Of an organization of its own: the operator's requests have their effect.
        let mut things = Things::shared().await?.clone();
        things.organization = other_organization(region).await?.organization_id;
        check(Who::Operator, Some(&token), &things).await
    });
}

/// A person, with a signed token of the console and with an access token of its own.
#[test]
fn who_is_deactivated_is_401_everywhere_in_every_region() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let things = Things::make(us).await?;
        let person = Person::come(&deployment).await?;
        let session = person.sign_on(eu, PASSWORD).await?.expect(200)?;
        let signed = text(&session, "access_token")?.to_owned();
        let api = us.edge_api().with_token(&signed);
        let made = api.post("/v3/users/me/access-tokens", &json!({ "name": "kept" })).await?.expect(201)?;
        let tokens = [signed, text(&made, "token")?.to_owned()];
        for region in deployment.regions() {
            for token in &tokens {
                until(region, token, 200).await?;
            }
        }
        us.edge_api()
            .patch(&format!("/v3/users/{}", person.id), &json!({ "active": false }))
            .await?
            .expect(200)?;
        for (region, who) in [(us, Who::Deactivated), (eu, Who::DeactivatedElsewhere)] {
            for token in &tokens {
                until(region, token, 401).await?;
                check_in(region, who, Some(token), &things).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_role_in_another_region_opens_nothing_here() {
    run(async {
        let deployment = shared_two().await?;
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let things = Things::make(us).await?;
        let there = dataplane::create_control_plane(&eu.edge_api(), &unique("elsewhere")).await?;
        let account = regions::account(&deployment, "elsewhere").await?;
        for role in ["Admin", "Creator"] {
            let body = json!({
                "role_name": role, "entity_id": "*", "entity_type_name": "Control Planes", "entity_region": "eu"
            });
            let path = format!("/v3/system-accounts/{}/assigned-roles", account.id);
            us.edge_api().post(&path, &body).await?.expect(201)?;
        }
        let in_eu = eu.edge_api().with_token(&account.token);
        let path = format!("/v2/control-planes/{there}");
        wait::until("the role counts in eu", SOON, async || {
            let answer = in_eu.get(&path).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await?;
        in_eu.put_yaml(&format!("{path}/declarative"), "_format_version: \"3.0\"\n").await?.expect(200)?;
        for token in both(us, &account.token).await? {
            check_in(us, Who::RoleElsewhere, Some(&token), &things).await?;
        }
        Ok(())
    });
}

/// A member of the administrators' team, in a region of its own: it has done everything once at the end.
#[test]
fn an_administrator_is_let_in_everywhere_in_the_organization() {
    run_alone(async |region| {
        let things = Things::make(region).await?;
        let account = Account::create(region, "administrator").await?;
        let teams = region.edge_api().get("/v3/teams?page[size]=100").await?.expect(200)?;
        let teams = teams["data"].as_array().context("teams")?;
        let team = teams.iter().find(|team| team["name"] == "Organization Admin");
        let team = text(team.context("the administrators' team")?, "id")?;
        let member = json!({ "account_id": account.id });
        region.edge_api().post(&format!("/v3/teams/{team}/system-accounts"), &member).await?.expect(201)?;
        let [_, signed] = both(region, &account.token).await?;
        check_in(region, Who::WithRole, Some(&signed), &things).await
    });
}
