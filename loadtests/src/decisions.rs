//! How many authorization questions a second authz answers over HTTPS: one in a request, and a hundred.
//!
//! The asking system account holds roles on control planes, of its own and through teams, in an organization with many
//! more. Half of the questions are about control planes that it may write to, half about others; an answer that is
//! wrong fails the scenario.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testbed::{Api, Region, ServiceName, api::text, wait};
use uuid::Uuid;

use crate::{
    Pace, closedloop,
    openloop::{self, Schedule},
    report::{COUNT, PER_SECOND, Report},
    stage,
};

/// Roles that each team and each system account holds.
const ROLES_EACH: usize = 20;
/// Teams that the asking account is a member of.
const TEAMS: usize = 5;
/// System accounts beside it.
const OTHER_ACCOUNTS: usize = 44;
/// Questions in one request.
const QUESTIONS: [usize; 2] = [1, 100];
const CALLERS: usize = 16;
/// The fixed rate, as a share of what the callers got.
const OPEN_SHARE: f64 = 0.6;
const IN_FLIGHT_MAX: usize = 2_000;
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const WARM_UP: Duration = Duration::from_secs(2);
/// Longest time until a new principal or role decides.
const KNOWN_DEADLINE: Duration = Duration::from_secs(30);

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let region = stage::start_region().await?;
    let asker = prepare(&region, report).await?;
    for questions in QUESTIONS {
        closed(questions, WARM_UP, &asker).await?;
    }
    for round in 1..=pace.rounds {
        stage::say(&format!("Closed loop, round {round} of {}", pace.rounds));
        for questions in QUESTIONS {
            let outcome = closed(questions, pace.round, &asker).await?;
            let key = format!("closed.{questions}_per_request");
            report.record(format!("{key}.requests"), PER_SECOND, outcome.per_second);
            report.record(format!("{key}.decisions"), PER_SECOND, outcome.per_second * questions as f64);
            report.record_times(&format!("{key}.latency"), &outcome.latencies);
        }
    }
    let per_second = report.median("closed.1_per_request.requests") * OPEN_SHARE;
    report.record("open.rate", PER_SECOND, per_second);
    for round in 1..=pace.rounds {
        stage::say(&format!("{per_second:.0} requests a second, round {round} of {}", pace.rounds));
        open(per_second, pace, &asker, report).await?;
    }
    region.stop().await
}

async fn closed(questions: usize, duration: Duration, asker: &Asker) -> anyhow::Result<closedloop::Outcome> {
    let asker = asker.clone();
    closedloop::run(CALLERS, duration, move |call| {
        let asker = asker.clone();
        async move { asker.ask(call.caller, call.number, questions).await }
    })
    .await
}

async fn open(per_second: f64, pace: Pace, asker: &Asker, report: &mut Report) -> anyhow::Result<()> {
    let schedule =
        Schedule { per_second, duration: pace.round, in_flight_max: IN_FLIGHT_MAX, deadline: CALL_DEADLINE };
    let asker = asker.clone();
    let outcome = openloop::run(schedule, move |arrival| {
        let asker = asker.clone();
        async move { asker.ask(arrival.number as usize, arrival.number, 1).await }
    })
    .await?;
    report.record_times("open.latency", &outcome.latencies);
    report.record_times("open.lateness", &outcome.lateness);
    report.record("open.failed", COUNT, outcome.failed as f64);
    Ok(())
}

