//! The clients of identity and authz: what they send, and what they make of the answers.

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
};

use ids::{ControlPlaneId, OrganizationId, PrincipalId, ServiceName, TokenId};
use policy::{Action, Resource, Verdict};
use proto::{
    authz::v1::{self as authz, authz_server},
    identity::v1::{self as identity, identity_server},
};
use replication::Vector;
use telemetry::{TraceContext, TracedChannel};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Endpoint, Server},
};

use super::region::vector;
use crate::{
    Authority, Decided, Decisions as _, OpaqueToken, PrincipalKind, Refusal, RemoteDecisions, RemoteSessions,
    Session, Sessions as _, TokenKind, Unavailable,
};

/// Both services; answers every call with `refusal`, if there is one.
#[derive(Clone, Default)]
struct Services {
    refusal: Arc<Mutex<Option<Code>>>,
    resolve: Arc<Mutex<Option<identity::ResolveTokenRequest>>>,
    caller: Arc<Mutex<Option<authz::Caller>>>,
    reasons: Arc<Mutex<Vec<String>>>,
}

type Reply<T> = Result<Response<T>, Status>;

impl Services {
    fn reply<T>(&self, answer: T) -> Reply<T> {
        match *self.refusal.lock().expect("lock") {
            Some(code) => Err(Status::new(code, "refused")),
            None => Ok(Response::new(answer)),
        }
    }

    fn refuse(&self, code: Code) {
        *self.refusal.lock().expect("lock") = Some(code);
    }

    fn because(&self, reasons: &[&str]) {
        *self.reasons.lock().expect("lock") = reasons.iter().map(ToString::to_string).collect();
    }

    fn called_by(&self, caller: Option<authz::Caller>) {
        *self.caller.lock().expect("lock") = caller;
    }

    /// Serves both; a channel to them.
    async fn serve(&self) -> TracedChannel {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("address");
        let server = Server::builder()
            .add_service(identity_server::IdentityServer::new(self.clone()))
            .add_service(authz_server::AuthzServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("URL");
        InterceptedService::new(endpoint.connect_lazy(), TraceContext)
    }
}

fn minted_on() -> Vector {
    vector(&[("authz.eu", 3)])
}

#[tonic::async_trait]
impl identity_server::Identity for Services {
    async fn resolve_token(
        &self,
        request: Request<identity::ResolveTokenRequest>,
    ) -> Reply<identity::ResolveTokenResponse> {
        *self.resolve.lock().expect("lock") = Some(request.into_inner());
        self.reply(identity::ResolveTokenResponse {
            organization_id: OrganizationId::generate().to_string(),
            principal_id: PrincipalId::generate().to_string(),
            principal_kind: identity::PrincipalKind::User.into(),
            session_id: TokenId::generate().to_string(),
            issued_at: 1,
            expires_at: 2,
            vector: minted_on().to_wire(),
            requests_per_second_max: 7,
            entities_max: 0,
        })
    }

    async fn ending_organizations(
        &self,
        _request: Request<identity::EndingOrganizationsRequest>,
    ) -> Reply<identity::EndingOrganizationsResponse> {
        self.reply(identity::EndingOrganizationsResponse::default())
    }

    async fn reach(&self, _request: Request<identity::ReachRequest>) -> Reply<identity::ReachResponse> {
        self.reply(identity::ReachResponse {})
    }

    async fn regions(&self, _request: Request<identity::RegionsRequest>) -> Reply<identity::RegionsResponse> {
        self.reply(identity::RegionsResponse::default())
    }

