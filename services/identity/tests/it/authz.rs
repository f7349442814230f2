//! An authz in this process, over gRPC: it allows everything and applies whatever it is sent, unless a test says otherwise.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::{
    authz::v1::{
        ApplyPrincipalsRequest, ApplyPrincipalsResponse, AssignCreatorRequest, AssignCreatorResponse,
        CheckConferRequest, CheckRequest, CheckResponse, ForgetResourceRequest, ForgetResourceResponse,
        HasTeamRequest, HasTeamResponse, LeaseRequest, LeaseResponse, MapTeamsRequest, MapTeamsResponse,
        ReachRequest, ReachResponse, Verdict, VisibleRequest, VisibleResponse,
        authz_server::{Authz as Service, AuthzServer},
    },
    replication::v1::Position,
};
use telemetry::{TraceContext, TracedChannel};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Endpoint, Server},
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Authz {
    state: Arc<Mutex<State>>,
    url: String,
}

/// What it does and what it has been told.
pub struct State {
    /// Actions that it denies.
    pub denied: BTreeSet<String>,
    /// Whether it says that callers hold all that others hold.
    pub may_confer: bool,
    /// Whether it says that the session has ended.
    pub session_ended: bool,
    /// Whether it says that the organization is suspended.
    pub suspended: bool,
    /// What it answers instead of a decision.
    pub refusal: Option<Status>,
    /// Teams that it says organizations have.
    pub teams: BTreeSet<String>,
    /// Principals and the teams that their groups mean, in the order of the calls.
    pub mapped: Vec<(String, BTreeSet<String>)>,
    /// Whether it takes entries of identity's log.
    pub takes_entries: bool,
    /// Whether it answers without applying anything.
    pub ignores_entries: bool,
    /// The last entry of identity's log that it has applied.
    pub applied: u64,
    /// Sequence numbers and kinds of all entries that it has applied.
    pub entries: Vec<(u64, String)>,
    /// The first sequence number and the number of entries of every call, in order; 0 for a call without entries.
    pub calls: Vec<(u64, usize)>,
}

impl Authz {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = State {
            denied: BTreeSet::new(),
            may_confer: true,
            session_ended: false,
            suspended: false,
            refusal: None,
            teams: BTreeSet::new(),
            mapped: Vec::new(),
            takes_entries: true,
            ignores_entries: false,
            applied: 0,
            entries: Vec::new(),
            calls: Vec::new(),
        };
        let authz = Self { state: Arc::new(Mutex::new(state)), url };
        let server = Server::builder().add_service(AuthzServer::new(authz.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        authz
    }

    /// A client's connection.
    pub fn channel(&self) -> TracedChannel {
        let endpoint = Endpoint::from_shared(self.url.clone()).expect("a URL");
        InterceptedService::new(endpoint.connect_lazy(), TraceContext)
    }

    /// What it does from now on, and what it has been told.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, allowed: impl FnOnce(&State) -> bool) -> Result<Response<CheckResponse>, Status> {
        let state = self.state();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let verdict = match (state.session_ended, allowed(&state)) {
            (true, _) => Verdict::Unauthenticated,
            (false, _) if state.suspended => Verdict::Suspended,
            (false, true) => Verdict::Allow,
            (false, false) => Verdict::Deny,
        };
        Ok(Response::new(CheckResponse {
            verdict: verdict.into(),
            reasons: Vec::new(),
            seen: logged(7),
            ..CheckResponse::default()
        }))
    }
}

fn logged(seq: u64) -> Vec<Position> {
    vec![Position { origin: "authz.us".to_owned(), epoch: 1, seq }]
}

#[tonic::async_trait]
impl Service for Authz {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        self.decide(|state| !state.denied.contains(&request.get_ref().action))
    }

    async fn visible(&self, _request: Request<VisibleRequest>) -> Result<Response<VisibleResponse>, Status> {
        Err(Status::unimplemented("identity lists no control planes"))
    }

    async fn check_confer(
        &self,
        _request: Request<CheckConferRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        self.decide(|state| state.may_confer)
    }

    async fn assign_creator(
        &self,
        _request: Request<AssignCreatorRequest>,
    ) -> Result<Response<AssignCreatorResponse>, Status> {
        Err(Status::unimplemented("identity makes no control planes"))
    }

    async fn forget_resource(
        &self,
        _request: Request<ForgetResourceRequest>,
    ) -> Result<Response<ForgetResourceResponse>, Status> {
        Err(Status::unimplemented("identity has no resources"))
    }

    async fn lease(&self, _request: Request<LeaseRequest>) -> Result<Response<LeaseResponse>, Status> {
        Err(Status::unimplemented("nothing is to be remembered"))
    }

    /// Applies entries that follow what it has, and passes over all others, as authz does.
    async fn apply_principals(
        &self,
        request: Request<ApplyPrincipalsRequest>,
    ) -> Result<Response<ApplyPrincipalsResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        let first = request.operations.first().map_or(0, |operation| operation.seq);
        state.calls.push((first, request.operations.len()));
        if !state.takes_entries {
            return Err(Status::unavailable("authz is away"));
        }
        for operation in request.operations {
            if operation.seq == state.applied + 1 && !state.ignores_entries {
                state.applied = operation.seq;
                state.entries.push((operation.seq, operation.kind));
            }
        }
        Ok(Response::new(ApplyPrincipalsResponse {
            applied: state.applied,
            logged: logged(100 + state.applied),
        }))
    }

    async fn has_team(&self, request: Request<HasTeamRequest>) -> Result<Response<HasTeamResponse>, Status> {
        let found = self.state().teams.contains(&request.get_ref().team_id);
        Ok(Response::new(HasTeamResponse { found }))
    }

    async fn map_teams(
        &self,
        request: Request<MapTeamsRequest>,
    ) -> Result<Response<MapTeamsResponse>, Status> {
        let MapTeamsRequest { principal_id, team_ids, .. } = request.into_inner();
        let mut state = self.state();
        if !state.takes_entries {
            return Err(Status::unavailable("authz is away"));
        }
        state.mapped.push((principal_id, team_ids.into_iter().collect()));
        Ok(Response::new(MapTeamsResponse { seen: logged(200) }))
    }

    async fn reach(&self, _request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
        Ok(Response::new(ReachResponse {}))
    }
}