/// Fills the organization; answers once the last role decides.
pub async fn prepare(region: &Region, report: &mut Report) -> anyhow::Result<Asker> {
    let assignments = (1 + OTHER_ACCOUNTS + TEAMS) * ROLES_EACH;
    stage::say(&format!("Organization with {assignments} assigned roles"));
    report.record("assignments", COUNT, assignments as f64);
    let (identity, authz) = (region.api(ServiceName::Identity), region.api(ServiceName::Authz));
    let name = region.infrastructure().region.to_string();

    let account = system_account(&identity, "asker").await?;
    let path = format!("/v3/system-accounts/{account}/access-tokens");
    let token = identity.post(&path, &json!({ "name": "load" })).await?.expect(201)?;
    let mut writable = assign(&authz, &format!("system-accounts/{account}"), &name).await?;
    for team in 0..TEAMS {
        let team = authz.post("/v3/teams", &json!({ "name": format!("team-{team}") })).await?.expect(201)?;
        let team = text(&team, "id")?.to_owned();
        let path = format!("/v3/teams/{team}/system-accounts");
        let member = authz.post(&path, &json!({ "account_id": account })).await?;
        ensure!(member.status < 300, "{path}: {} {}", member.status, member.text);
        writable.extend(assign(&authz, &format!("teams/{team}"), &name).await?);
    }
    let mut foreign = Vec::new();
    for other in 0..OTHER_ACCOUNTS {
        let other = system_account(&identity, &format!("other-{other}")).await?;
        foreign.extend(assign(&authz, &format!("system-accounts/{other}"), &name).await?);
    }

    let token = text(&token, "token")?;
    let callers = stage::callers(region, ServiceName::Authz, CALLERS)?;
    let callers: Vec<Api> = callers.iter().map(|api| api.with_token(token)).collect();
    let asker = Asker {
        callers: callers.into(),
        writable: writable.into(),
        foreign: foreign.into(),
        region: name.into(),
        token: token.into(),
    };
    wait::until("every role decides", KNOWN_DEADLINE, async || {
        let last = asker.writable.len() as u64 * 2;
        asker.ask(0, 0, 100).await.map_err(|error| format!("{error:#}"))?;
        asker.ask(0, last.saturating_sub(100), 100).await.map_err(|error| format!("{error:#}"))
    })
    .await?;
    Ok(asker)
}

async fn system_account(identity: &Api, name: &str) -> anyhow::Result<String> {
    let body = json!({ "name": name, "description": "" });
    let account = identity.post("/v3/system-accounts", &body).await?.expect(201)?;
    Ok(text(&account, "id")?.to_owned())
}

/// Makes the holder Admin of [`ROLES_EACH`] control planes; returns their ids. A new account may not have come to
/// authz yet.
async fn assign(authz: &Api, holder: &str, region: &str) -> anyhow::Result<Vec<Uuid>> {
    let path = format!("/v3/{holder}/assigned-roles");
    let mut ids = Vec::with_capacity(ROLES_EACH);
    for _ in 0..ROLES_EACH {
        let id = Uuid::new_v4();
        let role = json!({
            "role_name": "Admin", "entity_type_name": "Control Planes", "entity_id": id, "entity_region": region,
        });
        wait::until(&format!("{path} takes a role"), KNOWN_DEADLINE, async || {
            let answer = authz.post(&path, &role).await.map_err(|error| format!("{error:#}"))?;
            answer.expect(201).map_err(|error| format!("{error:#}"))
        })
        .await?;
        ids.push(id);
    }
    Ok(ids)
}

/// Asks questions whose answers it knows. Cheap to clone.
#[derive(Clone)]
pub struct Asker {
    callers: Arc<[Api]>,
    /// Control planes that the account may write to.
    pub writable: Arc<[Uuid]>,
    /// Control planes of the organization that it may not write to.
    pub foreign: Arc<[Uuid]>,
    region: Arc<str>,
    /// The account's access token.
    pub token: Arc<str>,
}

impl Asker {
    /// Questions with even numbers are about the account's control planes in turn, the others about unknown ones.
    async fn ask(&self, caller: usize, number: u64, questions: usize) -> anyhow::Result<()> {
        let api = self.callers.get(caller % self.callers.len()).context("a caller is needed")?;
        let numbers = number as usize..number as usize + questions;
        let expected: Vec<bool> = numbers.clone().map(|number| number % 2 == 0).collect();
        let checks = numbers.map(|number| self.question(number)).collect::<Vec<Value>>();
        let answers = api.post("/v1/authz/check", &json!({ "checks": checks })).await?.expect(200)?;
        let answers = answers["answers"].as_array().context("no answers")?;
        let allowed: Vec<bool> = answers.iter().map(|answer| answer["allowed"] == true).collect();
        ensure!(allowed == expected, "wrong answers: {allowed:?} to questions {number} and on");
        Ok(())
    }

    fn question(&self, number: usize) -> Value {
        let own =
            self.writable.get(number / 2 % self.writable.len().max(1)).filter(|_| number.is_multiple_of(2));
        self.about(own.copied().unwrap_or_else(Uuid::new_v4))
    }

    /// Whether the account may write routes of a control plane.
    pub fn about(&self, control_plane: Uuid) -> Value {
        json!({ "action": "route:Write", "on": { "control_plane_id": control_plane, "region": &*self.region } })
    }
}
