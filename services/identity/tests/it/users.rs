//! `/v3/users`.

use std::collections::BTreeSet;

use identity::users;
use ids::UserId;
use mutation::Mutation;
use serde_json::json;

use crate::region::{Region, text};

#[tokio::test]
async fn a_person_sees_itself() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let expected = json!({
        "id": made.owner_id, "email": "ada@example.com", "full_name": "", "active": true,
        "created_at": "2100-01-01T00:00:00Z", "updated_at": "2100-01-01T00:00:00Z",
    });
    assert_eq!(owner.get("/v3/users/me").await.expect(200), expected);
    assert_eq!(owner.get(&format!("/v3/users/{}", made.owner_id)).await.expect(200), expected);
    region.sql("DELETE FROM resident.person").await;
    owner.get("/v3/users/me").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_system_account_is_no_person() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let account = owner.post("/v3/system-accounts", json!({"name": "ci"})).await.expect(201);
    let tokens = format!("/v3/system-accounts/{}/access-tokens", text(&account, "id"));
    let token = owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    let detail = region.client(text(&token, "token")).get("/v3/users/me").await.problem(403, "forbidden");
    assert!(detail.contains("system account"), "{detail}");
}

#[tokio::test]
async fn people_are_listed_in_pages_and_found_by_id_in_their_organization_only() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let other = region.bootstrap("Other").await;
    let mut ids = BTreeSet::from([made.owner_id.to_string()]);
    for number in 0..4 {
        let id = region.random.id(region.clock.now());
        ids.insert(id.to_string());
        let work = region.app.write(Mutation::by_operator(made.organization_id, "test"), move |tx| {
            Box::pin(async move { Ok(users::create(tx, id, &format!("{number}@example.com")).await?) })
        });
        work.await.expect("a person");
    }
    let mut listed = Vec::new();
    let mut path = "/v3/users?page[size]=2".to_owned();
    loop {
        let page = owner.get(&path).await.expect(200);
        let people = page["data"].as_array().expect("people");
        listed.extend(people.iter().map(|person| text(person, "id").to_owned()));
        match page["meta"]["page"]["next"].as_str() {
            Some(next) => path = format!("/v3/users?page[size]=2&page[after]={next}"),
            None => break,
        }
    }
    assert_eq!(listed, ids.into_iter().collect::<Vec<_>>(), "all of them, in order, and nobody else");

    for id in [other.owner_id.to_string(), UserId::generate().to_string(), "not-an-id".to_owned()] {
        owner.get(&format!("/v3/users/{id}")).await.problem(404, "not-found");
    }
    for query in ["page[size]=0", "page[size]=101", "page[size]=x", "page[after]=!"] {
        owner.get(&format!("/v3/users?{query}")).await.problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn an_address_is_used_once_in_an_organization() {
    let region = Region::alone().await;
    let (_, made) = region.owner().await;
    let id = UserId::generate();
    let work = region.app.write(Mutation::by_operator(made.organization_id, "test"), move |tx| {
        Box::pin(async move { Ok(users::create(tx, id, "ada@example.com").await?) })
    });
    let refused = work.await.expect_err("the owner has this address");
    assert!(matches!(refused, identity::error::Error::User(users::Error::AddressTaken)), "{refused:?}");
    // The same address in another organization is another person's.
    region.bootstrap("Other").await;
    assert_eq!(region.count("SELECT count(*) FROM resident.person").await, 2);
}
