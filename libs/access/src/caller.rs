//! The authenticated caller of a request, as its handler sees it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use ids::{ControlPlaneId, OrganizationId, PrincipalId, Region, ServiceName};
use policy::{Action, Resource, Verdict};
use replication::Vector;
use sync::Places;
use tokio::time::timeout;
use web::{Answer, Problem, ProblemType};

use crate::{
    Authority, Decided, Decisions, Event, Happened, PrincipalKind, Reporter, Requested, Session, TooMany,
    Turn, Turns, Whose,
};

/// Most that [`Caller::authority`] names. Only a request that asks for very many decisions has more, and such ones list.
const AUTHORITY_MAX: usize = 256;
/// Longest wait until a request is worked on.
const TURN_WAIT: Duration = Duration::from_secs(3);

/// Who calls, with the means to ask what it may do. Clones share what the request has seen so far.
#[derive(Clone)]
pub struct Caller {
    /// What the request's token proves.
    pub session: Session,
    /// SHA-256 of the opaque token that the request was sent with; `None` if it was a signed one.
    pub shown: Option<[u8; 32]>,
    decisions: Arc<dyn Decisions>,
    turns: Turns,
    reporter: Reporter,
    requested: Arc<Requested>,
    so_far: Arc<Mutex<SoFar>>,
}

/// What has come of the request until now.
struct SoFar {
    /// Whether authz was asked.
    decided: bool,
    /// The last action that a decision did not allow.
    denied: Option<Action>,
    /// Every answer of this request is made on at least this.
    seen: Vector,
    /// The configurations that this request comes after or has written.
    places: Places,
    authority: Vec<Authority>,
    /// Whether the answer may rest on rows of this service's database.
    reads_rows: bool,
    /// While the request is worked on.
    turn: Option<Turn>,
}

/// Which control planes of a region a caller may list: all of them, or those named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// Whether the caller may list every control plane of the region. Then `ids` is empty.
    pub all: bool,
    /// Those that the caller may list.
    pub ids: Vec<ControlPlaneId>,
    /// The filter may let too many through: each row of a page is to be asked about.
    pub recheck: bool,
}

impl Caller {
    /// `seen` and `places` are what the request's consistency token names.
    pub(crate) fn new(
        session: Session,
        shown: Option<[u8; 32]>,
        (seen, places): (Vector, Places),
        (decisions, turns, reporter): (Arc<dyn Decisions>, Turns, Reporter),
        requested: Arc<Requested>,
    ) -> Self {
        let authority = Authority::of_session(&session).to_vec();
        let so_far =
            SoFar { decided: false, denied: None, seen, places, authority, reads_rows: true, turn: None };
        let so_far = Arc::new(Mutex::new(so_far));
        Self { session, shown, decisions, turns, reporter, requested, so_far }
    }

    /// The caller's organization. Ids of other organizations are answered 404.
    pub fn organization(&self) -> OrganizationId {
        self.session.organization
    }

    /// The user or system account that calls.
    pub fn principal(&self) -> PrincipalId {
        self.session.principal
    }

    /// Whether the platform operator calls, who belongs to no organization.
    pub fn is_operator(&self) -> bool {
        self.session.kind == PrincipalKind::Operator
    }

    /// Whether a person calls, not a program.
    pub fn is_user(&self) -> bool {
        self.session.kind == PrincipalKind::User
    }

    /// What the request asks for, as the audit log says it.
    pub fn requested(&self) -> &Arc<Requested> {
        &self.requested
    }

    /// Tells the audit log that the caller got a credential that is written nowhere. `action` names it, as in `token.exchange`.
    pub fn signed_on(&self, action: &'static str) {
        self.report(Happened::SignedOn(action));
    }

    /// Tells the audit log that the caller has shown a wrong password or code, for what `action` names, and is answered with `problem`.
    pub fn failed(&self, action: &'static str, problem: ProblemType) {
        self.report(Happened::NotSignedOn(action, problem));
    }

    /// Tells the audit log that the request was answered with `problem`, if that is 401 or 403.
    pub(crate) fn was_refused(&self, problem: ProblemType) {
        match problem.status() {
            StatusCode::FORBIDDEN => self.report(Happened::Denied(self.so_far().denied, problem)),
            StatusCode::UNAUTHORIZED => self.report(Happened::NotAuthenticated(problem)),
            _ => {}
        }
    }

    fn report(&self, happened: Happened) {
        let whose = Whose::from(&self.session);
        self.reporter.report(Event { whose, happened, requested: self.requested.traced() });
    }

    pub(crate) fn was_decided(&self) -> bool {
        self.so_far().decided
    }

    /// What this request comes after: its consistency token, what its decisions were made on, and what it wrote.
    pub fn seen(&self) -> Vector {
        self.so_far().seen.clone()
    }

    /// Says that the request wrote the entries up to `vector`, so that the answer's consistency token covers them.
    pub fn wrote(&self, vector: &Vector) {
        self.so_far().seen.merge(vector);
    }

    /// Says that the answer shows, or has made, these versions of configurations, so that the answer's consistency token leads gateways
    /// to them.
    pub fn shows(&self, places: &Places) {
        self.so_far().places.merge(places);
    }

    /// The configurations that this request comes after, shows or has made.
    pub fn places(&self) -> Places {
        self.so_far().places.clone()
    }

