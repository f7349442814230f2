//! Memberships by the groups of identity providers: what identity says becomes so, and what was made by hand stays.

use ids::{OrganizationId, TeamId};
use proto::authz::v1::{HasTeamRequest, MapTeamsRequest, authz_server::Authz as _};
use serde_json::json;
use tonic::{Code, Request, Status};

use crate::{
    service::{Service, ada, administrators, owner},
    support::acme,
};

async fn map(service: &Service, teams: &[&str]) -> Result<usize, Status> {
    let request = MapTeamsRequest {
        organization_id: acme().to_string(),
        principal_id: ada().to_string(),
        team_ids: teams.iter().map(ToString::to_string).collect(),
    };
    Ok(service.internal.map_teams(Request::new(request)).await?.into_inner().seen.len())
}

async fn made(service: &Service, name: &str) -> String {
    service.post("/v3/teams", &service.token(owner()), json!({ "name": name })).await.id()
}

async fn has_ada(service: &Service, team: &str) -> bool {
    let answer = service.get(&format!("/v3/teams/{team}/users"), &service.token(owner())).await;
    let ada = json!(ada());
    answer.body["data"].as_array().expect("members").iter().any(|member| member["id"] == ada)
}

#[tokio::test]
async fn memberships_by_groups_follow_the_groups_and_those_by_hand_stay() {
    let (_database, service) = Service::start().await;
    let (ops, readers) = (made(&service, "ops").await, made(&service, "readers").await);
    let token = service.token(owner());
    let by_hand = service.post(&format!("/v3/teams/{ops}/users"), &token, json!({ "id": ada() })).await;
    assert_eq!(by_hand.status, 201, "{by_hand:?}");
    // A team that is gone, or another organization's, is passed over.
    let gone = TeamId::generate().to_string();
    assert_eq!(map(&service, &[&ops, &readers, &gone]).await.expect("mapped"), 1);
    assert!(has_ada(&service, &ops).await && has_ada(&service, &readers).await);
    let entries = "SELECT count(*) FROM log_operation";
    let before = service.count(entries).await;
    map(&service, &[&readers, &ops]).await.expect("mapped");
    assert_eq!(service.count(entries).await, before, "it is so already");
    map(&service, &[]).await.expect("mapped");
    assert!(has_ada(&service, &ops).await && !has_ada(&service, &readers).await);
    assert_eq!(service.count("SELECT count(*) FROM audit WHERE action = 'team.map-members'").await, 2);

    // Somebody takes away by hand what a group gives: the next sign-on gives it again.
    map(&service, &[&readers]).await.expect("mapped");
    let removed = service.delete(&format!("/v3/teams/{readers}/users/{}", ada()), &token).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    assert_eq!(service.count("SELECT count(*) FROM regional.mapped_membership").await, 0);
    map(&service, &[&readers]).await.expect("mapped");
    assert!(has_ada(&service, &readers).await);
    // Of what was taken away and given again by hand, no group takes anything.
    service.delete(&format!("/v3/teams/{readers}/users/{}", ada()), &token).await;
    service.post(&format!("/v3/teams/{readers}/users"), &token, json!({ "id": ada() })).await;
    map(&service, &[]).await.expect("mapped");
    assert!(has_ada(&service, &readers).await);
}

#[tokio::test]
async fn the_last_administrator_stays_whatever_the_groups_say() {
    let (_database, service) = Service::start().await;
    let team = administrators().to_string();
    map(&service, &[&team]).await.expect("mapped");
    let token = service.token(ada());
    let removed = service.delete(&format!("/v3/teams/{team}/users/{}", owner()), &token).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    map(&service, &[]).await.expect("mapped");
    let members = "SELECT count(*) FROM replicated.membership";
    assert_eq!(service.count(members).await, 1);
    // Once there is another one, it leaves.
    let added = service.post(&format!("/v3/teams/{team}/users"), &token, json!({ "id": owner() })).await;
    assert_eq!(added.status, 201, "{added:?}");
    map(&service, &[]).await.expect("mapped");
    assert_eq!(service.count(members).await, 1);
    assert!(!has_ada(&service, &team).await);
}

#[tokio::test]
async fn identity_is_told_which_teams_there_are() {
    let (_database, service) = Service::start().await;
    let team = made(&service, "ops").await;
    let found = async |organization: OrganizationId, team: &str| {
        let request = HasTeamRequest { organization_id: organization.to_string(), team_id: team.to_owned() };
        service.internal.has_team(Request::new(request)).await.map(|answer| answer.into_inner().found)
    };
    assert!(found(acme(), &team).await.expect("told"));
    assert!(!found(OrganizationId::generate(), &team).await.expect("told"));
    assert!(!found(acme(), &TeamId::generate().to_string()).await.expect("told"));
    assert_eq!(found(acme(), "x").await.expect_err("no id").code(), Code::InvalidArgument);
    assert_eq!(map(&service, &["x"]).await.expect_err("no id").code(), Code::InvalidArgument);
    service.hears_of("eu", 3);
    let absent = found(acme(), &TeamId::generate().to_string()).await;
    assert_eq!(absent.expect_err("it may be on its way").code(), Code::OutOfRange);
    service.app.log.replica().suspect().await.expect("suspect");
    assert_eq!(map(&service, &[&team]).await.expect_err("fenced").code(), Code::Unavailable);
}
