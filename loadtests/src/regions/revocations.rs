//! From the answer to a revocation in one region to the first refusal in the other.
//!
//! The other region is asked with the token from before the revocation is sent, so that it remembers the token as well
//! as it ever does: the worst case for a revocation.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};

use super::{
    answers::{self, Answers, Verdict},
    side::{Account, Credential, Sides},
};
use crate::{
    measured::Samples,
    openloop::{self, Arrival, Outcome, Schedule},
    report::{COUNT, Report},
};

const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Tokens of one account at a time; it may have ten.
const TOKENS_PER_ACCOUNT: usize = 8;
/// A request that any valid token opens, to a service that asks another one about tokens.
const PROBE: &str = "/v2/control-planes";

/// Accounts whose tokens are made and revoked.
pub struct Revocations {
    sides: Sides,
    accounts: Vec<Account>,
}

/// How a revocation went.
pub struct Revoked {
    /// From the revocation's scheduled time to its answer.
    revoked: Duration,
    /// From the revocation's scheduled time to the first refusal in the other region.
    refused: Duration,
    /// Of the other region.
    answers: Answers,
}

impl Revocations {
    /// Accounts for `at_once` tokens.
    pub async fn prepare(sides: &Sides, at_once: u64) -> anyhow::Result<Self> {
        let count = (at_once as usize).div_ceil(TOKENS_PER_ACCOUNT);
        let mut accounts = Vec::with_capacity(count);
        for number in 0..count {
            accounts.push(Account::create(&sides[0], &format!("revoked-{number}")).await?);
        }
        Ok(Self { sides: sides.clone(), accounts })
    }

    /// Runs the schedule once and writes its times and answers to `report`.
    pub async fn measure(&self, schedule: Schedule, report: &mut Report) -> anyhow::Result<()> {
        let outcome = self.run(schedule).await?;
        let times = |time: fn(&Revoked) -> Duration| Samples::new(outcome.values.iter().map(time).collect());
        report.record_spread("revoke.revoked", &times(|done| done.revoked)?);
        let after = times(|done| done.refused.saturating_sub(done.revoked))?;
        report.record_spread("revoke.refused_after_revoked", &after);
        answers::record(report, "revoke.answers", outcome.values.iter().map(|done| &done.answers));
        report.record_times("revoke.lateness", &outcome.lateness);
        report.record("revoke.failed", COUNT, outcome.failed as f64);
        Ok(())
    }

    /// Runs the schedule once: each arrival revokes a token in the first region. Meanwhile it sends requests with that
    /// token to the other region, until one is refused. Tokens are made before the schedule begins.
    pub async fn run(&self, schedule: Schedule) -> anyhow::Result<Outcome<Revoked>> {
        let mut credentials = Vec::new();
        // Tokens of earlier runs are revoked: there is room for new ones.
        for account in self.accounts.iter().cycle().take(schedule.calls() as usize) {
            credentials.push(account.credential(&self.sides).await?);
        }
        let (sides, credentials) = (Arc::new(self.sides.clone()), Arc::new(credentials));
        openloop::run(schedule, move |arrival| {
            let (sides, credentials) = (Arc::clone(&sides), Arc::clone(&credentials));
            async move {
                let credential = credentials.get(arrival.number as usize).context("a token is needed")?;
                revoke(&sides, credential, arrival).await
            }
        })
        .await
    }
}

async fn revoke(sides: &Sides, credential: &Credential, arrival: Arrival) -> anyhow::Result<Revoked> {
    let [home, away] = sides;
    let Credential { account, id, token } = credential;
    let revoked = async {
        let path = format!("/v3/system-accounts/{}/access-tokens/{id}", account.id);
        home.caller(arrival.number)?.delete(&path).await?.expect(204)?;
        anyhow::Ok(arrival.scheduled.elapsed())
    };
    let refused = async {
        let api = away.caller(arrival.number)?.with_token(token);
        let (mut asks, mut answers) = (pace::ticks(POLL_INTERVAL), Answers::default());
        loop {
            asks.tick().await;
            let answer = api.get(PROBE).await?;
            if answers.add(&answer)? == Verdict::No {
                ensure!(answer.status == 401, "a revoked token is answered {}", answer.status);
                return Ok((arrival.scheduled.elapsed(), answers));
            }
        }
    };
    let (revoked, (refused, answers)) = tokio::try_join!(revoked, refused)?;
    ensure!(answers.has_yes(), "the token was refused before it was revoked");
    Ok(Revoked { revoked, refused, answers })
}
