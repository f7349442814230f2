//! The platform operator: organizations are made, limited, suspended, given another owner, and deleted.

use std::{collections::BTreeSet, time::Duration};

use identity::{
    operation::{Operation, OrganizationState},
    organizations::purge,
};
use ids::OrganizationId;
use mutation::Mutation;
use oplog::Apply as _;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use testbed::wait;

use crate::region::{Client, Region, Site, applying, text};

const ALL: &str = "/v1/operator/organizations";
const ME: &str = "/v3/organizations/me";

fn new(name: &str) -> Value {
    json!({ "name": name, "home_region": "us", "owner_email": "Grace@Example.com" })
}

/// An organization, with its owner.
async fn made<'r>(region: &'r Region, operator: &Client<'_>, name: &str) -> (Client<'r>, String, Value) {
    let made = operator.post(ALL, new(name)).await.expect(201);
    (region.client(text(&made, "owner_token")), format!("{ALL}/{}", text(&made, "id")), made)
}

/// Waits until the answer has this status and problem: a token may be remembered for a quarter of a second.
async fn until_refused(client: &Client<'_>, path: &str, status: u16, problem: &str) {
    let refused = wait::until("it is refused", Duration::from_secs(5), async || {
        let answer = client.get(path).await;
        let is_so = answer.status.as_u16() == status
            && answer.body["type"] == format!("urn:landbridge:problem:{problem}");
        if is_so { Ok(()) } else { Err(answer.body.to_string()) }
    });
    refused.await.expect("refused");
}

