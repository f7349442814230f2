//! `/v3/system-accounts`.

use identity::tokens::TokenState;
use ids::SystemAccountId;
use serde_json::json;

use crate::region::{Client, Region, text, token_row};

const ALL: &str = "/v3/system-accounts";

async fn make(client: &Client<'_>, name: &str) -> String {
    let made = client.post(ALL, json!({"name": name})).await.expect(201);
    format!("{ALL}/{}", text(&made, "id"))
}

#[tokio::test]
async fn lives_from_creation_to_deletion() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let before = region.kinds().await.len();
    let made = owner.post(ALL, json!({"name": " ci ", "description": "builds"})).await.expect(201);
    let path = format!("{ALL}/{}", text(&made, "id"));
    let expected = json!({
        "id": made["id"], "name": "ci", "description": "builds", "konnect_managed": null,
        "created_at": "2100-01-01T00:00:00Z", "updated_at": "2100-01-01T00:00:00Z",
    });
    assert_eq!(made, expected);
    assert_eq!(owner.get(&path).await.expect(200), expected);
    assert_eq!(owner.get(ALL).await.expect(200)["data"], json!([expected]));

    region.clock.advance(time::Duration::HOUR);
    let changed = owner.patch(&path, json!({"description": "deploys"})).await.expect(200);
    assert_eq!((text(&changed, "name"), text(&changed, "description")), ("ci", "deploys"));
    assert_eq!(text(&changed, "created_at"), "2100-01-01T00:00:00Z");
    assert_eq!(text(&changed, "updated_at"), "2100-01-01T01:00:00Z");
    assert_eq!(owner.patch(&path, json!({"name": "cd"})).await.expect(200)["name"], "cd");

    owner.delete(&path).await.expect(204);
    owner.get(&path).await.problem(404, "not-found");
    owner.patch(&path, json!({"name": "ce"})).await.problem(404, "not-found");
    assert_eq!(owner.get(ALL).await.expect(200)["data"], json!([]));
    let kinds = region.kinds().await;
    let expected = [
        "system_account.put",
        "principal.put",
        "system_account.put",
        "system_account.put",
        "system_account.removed",
        "principal.removed",
    ];
    let own: Vec<_> = kinds[before..].iter().filter(|kind| *kind != "signing_key.put").collect();
    assert_eq!(own, expected);
    let audited = "SELECT count(*) FROM audit WHERE action LIKE 'system-account.%' AND actor_id IS NOT NULL";
    assert_eq!(region.count(audited).await, 4);
    assert!(region.nats.published("landbridge.us.identity.session-revoked").contains(&String::new()));
}

#[tokio::test]
async fn what_konnect_would_manage_is_refused() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for (name, managed, status) in
        [("a", json!(null), 201), ("b", json!(false), 201), ("c", json!(true), 400)]
    {
        let body = json!({"name": name, "description": "", "konnect_managed": managed});
        let answer = owner.post(ALL, body).await.expect(status);
        if status == 400 {
            assert_eq!(answer["invalid_parameters"][0]["field"], "konnect_managed");
        } else {
            let path = format!("{ALL}/{}", text(&answer, "id"));
            let changed = owner.patch(&path, json!({"description": "d"})).await.expect(200);
            for shown in [answer, changed, owner.get(&path).await.expect(200)] {
                assert_eq!(shown["konnect_managed"], managed, "as it was sent");
            }
        }
    }
}

