//! `/v3/organizations/me`: what everybody sees of it, and what its owner does with it.

use std::time::Duration;

use identity::{bootstrap, users};
use ids::{OrganizationId, UserId};
use mutation::Mutation;
use serde_json::json;
use testbed::wait;

use crate::region::Region;

const ME: &str = "/v3/organizations/me";

#[tokio::test]
async fn shows_the_callers_organization() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let shown = owner.get(ME).await.expect(200);
    let expected = json!({
        "id": made.organization_id, "name": "Acme", "owner_id": made.owner_id, "home_region": "us",
        "state": "active", "created_at": "2100-01-01T00:00:00Z", "updated_at": "2100-01-01T00:00:00Z",
    });
    assert_eq!(shown, expected);
    region.stranger().get(ME).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn one_that_has_not_arrived_is_503_and_one_that_cannot_be_read_500() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    region.sql("UPDATE replicated.organization SET home_region = 'Not A Region'").await;
    owner.get(ME).await.problem(500, "internal");
    region.sql("DELETE FROM replicated.organization").await;
    let answer = owner.get(ME).await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.problem(503, "not-yet-replicated");
}

/// A token of another person of the organization, who does not own it, with that person's id.
async fn another_person(region: &Region, organization: OrganizationId) -> (String, UserId) {
    let person: UserId = region.random.id(region.clock.now());
    let (maker, random) = (region.app.maker(), region.random.clone());
    let work = region.app.write(Mutation::by_operator(organization, "test"), move |tx| {
        Box::pin(async move {
            users::create(tx, person, "bob@example.com").await?;
            let id = random.id(tx.at());
            let (_, token) = bootstrap::first_token(tx, &maker, person, id, "first").await?;
            Ok(token.expose().to_owned())
        })
    });
    (work.await.expect("a person"), person)
}

#[tokio::test]
async fn its_name_is_changed_by_whoever_may_and_is_one_of_a_kind() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    region.bootstrap("Other").await;
    assert_eq!(owner.patch(ME, json!({ "name": " Acme Ltd " })).await.expect(200)["name"], "Acme Ltd");
    assert_eq!(owner.get(ME).await.expect(200)["name"], "Acme Ltd");
    let entries = region.kinds().await.len();
    owner.patch(ME, json!({ "name": "Acme Ltd" })).await.expect(200);
    owner.patch(ME, json!({})).await.expect(200);
    assert_eq!(region.kinds().await.len(), entries, "what changes nothing is not written");
    owner.patch(ME, json!({ "name": "Other" })).await.problem(409, "conflict");
    owner.patch(ME, json!({ "name": ".." })).await.problem(400, "invalid-body");
    region.authz.state().denied.insert("org:Update".to_owned());
    owner.patch(ME, json!({ "name": "Mine" })).await.problem(403, "forbidden");
    assert_eq!(region.count("SELECT count(*) FROM audit WHERE action = 'organization.update'").await, 3);
}

#[tokio::test]
async fn its_owner_hands_it_over_to_another_person() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let (token, bob) = another_person(&region, made.organization_id).await;
    let bob_client = region.client(&token);
    let to_bob = json!({ "user_id": bob });
    let path = format!("{ME}/owner");
    let refused = bob_client.post(&path, to_bob.clone()).await.problem(403, "forbidden");
    assert!(refused.contains("owner"), "he may do all else: {refused}");
    let nobody = json!({ "user_id": UserId::generate() });
    owner.post(&path, nobody).await.problem(400, "invalid-body");

    let shown = owner.post(&path, to_bob.clone()).await.expect(200);
    assert_eq!(shown["owner_id"], json!(bob));
    owner.post(&path, to_bob).await.problem(403, "forbidden");
    let back = json!({ "user_id": made.owner_id });
    assert_eq!(bob_client.post(&path, back).await.expect(200)["owner_id"], json!(made.owner_id));
}

#[tokio::test]
async fn only_its_owner_deletes_it_and_has_to_say_its_name() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let (token, _) = another_person(&region, made.organization_id).await;
    region.client(&token).delete(&format!("{ME}?confirm=Acme")).await.problem(403, "forbidden");
    for wrong in ["", "?confirm=acme", "?confirm=Other"] {
        owner.delete(&format!("{ME}{wrong}")).await.problem(400, "invalid-parameter");
    }
    let deleted = owner.delete(&format!("{ME}?confirm=Acme")).await.expect(202);
    assert_eq!(deleted["state"], "deleting");
    let gone = wait::until("its tokens open nothing", Duration::from_secs(10), async || {
        let answer = owner.get(ME).await;
        if answer.status == 401 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    gone.await.expect("gone");
}