    /// Says that the answer rests on decisions alone, which were made on `seen`, and on no row: so nobody asks the database how far its rows
    /// have come.
    pub fn rests_on_decisions(&self, seen: &Vector) {
        let mut so_far = self.so_far();
        so_far.seen.merge(seen);
        so_far.reads_rows = false;
    }

    pub(crate) fn reads_rows(&self) -> bool {
        self.so_far().reads_rows
    }

    /// What the request's writes rest on and what can be revoked: the principal, the session, and what every decision of
    /// this request that allowed rests on. A handler that asked twice needed both answers.
    pub fn authority(&self) -> Vec<Authority> {
        self.so_far().authority.clone()
    }

    /// Says that the request is forwarded to the organization's home region, whose guard asks for the decision.
    pub fn decides_at_home(&self) {
        self.so_far().decided = true;
    }

    /// Goes on only if the caller may do `action` on `resource`: 403 if not, 401 if its session has ended, 503 if nobody
    /// can tell.
    pub async fn may(&self, action: Action, resource: &Resource) -> Answer<()> {
        if self.allows(action, resource).await? {
            Ok(())
        } else {
            Err(Problem::forbidden(format!("you may not do {} here", action.as_str())))
        }
    }

    /// Waits until the request is worked on: so many are at once in a process, and half of them of one organization at most. Called with
    /// the first decision by itself, after the body was read, so that nobody keeps a turn by sending slowly; before that by whoever asks the
    /// database first. 429 if too many wait, or if it takes too long.
    pub async fn takes_turn(&self) -> Answer<()> {
        if self.so_far().turn.is_some() {
            return Ok(());
        }
        let turn = timeout(TURN_WAIT, self.turns.take(self.organization())).await;
        let turn = turn.map_err(|_| TooMany).flatten()?;
        self.so_far().turn = Some(turn);
        Ok(())
    }

    /// Says that the request waits for something and does nothing else: another one is worked on meanwhile.
    pub fn gives_up_turn(&self) {
        self.so_far().turn = None;
    }

    /// Whether the caller may do `action` on `resource`.
    pub async fn allows(&self, action: Action, resource: &Resource) -> Answer<bool> {
        self.takes_turn().await?;
        let decided = self.decisions.check(&self.session, &self.minimum(), action, resource).await?;
        let allowed = self.learns(&decided)?;
        if !allowed {
            self.so_far().denied = Some(action);
        }
        Ok(allowed)
    }

    /// Goes on only if the caller's session has not ended since its token was signed: asks for what every member may do.
    pub async fn require_session(&self) -> Answer<()> {
        // Its token is never a signed one, so it was just resolved; authz knows nothing of it.
        if self.is_operator() {
            return Ok(());
        }
        self.allows(Action::OrgRead, &Resource::Iam).await?;
        Ok(())
    }

    /// Which control planes the caller may list in `region`.
    pub async fn visible_control_planes(&self, region: &Region) -> Answer<Visible> {
        self.takes_turn().await?;
        let (verdict, visible, seen) = self.decisions.visible(&self.session, &self.minimum(), region).await?;
        self.learns(&Decided { verdict, authority: Vec::new(), seen })?;
        Ok(visible)
    }

    /// Goes on only if the caller holds every role that `principal` holds: whoever gets credentials of a principal can do
    /// all that it can do. 403 if not, 503 if nobody can tell.
    pub async fn may_confer(&self, principal: PrincipalId) -> Answer<()> {
        self.takes_turn().await?;
        let decided = self.decisions.check_confer(&self.session, &self.minimum(), principal).await?;
        if self.learns(&decided)? {
            Ok(())
        } else {
            Err(Problem::forbidden(
                "it holds roles that you do not; only somebody who holds them can do this",
            ))
        }
    }

    /// Makes the caller Admin of a control plane that it is about to create. Its right to create was decided before.
    pub async fn assign_creator(&self, control_plane: ControlPlaneId, region: &Region) -> Answer<()> {
        let minimum = self.minimum();
        let wrote = self.decisions.assign_creator(&self.session, &minimum, control_plane, region).await?;
        self.wrote(&wrote);
        Ok(())
    }

    /// What the next decision has to be made on at least: authz's part of what this request has seen.
    fn minimum(&self) -> Vector {
        self.so_far().seen.of_service(ServiceName::Authz)
    }

    /// Takes in a decision about this request, and answers whether it allows. What the decision was made on becomes part of
    /// the answer's consistency token; what it rests on becomes part of [`Caller::authority`]. 401 if the session has ended.
    pub fn learns(&self, decided: &Decided) -> Answer<bool> {
        let mut so_far = self.so_far();
        so_far.decided = true;
        so_far.seen.merge(&decided.seen);
        match decided.verdict {
            Verdict::Allow => {
                for authority in &decided.authority {
                    if so_far.authority.len() < AUTHORITY_MAX && !so_far.authority.contains(authority) {
                        so_far.authority.push(*authority);
                    }
                }
                Ok(true)
            }
            Verdict::Deny => Ok(false),
            Verdict::Suspended => Err(Problem::organization_inactive()),
            Verdict::Unauthenticated => Err(Problem::unauthenticated("the token's session has ended")),
        }
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // Absent only if an endpoint declared public asks for its caller.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::internal("a public endpoint has no caller"))
    }
}
