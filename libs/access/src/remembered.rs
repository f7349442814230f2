//! What callers were allowed a moment ago. It is used only under a lease of authz, and only until authz has told that decisions about
//! the organization may have changed; a write that takes something away is answered after that. So nothing that was revoked in this
//! region is allowed from memory once the revocation is answered, and what other regions revoke is forgotten as soon as it is applied here.
//!
//! Denials are never remembered. Without a lease (authz is away, or from an earlier release) every decision is asked for.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ids::{OrganizationId, PrincipalId, TokenId};
use moka::sync::Cache;
use policy::{Action, Resource, Verdict};
use proto::authz::v1::{LeaseRequest, LeaseResponse, authz_client::AuthzClient};
use replication::Vector;
use telemetry::TracedChannel;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{Decided, Session};

/// Questions whose answers are remembered at once, and for how long at most.
const REMEMBERED_MAX: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// Organizations that are known to have changed. When there are more, everything is forgotten.
const CHANGED_MAX: usize = 10_000;
/// How long authz may hold an answer back. Half of what a lease lasts, so that it is renewed in time.
const HOLD: Duration = Duration::from_millis(400);
/// Longest lease that is believed.
const LASTS_MAX: Duration = Duration::from_secs(1);
/// Pause after authz has granted no lease.
const PAUSE: Duration = Duration::from_secs(1);

/// All that a decision depends on beside what authz knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    organization: OrganizationId,
    principal: PrincipalId,
    session: TokenId,
    issued_at: i64,
    action: Action,
    resource: Resource,
}

impl Question {
    pub fn new(session: &Session, action: Action, resource: &Resource) -> Self {
        Self {
            organization: session.organization,
            principal: session.principal,
            session: session.id,
            issued_at: session.issued_at,
            action,
            resource: resource.clone(),
        }
    }
}

/// The index that made a decision, and which of its generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MadeOn {
    pub instance: u64,
    pub generation: u64,
}

#[derive(Clone)]
struct Allowed {
    decided: Decided,
    made_on: MadeOn,
}

/// What was allowed, and what authz has told since.
pub(crate) struct Remembered {
    allowed: Cache<Question, Allowed>,
    heard: RwLock<Heard>,
    /// Whether anybody has looked since the lease was last renewed.
    is_used: AtomicBool,
    used: Notify,
}

/// What authz has told.
struct Heard {
    /// Who holds the lease. Another one after each lease that was given back, so that what arrives late takes back no later one.
    holder: Uuid,
    /// `instance` is 0 before anything was heard.
    newest: MadeOn,
    /// Decisions on earlier generations count no more.
    floor: u64,
    /// The same of single organizations.
    changed: HashMap<OrganizationId, u64>,
    /// When the lease is over.
    until: Instant,
}

impl Heard {
    fn covers(&self, organization: OrganizationId, made_on: MadeOn) -> bool {
        let floor = self.changed.get(&organization).copied().unwrap_or(self.floor);
        made_on.instance == self.newest.instance && made_on.generation >= floor
    }
}

impl Remembered {
    pub fn new() -> Self {
        let (holder, newest) = (Uuid::new_v4(), MadeOn::default());
        let heard = Heard { holder, newest, floor: 0, changed: HashMap::new(), until: Instant::now() };
        Self {
            allowed: Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED_FOR).build(),
            heard: RwLock::new(heard),
            is_used: AtomicBool::new(false),
            used: Notify::new(),
        }
    }

    /// The answer to the question, made on at least `minimum`, if it is remembered and still counts.
    pub fn find(&self, question: &Question, minimum: &Vector) -> Option<Decided> {
        if !self.is_used.load(Ordering::Relaxed) && !self.is_used.swap(true, Ordering::Relaxed) {
            self.used.notify_one();
        }
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        if heard.until <= Instant::now() {
            return None;
        }
        let Allowed { decided, made_on } = self.allowed.get(question)?;
        let counts = heard.covers(question.organization, made_on) && decided.seen.covers(minimum);
        counts.then_some(decided)
    }

    /// Remembers an answer that allows.
    pub fn keep(&self, question: Question, decided: &Decided, made_on: MadeOn) {
        if decided.verdict == Verdict::Allow && made_on.instance != 0 {
            self.allowed.insert(question, Allowed { decided: decided.clone(), made_on });
        }
    }

    /// Holds a lease while it is used.
    pub async fn follow(&self, mut authz: AuthzClient<TracedChannel>) {
        loop {
            if !self.is_used.swap(false, Ordering::Relaxed) {
                if let Some(holder) = self.give_back() {
                    let over = LeaseRequest { holder: holder.to_string(), ends: true, ..Default::default() };
                    // Where this is lost, the next write waits until the lease is over.
                    let _ = authz.lease(over).await;
                }
                self.used.notified().await;
                continue;
            }
            let sent = Instant::now();
            match authz.lease(self.request(sent)).await {
                Ok(answer) => self.hear(&answer.into_inner(), sent),
                Err(status) => {
                    tracing::debug!(%status, "no lease: every decision is asked for");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Ends the lease on this side; answers who held it, if there was one.
    fn give_back(&self) -> Option<Uuid> {
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let lasted = heard.until > now;
        heard.until = now;
        let holder = std::mem::replace(&mut heard.holder, Uuid::new_v4());
        lasted.then_some(holder)
    }

    fn request(&self, now: Instant) -> LeaseRequest {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        let hold = if heard.until > now { HOLD } else { Duration::ZERO };
        LeaseRequest {
            holder: heard.holder.to_string(),
            instance: heard.newest.instance,
            heard: heard.newest.generation,
            hold_ms: u32::try_from(hold.as_millis()).unwrap_or_default(),
            ends: false,
        }
    }

    /// Takes in the answer to a request that was sent at `sent`.
    pub fn hear(&self, told: &LeaseResponse, sent: Instant) {
        let changed: Result<Vec<OrganizationId>, _> = told.changed.iter().map(|id| id.parse()).collect();
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = told.instance == heard.newest.instance && !told.everything;
        heard.newest = MadeOn { instance: told.instance, generation: told.generation };
        match changed {
            Ok(changed) if is_same && heard.changed.len() + changed.len() <= CHANGED_MAX => {
                heard.changed.extend(changed.into_iter().map(|id| (id, told.generation)));
            }
            _ => {
                heard.floor = told.generation;
                heard.changed.clear();
            }
        }
        heard.until = sent + Duration::from_millis(told.lasts_ms.into()).min(LASTS_MAX);
    }
}
