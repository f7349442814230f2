//! Operations of identity's log: each once, in order, and nothing that cannot be read.

use authz::principals::{FeedError, apply, sweep_once};
use ids::{OrganizationId, PrincipalId, TokenId};
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use crate::{
    service::{Service, ada, administrators, identity_operation, owner},
    support::acme,
};

#[tokio::test]
async fn an_organization_begins_with_its_administrators() {
    let (_database, service) = Service::start().await;
    let team = service.get(&format!("/v3/teams/{}", administrators()), &service.token(owner())).await;
    assert_eq!((team.status.as_u16(), &team.body["system_team"]), (200, &json!(true)), "{team:?}");
    let members =
        service.get(&format!("/v3/teams/{}/users", administrators()), &service.token(owner())).await;
    assert_eq!(members.body["data"], json!([{"id": owner()}]));
    // A later operation about the organization founds nothing: the owner may have left.
    let put = json!({"owner_id": ada().uuid(), "home_region": "us", "state": "active"});
    service.feed(5, vec![(acme(), "organization.put", put)]).await;
    assert_eq!(service.count("SELECT count(*) FROM replicated.membership").await, 1);
}

#[tokio::test]
async fn a_batch_that_comes_twice_has_one_effect() {
    let (_database, service) = Service::start().await;
    let log = &service.app.log;
    let entries = "SELECT count(*) FROM log_operation";
    let before = service.count(entries).await;
    let put = |seq| {
        let id = PrincipalId::from_uuid(Uuid::from_u128(u128::from(seq)));
        let body = json!({"id": id, "kind": "user", "active": true});
        identity_operation(seq, acme(), "principal.put", body)
    };
    assert_eq!(apply(log, "identity.us", &[put(5), put(6)]).await.expect("applied"), 6);
    assert_eq!(apply(log, "identity.us", &[put(5), put(6)]).await.expect("applied"), 6);
    assert_eq!(service.count(entries).await, before + 2);
    // A batch that overlaps brings what is new.
    assert_eq!(apply(log, "identity.us", &[put(6), put(7)]).await.expect("applied"), 7);
    assert_eq!(service.count(entries).await, before + 3);
    // Nothing to apply is asked to learn how far the log is applied.
    assert_eq!(apply(log, "identity.us", &[]).await.expect("applied"), 7);
    assert_eq!(apply(log, "identity.eu", &[]).await.expect("applied"), 0, "each log has a place of its own");
    // What no decision reads moves the place and nothing else.
    let minted = identity_operation(8, acme(), "token.minted", json!({}));
    assert_eq!(apply(log, "identity.us", &[minted]).await.expect("applied"), 8);
    assert_eq!(service.count(entries).await, before + 3);
}

#[tokio::test]
async fn a_gap_and_what_cannot_be_read_change_nothing() {
    let (_database, service) = Service::start().await;
    let log = &service.app.log;
    let put = |seq| {
        let body = json!({"id": ada(), "kind": "user", "active": false});
        identity_operation(seq, acme(), "principal.put", body)
    };
    let gap = apply(log, "identity.us", &[put(6)]).await;
    assert!(matches!(gap, Err(FeedError::Gap { seq: 6, applied: 4 })), "{gap:?}");
    let gap = apply(log, "identity.us", &[put(5), put(7)]).await;
    assert!(matches!(gap, Err(FeedError::Gap { seq: 7, applied: 5 })), "{gap:?}");
    let mut nameless = put(6);
    nameless.organization_id = "x".to_owned();
    for unreadable in [
        nameless,
        identity_operation(6, acme(), "principal.cloned", json!({})),
        identity_operation(6, acme(), "principal.put", json!({"id": ada(), "kind": "robot", "active": true})),
        identity_operation(6, acme(), "token.revoked", json!({"id": ada()})),
        identity_operation(
            6,
            acme(),
            "organization.put",
            json!({"owner_id": ada().uuid(), "home_region": "us", "state": "asleep"}),
        ),
    ] {
        let refused = apply(log, "identity.us", &[put(5), unreadable.clone()]).await;
        assert!(matches!(refused, Err(FeedError::Unreadable { seq: 6, .. })), "{unreadable:?} {refused:?}");
    }
    let active = "SELECT count(*) FROM replicated.principal WHERE active";
    assert_eq!(service.count(active).await, 3, "nothing of a refused batch is kept");
}

