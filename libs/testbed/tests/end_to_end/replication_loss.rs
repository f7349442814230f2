//! What regions have lost, they get back from each other: streams, databases, processes.

use std::time::Instant;

use anyhow::Context;
use futures::future::try_join_all;
use serde_json::json;
use testbed::{Answer, Deployment, Region, api::text, wait};

use crate::{
    chaos,
    fixtures::{Account, until_status},
    harness::{SOON, run, run_regions, shared_two, unique},
    regions::{account, get_when_known, make_team, members, until_equal},
};

/// Accounts that join a team in each step.
const ACCOUNTS: usize = 3;
/// How a region says that its database may have lost something.
const NO_WRITES: &str = "does not take writes";

/// How streams are lost.
#[derive(Clone, Copy)]
enum Loss {
    /// Their files are deleted, of which the server hears nothing.
    WhileRunning,
    /// The server is stopped, its store emptied, and started again.
    WithRestart,
}

async fn lose_streams(regions: &[Region], loss: Loss) -> anyhow::Result<()> {
    for region in regions {
        let nats = &region.infrastructure().nats;
        match loss {
            Loss::WhileRunning => nats.delete_store().await?,
            Loss::WithRestart => nats.wipe_store().await?,
        }
    }
    Ok(())
}

/// New accounts.
async fn accounts(deployment: &Deployment) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(account(deployment, "member").await?);
    }
    Ok(accounts)
}

/// Adds the accounts to the team, each in another region, as long as it takes.
async fn join(deployment: &Deployment, team: &str, accounts: &[Account]) -> anyhow::Result<()> {
    for (account, region) in accounts.iter().zip(deployment.regions().iter().cycle()) {
        let (api, body) = (region.edge_api(), json!({ "account_id": account.id }));
        let key = unique("join");
        let joined = wait::until("an account joins", SOON, async || {
            let answer =
                api.post_once(&members(team), &body, &key).await.map_err(|error| format!("{error:#}"))?;
            match answer.status {
                // The service or its database is away, or the first attempt still runs.
                502..=504 => Err(answer.text),
                409 if answer.text.contains("idempotency-key-in-use") => Err(answer.text),
                _ => Ok(answer.expect(201)),
            }
        });
        joined.await??;
    }
    Ok(())
}

/// Waits until all regions show exactly these members.
async fn until_members(deployment: &Deployment, team: &str, expected: &[Account]) -> anyhow::Result<()> {
    let what = format!("{} members in every region", expected.len());
    wait::until(&what, 4 * SOON, async || {
        let shown = until_equal(deployment, team).await.map_err(|error| format!("{error:#}"))?;
        let rows = shown[members(team)].as_array().context("members").map_err(|error| error.to_string())?;
        let all = expected.iter().all(|one| rows.iter().any(|row| row.to_string().contains(&one.id)));
        if all && rows.len() == expected.len() { Ok(()) } else { Err(shown.to_string()) }
    })
    .await
}

/// Revokes an account's token there, as long as it takes; the answer.
async fn revoke(region: &Region, account: &Account) -> anyhow::Result<Answer> {
    let (api, path) = (region.edge_api(), format!("{}/{}", tokens(account), account.token_id));
    let revoked = wait::until("a token is revoked", SOON, async || {
        let answer = api.delete(&path).await.map_err(|error| format!("{error:#}"))?;
        // 404: an attempt whose answer was lost has revoked it.
        match answer.status {
            502..=504 => Err(answer.text),
            204 | 404 => Ok(Ok(answer)),
            _ => Ok(answer.expect(204).map(|_| answer)),
        }
    });
    revoked.await?
}

fn tokens(account: &Account) -> String {
    format!("/v3/system-accounts/{}/access-tokens", account.id)
}

