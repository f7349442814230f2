//! Looks for entities that have to be looked at, decides, and works on orders, a few at a time.

use std::{collections::HashMap, time::Duration};

use gateway_model::{AcmeCertificate, AcmeIssued, Entity, Kind};
use ids::OrganizationId;
use pace::Rounds;
use time::OffsetDateTime;
use tokio::{
    task::{Id, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    Acme,
    attempt::{Attempt, entity_of, put_in_service},
    challenges::Challenges,
    due::{self, Next},
    failure::Failure,
    store::{self, Begun, Claim, End, Job, Record, Validity},
};
use crate::{
    entities::{rewrite::Rewritten, store as entities},
    rows::RowError,
};

/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks between two of how all certificates are.
const LOOKS_PER_HEALTH: u32 = 15;
/// Entities that one look finds.
const FOUND_MAX: i64 = 100;
/// Attempts at the same time in one process, and of one organization.
const ATTEMPTS_MAX: usize = 8;
const ATTEMPTS_OF_ORGANIZATION_MAX: usize = 4;
/// A claim of which nothing is heard is over after this long.
const CLAIM_LASTS: Duration = Duration::from_secs(60);
/// How often whoever works on an attempt is heard of.
const CLAIM_INTERVAL: Duration = Duration::from_secs(15);
/// Pause before an entity is looked at again that cannot be read.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(10 * 60);
/// Longest time of an attempt: a record in DNS may take minutes to be seen.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Orders certificates until the drain. What is under way then is left off; another replica goes on with it.
pub async fn run(acme: Acme, drain: CancellationToken) -> anyhow::Result<()> {
    let mut rounds = Rounds::new(LOOK_INTERVAL, drain.clone());
    let (mut running, mut looks) = (Running::default(), 0_u32);
    while rounds.next().await {
        running.reap();
        if let Err(error) = look(&acme, &mut running, &drain).await {
            tracing::warn!(%error, "ACME certificates were not looked at; trying again");
        }
        if looks.is_multiple_of(LOOKS_PER_HEALTH)
            && let Err(error) = show_health(&acme).await
        {
            tracing::warn!(%error, "how ACME certificates are was not read; trying again");
        }
        looks = looks.wrapping_add(1);
    }
    running.attempts.join_all().await;
    Ok(())
}

/// The attempts of this process.
#[derive(Default)]
struct Running {
    attempts: JoinSet<()>,
    organizations: HashMap<Id, OrganizationId>,
}

impl Running {
    fn reap(&mut self) {
        while let Some(ended) = self.attempts.try_join_next_with_id() {
            let id = match ended {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "an attempt at an ACME certificate broke off");
                    error.id()
                }
            };
            self.organizations.remove(&id);
        }
    }

    fn has_room_for(&self, organization: OrganizationId) -> bool {
        let of_it = self.organizations.values().filter(|other| **other == organization).count();
        self.attempts.len() < ATTEMPTS_MAX && of_it < ATTEMPTS_OF_ORGANIZATION_MAX
    }

    fn start(&mut self, organization: OrganizationId, attempt: impl Future<Output = ()> + Send + 'static) {
        let handle = self.attempts.spawn(attempt);
        self.organizations.insert(handle.id(), organization);
    }
}

async fn look(acme: &Acme, running: &mut Running, drain: &CancellationToken) -> Result<(), RowError> {
    for job in store::due(&acme.db, FOUND_MAX).await? {
        if !running.has_room_for(job.organization) {
            continue;
        }
        let Job { control_plane, id, .. } = job;
        if let Some(work) = decide(acme, job).await? {
            let span = tracing::info_span!("order certificate", %control_plane, %id, attempt = work.attempt);
            let (acme, drain) = (acme.clone(), drain.clone());
            running
                .start(job.organization, async move { work.carry_out(&acme, &drain).await }.instrument(span));
        }
    }
    Ok(())
}

/// An attempt that is claimed.
struct Work {
    claim: Claim,
    attempt: u32,
    version: u64,
    certificate: AcmeCertificate,
    request: [u8; 32],
    before: (Option<String>, Option<Vec<u8>>),
}

/// Decides what is to be done for an entity, and notes it. Answers the attempt, if there is to be one and nobody else has claimed it.
async fn decide(acme: &Acme, job: Job) -> Result<Option<Work>, RowError> {
    let (record, now) = store::record(&acme.db, job.control_plane, job.id).await?;
    // Since the look that found it, another replica may have come first.
    if record.is_claimed {
        return Ok(None);
    }
    let row = entities::get(&acme.db, job.control_plane, Kind::AcmeCertificate, job.id).await?;
    let Some(row) = row else { return Ok(None) };
    let version = row.version();
    let certificate = match row.entity(&acme.entities.sealing(job.control_plane)) {
        Ok(Entity::AcmeCertificate(certificate)) => certificate,
        unreadable => {
            // The others are looked at nevertheless.
            let Job { control_plane, id, .. } = job;
            let error = unreadable.err().map(|error| error.to_string());
            tracing::error!(%control_plane, %id, error, "an ACME certificate cannot be read, and is not ordered");
            let until = (now + UNREADABLE_PAUSE, record.past.attempts);
            store::wait(&acme.db, job, &record, version, until, None).await?;
            return Ok(None);
        }
    };
    let request = due::request(&certificate);
    let attempt = match due::next(job.id, &certificate, &record.past, now.unix_timestamp()) {
        Next::Wait { until, attempts } => {
            let until = OffsetDateTime::from_unix_timestamp(until).unwrap_or(now);
            let validity = validity(&certificate);
            store::wait(&acme.db, job, &record, version, (until, attempts), validity).await?;
            return Ok(None);
        }
        Next::Order { attempt } => attempt,
    };
    // If this process ends, the next attempt comes as after a failure: a process that ends again and again orders ever more seldom.
    let lasts = CLAIM_LASTS.max(due::pause(attempt, false, 0));
    let begun = Begun { run: acme.random.uuid(), attempt, version, request, lasts };
    let Some(claim) = store::claim(&acme.db, job, &record, &begun).await? else { return Ok(None) };
    let Record { past, url, key, .. } = record;
    let before = if past.request == Some(request) { (url, key) } else { (None, None) };
    Ok(Some(Work { claim, attempt, version, certificate, request, before }))
}

