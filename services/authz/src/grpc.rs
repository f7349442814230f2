//! What the other services of the region ask of authz, over gRPC with mTLS.

use std::{error::Error as _, sync::Arc, time::Duration};

use access::{Decided, resource_from_proto};
use ids::{OrganizationId, PrincipalId, Region, ServiceName};
use oplog::NotWritten;
use policy::Action;
use proto::{
    authz::v1::{
        ApplyPrincipalsRequest, ApplyPrincipalsResponse, AssignCreatorRequest, AssignCreatorResponse, Caller,
        CheckConferRequest, CheckRequest, CheckResponse, ForgetResourceRequest, ForgetResourceResponse,
        HasTeamRequest, HasTeamResponse, LeaseRequest, LeaseResponse, MapTeamsRequest, MapTeamsResponse,
        ReachRequest, ReachResponse, Verdict, VisibleRequest, VisibleResponse, authz_server::Authz,
    },
    replication::v1::Position,
};
use replication::Vector;
use service::Callers;
use tonic::{Request, Response, Status};

use crate::{
    Error,
    app::App,
    control_planes,
    decisions::Asker,
    index::leases,
    principals::{self, FeedError},
};

/// The server.
pub struct Internal(pub App);

/// Who may call which method.
pub const CALLERS: Callers = &[
    ("/landbridge.authz.v1.Authz/Check", &[ServiceName::Identity, ServiceName::Config]),
    ("/landbridge.authz.v1.Authz/Reach", &[ServiceName::Identity, ServiceName::Config]),
    ("/landbridge.authz.v1.Authz/Lease", &[ServiceName::Identity, ServiceName::Config]),
    ("/landbridge.authz.v1.Authz/CheckConfer", &[ServiceName::Identity]),
    // Principals come from identity's log.
    ("/landbridge.authz.v1.Authz/ApplyPrincipals", &[ServiceName::Identity]),
    // identity knows who is in which group.
    ("/landbridge.authz.v1.Authz/HasTeam", &[ServiceName::Identity]),
    ("/landbridge.authz.v1.Authz/MapTeams", &[ServiceName::Identity]),
    ("/landbridge.authz.v1.Authz/Visible", &[ServiceName::Config]),
    ("/landbridge.authz.v1.Authz/AssignCreator", &[ServiceName::Config]),
    ("/landbridge.authz.v1.Authz/ForgetResource", &[ServiceName::Config]),
    // It answers for the audit log of the whole region.
    ("/landbridge.audit.v1.Audit/Read", &[ServiceName::Config]),
    ("/landbridge.audit.v1.Audit/State", &[ServiceName::Config]),
];

