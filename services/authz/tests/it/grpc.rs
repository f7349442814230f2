//! What the other services of the region ask: every call, and how each is refused.

use ids::{ControlPlaneId, OrganizationId, PrincipalId, TokenId};
use proto::{
    authz::v1::{
        ApplyPrincipalsRequest, AssignCreatorRequest, Caller, CheckConferRequest, CheckRequest,
        ForgetResourceRequest, ReachRequest, Resource, Verdict, VisibleRequest, authz_server::Authz as _,
        resource,
    },
    replication::v1::Position,
};
use serde_json::json;
use tonic::{Code, Request};

use crate::{
    service::{Service, ada, administrators, bot, identity_operation, owner},
    support::acme,
};

fn caller(principal: PrincipalId) -> Option<Caller> {
    Some(Caller {
        organization_id: acme().to_string(),
        principal_id: principal.to_string(),
        session_id: TokenId::generate().to_string(),
        issued_at: 0,
        floor: Vec::new(),
        vector: Vec::new(),
    })
}

fn iam() -> Option<Resource> {
    Some(Resource { resource: Some(resource::Resource::Iam(resource::Iam {})) })
}

fn check(principal: PrincipalId, action: &str) -> Request<CheckRequest> {
    Request::new(CheckRequest { caller: caller(principal), action: action.to_owned(), resource: iam() })
}

fn far() -> Vec<Position> {
    vec![Position { origin: "authz.eu".to_owned(), epoch: 1, seq: 99 }]
}

#[tokio::test]
async fn a_decision_names_what_it_rests_on() {
    let (_database, service) = Service::start().await;
    let allowed =
        service.internal.check(check(owner(), "iam:ManageTeams")).await.expect("decided").into_inner();
    assert_eq!(allowed.verdict(), Verdict::Allow);
    let kinds: Vec<&str> =
        allowed.reasons.iter().filter_map(|reason| reason.split_once(':')).map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["assignment", "team", "membership"]);
    assert_eq!(allowed.reasons[1], format!("team:{}", administrators()));
    assert_eq!(allowed.seen.len(), 1);
    let denied = service.internal.check(check(ada(), "iam:ManageTeams")).await.expect("decided").into_inner();
    assert_eq!((denied.verdict(), denied.reasons.len()), (Verdict::Deny, 0));
}

#[tokio::test]
async fn what_is_not_known_yet_is_out_of_range_and_never_a_denial() {
    let (_database, service) = Service::start().await;
    // A stranger may be on the way from identity.
    let refused = service.internal.check(check(PrincipalId::generate(), "iam:ManageTeams")).await;
    assert_eq!(refused.expect_err("not known").code(), Code::OutOfRange);
    // The minimum of the request.
    let mut request = check(owner(), "iam:ManageTeams");
    request.get_mut().caller.as_mut().expect("a caller").floor = far();
    assert_eq!(service.internal.check(request).await.expect_err("not yet").code(), Code::OutOfRange);
    // The caller's token comes from a region that had seen more. What allows counts all the same.
    let mut request = check(ada(), "iam:ManageTeams");
    request.get_mut().caller.as_mut().expect("a caller").vector = far();
    assert_eq!(service.internal.check(request).await.expect_err("not yet").code(), Code::OutOfRange);
    let mut request = check(owner(), "iam:ManageTeams");
    request.get_mut().caller.as_mut().expect("a caller").vector = far();
    assert_eq!(
        service.internal.check(request).await.expect("decided").into_inner().verdict(),
        Verdict::Allow
    );
    // Another region has announced more.
    service.hears_of("eu", 3);
    assert_eq!(
        service.internal.check(check(ada(), "iam:ManageTeams")).await.expect_err("not yet").code(),
        Code::OutOfRange
    );
    let allowed = service.internal.check(check(owner(), "iam:ManageTeams")).await.expect("decided");
    assert_eq!(allowed.into_inner().verdict(), Verdict::Allow);
    let confer = CheckConferRequest { caller: caller(owner()), principal_id: bot().to_string() };
    let refused = service.internal.check_confer(Request::new(confer)).await;
    assert_eq!(refused.expect_err("giving needs everything").code(), Code::OutOfRange);
    let visible = VisibleRequest { caller: caller(ada()), region: "us".to_owned() };
    let listed = service.internal.visible(Request::new(visible)).await.expect("a list needs no more");
    assert_eq!((listed.get_ref().all, listed.get_ref().ids.len()), (false, 0));
    let reached = service.internal.reach(Request::new(ReachRequest { vector: far() })).await;
    assert_eq!(reached.expect_err("not yet").code(), Code::OutOfRange);
    service.internal.reach(Request::new(ReachRequest { vector: Vec::new() })).await.expect("reached");
}

#[tokio::test]
async fn only_who_holds_as_much_may_confer() {
    let (_database, service) = Service::start().await;
    let confer = |by, of: PrincipalId| {
        Request::new(CheckConferRequest { caller: caller(by), principal_id: of.to_string() })
    };
    let verdict =
        async |request| service.internal.check_confer(request).await.expect("decided").into_inner().verdict();
    assert_eq!(verdict(confer(owner(), bot())).await, Verdict::Allow);
    assert_eq!(verdict(confer(ada(), bot())).await, Verdict::Allow, "the account holds nothing");
    assert_eq!(verdict(confer(ada(), owner())).await, Verdict::Deny);
    let allowed =
        service.internal.check_confer(confer(owner(), owner())).await.expect("decided").into_inner();
    assert!(allowed.reasons.iter().any(|reason| reason.starts_with("membership:")), "{allowed:?}");
}