#[tokio::test]
async fn a_suspended_organization_and_another_one() {
    let (_database, service) = Service::start().await;
    let token = service.token(owner());
    assert_eq!(service.get("/v3/teams", &token).await.status.as_u16(), 200);
    let other = OrganizationId::generate();
    let of_other = json!({"owner_id": ada().uuid(), "home_region": "eu", "state": "suspended"});
    service.feed(5, vec![(other, "organization.put", of_other)]).await;
    assert_eq!(
        service.get("/v3/teams", &token).await.status.as_u16(),
        200,
        "another organization is another one"
    );
    let put = json!({"owner_id": owner().uuid(), "home_region": "us", "state": "suspended"});
    service.feed(6, vec![(acme(), "organization.put", put)]).await;
    assert_eq!(service.get("/v3/teams", &token).await.problem(), "organization-inactive");
    assert_eq!(service.get("/v3/roles", &token).await.problem(), "organization-inactive");
    assert_eq!(service.app.home_of(acme()).await.expect("known").as_str(), "us");
    assert_eq!(service.app.home_of(other).await.expect("known").as_str(), "eu");
    let new = OrganizationId::generate();
    let of_new = json!({"owner_id": ada().uuid(), "home_region": "ap", "state": "active"});
    let fed = service.feed(7, vec![(new, "organization.put", of_new)]);
    let (home, _) = tokio::join!(service.app.home_of(new), fed);
    assert_eq!(home.expect("waited for").as_str(), "ap");
    let unknown = service.app.home_of(OrganizationId::generate()).await;
    assert!(matches!(unknown, Err(authz::Error::OrganizationNotArrived)), "{unknown:?}");
}

#[tokio::test]
async fn a_new_owner_administers_and_a_removed_organization_is_nobodys() {
    let (_database, service) = Service::start().await;
    let token = service.token(ada());
    assert_eq!(service.get("/v3/teams", &token).await.problem(), "forbidden");
    let put = |installs: bool| json!({"owner_id": ada().uuid(), "home_region": "us", "state": "active", "installs_owner": installs});
    service.feed(5, vec![(acme(), "organization.put", put(false))]).await;
    assert_eq!(service.get("/v3/teams", &token).await.problem(), "forbidden", "nothing is new");
    service.feed(6, vec![(acme(), "organization.put", put(true))]).await;
    assert_eq!(service.get("/v3/teams", &token).await.status.as_u16(), 200);
    assert_eq!(service.get("/v3/teams", &service.token(owner())).await.status.as_u16(), 200);

    service.feed(7, vec![(acme(), "organization.removed", json!({}))]).await;
    for principal in [ada(), owner()] {
        let answer = service.get("/v3/teams", &service.token(principal)).await;
        assert_eq!(answer.problem(), "unauthenticated");
    }
    // What comes later of it founds nothing.
    service.feed(8, vec![(acme(), "organization.put", put(true))]).await;
    assert_eq!(service.get("/v3/teams", &token).await.problem(), "unauthenticated");
    assert_eq!(service.count("SELECT count(*) FROM replicated.team").await, 0);
    assert_eq!(service.count("SELECT count(*) FROM replicated.organization").await, 1);
    let (index, _) = authz::index::open(&service.app.log).await.expect("read anew");
    assert_eq!(index.load().index, service.app.decider.index.load().index);
}

#[tokio::test]
async fn who_is_removed_inactive_or_logged_out_is_nobody() {
    let (_database, service) = Service::start().await;
    let session = service.session(owner());
    let (token, other) = (service.token_of(session.clone()), service.token(owner()));
    service.feed(5, vec![(acme(), "token.revoked", json!({"id": session.id, "expires_at": 0}))]).await;
    assert_eq!(service.get("/v3/teams", &token).await.problem(), "unauthenticated");
    assert_eq!(service.get("/v3/teams", &other).await.status.as_u16(), 200);
    let put = |active| json!({"id": owner(), "kind": "user", "active": active});
    service.feed(6, vec![(acme(), "principal.put", put(false))]).await;
    assert_eq!(service.get("/v3/teams", &other).await.problem(), "unauthenticated");
    service.feed(7, vec![(acme(), "principal.put", put(true))]).await;
    assert_eq!(service.get("/v3/teams", &other).await.status.as_u16(), 200);
    service.feed(8, vec![(acme(), "principal.removed", json!({"id": owner()}))]).await;
    assert_eq!(service.get("/v3/teams", &other).await.problem(), "unauthenticated");
}

#[tokio::test]
async fn a_revoked_session_is_remembered_until_nothing_made_from_it_can_live() {
    let (_database, service) = Service::start().await;
    let expires_at = service.clock.unix_seconds() + 60;
    let id = TokenId::generate();
    service.feed(5, vec![(acme(), "token.revoked", json!({"id": id, "expires_at": expires_at}))]).await;
    let remembered = "SELECT count(*) FROM replicated.revoked_session";
    service.clock.advance(Duration::seconds(60 + 3600));
    sweep_once(&service.app.log, &service.clock).await.expect("sweep");
    assert_eq!(service.count(remembered).await, 1);
    service.clock.advance(Duration::seconds(1));
    sweep_once(&service.app.log, &service.clock).await.expect("sweep");
    assert_eq!(service.count(remembered).await, 0);
    sweep_once(&service.app.log, &service.clock).await.expect("nothing is left to sweep");
}