    async fn signing_keys(
        &self,
        request: Request<identity::SigningKeysRequest>,
    ) -> Reply<identity::SigningKeysResponse> {
        assert_eq!(request.into_inner().wanted, "eu.key");
        self.reply(identity::SigningKeysResponse { jwks_json: r#"{"keys":[]}"#.to_owned() })
    }
}

#[tonic::async_trait]
impl authz_server::Authz for Services {
    async fn check(&self, request: Request<authz::CheckRequest>) -> Reply<authz::CheckResponse> {
        self.called_by(request.into_inner().caller);
        self.reply(authz::CheckResponse {
            verdict: authz::Verdict::Allow.into(),
            reasons: self.reasons.lock().expect("lock").clone(),
            seen: minted_on().to_wire(),
            instance: 1,
            generation: 1,
        })
    }

    async fn visible(&self, request: Request<authz::VisibleRequest>) -> Reply<authz::VisibleResponse> {
        self.called_by(request.into_inner().caller);
        self.reply(authz::VisibleResponse {
            verdict: authz::Verdict::Allow.into(),
            all: true,
            seen: minted_on().to_wire(),
            ..Default::default()
        })
    }

    async fn check_confer(&self, request: Request<authz::CheckConferRequest>) -> Reply<authz::CheckResponse> {
        self.called_by(request.into_inner().caller);
        self.reply(authz::CheckResponse { verdict: authz::Verdict::Deny.into(), ..Default::default() })
    }

    async fn assign_creator(
        &self,
        request: Request<authz::AssignCreatorRequest>,
    ) -> Reply<authz::AssignCreatorResponse> {
        self.called_by(request.into_inner().caller);
        self.reply(authz::AssignCreatorResponse { seen: minted_on().to_wire() })
    }

    async fn forget_resource(
        &self,
        _request: Request<authz::ForgetResourceRequest>,
    ) -> Reply<authz::ForgetResourceResponse> {
        self.reply(authz::ForgetResourceResponse {})
    }

    async fn apply_principals(
        &self,
        _request: Request<authz::ApplyPrincipalsRequest>,
    ) -> Reply<authz::ApplyPrincipalsResponse> {
        self.reply(authz::ApplyPrincipalsResponse::default())
    }

    async fn has_team(&self, _request: Request<authz::HasTeamRequest>) -> Reply<authz::HasTeamResponse> {
        Err(Status::unimplemented("only identity asks"))
    }

    async fn map_teams(&self, _request: Request<authz::MapTeamsRequest>) -> Reply<authz::MapTeamsResponse> {
        Err(Status::unimplemented("only identity asks"))
    }

    async fn lease(&self, _request: Request<authz::LeaseRequest>) -> Reply<authz::LeaseResponse> {
        Err(Status::unimplemented("authz of an earlier release"))
    }

    async fn reach(&self, _request: Request<authz::ReachRequest>) -> Reply<authz::ReachResponse> {
        self.reply(authz::ReachResponse {})
    }
}

fn is_not_asked<T>(answer: &Result<T, Unavailable>, asked: ServiceName) -> bool {
    matches!(answer, Err(Unavailable::NotAsked { service, .. }) if *service == asked)
}

#[tokio::test]
async fn identity_is_told_where_a_token_was_made() {
    let services = Services::default();
    let sessions = RemoteSessions::new(services.serve().await);
    let token = OpaqueToken::plain(TokenKind::Personal, &"eu".parse().expect("region"), 42, [9; 24]);
    let session = sessions.resolve(&token).await.expect("an answer").expect("a session");
    assert_eq!(session.vector, minted_on());
    let limits = session.limits;
    assert_eq!((limits.requests_per_second.map(u32::from), limits.entities), (Some(7), None));
    let asked = services.resolve.lock().expect("lock").clone().expect("a question");
    assert_eq!((asked.minted_region.as_str(), asked.minted_seq), ("eu", 42));
    assert_eq!(asked.sha256.as_ref(), token.sha256());
    sessions.signing_keys("eu.key").await.expect("keys");
    sessions.reach(&vector(&[("identity.eu", 4)])).await.expect("reached");

    for (code, refusal) in [
        (Code::NotFound, Refusal::Unknown),
        (Code::Unauthenticated, Refusal::Ended(None)),
        (Code::FailedPrecondition, Refusal::Inactive(None)),
    ] {
        services.refuse(code);
        assert_eq!(sessions.resolve(&token).await.expect("an answer"), Err(refusal));
    }
    services.refuse(Code::OutOfRange);
    let ahead = vector(&[("identity.eu", 42)]);
    assert_eq!(sessions.resolve(&token).await, Err(Unavailable::not_yet(ahead)));
    assert!(matches!(sessions.signing_keys("eu.key").await, Err(Unavailable::NotYet { .. })));
    let wanted = vector(&[("identity.eu", 4)]);
    assert_eq!(sessions.reach(&wanted).await, Err(Unavailable::not_yet(wanted.clone())));
    services.refuse(Code::Unavailable);
    assert!(is_not_asked(&sessions.resolve(&token).await, ServiceName::Identity));
    assert!(is_not_asked(&sessions.reach(&wanted).await, ServiceName::Identity));
}

#[tokio::test]
async fn authz_is_told_the_floor_and_tells_what_it_saw() {
    let services = Services::default();
    let decisions = RemoteDecisions::new(services.serve().await);
    let region = "us".parse().expect("region");
    let session = Session {
        organization: OrganizationId::generate(),
        principal: PrincipalId::generate(),
        kind: PrincipalKind::User,
        id: TokenId::generate(),
        issued_at: 5,
        expires_at: 6,
        ends_at: 6,
        vector: vector(&[("authz.ap", 2)]),
        limits: crate::Limits::default(),
    };
    let floor = vector(&[("authz.us", 9)]);
    let told = || {
        let caller = services.caller.lock().expect("lock").take().expect("a call");
        let read = |positions: &[_]| Vector::from_wire(positions).expect("a vector");
        (read(&caller.floor), read(&caller.vector))
    };
    let both = (floor.clone(), session.vector.clone());
    let authority = Authority::Team(ids::TeamId::generate());
    services.because(&[&authority.to_string()]);

    let decided = decisions.check(&session, &floor, Action::OrgRead, &Resource::Iam).await.expect("decided");
    assert_eq!(decided, Decided { verdict: Verdict::Allow, authority: vec![authority], seen: minted_on() });
    assert_eq!(told(), both);
    let (verdict, visible, seen) = decisions.visible(&session, &floor, &region).await.expect("decided");
    assert_eq!((verdict, visible.all, seen), (Verdict::Allow, true, minted_on()));
    assert_eq!(told(), both);
    let decided = decisions.check_confer(&session, &floor, session.principal).await.expect("decided");
    assert_eq!(decided.verdict, Verdict::Deny);
    assert_eq!(told(), both);
    let control_plane = ControlPlaneId::generate();
    let wrote = decisions.assign_creator(&session, &floor, control_plane, &region).await.expect("assigned");
    assert_eq!(wrote, minted_on());
    assert_eq!(told(), both);
    decisions.reach(&floor).await.expect("reached");

    services.because(&["assignment:x"]);
    let unreadable = decisions.check(&session, &floor, Action::OrgRead, &Resource::Iam).await;
    assert!(is_not_asked(&unreadable, ServiceName::Authz), "a decision that cannot be read is none");

    services.refuse(Code::OutOfRange);
    let missing = Unavailable::not_yet(vector(&[("authz.us", 9), ("authz.ap", 2)]));
    let refused = decisions.check(&session, &floor, Action::OrgRead, &Resource::Iam).await;
    assert_eq!(refused, Err(missing));
    assert_eq!(decisions.reach(&floor).await, Err(Unavailable::not_yet(floor.clone())));
    services.refuse(Code::Unavailable);
    let refused = decisions.check(&session, &floor, Action::OrgRead, &Resource::Iam).await;
    assert!(is_not_asked(&refused, ServiceName::Authz));
}

#[test]
fn over_grpc_it_is_told_apart_again() {
    let not_asked = Unavailable::new(ServiceName::Authz, &"its database is away");
    let status = Status::from(not_asked);
    let cause = status.source().expect("for the log").to_string();
    assert_eq!((status.message(), cause.as_str()), ("authz cannot be asked now", "its database is away"));
    let read = Err::<(), _>(Unavailable::of_status(ServiceName::Authz, &status, &minted_on()));
    assert!(is_not_asked(&read, ServiceName::Authz));

    let status = Status::from(Unavailable::not_yet(minted_on()));
    assert_eq!(
        Unavailable::of_status(ServiceName::Authz, &status, &minted_on()),
        Unavailable::not_yet(minted_on())
    );
}
