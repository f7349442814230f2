//! Challenges that are open: what gateways answer, or what DNS says, while the ACME server looks.

use std::time::Duration;

use gateway_model::{AcmeChallenge, AcmeState, Entity};
use instant_acme::ChallengeType;
use tokio::time::{Instant, sleep};

use super::{
    Acme, due,
    failure::Failure,
    hook::{Action, Record},
    store::Job,
};
use crate::{
    entities::{known::EntityId, rewrite::Rewritten},
    nodes,
};

/// Longest time that is waited for all gateways to have the challenges. Then the ACME server is told nevertheless: one gateway that hangs must
/// not keep all others without a certificate.
const NODES_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at what they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How a name is proved.
pub struct Proof {
    /// Without `*.`.
    pub domain: String,
    /// The key authorization, which gateways answer.
    pub answer: String,
    /// The value of the record in DNS.
    pub value: String,
}

/// The challenges of one attempt.
pub struct Challenges<'a> {
    acme: &'a Acme,
    job: Job,
    request: [u8; 32],
    challenge: AcmeChallenge,
    /// Records that were asked for.
    records: Vec<Record>,
}

impl<'a> Challenges<'a> {
    /// None yet.
    pub fn new(acme: &'a Acme, job: Job, request: [u8; 32], challenge: AcmeChallenge) -> Self {
        Self { acme, job, request, challenge, records: Vec::new() }
    }

    /// Which kind the ACME server is to look for.
    pub fn kind(&self) -> ChallengeType {
        match self.challenge {
            AcmeChallenge::Http01 => ChallengeType::Http01,
            AcmeChallenge::Dns01 => ChallengeType::Dns01,
        }
    }

    /// Puts them where the ACME server looks, and waits until it can see them.
    pub async fn put_up(&mut self, proofs: Vec<Proof>) -> Result<(), Failure> {
        match self.challenge {
            AcmeChallenge::Http01 => self.tell_gateways(proofs).await,
            AcmeChallenge::Dns01 => self.make_records(proofs).await,
        }
    }

    async fn tell_gateways(&self, proofs: Vec<Proof>) -> Result<(), Failure> {
        let mut answers: Vec<String> = proofs.into_iter().map(|proof| proof.answer).collect();
        answers.sort_unstable();
        if let Some(unfit) = answers.iter().find(|answer| !AcmeState::is_challenge(answer)) {
            return Err(Failure::refused(format!(
                "the ACME server asks for what no gateway can answer: {unfit}"
            )));
        }
        let deadline = Instant::now() + NODES_WAIT_MAX;
        let version = match self.set(answers).await? {
            Rewritten::Stands(shown) => shown.version,
            Rewritten::Left | Rewritten::Gone => return Err(Failure::LeftOff),
        };
        let mut are_any = false;
        while Instant::now() < deadline {
            let spread = nodes::store::spread(&self.acme.db, self.job.control_plane).await?;
            are_any |= spread.nodes() > 0;
            if spread.is_complete(version) {
                return Ok(());
            }
            sleep(LOOK_INTERVAL).await;
        }
        // A failed look counts with the ACME server, which forgives few.
        if are_any {
            Ok(())
        } else {
            Err(Failure::refused(
                "no gateway of the control plane is connected, so none can answer the ACME server; connect one",
            ))
        }
    }

    /// Makes these the challenges that gateways answer, if the entity still asks for the same.
    async fn set(&self, answers: Vec<String>) -> Result<Rewritten, Failure> {
        let entity = EntityId { kind: gateway_model::Kind::AcmeCertificate, id: self.job.id };
        let change = |entity: &mut Entity| {
            let Entity::AcmeCertificate(certificate) = entity else { return false };
            let is_asked_for = due::request(certificate) == self.request;
            let state = certificate.state.get_or_insert_default();
            let is_new = state.challenges != answers;
            state.challenges.clone_from(&answers);
            if answers.is_empty() { is_new } else { is_asked_for }
        };
        let actor = self.acme.actor(self.job);
        Ok(self.acme.entities.rewrite(&actor, self.job.control_plane, entity, change).await?)
    }

    async fn make_records(&mut self, proofs: Vec<Proof>) -> Result<(), Failure> {
        let hook = self.acme.options.hook.as_deref();
        let hook = hook.ok_or_else(|| Failure::refused("the region has no hook for DNS any more"))?;
        let mut wait = Duration::ZERO;
        for Proof { domain, value, .. } in proofs {
            let record = Record { job: self.job, domain, value };
            self.records.push(record.clone());
            wait = wait.max(hook.ask(Action::Present, &record).await?);
        }
        sleep(wait).await;
        Ok(())
    }

    /// Takes them down. What cannot be taken down is left: it proves nothing any more.
    pub async fn take_down(&mut self) {
        let taken_down = match self.challenge {
            AcmeChallenge::Http01 => Ok(()),
            AcmeChallenge::Dns01 => self.remove_records().await,
        };
        if let Err(error) = taken_down {
            let Job { control_plane, id, .. } = self.job;
            tracing::warn!(%control_plane, %id, %error, "records of an ACME challenge stay in DNS; remove them there");
        }
    }

    async fn remove_records(&mut self) -> Result<(), Failure> {
        let Some(hook) = self.acme.options.hook.as_deref() else { return Ok(()) };
        let mut removed = Ok(());
        for record in std::mem::take(&mut self.records) {
            removed = removed.and(hook.ask(Action::Cleanup, &record).await.map(drop));
        }
        removed
    }

    /// Lets gateways answer none any more, after a failure. Success takes them along with the write of the certificate.
    pub async fn clear(acme: &'a Acme, job: Job, request: [u8; 32]) -> Result<(), Failure> {
        Self::new(acme, job, request, AcmeChallenge::Http01).set(Vec::new()).await.map(drop)
    }
}