#[tokio::test]
async fn makes_organizations_whose_owners_can_act_at_once() {
    let region = Region::alone().await;
    let operator = region.operator().await;
    let (owner, path, made) = made(&region, &operator, "Grace").await;
    assert_eq!((&made["state"], &made["home_region"]), (&json!("active"), &json!("us")));
    let nothing = json!({ "entities": null, "access_tokens": null, "requests_per_second": null });
    assert_eq!(made["limits"], nothing);
    assert!(!made.to_string().to_lowercase().contains("grace@"), "an address is answered to nobody: {made}");
    assert_eq!(owner.get(ME).await.expect(200)["id"], made["id"]);
    assert_eq!(owner.get("/v3/users/me").await.expect(200)["email"], "grace@example.com");
    assert_eq!(operator.get(&path).await.expect(200)["name"], "Grace");

    operator.post(ALL, new("Grace")).await.problem(409, "conflict");
    for (field, value) in [
        ("name", json!("..")),
        ("owner_email", json!("nobody")),
        ("limits", json!({ "entities": 0 })),
        ("limits", json!({ "entites": 5 })),
    ] {
        let mut body = new("Wrong");
        body[field] = value;
        let detail = operator.post(ALL, body).await.problem(400, "invalid-body");
        assert!(detail.contains(field) || detail.contains("entites"), "{detail}");
    }
    let mut elsewhere = new("Elsewhere");
    elsewhere["home_region"] = json!("mars");
    let detail = operator.post(ALL, elsewhere).await.problem(400, "invalid-body");
    assert!(detail.contains("home_region") && detail.contains("us"), "{detail}");

    let once = operator.keyed("once");
    let first = once.post(ALL, new("Once")).await.expect(201);
    assert_eq!(once.post(ALL, new("Once")).await.expect(201), first, "one effect, and the same answer");
    let listed = operator.get(&format!("{ALL}?filter[name][contains]=ce")).await.expect(200);
    let names: Vec<_> = listed["data"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!((json!(names), &listed["meta"]["page"]["total"]), (json!(["Grace", "Once"]), &json!(2)));
    operator.get(&format!("{ALL}/{}", OrganizationId::generate())).await.problem(404, "not-found");
    operator.get(&format!("{ALL}/no-id")).await.problem(404, "not-found");
    let audited = region
        .count("SELECT count(*) FROM audit WHERE action = 'organization.create' AND actor_id IS NOT NULL");
    assert_eq!(audited.await, 2);
}

#[tokio::test]
async fn waits_until_every_region_knows_what_it_does() {
    let (us, eu) = (Site::new("us"), Site::new("eu"));
    let region = Region::start(&us, &[&eu]).await;
    let operator = region.operator().await;
    let eu = "eu".parse().expect("a region");
    region.app.replication.hear_generation(&eu, 4);
    operator.post(ALL, new("Early")).await.problem(503, "unavailable");
    region.app.replication.hear_generation(&eu, 5);
    operator.post(ALL, new("Late")).await.expect(201);
}

#[tokio::test]
async fn suspends_and_resumes() {
    let region = Region::alone().await;
    let operator = region.operator().await;
    let (owner, path, _) = made(&region, &operator, "Grace").await;
    let (other, _) = region.owner().await;
    let signed = text(&owner.post("/v1/token", Value::Null).await.expect(200), "access_token").to_owned();
    let signed = region.client(&signed);

    for _ in 0..2 {
        let suspended = operator.post(&format!("{path}/suspend"), Value::Null).await.expect(200);
        assert_eq!(suspended["state"], "inactive");
    }
    for refused in [ME, "/v3/users", "/v3/system-accounts"] {
        until_refused(&owner, refused, 403, "organization-inactive").await;
    }
    region.authz.state().suspended = true;
    signed.get(ME).await.problem(403, "organization-inactive");
    region.authz.state().suspended = false;
    other.get(ME).await.expect(200);
    assert_eq!(operator.get(&path).await.expect(200)["state"], "inactive", "the operator goes on");

    operator.post(&format!("{path}/resume"), Value::Null).await.expect(200);
    let back = wait::until("it is back", Duration::from_secs(5), async || {
        let answer = owner.get(ME).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body.to_string()) }
    });
    assert_eq!(back.await.expect("back")["state"], "active");
    assert!(region.authz.state().entries.iter().filter(|(_, kind)| kind == "organization.put").count() >= 3);
    operator
        .post(&format!("{ALL}/{}/suspend", OrganizationId::generate()), Value::Null)
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn limits_requests_and_tokens() {
    let region = Region::alone().await;
    let operator = region.operator().await;
    let (owner, path, _) = made(&region, &operator, "Grace").await;
    let limits = json!({ "limits": { "access_tokens": 2, "entities": 7 } });
    let changed = operator.patch(&path, limits).await.expect(200);
    assert_eq!((&changed["limits"]["access_tokens"], &changed["limits"]["entities"]), (&json!(2), &json!(7)));
    let mine = "/v3/users/me/access-tokens";
    let second = owner.post(mine, json!({ "name": "second" })).await.expect(201);
    let detail = owner.post(mine, json!({ "name": "third" })).await.problem(403, "limit-reached");
    assert!(detail.contains('2') && detail.contains("organization"), "{detail}");
    owner.delete(&format!("{mine}/{}", text(&second, "id"))).await.expect(204);
    owner.post(mine, json!({ "name": "third" })).await.expect(201);
    assert_eq!(operator.patch(&path, json!({ "name": "Hopper" })).await.expect(200)["limits"]["entities"], 7);

    operator.patch(&path, json!({ "limits": { "requests_per_second": 1 } })).await.expect(200);
    let limited = wait::until("it is limited", Duration::from_secs(5), async || {
        let answer = owner.get(ME).await;
        if answer.status == 429 { Ok(answer) } else { Err(answer.body.to_string()) }
    });
    let limited = limited.await.expect("limited");
    assert!(limited.headers.contains_key("retry-after"));
    limited.problem(429, "too-many-requests");
    let (other, _) = region.owner().await;
    for _ in 0..5 {
        other.get(ME).await.expect(200);
    }
    assert_eq!(
        operator.patch(&path, json!({ "limits": {} })).await.expect(200)["limits"]["requests_per_second"],
        Value::Null
    );
}

