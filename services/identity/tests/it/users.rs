//! `/v3/users`.

use std::collections::BTreeSet;

use access::TokenKind;
use identity::{
    bootstrap::Outcome,
    tokens::{self, Name, NewToken},
    users,
};
use ids::UserId;
use mutation::Mutation;
use serde_json::json;
use time::Duration;

use crate::region::{Client, Region, text};

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

/// Another person of the organization, with an access token of its own.
async fn colleague<'r>(region: &'r Region, made: &Outcome) -> (UserId, Client<'r>) {
    let (id, token) = (region.random.id(region.clock.now()), region.random.id(region.clock.now()));
    let maker = region.app.maker();
    let work = region.app.write(Mutation::by_operator(made.organization_id, "test"), move |tx| {
        Box::pin(async move {
            users::create(tx, id, "grace@example.com").await?;
            let new = NewToken {
                id: token,
                principal: id.cast(),
                kind: TokenKind::Personal,
                name: Name::Given("laptop".to_owned()),
                expires_at: tx.at() + Duration::days(90),
                vector: access::Vector::default(),
                parent: None,
                replaces: None,
            };
            Ok(tokens::mint(tx, &maker, new).await?.1)
        })
    });
    let token = work.await.expect("a person with a token");
    (id, region.client(token.expose()))
}

#[tokio::test]
async fn a_person_is_renamed() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let path = format!("/v3/users/{}", made.owner_id);
    region.clock.advance(Duration::HOUR);
    let changed = owner.patch(&path, json!({"full_name": " Ada Lovelace "})).await.expect(200);
    assert_eq!(
        (text(&changed, "full_name"), text(&changed, "updated_at")),
        ("Ada Lovelace", "2100-01-01T01:00:00Z")
    );
    assert_eq!(owner.get("/v3/users/me").await.expect(200), changed);
    assert_eq!(owner.patch(&path, json!({})).await.expect(200), changed, "nothing is changed");
    assert_eq!(owner.patch(&path, json!({"active": true})).await.expect(200), changed);
    for wrong in
        [json!({"full_name": "x".repeat(129)}), json!({"full_name": "a\u{7}"}), json!({"email": "x@y"})]
    {
        owner.patch(&path, wrong).await.problem(400, "invalid-body");
    }
    // No name of a person is in any log.
    assert_eq!(region.count("SELECT count(*) FROM log_operation WHERE body LIKE '%Lovelace%'").await, 0);
}

#[tokio::test]
async fn a_deactivated_person_has_no_tokens_and_gets_new_ones_when_it_is_active_again() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let (id, grace) = colleague(&region, &made).await;
    let path = format!("/v3/users/{id}");
    let second = grace.post("/v3/users/me/access-tokens", json!({"name": "ci"})).await.expect(201);
    let second = region.client(text(&second, "token"));

    region.authz.state().takes_entries = false;
    let detail = owner.patch(&path, json!({"active": false})).await.problem(503, "unavailable");
    assert!(detail.contains("try again"), "{detail}");
    region.authz.state().takes_entries = true;
    let changed = owner.patch(&path, json!({"active": false})).await.expect(200);
    assert_eq!(changed["active"], false);
    for client in [&grace, &second] {
        client.get("/v3/users/me").await.problem(401, "unauthenticated");
    }
    let entries = region.authz.state().entries.clone();
    let kinds: Vec<&str> = entries.iter().rev().take(3).map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["principal.put", "token.revoked", "token.revoked"], "authz has heard of all of it");
    assert_eq!(
        region.count("SELECT count(*) FROM log_operation WHERE kind = 'principal.put' AND body LIKE '%\"active\":false%' AND body NOT LIKE '%\"not_before\":null%'").await,
        1
    );
    let inactive = owner.get("/v3/users?filter[active]=false").await.expect(200);
    assert_eq!(inactive["data"].as_array().map(Vec::len), Some(1));

    assert_eq!(owner.patch(&path, json!({"active": true})).await.expect(200)["active"], true);
    grace.get("/v3/users/me").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_removed_person_leaves_nothing_behind() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let (id, grace) = colleague(&region, &made).await;
    let path = format!("/v3/users/{id}");
    owner.delete(&path).await.expect(204);
    grace.get("/v3/users/me").await.problem(401, "unauthenticated");
    owner.get(&path).await.problem(404, "not-found");
    owner.patch(&path, json!({"active": true})).await.problem(404, "not-found");
    let entries = region.kinds().await.len();
    owner.delete(&path).await.expect(204);
    assert_eq!(region.kinds().await.len(), entries, "a repeated removal writes nothing");
    assert_eq!(region.count("SELECT count(*) FROM resident.person").await, 1);
    assert_eq!(region.count("SELECT count(*) FROM resident.token_name WHERE name = 'laptop'").await, 0);
    // The address is free again.
    colleague(&region, &made).await;
}

#[tokio::test]
async fn nobody_locks_himself_or_the_owner_out() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let (id, grace) = colleague(&region, &made).await;
    let of_owner = format!("/v3/users/{}", made.owner_id);
    for client in [&owner, &grace] {
        let detail = client.patch(&of_owner, json!({"active": false})).await.problem(409, "conflict");
        assert!(detail.contains("owner"), "{detail}");
        client.delete(&of_owner).await.problem(409, "conflict");
    }
    let own = format!("/v3/users/{id}");
    let detail = grace.patch(&own, json!({"active": false})).await.problem(409, "conflict");
    assert!(detail.contains("yourself"), "{detail}");
    grace.delete(&own).await.problem(409, "conflict");

    // Of another organization, nobody learns that it is there.
    let other = region.bootstrap("Other").await;
    let other = region.client(other.token.as_deref().expect("a token"));
    for path in [&own, &of_owner] {
        other.patch(path, json!({"active": false})).await.problem(404, "not-found");
        other.delete(path).await.problem(404, "not-found");
    }
    grace.get("/v3/users/me").await.expect(200);
}
