//! Two regions, with a network between them that takes its time: how long after it was granted or revoked in one is
//! something used or refused in the other, and how long after a cut are both equal again?
//!
//! Everything goes through the regions' edges, as users reach them. A grant is used in two ways that take turns: with the
//! consistency token of its answer, where the other region waits until it knows and never refuses, and without, where
//! the caller asks again until it is let in. The second is what callers of an eventually consistent product without such
//! tokens live with; the comparison shows what they save.

mod answers;
mod grants;
mod heal;
mod revocations;
mod side;

use std::time::Duration;

use crate::{
    Pace,
    openloop::Schedule,
    report::{MILLISECONDS, PER_SECOND, Report, milliseconds},
    stage,
};
use grants::Grants;
use heal::Heal;
use revocations::Revocations;
use side::Side;

/// Where things are granted and revoked: the organization's home.
const HOME: &str = "us";
/// Where that is used and refused.
const AWAY: &str = "eu";
const WARM_UP: Duration = Duration::from_secs(2);
/// Grants or revocations under way.
const IN_FLIGHT_MAX: usize = 1_000;
/// One that has not had its effect after this time counts as failed.
const EFFECT_DEADLINE: Duration = Duration::from_secs(10);

/// How much is asked of the regions, and how far apart they are.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Grants, or revocations, a second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    per_second: u32,
    /// Writes on each side of the cut.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    heal_writes: u32,
    /// How many of those a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(10..=200))]
    heal_per_second: u32,
    /// One-way delay between the regions, milliseconds.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(0..=500))]
    wan_delay_ms: u64,
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    let delay = Duration::from_millis(arguments.wan_delay_ms);
    let deployment = stage::start_regions(&[HOME, AWAY], delay).await?;
    let sides = [Side::of(deployment.region(HOME)?)?, Side::of(deployment.region(AWAY)?)?];
    report.record("wan_delay", MILLISECONDS, milliseconds(delay));
    report.record("rate", PER_SECOND, arguments.per_second.into());

    let schedule = |duration| Schedule {
        per_second: arguments.per_second.into(),
        duration,
        in_flight_max: IN_FLIGHT_MAX,
        deadline: EFFECT_DEADLINE,
    };
    let (warm_up, round) = (schedule(WARM_UP), schedule(pace.round));
    stage::say("Accounts, control planes and tokens");
    let uses = 2 * (warm_up.calls() + u64::from(pace.rounds) * round.calls());
    let grants = Grants::prepare(&sides, uses).await?;
    let revocations = Revocations::prepare(&sides, warm_up.calls().max(round.calls())).await?;
    let heal = Heal::new(&sides, deployment.wan(), arguments.heal_writes, arguments.heal_per_second);

    for sends_token in [true, false] {
        grants.run(warm_up, sends_token).await?;
    }
    revocations.run(warm_up).await?;
    for number in 1..=pace.rounds {
        stage::say(&format!("Grants, revocations, a cut: round {number} of {}", pace.rounds));
        for sends_token in [true, false] {
            grants.measure(round, sends_token, report).await?;
        }
        revocations.measure(round, report).await?;
        heal.measure(report).await?;
    }
    grants::compare(report);
    deployment.stop().await
}