#[tonic::async_trait]
impl Authz for Internal {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let (asker, minimum) = asker(request.caller)?;
        let action: Action = request.action.parse().map_err(|_| Status::invalid_argument("action"))?;
        let resource =
            resource_from_proto(request.resource).ok_or_else(|| Status::invalid_argument("resource"))?;
        let (decided, generation) = self.0.decider.check(&asker, &minimum, action, &resource).await?;
        let instance = self.0.decider.index.leases.instance();
        Ok(Response::new(CheckResponse { instance, generation, ..response(decided) }))
    }

    async fn check_confer(
        &self,
        request: Request<CheckConferRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let (asker, minimum) = asker(request.caller)?;
        let principal: PrincipalId = parse(&request.principal_id, "principal_id")?;
        Ok(Response::new(response(self.0.decider.check_confer(&asker, &minimum, principal).await?)))
    }

    async fn visible(&self, request: Request<VisibleRequest>) -> Result<Response<VisibleResponse>, Status> {
        let request = request.into_inner();
        let (asker, minimum) = asker(request.caller)?;
        let region: Region = parse(&request.region, "region")?;
        let (visible, seen) = self.0.decider.visible(&asker, &minimum, &region).await?;
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
        let (asker, minimum) = asker(request.caller)?;
        let (id, region) =
            (parse(&request.control_plane_id, "control_plane_id")?, parse(&request.region, "region")?);
        let seen = self.0.assign_creator(&asker, &minimum, id, &region).await;
        answer(seen.map(|seen| AssignCreatorResponse { seen: seen.to_wire() }))
    }

    async fn forget_resource(
        &self,
        request: Request<ForgetResourceRequest>,
    ) -> Result<Response<ForgetResourceResponse>, Status> {
        let request = request.into_inner();
        let organization: OrganizationId = parse(&request.organization_id, "organization_id")?;
        let id = parse(&request.control_plane_id, "control_plane_id")?;
        let forgotten = self.0.forget_control_plane(organization, id).await;
        answer(forgotten.map(|()| ForgetResourceResponse {}))
    }

    async fn apply_principals(
        &self,
        request: Request<ApplyPrincipalsRequest>,
    ) -> Result<Response<ApplyPrincipalsResponse>, Status> {
        let request = request.into_inner();
        // One call brings the entries of many writes, each with a trace of its own.
        for operation in &request.operations {
            telemetry::link(&tracing::Span::current(), &operation.traceparent);
        }
        let applied = principals::apply(&self.0.log, &request.origin, &request.operations).await;
        let applied = match applied {
            Ok(applied) => applied,
            Err(FeedError::Failed(error)) => return answer(Err(error)),
            Err(gap @ FeedError::Gap { .. }) => return Err(Status::out_of_range(gap.to_string())),
            Err(error @ FeedError::Unreadable { .. }) => {
                tracing::error!(%error, origin = request.origin, "identity's log stops here");
                return Err(Status::failed_precondition(error.to_string()));
            }
        };
        let own = self.0.log.origin();
        // As of now: another process may have appended them.
        let state = match self.0.log.replica().read_state().await {
            Ok(state) => state,
            Err(error) => return answer(Err(error.into())),
        };
        let end = state.vector().get(own).map(|position| (own.clone(), position));
        let logged: Vector = end.into_iter().collect();
        self.0.decider.index.wait_visible(&logged).await;
        Ok(Response::new(ApplyPrincipalsResponse { applied, logged: logged.to_wire() }))
    }

    async fn has_team(&self, request: Request<HasTeamRequest>) -> Result<Response<HasTeamResponse>, Status> {
        let request = request.into_inner();
        let organization = parse(&request.organization_id, "organization_id")?;
        let found = self.0.has_team(organization, parse(&request.team_id, "team_id")?).await;
        answer(found.map(|found| HasTeamResponse { found }))
    }

    async fn map_teams(
        &self,
        request: Request<MapTeamsRequest>,
    ) -> Result<Response<MapTeamsResponse>, Status> {
        let request = request.into_inner();
        let organization = parse(&request.organization_id, "organization_id")?;
        let principal = parse(&request.principal_id, "principal_id")?;
        let teams = request.team_ids.iter().map(|id| parse(id, "team_ids")).collect::<Result<_, _>>()?;
        let seen = self.0.map_teams(organization, principal, teams).await;
        answer(seen.map(|seen| MapTeamsResponse { seen: seen.to_wire() }))
    }

    async fn reach(&self, request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
        self.0.decider.reach(&vector(&request.get_ref().vector)?).await?;
        Ok(Response::new(ReachResponse {}))
    }

    async fn lease(&self, request: Request<LeaseRequest>) -> Result<Response<LeaseResponse>, Status> {
        let request = request.into_inner();
        let leases = &self.0.decider.index.leases;
        let holder = parse(&request.holder, "holder")?;
        if request.ends {
            leases.end(holder);
            return Ok(Response::new(LeaseResponse::default()));
        }
        let heard = (request.instance != 0).then_some((request.instance, request.heard));
        let hold = Duration::from_millis(request.hold_ms.into());
        let news = leases.grant(leases::Request { holder, heard, hold }).await;
        let news = news.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        Ok(Response::new(LeaseResponse {
            instance: leases.instance(),
            generation: news.generation,
            everything: news.changed.is_none(),
            changed: news.changed.into_iter().flatten().map(|id| id.to_string()).collect(),
            lasts_ms: u32::try_from(leases::LASTS.as_millis()).unwrap_or_default(),
        }))
    }
}

