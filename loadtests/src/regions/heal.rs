//! A cut link: both sides write meanwhile, and after the heal both are equal.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use testbed::{Answer, Api, Wan, api::text, wait};
use uuid::Uuid;

use super::side::{Side, Sides, until_answered, viewer_of};
use crate::{
    openloop::{self, Outcome, Schedule},
    report::{COUNT, MILLISECONDS, PER_SECOND, Report, milliseconds},
    stage,
};

const IN_FLIGHT_MAX: usize = 1_000;
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Longest time from the heal until a region knows that every region has everything.
const KNOWN_DEADLINE: Duration = Duration::from_secs(60);
/// Rows of one answer, at most.
const PAGE_ROWS: usize = 100;

/// A link that is cut and healed, and what happens on both sides of it.
pub struct Heal<'a> {
    sides: &'a Sides,
    wan: &'a Wan,
    /// On each side.
    writes: u32,
    per_second: f64,
}

/// What one side wrote during the cut.
struct Written {
    /// Ids of the assignments that were acknowledged.
    ids: Vec<String>,
    /// Of the last one: it covers all.
    consistency: String,
}

impl<'a> Heal<'a> {
    /// `writes` on each side, `per_second` of them a second.
    pub fn new(sides: &'a Sides, wan: &'a Wan, writes: u32, per_second: u32) -> Self {
        Self { sides, wan, writes, per_second: per_second.into() }
    }

    /// Cuts, writes, heals, waits until both sides are equal, and compares them.
    pub async fn measure(&self, report: &mut Report) -> anyhow::Result<()> {
        let [a, b] = self.sides;
        report.record("heal.writes", COUNT, self.writes.into());
        report.record("heal.rate", PER_SECOND, self.per_second);
        let roles = self.team().await?;
        self.wan.cut(a.name(), b.name())?;
        let (done_a, done_b) = tokio::try_join!(self.write(a, &roles), self.write(b, &roles))?;
        let written_a = finish(a, &roles, done_a, report).await?;
        let written_b = finish(b, &roles, done_b, report).await?;

        stage::say("Healed");
        self.wan.heal(a.name(), b.name())?;
        let healed = Instant::now();
        let (equal_a, equal_b, known_a, known_b) = tokio::try_join!(
            until_has(a, &written_b, healed),
            until_has(b, &written_a, healed),
            until_known_everywhere(a, &written_a, healed),
            until_known_everywhere(b, &written_b, healed),
        )?;
        report.record("heal.equal", MILLISECONDS, milliseconds(equal_a.max(equal_b)));
        report.record("heal.known_everywhere", MILLISECONDS, milliseconds(known_a.max(known_b)));

        let (in_a, in_b) = (shown(a.first()?, &roles).await?, shown(b.first()?, &roles).await?);
        ensure!(in_a == in_b, "after the heal one side shows {} roles, the other {}", in_a.len(), in_b.len());
        let lost = written_a.ids.iter().chain(&written_b.ids).find(|id| !in_a.contains(*id));
        ensure!(lost.is_none(), "acknowledged during the cut, and gone after the heal: {lost:?}");
        Ok(())
    }

    /// A new team that both sides know; the path of its roles.
    async fn team(&self) -> anyhow::Result<String> {
        let [home, away] = self.sides;
        let name = format!("heal-{}", Uuid::new_v4().simple());
        let answer = home.first()?.post("/v3/teams", &json!({ "name": name })).await?;
        let path = format!("/v3/teams/{}", text(&answer.expect(201)?, "id")?);
        until_answered(&away.first()?.after(&answer), &path).await?;
        Ok(format!("{path}/assigned-roles"))
    }

    /// All writes of one side but the last.
    async fn write(&self, side: &Side, roles: &str) -> anyhow::Result<Outcome<String>> {
        // Half a period more than the last one needs, so that rounding takes none away.
        let duration = Duration::from_secs_f64((f64::from(self.writes) - 0.5) / self.per_second);
        let schedule = Schedule {
            per_second: self.per_second,
            duration,
            in_flight_max: IN_FLIGHT_MAX,
            deadline: CALL_DEADLINE,
        };
        let (side, roles) = (side.clone(), roles.to_owned());
        openloop::run(schedule, move |arrival| {
            let (side, roles) = (side.clone(), roles.clone());
            async move {
                let answer = grant(&side, arrival.number, &roles).await?;
                id_of(&answer)
            }
        })
        .await
    }
}

/// Gives the team a role that it did not have.
async fn grant(side: &Side, number: u64, roles: &str) -> anyhow::Result<Answer> {
    let role = viewer_of(&Uuid::new_v4().to_string(), side.name());
    side.caller(number)?.post(roles, &role).await
}

fn id_of(answer: &Answer) -> anyhow::Result<String> {
    Ok(text(&answer.expect(201)?, "id")?.to_owned())
}

/// The last write of one side, after all others; records how they went.
async fn finish(
    side: &Side,
    roles: &str,
    outcome: Outcome<String>,
    report: &mut Report,
) -> anyhow::Result<Written> {
    let key = format!("heal.{}", side.name());
    report.record_spread(&format!("{key}.written"), &outcome.latencies);
    report.record_times(&format!("{key}.lateness"), &outcome.lateness);
    report.record(format!("{key}.failed"), COUNT, outcome.failed as f64);
    let last = grant(side, 0, roles).await?;
    let mut ids = outcome.values;
    ids.push(id_of(&last)?);
    let consistency = last.consistency().context("a write was answered without a consistency token")?;
    Ok(Written { ids, consistency: consistency.to_owned() })
}

/// Waits until a region answers by a state that has what the other one wrote; the time since the heal.
async fn until_has(side: &Side, others: &Written, healed: Instant) -> anyhow::Result<Duration> {
    until_answered(&side.first()?.with_consistency(&others.consistency), "/v3/teams").await?;
    Ok(healed.elapsed())
}

/// Waits until a region knows that its own writes are in every region; the time since the heal.
async fn until_known_everywhere(side: &Side, own: &Written, healed: Instant) -> anyhow::Result<Duration> {
    let (api, path) = (side.first()?, format!("/v1/consistency/{}", own.consistency));
    let what = format!("{} knows that its writes are everywhere", side.name());
    wait::until(&what, KNOWN_DEADLINE, async || {
        let arrival = api.get(&path).await.and_then(|answer| answer.expect(200));
        let arrival = arrival.map_err(|error| format!("{error:#}"))?;
        if arrival["everywhere"] == true { Ok(()) } else { Err(arrival.to_string()) }
    })
    .await?;
    Ok(healed.elapsed())
}

/// Ids of all roles of the team.
async fn shown(api: &Api, roles: &str) -> anyhow::Result<BTreeSet<String>> {
    let (mut ids, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = api.get(&format!("{roles}?page[size]={PAGE_ROWS}{after}")).await?.expect(200)?;
        for row in page["data"].as_array().context("a list")? {
            ensure!(ids.insert(text(row, "id")?.to_owned()), "a role is listed twice: {row}");
        }
        match page["meta"]["page"]["next"].as_str() {
            Some(next) => after = format!("&page[after]={next}"),
            None => return Ok(ids),
        }
    }
}