fn validity(certificate: &AcmeCertificate) -> Validity {
    let leaf = certificate.state.as_ref()?.issued.as_ref()?.leaf()?;
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
    Some((at(leaf.not_before)?, at(leaf.not_after)?))
}

impl Work {
    async fn carry_out(mut self, acme: &Acme, drain: &CancellationToken) {
        let before = std::mem::take(&mut self.before);
        let Self { claim, ref certificate, request, .. } = self;
        let attempt = Attempt { acme, claim, certificate, request, before };
        let done = tokio::select! {
            biased;
            () = drain.cancelled() => Err(Failure::LeftOff),
            lost = keep(acme, claim) => Err(lost),
            done = timeout(ATTEMPT_TIMEOUT, attempt.obtain()) => {
                done.unwrap_or_else(|_| Err(Failure::refused("the order took too long")))
            }
        };
        let concluded = match done {
            Ok(issued) => self.serve(acme, &issued).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = concluded
            && let Err(error) = self.give_up(acme, &failure).await
        {
            tracing::warn!(%error, "the end of an attempt at an ACME certificate was not written; it is tried again");
        }
    }

    /// Puts what was issued into service.
    async fn serve(&self, acme: &Acme, issued: &AcmeIssued) -> Result<(), Failure> {
        let Self { claim, request, .. } = self;
        let (job, actor) = (claim.job, acme.actor(claim.job));
        let put = |entity: &mut Entity| put_in_service(entity, *request, issued);
        let written = acme.entities.rewrite(&actor, job.control_plane, entity_of(claim), put).await?;
        let Rewritten::Stands(shown) = written else { return Err(Failure::LeftOff) };
        metrics::counter!("landbridge_acme_orders_total", "result" => "issued").increment(1);
        let Entity::AcmeCertificate(certificate) = &shown.entity else { return Err(Failure::LeftOff) };
        let due_at = OffsetDateTime::from_unix_timestamp(due::needed_at(job.id, certificate));
        let due_at = due_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let validity = validity(certificate);
        tracing::info!(directory = %issued.directory, version = shown.version, renewal = %due_at, "an ACME certificate was issued");
        Ok(claim.end(&acme.db, End::Issued { version: shown.version, due_at, validity }).await?)
    }

    async fn give_up(self, acme: &Acme, failure: &Failure) -> Result<(), Failure> {
        let Self { claim, attempt, version, request, .. } = self;
        match failure {
            Failure::Lost => return Ok(()),
            Failure::LeftOff => return Ok(claim.end(&acme.db, End::LeftOff).await?),
            _ => {}
        }
        metrics::counter!("landbridge_acme_orders_total", "result" => "failed").increment(1);
        let is_limited = matches!(failure, Failure::RateLimited(_));
        let pause = due::pause(attempt, is_limited, acme.random.number());
        tracing::warn!(
            error = failure.logged(),
            attempt,
            again_in_seconds = pause.as_secs(),
            "an ACME certificate could not be ordered"
        );
        claim.end(&acme.db, End::Failed { version, error: &failure.told(), pause }).await?;
        Challenges::clear(acme, claim.job, request).await
    }
}

/// Keeps the claim; answers when it is lost.
async fn keep(acme: &Acme, claim: Claim) -> Failure {
    loop {
        sleep(CLAIM_INTERVAL).await;
        match claim.extend(&acme.db, CLAIM_LASTS).await {
            Ok(true) => {}
            Ok(false) => return Failure::Lost,
            // Until the claim is over, nobody else works on it.
            Err(error) => tracing::warn!(%error, "the claim on an ACME order was not extended; trying again"),
        }
    }
}

async fn show_health(acme: &Acme) -> Result<(), RowError> {
    store::forget_gone(&acme.db).await?;
    let store::Health { expiry_seconds, life_left, failing } = store::health(&acme.db).await?;
    metrics::gauge!("landbridge_acme_certificates_failing").set(failing as f64);
    // Where there is no certificate, none ends.
    metrics::gauge!("landbridge_acme_certificate_expiry_seconds")
        .set(expiry_seconds.unwrap_or(f64::INFINITY));
    metrics::gauge!("landbridge_acme_certificate_life_left_ratio").set(life_left.unwrap_or(1.0));
    Ok(())
}
