//! The region's services ask here, over mTLS.

use access::{Decided, PrincipalKind, Session, resource_from_proto};
use ids::{OrganizationId, PrincipalId, Region};
use policy::Action;
use proto::{
    authz::v1::{
        ApplyPrincipalsRequest, ApplyPrincipalsResponse, AssignCreatorRequest, AssignCreatorResponse, Caller,
        CheckConferRequest, CheckRequest, CheckResponse, ForgetResourceRequest, ForgetResourceResponse,
        ReachRequest, ReachResponse, Verdict, VisibleRequest, VisibleResponse, authz_server::Authz,
    },
    replication::v1::Position,
};
use replication::Vector;
use service::PeerService;
use tonic::{Request, Response, Status};
use web::{Problem, ProblemType};

use crate::{
    Error,
    app::App,
    principals::{self, FeedError},
};

pub struct Internal(pub App);

/// The only service whose log principals come from.
const PRINCIPALS_FROM: &str = "identity";

#[tonic::async_trait]
impl Authz for Internal {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let (session, floor) = session(request.caller)?;
        let action: Action = request.action.parse().map_err(|_| Status::invalid_argument("action"))?;
        let resource =
            resource_from_proto(request.resource).ok_or_else(|| Status::invalid_argument("resource"))?;
        Ok(Response::new(response(self.0.check(&session, &floor, action, &resource).await?)))
    }

    async fn check_confer(
        &self,
        request: Request<CheckConferRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let (session, floor) = session(request.caller)?;
        let principal: PrincipalId = parse(&request.principal_id, "principal_id")?;
        Ok(Response::new(response(self.0.check_confer(&session, &floor, principal).await?)))
    }

    async fn visible(&self, request: Request<VisibleRequest>) -> Result<Response<VisibleResponse>, Status> {
        let request = request.into_inner();
        let (session, floor) = session(request.caller)?;
        let region: Region = parse(&request.region, "region")?;
        let (visible, seen) = self.0.visible(&session, &floor, &region).await?;
        Ok(Response::new(VisibleResponse {
            verdict: verdict(visible.verdict).into(),
            all: visible.all,
            ids: visible.ids.iter().map(ToString::to_string).collect(),
            recheck: visible.recheck,
            seen: seen.to_wire(),
        }))
    }

    async fn assign_creator(
        &self,
        request: Request<AssignCreatorRequest>,
    ) -> Result<Response<AssignCreatorResponse>, Status> {
        let request = request.into_inner();
        let (session, floor) = session(request.caller)?;
        let (id, region) =
            (parse(&request.control_plane_id, "control_plane_id")?, parse(&request.region, "region")?);
        let seen = self.0.assign_creator(&session, &floor, id, &region).await.map_err(status)?;
        Ok(Response::new(AssignCreatorResponse { seen: seen.to_wire() }))
    }

    async fn forget_resource(
        &self,
        request: Request<ForgetResourceRequest>,
    ) -> Result<Response<ForgetResourceResponse>, Status> {
        let request = request.into_inner();
        let organization: OrganizationId = parse(&request.organization_id, "organization_id")?;
        let id = parse(&request.control_plane_id, "control_plane_id")?;
        self.0.forget(organization, id).await.map_err(status)?;
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
        // One call brings the entries of many writes, each with a trace of its own.
        for operation in &request.operations {
            telemetry::link(&tracing::Span::current(), &operation.traceparent);
        }
        let applied = principals::apply(&self.0.log, &request.origin, &request.operations).await;
        let applied = applied.map_err(|error| match error {
            FeedError::Failed(error) => status(error),
            FeedError::Gap { .. } => Status::out_of_range(error.to_string()),
            FeedError::Unreadable { .. } => {
                tracing::error!(%error, origin = request.origin, "the origin stops here");
                Status::failed_precondition(error.to_string())
            }
        })?;
        let own = self.0.log.origin();
        // As of now: another replica may have appended them.
        let applied_here =
            self.0.log.replica().read_state().await.map_err(|error| status(error.into()))?.vector();
        let logged: Vector =
            applied_here.get(own).map(|position| (own.clone(), position)).into_iter().collect();
        self.0.index.wait_visible(&logged).await;
        Ok(Response::new(ApplyPrincipalsResponse { applied, logged: logged.to_wire() }))
    }

    async fn reach(&self, request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
        self.0.reach(&vector(&request.get_ref().vector)?).await?;
        Ok(Response::new(ReachResponse {}))
    }
}

fn response(decided: Decided) -> CheckResponse {
    CheckResponse {
        verdict: verdict(decided.verdict).into(),
        reasons: decided.authority.iter().map(ToString::to_string).collect(),
        seen: decided.seen.to_wire(),
    }
}

fn vector(wire: &[Position]) -> Result<Vector, Status> {
    Vector::from_wire(wire).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn parse<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Status> {
    text.parse().map_err(|_| Status::invalid_argument(field))
}

/// The caller, and the floor of its request.
fn session(caller: Option<Caller>) -> Result<(Session, Vector), Status> {
    let caller = caller.ok_or_else(|| Status::invalid_argument("caller"))?;
    let floor = vector(&caller.floor)?;
    let session = Session {
        organization: parse(&caller.organization_id, "organization_id")?,
        principal: parse(&caller.principal_id, "principal_id")?,
        // Decisions do not depend on it: the index knows what each principal is.
        kind: PrincipalKind::User,
        id: parse(&caller.session_id, "session_id")?,
        issued_at: caller.issued_at,
        expires_at: i64::MAX,
        vector: vector(&caller.vector)?,
    };
    Ok((session, floor))
}

const fn verdict(verdict: policy::Verdict) -> Verdict {
    match verdict {
        policy::Verdict::Allow => Verdict::Allow,
        policy::Verdict::Deny => Verdict::Deny,
        policy::Verdict::Unauthenticated => Verdict::Unauthenticated,
    }
}

fn status(error: Error) -> Status {
    let problem = Problem::from(error);
    if let Some(cause) = &problem.cause {
        tracing::warn!(%cause, "a call failed");
    }
    match problem.kind {
        ProblemType::Forbidden => Status::permission_denied(problem.detail),
        ProblemType::Unavailable => Status::unavailable(problem.detail),
        ProblemType::NotYetReplicated => Status::out_of_range(problem.detail),
        _ => Status::internal(problem.detail),
    }
}