#[tokio::test]
async fn are_listed_by_number_as_well_as_by_cursor_and_filtered() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for name in ["one", "two", "three"] {
        owner.post(ALL, json!({"name": name, "description": format!("makes {name}")})).await.expect(201);
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["data"].as_array().expect("data").iter().map(|one| text(one, "name").to_owned()).collect()
    };
    let first = owner.get(&format!("{ALL}?page[size]=2&page[number]=1")).await.expect(200);
    let same = owner.get(&format!("{ALL}?page[size]=2")).await.expect(200);
    assert_eq!(first, same, "the first page unless another one is asked for");
    assert_eq!(names(&first), ["one", "two"]);
    let page = &first["meta"]["page"];
    assert_eq!((&page["number"], &page["size"], &page["total"]), (&json!(1), &json!(2), &json!(3)));
    let second = owner.get(&format!("{ALL}?page[size]=2&page[number]=2")).await.expect(200);
    assert_eq!(names(&second), ["three"]);
    assert_eq!(second["meta"], json!({"page": {"number": 2, "size": 2, "total": 3}}));
    let behind = owner.get(&format!("{ALL}?page[size]=2&page[number]=3")).await.expect(200);
    assert_eq!((names(&behind).len(), &behind["meta"]["page"]["total"]), (0, &json!(3)));
    let next = text(page, "next");
    let followed = owner.get(&format!("{ALL}?page[size]=2&page[after]={next}")).await.expect(200);
    assert_eq!((names(&followed), &followed["meta"]), (names(&second), &json!({"page": {"size": 2}})));
    let both = owner.get(&format!("{ALL}?page[after]={next}&page[number]=2")).await;
    both.problem(400, "invalid-parameter");
    for (filter, found) in [
        ("filter[name][contains]=o", vec!["one", "two"]),
        ("filter[description][eq]=makes%20three", vec!["three"]),
        ("filter[description][contains]=makes&filter[name]=two", vec!["two"]),
        ("filter[konnect_managed]=false&filter[name]=two", vec!["two"]),
        ("filter[konnect_managed]=true", vec![]),
    ] {
        let page = owner.get(&format!("{ALL}?{filter}")).await.expect(200);
        assert_eq!(
            (names(&page), &page["meta"]["page"]["total"]),
            (found.iter().map(ToString::to_string).collect(), &json!(found.len())),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn nothing_is_absent_while_the_database_may_be_a_copy_from_the_past() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let unknown = format!("{ALL}/{}", SystemAccountId::generate());
    owner.get(&unknown).await.problem(404, "not-found");
    region.log.replica().suspect().await.expect("fenced");
    region.app.replication.look().await.expect("looked");
    owner.get(&unknown).await.problem(503, "unavailable");
    owner.get(ALL).await.expect(200);
    region.log.replica().confirm().await.expect("whole");
    region.app.replication.look().await.expect("looked");
    owner.get(&unknown).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_name_is_used_once_in_an_organization() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let path = make(&owner, "ci").await;
    let detail = owner.post(ALL, json!({"name": "ci"})).await.problem(409, "conflict");
    assert!(detail.starts_with("name:"), "{detail}");
    let second = make(&owner, "cd").await;
    owner.patch(&second, json!({"name": "ci"})).await.problem(409, "conflict");
    owner.patch(&path, json!({"name": "ci"})).await.expect(200);

    let other = region.bootstrap("Other").await;
    let other = region.client(other.token.as_deref().expect("a token"));
    make(&other, "ci").await;
    other.get(&path).await.problem(404, "not-found");
    other.patch(&path, json!({"name": "mine"})).await.problem(404, "not-found");
    other.delete(&path).await.problem(404, "not-found");
    owner.get(&path).await.expect(200);
}

#[tokio::test]
async fn what_is_absent_is_404() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for id in [SystemAccountId::generate().to_string(), "not-an-id".to_owned()] {
        let path = format!("{ALL}/{id}");
        owner.get(&path).await.problem(404, "not-found");
        owner.patch(&path, json!({"name": "x"})).await.problem(404, "not-found");
        owner.delete(&path).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_name_and_a_description_are_checked() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let path = make(&owner, "ci").await;
    for body in [
        json!({"name": " "}),
        json!({"name": "x".repeat(129)}),
        json!({"name": "a\u{7}"}),
        json!({"name": "a", "description": "x".repeat(513)}),
        json!({"name": 7}),
        json!({"name": "a", "lost": 1}),
    ] {
        owner.post(ALL, body.clone()).await.problem(400, "invalid-body");
        owner.patch(&path, body).await.problem(400, "invalid-body");
    }
    owner.post(ALL, json!({})).await.problem(400, "invalid-body");
    assert_eq!(owner.patch(&path, json!({})).await.expect(200)["name"], "ci", "nothing is changed");
}

/// The fault that this guards against: 204 was answered though authz went on allowing the account's sessions, and a second
/// try was answered 404.
#[tokio::test]
async fn a_deletion_succeeds_only_once_authz_has_applied_it_and_can_be_repeated() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let path = make(&owner, "ci").await;
    let tokens = format!("{path}/access-tokens");
    let token = owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    let opaque = region.app.tokens.read(text(&token, "token")).expect("a token");

    region.authz.state().takes_entries = false;
    let detail = owner.delete(&path).await.problem(503, "unavailable");
    assert!(detail.contains("deleted") && detail.contains("try again"), "{detail}");
    let found = token_row(region.app.db.clone(), opaque.sha256()).await.expect("there");
    let state = found.resolved(region.clock.now()).expect("readable").state;
    assert_eq!(state, TokenState::Revoked, "it has ended here at once");
    let entries = region.kinds().await.len();
    owner.get(&path).await.problem(404, "not-found");
    owner.delete(&path).await.problem(503, "unavailable");

    region.authz.state().takes_entries = true;
    owner.delete(&path).await.expect(204);
    owner.delete(&path).await.expect(204);
    assert_eq!(region.kinds().await.len(), entries, "a repeated deletion writes nothing");
    let kinds = region.authz.state().entries.iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds, region.kinds().await);
}

#[tokio::test]
async fn an_account_is_made_while_authz_is_away() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    region.authz.state().takes_entries = false;
    make(&owner, "ci").await;
}