/// Waits until a region refuses a token that was revoked with this answer.
async fn until_refused(region: &Region, token: &str, revoked: &Answer) -> anyhow::Result<()> {
    let api = region.edge_api().with_token(token).after(revoked);
    let what = format!("{} refuses a revoked token", region.name());
    until_status(&what, 401, 2 * SOON, Instant::now(), async || api.get("/v3/organizations/me").await)
        .await?;
    // From then on whoever asks is refused.
    let plain = region.edge_api().with_token(token);
    wait::until(&what, SOON, async || {
        let answer = plain.get("/v3/organizations/me").await.map_err(|error| format!("{error:#}"))?;
        match answer.status {
            502..=504 => Err(answer.text),
            _ => Ok(answer.expect_problem(401).map(drop)),
        }
    })
    .await?
}

/// Waits until a region says of itself that its logs are fenced, or no longer.
async fn until_fenced(region: &Region, is_fenced: bool) -> anyhow::Result<()> {
    let what = format!("{} says `fenced: {is_fenced}` of itself", region.name());
    wait::until(&what, SOON, async || {
        let answer = region.edge_api().get("/v1/regions").await.map_err(|error| format!("{error:#}"))?;
        let regions = answer.expect(200).map_err(|error| format!("{error:#}"))?;
        let here = regions["data"].as_array().into_iter().flatten().find(|one| one["here"] == true);
        let is_so = here.is_some_and(|here| here["name"] == region.name() && here["fenced"] == is_fenced);
        if is_so { Ok(()) } else { Err(regions.to_string()) }
    })
    .await
}

/// Repeats a write until it is refused because the region takes none. That the database is away right after its restart
/// is no such refusal, and anything but 503 an error.
async fn until_takes_no_writes(write: impl AsyncFn() -> anyhow::Result<Answer>) -> anyhow::Result<()> {
    let refused = wait::until("a write is refused", SOON, async || {
        let answer = write().await.map_err(|error| format!("{error:#}"))?;
        match answer.expect_problem(503) {
            Ok(problem) if problem["detail"].as_str().is_some_and(|text| text.contains(NO_WRITES)) => {
                Ok(Ok(()))
            }
            Ok(problem) => Err(problem.to_string()),
            Err(error) => Ok(Err(error)),
        }
    });
    refused.await?
}

#[test]
fn nothing_is_lost_with_the_streams_of_a_region_or_of_all() {
    run(async {
        let deployment = shared_two().await?;
        let team = make_team(deployment.home()?).await?;
        let mut all = Vec::new();
        let regions = deployment.regions();
        // Last of all the servers start again: those whose store was deleted while they ran are whole then, too.
        let rounds = [(regions.get(1..), Loss::WhileRunning), (Some(regions), Loss::WhileRunning)];
        for (losers, loss) in rounds.into_iter().chain([(Some(regions), Loss::WithRestart)]) {
            let new = accounts(&deployment).await?;
            tokio::try_join!(
                join(&deployment, &team, &new),
                lose_streams(losers.context("a second region")?, loss)
            )?;
            all.extend(new);
            until_members(&deployment, &team, &all).await?;
        }
        Ok(())
    });
}