#[tokio::test]
async fn gives_an_organization_that_has_lost_its_owner_another_one() {
    let region = Region::alone().await;
    let operator = region.operator().await;
    let (first, path, made) = made(&region, &operator, "Grace").await;
    let path = format!("{path}/owner");
    operator.post(&path, json!({ "email": "x" })).await.problem(400, "invalid-body");
    let body = json!({ "email": "new@example.com" });
    let recovered = operator.keyed("recover").post(&path, body.clone()).await.expect(201);
    assert_eq!(operator.keyed("recover").post(&path, body).await.expect(201), recovered);
    assert_ne!(recovered["owner_id"], made["owner_id"]);
    let owner = region.client(text(&recovered, "owner_token"));
    assert_eq!(owner.get("/v3/users/me").await.expect(200)["id"], recovered["owner_id"]);
    assert_eq!(first.get(ME).await.expect(200)["owner_id"], recovered["owner_id"]);
    // Somebody who is there already becomes the owner as the person that they are.
    let back = operator.post(&path, json!({ "email": "GRACE@example.com" })).await.expect(201);
    assert_eq!(back["owner_id"], made["owner_id"]);
    let audited = "SELECT count(*) FROM audit WHERE action = 'organization.recover-owner'";
    assert_eq!(region.count(audited).await, 2);
    let installs = "SELECT count(*) FROM log_operation WHERE body LIKE '%\"installs_owner\":true%'";
    assert_eq!(region.count(installs).await, 2);
}

/// Tables of an organization that have rows of it.
async fn rows_of(region: &Region, organization: OrganizationId) -> BTreeSet<String> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_schema, table_name FROM information_schema.columns
         WHERE column_name = 'organization_id' AND table_schema IN ('resident', 'replicated', 'regional')",
    )
    .fetch_all(&region.database.pool())
    .await
    .expect("tables");
    assert!(tables.len() >= 8, "{tables:?}");
    let mut found = BTreeSet::new();
    for (schema, table) in tables {
        let table = format!("{schema}.{table}");
        let statement = format!("SELECT EXISTS (SELECT FROM {table} WHERE organization_id = $1)");
        let exists: bool = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(organization.uuid())
            .fetch_one(&region.database.pool())
            .await
            .expect("a table");
        found.extend(exists.then_some(table));
    }
    found
}

#[tokio::test]
async fn deletes_an_organization_with_all_that_it_has() {
    let region = Region::alone().await;
    let operator = region.operator().await;
    let (owner, path, made) = made(&region, &operator, "Grace").await;
    let organization: OrganizationId = text(&made, "id").parse().expect("an id");
    let account = owner.post("/v3/system-accounts", json!({ "name": "ci" })).await.expect(201);
    let tokens = format!("/v3/system-accounts/{}/access-tokens", text(&account, "id"));
    let token = owner.post(&tokens, json!({ "name": "ci" })).await.expect(201);
    owner.patch(&format!("{tokens}/{}", text(&token, "id")), json!({ "name": "cd" })).await.expect(200);
    let revoked = owner.post("/v3/users/me/access-tokens", json!({ "name": "gone" })).await.expect(201);
    owner.delete(&format!("/v3/users/me/access-tokens/{}", text(&revoked, "id"))).await.expect(204);
    assert!(rows_of(&region, organization).await.len() >= 5);

    for _ in 0..2 {
        let answer = operator.delete(&path).await.expect(202);
        assert!(["deleting", "deleted"].contains(&text(&answer, "state")), "{answer}");
    }
    let deleted = wait::until("it is deleted", Duration::from_secs(10), async || {
        let shown = operator.get(&path).await.expect(200);
        if shown["state"] == "deleted" { Ok(shown) } else { Err(shown.to_string()) }
    });
    assert_eq!(deleted.await.expect("deleted")["name"], "");
    assert_eq!(rows_of(&region, organization).await, BTreeSet::new());
    until_refused(&owner, ME, 401, "unauthenticated").await;
    let taken_back = operator.post(&format!("{path}/resume"), Value::Null).await;
    taken_back.problem(409, "conflict");
    operator.patch(&path, json!({ "name": "Back" })).await.problem(409, "conflict");
    operator.post(&format!("{path}/owner"), json!({ "email": "a@b.example" })).await.problem(409, "conflict");
    operator.post(ALL, new("Grace")).await.expect(201);

    // Another region wrote something before it heard of the end.
    let removed = region.log.replica().entries(region.log.origin(), 0, 1000).await.expect("entries");
    let minted =
        removed.iter().find(|entry| entry.kind == "token.minted" && entry.organization == organization);
    let minted = minted.expect("a token").clone();
    let operation: Operation = oplog::read_operation(&minted).expect("readable");
    let mut connection = region.database.pool().acquire().await.expect("a connection");
    applying("us").apply(&mut connection, &minted, operation).await.expect("applied");
    assert_eq!(rows_of(&region, organization).await, BTreeSet::new(), "nothing comes back");
}

