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
    harness::{SOON, run, shared},
    operations::{self, Operation, Things},
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
    /// Who holds no role.
    WithoutRole,
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
        (_, "public") => matches!(status, 200 | 204) || (matches!(status, 400 | 401) && operation.has_body()),
        // A signed token is asked about only where its holder could be let in.
        (Who::Deleted, "operator") => status == 401 || status == 403,
        (Who::Suspended, "operator") => status == 403,
        (Who::Nobody | Who::Expired | Who::Deleted, _) => status == 401,
        // The things are another organization's: for a signed token they may not be there before it is asked about.
        (Who::Suspended, _) => (status == 403 && inactive) || (status == 404 && operation.takes_ids()),
        (Who::Operator, "operator") => status < 500 && status != 401 && status != 403,
        (Who::Operator, _) | (_, "operator") => status == 403 && problem == "forbidden",
        // What other people's tokens are is nobody's business.
        (_, "caller") => status < 500 && status != 401,
        (Who::Foreign, _) if operation.takes_ids() => status == 404,
        (Who::Foreign, _) => status < 500 && status != 401,
        (Who::WithoutRole, _) => {
            let open = OPEN_TO_MEMBERS.contains(&operation.describe().as_str());
            if open { status == 200 } else { status == 403 || status == 404 }
        }
    }
}

/// Sends every operation as `who`, and collects the answers that are not as expected.
async fn check(who: Who, token: Option<&str>, things: &Things) -> anyhow::Result<()> {
    let region = shared().await?;
    let mut wrong = Vec::new();
    let all = operations::all(region).await?;
    anyhow::ensure!(all.iter().filter(|operation| operation.protection == "operator").count() >= 9);
    for operation in all {
        // The owner of another organization would end it.
        if matches!(who, Who::Foreign) && operation.path.starts_with("/v3/organizations/me") {
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