#[test]
fn a_region_whose_database_was_restored_gets_its_tail_back() {
    run_regions(&["us", "eu"], async |deployment| {
        let (us, eu) = (deployment.region("us")?, deployment.region("eu")?);
        let team = make_team(us).await?;
        let kept = accounts(deployment).await?;
        join(deployment, &team, &kept).await?;
        until_members(deployment, &team, &kept).await?;
        let (postgres, copy) =
            (&eu.infrastructure().postgres, eu.folder().make_reachable("backups")?.join("minutes-ago"));
        postgres.copy_to(&copy).await?;
        until_fenced(eu, false).await?;

        // What eu writes from here on is known to us, and gone from its own database: of authz and of identity.
        let later = accounts(deployment).await?;
        let all = [kept, later.clone()].concat();
        chaos::during(deployment, async {
            join(deployment, &team, &later).await?;
            until_members(deployment, &team, &all).await
        })
        .await?;
        let [first, second, ..] = all.as_slice() else { anyhow::bail!("no accounts") };
        let minted = eu.edge_api().post(&tokens(first), &json!({ "name": "of the tail" })).await?;
        let token = text(&minted.expect(201)?, "token")?.to_owned();
        get_when_known(&us.edge_api().with_token(&token).after(&minted), "/v3/organizations/me").await?;
        let revoked = revoke(eu, second).await?;
        until_refused(us, &second.token, &revoked).await?;
        let last = accounts(deployment).await?;

        // While nobody can say whether the copy is whole, eu decides and reads, and writes nothing.
        deployment.wan().cut("us", "eu")?;
        eu.infrastructure().nats.wipe_store().await?;
        postgres.restore_from(&copy).await?;
        get_when_known(&eu.edge_api(), "/v2/control-planes").await?;
        let api = eu.edge_api();
        until_takes_no_writes(async || api.delete(&format!("{}/{}", members(&team), first.id)).await).await?;
        let token_of_first = format!("{}/{}", tokens(first), first.token_id);
        until_takes_no_writes(async || api.delete(&token_of_first).await).await?;
        until_fenced(eu, true).await?;
        // The token that it has made itself and forgotten is no false 401.
        let forgotten = api.with_token(&token).get("/v3/organizations/me").await?;
        forgotten.expect_problem(503)?;

        // Services die while eu takes its tail back.
        let all = [all.clone(), last.clone()].concat();
        chaos::during(deployment, async {
            deployment.wan().heal("us", "eu")?;
            join(deployment, &team, &last).await?;
            until_fenced(eu, false).await?;
            until_members(deployment, &team, &all).await
        })
        .await?;
        for region in deployment.regions() {
            until_refused(region, &second.token, &revoked).await?;
            let of_all = all.iter().filter(|account| account.id != second.id).map(|account| &account.token);
            for token in of_all.chain([&token]) {
                get_when_known(&region.edge_api().with_token(token), "/v3/organizations/me").await?;
            }
        }
        Ok(())
    });
}

#[test]
fn nothing_is_lost_when_services_are_killed_at_random() {
    run_regions(&["us", "eu"], async |deployment| {
        let (team, steps) = (make_team(deployment.home()?).await?, 5);
        let mut all = Vec::new();
        for _ in 0..steps {
            all.extend(accounts(deployment).await?);
        }
        let mut rest = all.chunks(ACCOUNTS);
        let mut next = || rest.next().context("an account");
        let regions = deployment.regions();
        chaos::during(deployment, async {
            join(deployment, &team, next()?).await?;
            deployment.wan().cut("us", "eu")?;
            join(deployment, &team, next()?).await?;
            deployment.wan().heal("us", "eu")?;
            join(deployment, &team, next()?).await?;
            lose_streams(regions.get(1..).context("a second region")?, Loss::WhileRunning).await?;
            join(deployment, &team, next()?).await?;
            lose_streams(regions, Loss::WithRestart).await?;
            join(deployment, &team, next()?).await
        })
        .await?;
        until_members(deployment, &team, &all).await
    });
}

#[test]
fn three_regions_lose_nothing_when_services_are_killed_at_random() {
    run_regions(&["us", "eu", "ap"], async |deployment| {
        let (us, team) = (deployment.region("us")?, make_team(deployment.home()?).await?);
        let (before, during) = (accounts(deployment).await?, accounts(deployment).await?);
        let leaver = account(deployment, "leaver").await?;
        let revoked = chaos::during(deployment, async {
            join(deployment, &team, &before).await?;
            deployment.wan().cut("us", "eu")?;
            join(deployment, &team, &during).await?;
            // It reaches eu by way of ap, whoever dies on the way.
            let revoked = revoke(us, &leaver).await?;
            let refused =
                deployment.regions().iter().map(|region| until_refused(region, &leaver.token, &revoked));
            try_join_all(refused).await?;
            Ok(revoked)
        })
        .await?;
        // Also without the link everything arrives.
        let all = [before, during].concat();
        until_members(deployment, &team, &all).await?;
        deployment.wan().heal("us", "eu")?;
        for region in deployment.regions() {
            until_refused(region, &leaver.token, &revoked).await?;
        }
        until_members(deployment, &team, &all).await
    });
}