fn response(decided: Decided) -> CheckResponse {
    CheckResponse {
        verdict: verdict(decided.verdict).into(),
        reasons: decided.authority.iter().map(ToString::to_string).collect(),
        seen: decided.seen.to_wire(),
        // Only the answer to `Check` may be remembered.
        instance: 0,
        generation: 0,
    }
}

fn vector(wire: &[Position]) -> Result<Vector, Status> {
    Vector::from_wire(wire).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn parse<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Status> {
    text.parse().map_err(|_| Status::invalid_argument(field))
}

/// The caller, and the vector that its request has to be answered on at least.
fn asker(caller: Option<Caller>) -> Result<(Asker, Vector), Status> {
    let caller = caller.ok_or_else(|| Status::invalid_argument("caller"))?;
    let minimum = vector(&caller.floor)?;
    let asker = Asker {
        organization: parse(&caller.organization_id, "organization_id")?,
        principal: parse(&caller.principal_id, "principal_id")?,
        session: parse(&caller.session_id, "session_id")?,
        issued_at: caller.issued_at,
        vector: vector(&caller.vector)?,
    };
    Ok((asker, minimum))
}

const fn verdict(verdict: policy::Verdict) -> Verdict {
    match verdict {
        policy::Verdict::Allow => Verdict::Allow,
        policy::Verdict::Deny => Verdict::Deny,
        policy::Verdict::Suspended => Verdict::Suspended,
        policy::Verdict::Unauthenticated => Verdict::Unauthenticated,
    }
}

/// The one mapping of this service's errors to gRPC. Callers tell the codes apart: see `authz.proto`.
fn status(error: &Error) -> Status {
    match error {
        Error::ControlPlane(control_planes::Error::MayNotCreate) => Status::permission_denied(error.to_string()),
        Error::Unavailable(unavailable) => unavailable.clone().into(),
        Error::OrganizationNotArrived => Status::out_of_range(error.to_string()),
        Error::Mutation(mutation::Error::Log(NotWritten::Panicked)) => internal(),
        Error::Mutation(mutation::Error::Log(NotWritten::Database(database)))
        | Error::Mutation(mutation::Error::Log(NotWritten::Unconfirmed(database))) => of_database(database),
        Error::Mutation(mutation::Error::Log(
            NotWritten::QueueFull | NotWritten::Stopping | NotWritten::Fenced,
        )) => Status::unavailable(error.to_string()),
        Error::Mutation(mutation::Error::Database(database)) => of_database(database),
        Error::Mutation(
            mutation::Error::Inapplicable(_)
            | mutation::Error::InvalidKey
            | mutation::Error::BodyTooLarge
            | mutation::Error::KeyReused
            | mutation::Error::KeyInUse
            | mutation::Error::Answer(_),
        )
        // Errors of the public API: no call over gRPC leads to them.
        | Error::Team(_)
        | Error::AssignedRole(_)
        | Error::Check(_)
        | Error::Regions(_)
        | Error::Refused(_) => internal(),
    }
}

fn of_database(error: &postgres::Error) -> Status {
    match error {
        postgres::Error::Unavailable(_) => Status::unavailable("the database cannot be asked now; try again"),
        postgres::Error::Fault(_) => internal(),
    }
}

fn internal() -> Status {
    Status::internal("internal error; the log of authz has the cause")
}

/// The answer to a call. A refusal carries what went wrong to [`telemetry::grpc_trace_layer`], which logs it, once.
fn answer<T>(outcome: Result<T, Error>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|error| {
        let mut status = status(&error);
        if status.source().is_none() {
            status.set_source(Arc::new(error));
        }
        status
    })
}
