//! Who may do what: questions to the index, and when an answer counts.
//!
//! * An answer that allows something counts at once. Example: after an administrator adds a user to a team in us, that user's
//!   next request in us is allowed, whatever other regions have written meanwhile. The index only has to include what the
//!   request's consistency token names.
//! * A denial counts only if the index includes everything that other regions have announced, and everything that the caller's
//!   access token was made with. Otherwise the denial is waited for, at most a second, and then the answer is that this region
//!   does not know yet. Example: a role was granted in eu a moment ago; us does not deny before it has applied that grant.
//! * What gives something to somebody else (a role, a membership, credentials) is allowed only under the rule for denials, since
//!   what is given may have grown in another region.

mod ask;
mod local;
mod remembered;

use std::collections::BTreeSet;

use access::{Action, Authority, Decided, Resource, Session, Unavailable, Verdict};
use ids::{AssignmentId, MembershipId, OrganizationId, PrincipalId, Region, TokenId};
pub use local::LocalDecisions;
use policy::{Decision, Holder, Index, Reason, Visible};
use replication::Vector;
use replication_runtime::Replication;

use crate::{
    index::{LiveIndex, Snapshot},
    operation::membership_id,
};

/// Decides on this replica's index. Cheap to clone.
#[derive(Clone)]
pub struct Decider {
    /// What decisions read.
    pub index: LiveIndex,
    /// Knows what other regions have announced.
    pub replication: Replication,
    allowed: remembered::Allowed,
}

/// Who asks: what decisions need to know of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The organization of the credential. Nothing of another one is ever allowed.
    pub organization: OrganizationId,
    /// The person or system account.
    pub principal: PrincipalId,
    /// The session behind the request.
    pub session: TokenId,
    /// When the credential was made, in Unix seconds.
    pub issued_at: i64,
    /// What authz had applied in the region that made the credential: no denial on less than this.
    pub vector: Vector,
}

impl From<&Session> for Asker {
    fn from(session: &Session) -> Self {
        Self {
            organization: session.organization,
            principal: session.principal,
            session: session.id,
            issued_at: session.issued_at,
            vector: session.vector.clone(),
        }
    }
}

impl Asker {
    /// The same, in the terms of the policy library.
    pub fn policy_caller(&self) -> policy::Caller {
        policy::Caller {
            organization: self.organization,
            principal: self.principal,
            session: Some(self.session),
            issued_at: self.issued_at,
        }
    }
}

/// What an allowing answer rests on and can be revoked: an assignment, and the team and the membership that it came through.
fn authority(index: &Index, caller: &policy::Caller, id: AssignmentId) -> Vec<Authority> {
    let mut authority = vec![Authority::Assignment(id)];
    match index.holder(caller.organization, id) {
        Some(Holder::Team(team)) => {
            authority.push(Authority::Team(team));
            let membership = membership_id(caller.organization, team, caller.principal);
            authority.push(Authority::Membership(MembershipId::from_uuid(membership)));
        }
        Some(Holder::Principal(_)) | None => {}
    }
    authority
}

impl Decider {
    /// Decides on `index`; `replication` knows what a denial has to wait for.
    pub fn new(index: LiveIndex, replication: Replication) -> Self {
        Self { index, replication, allowed: remembered::Allowed::default() }
    }

    /// What `snapshot` says about one question. It has to be asked by way of [`Decider::ask`], which says whether the answer counts.
    pub fn decide(
        &self,
        snapshot: &Snapshot,
        caller: &policy::Caller,
        action: Action,
        resource: &Resource,
    ) -> Decision {
        self.allowed.decide(snapshot, (caller, action, resource))
    }

    /// Whether `asker` may do `action` on `resource`, and which generation of the index says so. The answer is made on at least
    /// `minimum`.
    pub async fn check(
        &self,
        asker: &Asker,
        minimum: &Vector,
        action: Action,
        resource: &Resource,
    ) -> Result<(Decided, u64), Unavailable> {
        let caller = asker.policy_caller();
        let question = |snapshot: &Snapshot| self.decide(snapshot, &caller, action, resource);
        let (decision, snapshot) = self.ask(asker, minimum, question, Decision::is_allowed).await?;
        // Any one assignment of several is enough.
        let first = decision.reasons.iter().find_map(|reason| match reason {
            Reason::Assignment(id) => Some(*id),
            Reason::Policy(_) | Reason::System(_) => None,
        });
        let decided = Decided {
            verdict: decision.verdict,
            authority: first.map(|id| authority(&snapshot.index, &caller, id)).unwrap_or_default(),
            seen: snapshot.seen(asker.organization),
        };
        Ok((decided, snapshot.generation))
    }

    /// Whether `asker` may give something to somebody else. `needs` answers the assignments that allow it, or `None`. Both
    /// answers count only on an index that includes everything that other regions have announced.
    pub async fn check_giving(
        &self,
        asker: &Asker,
        minimum: &Vector,
        needs: impl Fn(&Index, &policy::Caller) -> Option<BTreeSet<AssignmentId>>,
    ) -> Result<Decided, Unavailable> {
        self.settle(&asker.vector).await?;
        let caller = asker.policy_caller();
        let question = |snapshot: &Snapshot| needs(&snapshot.index, &caller);
        let (allowed_by, snapshot) = self.ask(asker, minimum, question, Option::is_some).await?;
        let seen = snapshot.seen(asker.organization);
        Ok(match allowed_by {
            Some(ids) => {
                let authority =
                    ids.into_iter().flat_map(|id| authority(&snapshot.index, &caller, id)).collect();
                Decided { verdict: Verdict::Allow, authority, seen }
            }
            None => Decided { verdict: Verdict::Deny, authority: Vec::new(), seen },
        })
    }

    /// Whether `asker` holds everything that `principal` holds.
    pub async fn check_confer(
        &self,
        asker: &Asker,
        minimum: &Vector,
        principal: PrincipalId,
    ) -> Result<Decided, Unavailable> {
        let holder = Holder::Principal(principal);
        self.check_giving(asker, minimum, |index, caller| index.confer_rests_on(caller, holder)).await
    }

    /// The control planes of `region` that `asker` may list, and the vector that the answer was made on. The list is made on at
    /// least `minimum`, and nothing more is waited for: it may lack a control plane that was shared in another region a moment ago.
    pub async fn visible(
        &self,
        asker: &Asker,
        minimum: &Vector,
        region: &Region,
    ) -> Result<(Visible, Vector), Unavailable> {
        let caller = asker.policy_caller();
        let question = |snapshot: &Snapshot| snapshot.index.visible_control_planes(&caller, region);
        let is_answered = |visible: &Visible| visible.verdict == Verdict::Allow;
        let (visible, snapshot) = self.ask(asker, minimum, question, is_answered).await?;
        Ok((visible, snapshot.seen(asker.organization)))
    }
}
