//! The region's services ask here, over mTLS.

use std::sync::Arc;

use access::{PrincipalKind, Session, resource_from_proto};
use ids::{OrganizationId, PrincipalId, Region};
use policy::{Action, Holder, Index};
use proto::authz::v1::{
    ApplyPrincipalsRequest, ApplyPrincipalsResponse, AssignCreatorRequest, AssignCreatorResponse, Caller,
    CheckConferRequest, CheckRequest, CheckResponse, ForgetResourceRequest, ForgetResourceResponse, Verdict,
    VisibleRequest, VisibleResponse, authz_server::Authz,
};
use service::PeerService;
use tonic::{Request, Response, Status};
use web::{Problem, ProblemType};

use crate::{
    App,
    check::{assign_creator, forget, index_for, policy_caller},
    principals::{self, ApplyError},
};

pub struct Internal(pub App);

/// The only service whose log principals come from.
const PRINCIPALS_FROM: &str = "identity";

impl Internal {
    async fn index(&self, session: &Session) -> Result<Arc<Index>, Status> {
        index_for(&self.0, session)
            .await
            .map_err(|_| Status::unavailable("the principal has not arrived here"))
    }
}

#[tonic::async_trait]
impl Authz for Internal {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let session = session(request.caller)?;
        let action: Action = request.action.parse().map_err(|_| Status::invalid_argument("action"))?;
        let resource =
            resource_from_proto(request.resource).ok_or_else(|| Status::invalid_argument("resource"))?;
        let decision = self.index(&session).await?.decide(&policy_caller(&session), action, &resource);
        Ok(Response::new(CheckResponse {
            verdict: verdict(decision.verdict).into(),
            reasons: decision.reasons,
        }))
    }

    async fn check_confer(
        &self,
        request: Request<CheckConferRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let session = session(request.caller)?;
        let principal: PrincipalId = parse(&request.principal_id, "principal_id")?;
        let confers =
            self.index(&session).await?.may_confer(&policy_caller(&session), Holder::Principal(principal));
        let verdict = if confers { Verdict::Allow } else { Verdict::Deny };
        Ok(Response::new(CheckResponse { verdict: verdict.into(), reasons: Vec::new() }))
    }

    async fn visible(&self, request: Request<VisibleRequest>) -> Result<Response<VisibleResponse>, Status> {
        let request = request.into_inner();
        let session = session(request.caller)?;
        let region: Region = parse(&request.region, "region")?;
        let visible = self.index(&session).await?.visible_control_planes(&policy_caller(&session), &region);
        Ok(Response::new(VisibleResponse {
            verdict: verdict(visible.verdict).into(),
            all: visible.all,
            ids: visible.ids.iter().map(ToString::to_string).collect(),
            recheck: visible.recheck,
        }))
    }

    async fn assign_creator(
        &self,
        request: Request<AssignCreatorRequest>,
    ) -> Result<Response<AssignCreatorResponse>, Status> {
        let request = request.into_inner();
        let session = session(request.caller)?;
        let (id, region) =
            (parse(&request.control_plane_id, "control_plane_id")?, parse(&request.region, "region")?);
        assign_creator(&self.0, &session, id, &region).await.map_err(status)?;
        Ok(Response::new(AssignCreatorResponse {}))
    }

    async fn forget_resource(
        &self,
        request: Request<ForgetResourceRequest>,
    ) -> Result<Response<ForgetResourceResponse>, Status> {
        let request = request.into_inner();
        let organization: OrganizationId = parse(&request.organization_id, "organization_id")?;
        forget(&self.0, organization, parse(&request.control_plane_id, "control_plane_id")?)
            .await
            .map_err(status)?;
        Ok(Response::new(ForgetResourceResponse {}))
    }

    async fn apply_principals(
        &self,
        request: Request<ApplyPrincipalsRequest>,
    ) -> Result<Response<ApplyPrincipalsResponse>, Status> {
        let from = request.extensions().get::<PeerService>();
        if from.is_none_or(|from| from.0 != PRINCIPALS_FROM) {
            return Err(Status::permission_denied("principals come from identity"));
        }
        let request = request.into_inner();
        if let Some(operation) = request.operations.first() {
            telemetry::adopt(&tracing::Span::current(), &operation.traceparent);
        }
        let applied = principals::apply(&self.0.db, &request.origin, &request.operations).await;
        let (applied, logged) = applied.map_err(|error| match error {
            ApplyError::Database(error) => status(error.into()),
            ApplyError::Gap { .. } => Status::out_of_range(error.to_string()),
            ApplyError::Unreadable { .. } => {
                tracing::error!(%error, origin = request.origin, "the origin stops here");
                Status::failed_precondition(error.to_string())
            }
        })?;
        if let Some(seq) = logged {
            self.0.index.visible(seq).await;
        }
        Ok(Response::new(ApplyPrincipalsResponse { applied }))
    }
}

fn parse<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Status> {
    text.parse().map_err(|_| Status::invalid_argument(field))
}

fn session(caller: Option<Caller>) -> Result<Session, Status> {
    let caller = caller.ok_or_else(|| Status::invalid_argument("caller"))?;
    Ok(Session {
        organization: parse(&caller.organization_id, "organization_id")?,
        principal: parse(&caller.principal_id, "principal_id")?,
        // Decisions do not depend on it: the index knows what each principal is.
        kind: PrincipalKind::User,
        id: parse(&caller.session_id, "session_id")?,
        issued_at: caller.issued_at,
        expires_at: i64::MAX,
    })
}

const fn verdict(verdict: policy::Verdict) -> Verdict {
    match verdict {
        policy::Verdict::Allow => Verdict::Allow,
        policy::Verdict::Deny => Verdict::Deny,
        policy::Verdict::Unauthenticated => Verdict::Unauthenticated,
    }
}

fn status(problem: Problem) -> Status {
    match problem.kind {
        ProblemType::Forbidden => Status::permission_denied(problem.detail),
        ProblemType::Unavailable => Status::unavailable(problem.detail),
        _ => Status::internal(problem.detail),
    }
}
