//! Decisions: for this service's own endpoints, and for people who ask what they may do.

use std::collections::BTreeSet;

use crate::Answer;
use access::{
    Action, Authority, Caller, Decided, Decisions, Resource, Session, Unavailable, Verdict, Visible,
};
use axum::{extract::State, http::StatusCode};
use futures::future::BoxFuture;
use ids::{AssignmentId, ControlPlaneId, MembershipId, OrganizationId, PrincipalId, Region};
use mutation::Mutation;
use policy::{Decision, Holder, Index, Reason, Visible as VisiblePlanes};
use replication::Vector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Problem, Protection};

use crate::{
    app::App,
    assigned_roles,
    operation::{HolderId, Operation, membership_id},
};

/// Most questions in one request.
const CHECKS_MAX: usize = 100;

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::post("/v1/authz/check", "What may I do? Up to 100 questions at once")
            .protection(Protection::Caller)
            .body::<CheckBody>()
            .answers::<CheckAnswers>(StatusCode::OK),
        check,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckBody {
    checks: Vec<Question>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// As in `route:Write`; `GET /v3/roles` and the errors of refused requests name actions.
    action: String,
    #[serde(default)]
    on: On,
}

/// What a question is about: one control plane (both fields), all of a region (`region` alone), or the organization's
/// identity configuration (neither).
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct On {
    control_plane_id: Option<ControlPlaneId>,
    #[schema(value_type = Option<String>)]
    region: Option<Region>,
}

#[derive(Serialize, ToSchema)]
struct CheckAnswers {
    /// In the order of the questions.
    answers: Vec<CheckAnswer>,
}

#[derive(Serialize, ToSchema)]
struct CheckAnswer {
    allowed: bool,
    /// What decided: `assignment:<id>`, `policy:<id>` or `system:<name>`.
    reasons: Vec<String>,
}

async fn check(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CheckBody>,
) -> Answer<Json<CheckAnswers>> {
    if body.checks.len() > CHECKS_MAX {
        return Err(Problem::invalid_field("checks", format!("at most {CHECKS_MAX} at once")).into());
    }
    let asking = policy_caller(&caller.session);
    let mut answers = Vec::with_capacity(body.checks.len());
    for (position, question) in body.checks.into_iter().enumerate() {
        let action: Action = question
            .action
            .parse()
            .map_err(|_| Problem::invalid_field(format!("checks[{position}].action"), "no such action"))?;
        let resource = question.on.resource(position)?;
        let question = |index: &Index| index.decide(&asking, action, &resource);
        let (decision, _) = app.ask(&caller.session, &caller.seen(), question, Decision::is_allowed).await?;
        if decision.verdict == Verdict::Unauthenticated {
            return Err(Problem::unauthenticated("the token's session has ended").into());
        }
        answers.push(CheckAnswer {
            allowed: decision.is_allowed(),
            reasons: decision.reasons.iter().map(ToString::to_string).collect(),
        });
    }
    Ok(Json(CheckAnswers { answers }))
}

impl On {
    fn resource(self, position: usize) -> Answer<Resource> {
        match (self.control_plane_id, self.region) {
            (Some(id), Some(region)) => Ok(Resource::ControlPlane { id, region, labels: Default::default() }),
            (None, Some(region)) => Ok(Resource::ControlPlanes { region }),
            (None, None) => Ok(Resource::Iam),
            (Some(_), None) => Err(Problem::invalid_field(
                format!("checks[{position}].on.region"),
                "name the control plane's region too",
            )
            .into()),
        }
    }
}

/// The caller, in the words of the policy library.
pub fn policy_caller(session: &Session) -> policy::Caller {
    policy::Caller {
        organization: session.organization,
        principal: session.principal,
        session: Some(session.id),
        issued_at: session.issued_at,
    }
}

/// What a yes rests on, as far as that can be revoked: an assignment, and the team and membership that it came through.
fn authority(index: &Index, caller: &policy::Caller, id: AssignmentId) -> Vec<Authority> {
    let mut authority = vec![Authority::Assignment(id)];
    if let Some(Holder::Team(team)) = index.holder(caller.organization, id) {
        let membership = membership_id(caller.organization, team, caller.principal);
        authority.push(Authority::Team(team));
        authority.push(Authority::Membership(MembershipId::from_uuid(membership)));
    }
    authority
}

/// The first assignment that a decision names: any one is enough.
fn first_assignment(decision: &Decision) -> Option<AssignmentId> {
    decision.reasons.iter().find_map(|reason| match reason {
        Reason::Assignment(id) => Some(*id),
        Reason::Policy(_) | Reason::System(_) => None,
    })
}

impl App {
    pub async fn check(
        &self,
        session: &Session,
        floor: &Vector,
        action: Action,
        resource: &Resource,
    ) -> Result<Decided, Unavailable> {
        let caller = policy_caller(session);
        let question = |index: &Index| index.decide(&caller, action, resource);
        let (decision, snapshot) = self.ask(session, floor, question, Decision::is_allowed).await?;
        Ok(Decided {
            verdict: decision.verdict,
            authority: first_assignment(&decision)
                .map(|id| authority(&snapshot.index, &caller, id))
                .unwrap_or_default(),
            seen: snapshot.seen(session.organization),
        })
    }

