//! What regions have lost, they get back from each other: streams, databases, processes.

use anyhow::Context;
use serde_json::json;
use testbed::{Deployment, wait};

use crate::{
    chaos,
    fixtures::Account,
    harness::{SOON, run_regions, shared_two, unique},
    regions::{account, get_when_known, make_team, members, until_equal},
};

/// Accounts that join a team in each step.
const ACCOUNTS: usize = 3;

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

#[test]
fn nothing_is_lost_with_the_streams_of_a_region_or_of_all() {
    crate::harness::run(async {
        let deployment = shared_two().await?;
        let team = make_team(deployment.home()?).await?;
        let mut all = Vec::new();
        let homes = deployment.regions();
        for wiped in [homes.get(..1), homes.get(1..), homes.get(..)].into_iter().flatten() {
            let new = accounts(&deployment).await?;
            let (before, after) = new.split_at(1);
            join(&deployment, &team, before).await?;
            for region in wiped {
                region.infrastructure().nats.wipe_store().await?;
            }
            join(&deployment, &team, after).await?;
            all.extend(new);
            until_members(&deployment, &team, &all).await?;
        }
        Ok(())
    });
}

#[test]
fn a_region_whose_database_was_restored_gets_its_tail_back() {
    run_regions(&["us", "eu"], async |deployment| {
        let eu = deployment.region("eu")?;
        let team = make_team(deployment.home()?).await?;
        let kept = accounts(deployment).await?;
        join(deployment, &team, &kept).await?;
        until_members(deployment, &team, &kept).await?;
        let (postgres, copy) =
            (&eu.infrastructure().postgres, eu.folder().make_reachable("backups")?.join("minutes-ago"));
        postgres.copy_to(&copy).await?;

        // What eu writes from here on is known to us, and gone from its own database.
        let later = accounts(deployment).await?;
        let all = [kept, later.clone()].concat();
        join(deployment, &team, &later).await?;
        until_members(deployment, &team, &all).await?;

        // While nobody can say whether the copy is whole, eu decides and reads, and writes nothing.
        deployment.wan().cut("us", "eu")?;
        eu.infrastructure().nats.wipe_store().await?;
        postgres.restore_from(&copy).await?;
        get_when_known(&eu.edge_api(), "/v2/control-planes").await?;
        let first = all.first().context("no accounts")?;
        let refused = eu.edge_api().delete(&format!("{}/{}", members(&team), first.id)).await?;
        refused.expect_problem(503)?;
        deployment.wan().heal("us", "eu")?;

        let last = accounts(deployment).await?;
        let all = [all, last.clone()].concat();
        join(deployment, &team, &last).await?;
        until_members(deployment, &team, &all).await?;
        for account in &all {
            let api = eu.edge_api().with_token(&account.token);
            get_when_known(&api, "/v3/organizations/me").await?;
        }
        Ok(())
    });
}

#[test]
fn nothing_is_lost_when_services_are_killed_at_random() {
    run_regions(&["us", "eu"], async |deployment| {
        let team = make_team(deployment.home()?).await?;
        let mut all = Vec::new();
        for _ in 0..4 {
            all.extend(accounts(deployment).await?);
        }
        let mut rest = all.chunks(ACCOUNTS);
        let mut next = || rest.next().context("an account");
        chaos::during(deployment, async {
            join(deployment, &team, next()?).await?;
            deployment.wan().cut("us", "eu")?;
            join(deployment, &team, next()?).await?;
            deployment.wan().heal("us", "eu")?;
            join(deployment, &team, next()?).await?;
            for region in deployment.regions() {
                region.infrastructure().nats.wipe_store().await?;
            }
            join(deployment, &team, next()?).await
        })
        .await?;
        until_members(deployment, &team, &all).await
    });
}