/// The process ends between the two steps: the next one goes on. In whatever order the entries arrive, the rows are equal.
#[tokio::test]
async fn a_deletion_goes_on_where_it_was_broken_off() {
    let region = Region::alone().await;
    let operator = region.operator().await;
    let (_, path, made) = made(&region, &operator, "Grace").await;
    let organization: OrganizationId = text(&made, "id").parse().expect("an id");
    // As a process leaves it that ends after the first step.
    let work = region.app.write(Mutation::by_operator(organization, "test"), move |tx| {
        Box::pin(async move {
            let home = "us".parse().expect("a region");
            let ended = identity::organizations::change(tx, &home, |put| {
                put.state = OrganizationState::Suspended;
                put.deleting = true;
            });
            ended.await.map(drop)?;
            Ok(())
        })
    });
    work.await.expect("written");
    for _ in 0..2 {
        purge::once(&region.log, &"us".parse().expect("a region")).await.expect("purged");
    }
    assert_eq!(operator.get(&path).await.expect(200)["state"], "deleted");
    let removals = "SELECT count(*) FROM log_operation WHERE kind = 'organization.removed'";
    assert_eq!(region.count(removals).await, 1);

    let digest = async || {
        let mut connection = region.database.pool().acquire().await.expect("a connection");
        applying("us").digest(&mut connection, organization).await.expect("a digest")
    };
    let before = digest().await;
    let entries = region.log.replica().entries(region.log.origin(), 0, 1000).await.expect("entries");
    let mut entries: Vec<_> =
        entries.into_iter().filter(|entry| entry.organization == organization).collect();
    for round in 0..2 {
        let mut connection = region.database.pool().acquire().await.expect("a connection");
        applying("us").clear(&mut connection, organization).await.expect("cleared");
        for entry in &entries {
            let operation: Operation = oplog::read_operation(entry).expect("readable");
            applying("us").apply(&mut connection, entry, operation).await.expect("applied");
        }
        assert_eq!(digest().await, before, "round {round}");
        // The removal comes first.
        entries.reverse();
    }
}

#[tokio::test]
async fn lists_and_revokes_its_own_tokens() {
    let region = Region::alone().await;
    let (operator, other) = (region.operator().await, region.operator_with("other").await);
    let listed = operator.get("/v1/operator/access-tokens").await.expect(200);
    let tokens = listed["data"].as_array().expect("a list");
    assert_eq!(tokens.len(), 2);
    let revoked = tokens.iter().find(|token| token["name"] == "other").expect("listed");
    operator.delete(&format!("/v1/operator/access-tokens/{}", text(revoked, "id"))).await.expect(204);
    until_refused(&other, ALL, 401, "unauthenticated").await;
    operator.get(ALL).await.expect(200);
    operator
        .delete(&format!("/v1/operator/access-tokens/{}", OrganizationId::generate()))
        .await
        .problem(404, "not-found");
}