#[tokio::test]
async fn a_creator_becomes_admin_once_and_is_forgotten_with_the_control_plane() {
    let (_database, service) = Service::start().await;
    let id = ControlPlaneId::generate();
    let assign = |principal| {
        Request::new(AssignCreatorRequest {
            caller: caller(principal),
            control_plane_id: id.to_string(),
            region: "us".to_owned(),
        })
    };
    let refused = service.internal.assign_creator(assign(ada())).await.expect_err("ada may not create");
    assert_eq!(refused.code(), Code::PermissionDenied);
    for _ in 0..2 {
        let seen =
            service.internal.assign_creator(assign(owner())).await.expect("assigned").into_inner().seen;
        assert_eq!(seen.len(), 1);
    }
    let held = "SELECT count(*) FROM replicated.assignment WHERE role_name = 'Admin'";
    assert_eq!(service.count(held).await, 1);
    let forget = ForgetResourceRequest {
        organization_id: OrganizationId::generate().to_string(),
        control_plane_id: id.to_string(),
    };
    service.internal.forget_resource(Request::new(forget)).await.expect("nothing of that organization");
    assert_eq!(service.count(held).await, 1);
    let forget =
        ForgetResourceRequest { organization_id: acme().to_string(), control_plane_id: id.to_string() };
    service.internal.forget_resource(Request::new(forget)).await.expect("forgotten");
    assert_eq!(service.count(held).await, 0);
    assert_eq!(service.count("SELECT count(*) FROM audit WHERE action = 'role.forget-resource'").await, 2);
}

#[tokio::test]
async fn a_fenced_log_takes_no_writes() {
    let (_database, service) = Service::start().await;
    service.app.log.replica().suspect().await.expect("suspect");
    let assign = AssignCreatorRequest {
        caller: caller(owner()),
        control_plane_id: ControlPlaneId::generate().to_string(),
        region: "us".to_owned(),
    };
    let refused = service.internal.assign_creator(Request::new(assign)).await.expect_err("fenced");
    assert_eq!(refused.code(), Code::Unavailable);
    let refused = service.post("/v3/teams", &service.token(owner()), json!({"name": "a"})).await;
    assert_eq!((refused.problem(), refused.status.as_u16()), ("unavailable", 503));
}

#[tokio::test]
async fn principals_come_in_the_order_of_identitys_log() {
    let (_database, service) = Service::start().await;
    let apply = async |operations| {
        let request = ApplyPrincipalsRequest { origin: "identity.us".to_owned(), operations };
        service.internal.apply_principals(Request::new(request)).await
    };
    let put = |seq| {
        identity_operation(seq, acme(), "principal.put", json!({"id": ada(), "kind": "user", "active": true}))
    };
    let applied = apply(vec![put(5)]).await.expect("applied").into_inner();
    assert_eq!((applied.applied, applied.logged.len()), (5, 1));
    let gap = apply(vec![put(9)]).await.expect_err("a gap");
    assert_eq!(gap.code(), Code::OutOfRange);
    let unreadable = vec![identity_operation(6, acme(), "principal.cloned", json!({}))];
    let stopped = apply(unreadable).await.expect_err("unreadable");
    assert_eq!(stopped.code(), Code::FailedPrecondition);
    service.app.log.replica().suspect().await.expect("suspect");
    let fenced = apply(vec![put(6)]).await.expect_err("fenced");
    assert_eq!(fenced.code(), Code::Unavailable);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_invalid_argument() {
    let (_database, service) = Service::start().await;
    let internal = &service.internal;
    let mut requests =
        vec![check(owner(), "x:Y"), check(owner(), "iam:ManageTeams"), check(owner(), "iam:ManageTeams")];
    requests[1].get_mut().resource = None;
    requests[2].get_mut().caller = None;
    for field in 0..4 {
        let mut request = check(owner(), "iam:ManageTeams");
        let caller = request.get_mut().caller.as_mut().expect("a caller");
        match field {
            0 => caller.organization_id = "x".to_owned(),
            1 => caller.principal_id = "x".to_owned(),
            2 => caller.session_id = "x".to_owned(),
            _ => caller.floor = vec![Position { origin: "x".to_owned(), epoch: 1, seq: 1 }],
        }
        requests.push(request);
    }
    for request in requests {
        let asked = format!("{request:?}");
        let refused = internal.check(request).await.expect_err(&asked);
        assert_eq!(refused.code(), Code::InvalidArgument, "{asked}");
    }
    let confer = CheckConferRequest { caller: caller(owner()), principal_id: "x".to_owned() };
    let refused = internal.check_confer(Request::new(confer)).await.expect_err("no id");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let visible = VisibleRequest { caller: caller(owner()), region: String::new() };
    assert_eq!(
        internal.visible(Request::new(visible)).await.expect_err("no region").code(),
        Code::InvalidArgument
    );
}