    /// Asks what it would rest on that the caller hands something over. Here a stale yes is as bad as a stale no: what is
    /// handed over may have grown meanwhile. Both count on a state that has everything known to exist elsewhere only.
    pub async fn check_giving(
        &self,
        session: &Session,
        floor: &Vector,
        rests_on: impl Fn(&Index, &policy::Caller) -> Option<BTreeSet<AssignmentId>>,
    ) -> Result<Decided, Unavailable> {
        self.settle(session).await?;
        let caller = policy_caller(session);
        let (rests_on, snapshot) =
            self.ask(session, floor, |index| rests_on(index, &caller), Option::is_some).await?;
        let verdict = if rests_on.is_some() { Verdict::Allow } else { Verdict::Deny };
        let ids = rests_on.unwrap_or_default();
        let authority = ids.into_iter().flat_map(|id| authority(&snapshot.index, &caller, id)).collect();
        Ok(Decided { verdict, authority, seen: snapshot.seen(session.organization) })
    }

    pub async fn check_confer(
        &self,
        session: &Session,
        floor: &Vector,
        principal: PrincipalId,
    ) -> Result<Decided, Unavailable> {
        let holder = Holder::Principal(principal);
        self.check_giving(session, floor, |index, caller| index.confer_rests_on(caller, holder)).await
    }

    /// A list is no yes and no no: it is as of the floor.
    pub async fn visible(
        &self,
        session: &Session,
        floor: &Vector,
        region: &Region,
    ) -> Result<(VisiblePlanes, Vector), Unavailable> {
        let caller = policy_caller(session);
        let question = |index: &Index| index.visible_control_planes(&caller, region);
        let is_known = |visible: &VisiblePlanes| visible.verdict != Verdict::Unauthenticated;
        let (visible, snapshot) = self.ask(session, floor, question, is_known).await?;
        let seen = snapshot.seen(session.organization);
        Ok((visible, seen))
    }

    /// Makes the caller Admin of the control plane `id`, which it is about to create. Asked twice, it has one effect.
    pub async fn assign_creator(
        &self,
        session: &Session,
        floor: &Vector,
        id: ControlPlaneId,
        region: &Region,
    ) -> Answer<Vector> {
        let may_create = Resource::ControlPlanes { region: region.clone() };
        let decided = self.check(session, floor, Action::CpCreate, &may_create).await?;
        if decided.verdict != Verdict::Allow {
            return Err(
                Problem::forbidden("only who may create control planes becomes Admin of a new one").into()
            );
        }
        let role = policy::AssignedRole::new(
            policy::Role::ControlPlaneAdmin,
            &policy::Scope::ControlPlane { region: region.clone(), id },
        );
        let put = Operation::AssignmentPut { holder: HolderId::Principal(session.principal), role };
        let mutation = Mutation::in_session(session, &decided, "role.assign-creator");
        let position = self
            .write(mutation, move |tx| {
                Box::pin(async move {
                    tx.audit(&id.to_string()).await?;
                    Ok(tx.append(put).await?)
                })
            })
            .await?;
        let mut seen = decided.seen;
        seen.advance(self.log.origin(), position);
        self.index.wait_visible(&seen).await;
        Ok(seen)
    }

    /// Removes every assignment on a control plane that is gone.
    pub async fn forget(&self, organization: OrganizationId, id: ControlPlaneId) -> Answer<()> {
        let mutation = Mutation::by_operator(organization, "role.forget-resource");
        self.write(mutation, move |tx| {
            Box::pin(async move {
                tx.audit(&id.to_string()).await?;
                for id in assigned_roles::store::on(tx.connection(), organization, id).await? {
                    tx.append(Operation::AssignmentRemoved { id }).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Decisions on this replica's index: for this service's own endpoints.
pub struct LocalDecisions(pub App);

impl Decisions for LocalDecisions {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(self.0.check(session, floor, action, resource))
    }

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible, Vector), Unavailable>> {
        Box::pin(async move {
            let (visible, seen) = self.0.visible(session, floor, region).await?;
            let verdict = visible.verdict;
            Ok((verdict, Visible { all: visible.all, ids: visible.ids, recheck: visible.recheck }, seen))
        })
    }

    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(self.0.check_confer(session, floor, principal))
    }

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        floor: &'a Vector,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<Vector, Unavailable>> {
        Box::pin(async move {
            let assigned = self.0.assign_creator(session, floor, control_plane, region).await;
            assigned.map_err(|error| Unavailable::new("authz", &error))
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move { self.0.reach(vector).await.map(|_| ()) })
    }

    fn seen(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Vector, Unavailable>> {
        Box::pin(async move {
            let seen = self.0.log.replica().organization_vector(organization).await;
            seen.map_err(|error| Unavailable::new("authz", &error))
        })
    }
}
