//! From a role that is granted in one region to the first request that the other region answers by it.
//!
//! Each grant makes a member Viewer of a control plane of the other region that it could not see before; the member,
//! whose token both regions know, reads that control plane there as soon as the grant is acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use testbed::dataplane::create_control_plane;

use super::{
    answers::{self, Answers, Verdict},
    side::{Account, Credential, Side, Sides, viewer_of},
};
use crate::{
    measured::Samples,
    openloop::{self, Arrival, Outcome, Schedule},
    report::{COUNT, RATIO, Report},
};

/// Pause of a member that was not let in.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// False refusals of a round that are noted.
const NOTED_MAX: usize = 3;
const WITH: &str = "grant.with_token";
const WITHOUT: &str = "grant.without_token";

/// Grants that can be made once each. Cheap to clone.
#[derive(Clone)]
pub struct Grants(Arc<Inner>);

struct Inner {
    home: Side,
    away: Side,
    members: Vec<Credential>,
    /// Ids of control planes of the other region.
    control_planes: Vec<String>,
    /// The next pair of a member and a control plane.
    next: AtomicUsize,
}

/// How a grant went.
pub struct Use {
    /// From the grant's scheduled time to its answer.
    granted: Duration,
    /// From the grant's scheduled time to the first answer by it in the other region.
    used: Duration,
    /// Of the other region.
    answers: Answers,
}

impl Grants {
    /// Members and control planes for `uses` grants: as many of either as makes that many pairs.
    pub async fn prepare(sides: &Sides, uses: u64) -> anyhow::Result<Self> {
        let [home, away] = sides;
        let side = (uses as f64).sqrt().ceil() as usize;
        let (mut members, mut control_planes) = (Vec::with_capacity(side), Vec::with_capacity(side));
        for number in 0..side {
            let account = Account::create(home, &format!("member-{number}")).await?;
            members.push(account.credential(sides).await?);
            control_planes.push(create_control_plane(away.first()?, &format!("granted-{number}")).await?);
        }
        let (home, away, next) = (home.clone(), away.clone(), AtomicUsize::new(0));
        Ok(Self(Arc::new(Inner { home, away, members, control_planes, next })))
    }

    /// Runs the schedule once and writes its times and answers to `report`. With `sends_token`, a refusal is a fault:
    /// the request said what it had to wait for.
    pub async fn measure(
        &self,
        schedule: Schedule,
        sends_token: bool,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let outcome = self.run(schedule, sends_token).await?;
        record(report, if sends_token { WITH } else { WITHOUT }, &outcome)?;
        if sends_token {
            // The worst that the region may answer is "not yet".
            for refusal in outcome.values.iter().filter_map(|done| done.answers.first_no()).take(NOTED_MAX) {
                report.fault(format!("refused although the grant's consistency token was sent: {refusal}"));
            }
        }
        Ok(())
    }

    /// Runs the schedule once: each arrival grants a role in the first region and uses it in the other. Fails if a call
    /// cannot be made at all.
    pub async fn run(&self, schedule: Schedule, sends_token: bool) -> anyhow::Result<Outcome<Use>> {
        let grants = Arc::clone(&self.0);
        openloop::run(schedule, move |arrival| {
            let grants = Arc::clone(&grants);
            async move { grants.grant(arrival, sends_token).await }
        })
        .await
    }
}

impl Inner {
    /// Grants something new, and uses it until that works.
    async fn grant(&self, arrival: Arrival, sends_token: bool) -> anyhow::Result<Use> {
        let pair = self.next.fetch_add(1, Ordering::Relaxed);
        // Neighbours in time are different members.
        let (member, plane) = (pair % self.members.len(), pair / self.members.len());
        let member = self.members.get(member).context("a member is needed")?;
        let plane = self.control_planes.get(plane).context("everybody may see everything already")?;

        let path = format!("/v3/system-accounts/{}/assigned-roles", member.account.id);
        let role = viewer_of(plane, self.away.name());
        let answer = self.home.caller(arrival.number)?.post(&path, &role).await?;
        let granted = Instant::now().saturating_duration_since(arrival.scheduled);
        answer.expect(201)?;
        ensure!(answer.consistency().is_some(), "a grant was answered without a consistency token");

        let api = self.away.caller(arrival.number)?.with_token(&member.token);
        let api = if sends_token { api.after(&answer) } else { api };
        let (path, mut answers) = (format!("/v2/control-planes/{plane}"), Answers::default());
        let mut attempts = pace::ticks(RETRY_INTERVAL);
        loop {
            attempts.tick().await;
            if answers.add(&api.get(&path).await?)? == Verdict::Yes {
                return Ok(Use { granted, used: arrival.scheduled.elapsed(), answers });
            }
        }
    }
}

fn record(report: &mut Report, key: &str, outcome: &Outcome<Use>) -> anyhow::Result<()> {
    let times = |time: fn(&Use) -> Duration| Samples::new(outcome.values.iter().map(time).collect());
    report.record_spread(&format!("{key}.granted"), &times(|done| done.granted)?);
    report.record_spread(&format!("{key}.used"), &times(|done| done.used)?);
    let after = times(|done| done.used.saturating_sub(done.granted))?;
    report.record_spread(&format!("{key}.used_after_granted"), &after);
    answers::record(report, &format!("{key}.answers"), outcome.values.iter().map(|done| &done.answers));
    let refused = outcome.values.iter().filter(|done| done.answers.first_no().is_some()).count();
    report.record(format!("{key}.refused_uses"), RATIO, refused as f64 / outcome.values.len() as f64);
    report.record_times(&format!("{key}.lateness"), &outcome.lateness);
    report.record(format!("{key}.failed"), COUNT, outcome.failed as f64);
    Ok(())
}

/// What the consistency token costs or saves, over all rounds.
pub fn compare(report: &mut Report) {
    for figure in ["used_after_granted.p50", "used_after_granted.p99"] {
        report.record_ratio(
            &format!("grant.without_over_with.{figure}"),
            &format!("{WITHOUT}.{figure}"),
            &format!("{WITH}.{figure}"),
        );
    }
}
