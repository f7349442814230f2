//! Decisions: for this service's own endpoints, and for people who ask what they may do.

use std::sync::Arc;

use access::{Action, Caller, Decisions, Resource, Session, Unavailable, Verdict, Visible};
use axum::{extract::State, http::StatusCode};
use futures::future::BoxFuture;
use ids::{AssignmentId, ControlPlaneId, OrganizationId, PrincipalId, Region};
use policy::{Holder, Index};
use postgres::Write;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Answer, Api, Endpoint, Json, Problem, Protection};

use crate::{App, assigned_roles};

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
        return Err(Problem::invalid_field("checks", format!("at most {CHECKS_MAX} at once")));
    }
    let index = index_for(&app, &caller.session).await?;
    let asking = policy_caller(&caller.session);
    let mut answers = Vec::with_capacity(body.checks.len());
    for (position, question) in body.checks.into_iter().enumerate() {
        let action: Action = question
            .action
            .parse()
            .map_err(|_| Problem::invalid_field(format!("checks[{position}].action"), "no such action"))?;
        let resource = question.on.resource(position)?;
        let decision = index.decide(&asking, action, &resource);
        if decision.verdict == Verdict::Unauthenticated {
            return Err(Problem::unauthenticated("the token's session has ended"));
        }
        answers.push(CheckAnswer { allowed: decision.is_allowed(), reasons: decision.reasons });
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
            )),
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

/// The index to decide with. A caller that identity vouches for and that is not heard of here is on its way: it is
/// waited for, and 503 then, since neither 401 nor 403 would be true.
pub async fn index_for(app: &App, session: &Session) -> Result<Arc<Index>, Unavailable> {
    loop {
        let index = app.index.load();
        if index.has_heard_of(session.organization, session.principal) {
            return Ok(index);
        }
        if !app.index.newer_than(&index).await {
            return Err(Unavailable::new(
                "authz",
                &format!("principal {} has not arrived", session.principal),
            ));
        }
    }
}

/// Decisions on this replica's index: for this service's own endpoints.
pub struct LocalDecisions(pub App);

impl Decisions for LocalDecisions {
    fn check<'a>(
        &'a self,
        session: &'a Session,
        action: Action,
        resource: &'a Resource,
    ) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        Box::pin(async move {
            let index = index_for(&self.0, session).await?;
            Ok(index.decide(&policy_caller(session), action, resource).verdict)
        })
    }

    fn visible<'a>(
        &'a self,
        session: &'a Session,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(Verdict, Visible), Unavailable>> {
        Box::pin(async move {
            let index = index_for(&self.0, session).await?;
            let visible = index.visible_control_planes(&policy_caller(session), region);
            Ok((visible.verdict, Visible { all: visible.all, ids: visible.ids, recheck: visible.recheck }))
        })
    }

    fn check_confer<'a>(
        &'a self,
        session: &'a Session,
        principal: PrincipalId,
    ) -> BoxFuture<'a, Result<Verdict, Unavailable>> {
        Box::pin(async move {
            let index = index_for(&self.0, session).await?;
            let confers = index.may_confer(&policy_caller(session), Holder::Principal(principal));
            Ok(if confers { Verdict::Allow } else { Verdict::Deny })
        })
    }

    fn assign_creator<'a>(
        &'a self,
        session: &'a Session,
        control_plane: ControlPlaneId,
        region: &'a Region,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let assigned = assign_creator(&self.0, session, control_plane, region).await;
            assigned.map_err(|problem| Unavailable::new("authz", &problem))
        })
    }
}

/// Makes the caller Admin of the control plane `id`, which it is about to create. Asked twice, it has one effect.
pub async fn assign_creator(app: &App, session: &Session, id: ControlPlaneId, region: &Region) -> Answer<()> {
    let may_create = Resource::ControlPlanes { region: region.clone() };
    if !app.index.load().decide(&policy_caller(session), Action::CpCreate, &may_create).is_allowed() {
        return Err(Problem::forbidden("only who may create control planes becomes Admin of a new one"));
    }
    let role = policy::AssignedRole::new(
        policy::Role::ControlPlaneAdmin,
        &policy::Scope::ControlPlane { region: region.clone(), id },
    );
    let assignment = AssignmentId::from_uuid(Uuid::new_v5(&id.uuid(), session.principal.as_bytes()));
    let mut write = Write::begin_internal(&app.db, session.organization, "role.assign-creator").await?;
    let holder = Holder::Principal(session.principal);
    match assigned_roles::store::insert(write.connection(), session.organization, assignment, holder, &role)
        .await
    {
        Ok(seq) => {
            write.commit(&assignment.to_string()).await?;
            app.index.visible(seq).await;
            Ok(())
        }
        Err(problem) if problem.kind == web::ProblemType::Conflict => Ok(()),
        Err(problem) => Err(problem),
    }
}

/// Removes every assignment on a control plane that is gone.
pub async fn forget(app: &App, organization: OrganizationId, id: ControlPlaneId) -> Answer<()> {
    let mut write = Write::begin_internal(&app.db, organization, "role.forget-resource").await?;
    let last = assigned_roles::store::forget(write.connection(), organization, id).await?;
    write.commit(&id.to_string()).await?;
    if let Some(seq) = last {
        app.index.visible(seq).await;
    }
    Ok(())
}
