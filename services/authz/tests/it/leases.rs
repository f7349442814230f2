//! What others remember of decisions, under leases: never longer than it is true.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use access::{Action, Decisions as _, RemoteDecisions, Resource, Session, Vector, Verdict};
use axum::http::StatusCode;
use ids::ControlPlaneId;
use proto::authz::v1::authz_server::AuthzServer;
use serde_json::json;
use telemetry::TraceContext;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Endpoint, Server},
};

use crate::{
    service::{Service, ada, owner},
    support::{acme, region},
};

const DEADLINE: Duration = Duration::from_secs(60);
/// Checks in a row, nearly all of which have to be answered from memory: a renewal of the lease may come between.
const IN_A_ROW: usize = 200;
const CALLS_MAX: usize = 20;
const CHECKERS: usize = 4;

/// Another service of the region, which asks over gRPC and remembers.
struct Other {
    decisions: Arc<RemoteDecisions>,
    /// Calls that came to authz.
    calls: Arc<AtomicUsize>,
    control_plane: Resource,
}

impl Other {
    async fn start(service: &Service) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let server =
            AuthzServer::with_interceptor(authz::grpc::Internal(service.app.clone()), move |request| {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(request)
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(
            Server::builder().add_service(server).serve_with_incoming(TcpListenerStream::new(listener)),
        );
        let channel = Endpoint::from_shared(url).expect("a URL").connect_lazy();
        let decisions = Arc::new(RemoteDecisions::new(InterceptedService::new(channel, TraceContext)));
        tokio::spawn(decisions.clone().remember());
        let (id, region) = (ControlPlaneId::generate(), region("us"));
        let control_plane = Resource::ControlPlane { id, region, labels: Default::default() };
        Self { decisions, calls, control_plane }
    }

    async fn check(&self, session: &Session) -> Verdict {
        let (nothing, action) = (Vector::default(), Action::CpRetrieve);
        let checked = self.decisions.check(session, &nothing, action, &self.control_plane).await;
        checked.expect("decided").verdict
    }

    /// Returns once answers come from memory.
    async fn until_remembered(&self, session: &Session) {
        let remembered = async {
            loop {
                let before = self.calls.load(Ordering::SeqCst);
                for _ in 0..IN_A_ROW {
                    assert_eq!(self.check(session).await, Verdict::Allow);
                }
                if self.calls.load(Ordering::SeqCst) - before <= CALLS_MAX {
                    return;
                }
            }
        };
        timeout(DEADLINE, remembered).await.expect("what was allowed is remembered");
    }

    /// Makes `revoke`, while others ask all the time; whoever asks after it was answered must be told `verdict`.
    async fn revoked(
        self: &Arc<Self>,
        session: &Session,
        verdict: Verdict,
        revoke: impl Future<Output = ()>,
    ) {
        let is_revoked = Arc::new(AtomicBool::new(false));
        let mut checkers = JoinSet::new();
        for _ in 0..CHECKERS {
            let (other, session, is_revoked) = (self.clone(), session.clone(), is_revoked.clone());
            checkers.spawn(async move {
                let until = Instant::now() + DEADLINE;
                while Instant::now() < until {
                    let after = is_revoked.load(Ordering::SeqCst);
                    let found = other.check(&session).await;
                    if after {
                        return found;
                    }
                    tokio::task::yield_now().await;
                }
                panic!("the revocation was not answered");
            });
        }
        revoke.await;
        is_revoked.store(true, Ordering::SeqCst);
        for found in checkers.join_all().await {
            assert_eq!(found, verdict, "a revocation is in force when it is answered");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_role_that_is_taken_back_is_not_used_from_memory() {
    let (_database, service) = Service::start().await;
    let other = Arc::new(Other::start(&service).await);
    let (session, token) = (service.session(ada()), service.token(owner()));
    let roles = format!("/v3/users/{}/assigned-roles", ada());
    let role = json!({
        "role_name": "Viewer", "entity_id": "*", "entity_type_name": "Control Planes", "entity_region": "*",
    });
    for _ in 0..5 {
        let made = service.post(&roles, &token, role.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        other.until_remembered(&session).await;
        let mine = format!("{roles}/{}", made.id());
        let revoke = async {
            let deleted = service.delete(&mine, &token).await;
            assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
        };
        other.revoked(&session, Verdict::Deny, revoke).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_has_ended_and_a_principal_that_is_inactive_are_nobody_at_once() {
    let (_database, service) = Service::start().await;
    let other = Arc::new(Other::start(&service).await);
    let (session, another) = (service.session(owner()), service.session(owner()));
    other.until_remembered(&session).await;
    other.until_remembered(&another).await;
    let ended = json!({"id": session.id, "expires_at": 0});
    let revoke = service.feed(5, vec![(acme(), "token.revoked", ended)]);
    other.revoked(&session, Verdict::Unauthenticated, revoke).await;

    other.until_remembered(&another).await;
    let inactive = json!({"id": owner(), "kind": "user", "active": false});
    let revoke = service.feed(6, vec![(acme(), "principal.put", inactive)]);
    other.revoked(&another, Verdict::Unauthenticated, revoke).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_session_and_a_later_state_are_asked_about() {
    let (_database, service) = Service::start().await;
    let other = Arc::new(Other::start(&service).await);
    let session = service.session(owner());
    other.until_remembered(&session).await;
    let stranger = Session { issued_at: -1, principal: ada(), ..session.clone() };
    assert_eq!(other.check(&stranger).await, Verdict::Deny, "the same session's text for somebody else");

    // A state that nothing here has reached: what is remembered was not made on it.
    let far = replication::Position { epoch: 1, seq: u64::MAX / 4 };
    let far = Vector::from_iter([(service.app.log.origin().clone(), far)]);
    let checked = other.decisions.check(&session, &far, Action::CpRetrieve, &other.control_plane).await;
    assert!(matches!(checked, Err(access::Unavailable::NotYet { .. })), "{checked:?}");
}
