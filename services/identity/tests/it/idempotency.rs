//! Requests that come twice with one `Idempotency-Key`, and crashes in between.

use serde_json::{Value, json};

use crate::region::{Client, Region, text};

const ACCOUNTS: &str = "/v3/system-accounts";
const TOKENS: &str = "/v3/users/me/access-tokens";

/// Every write that a key can stand for, by the path of its request.
const WRITES: [&str; 2] = [ACCOUNTS, TOKENS];

async fn post(client: &Client<'_>, path: &str, name: &str) -> crate::region::Answer {
    client.keyed("once").post(path, json!({"name": name})).await
}

#[tokio::test]
async fn the_same_request_has_one_effect_and_one_answer() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for path in WRITES {
        let first = post(&owner, path, "ci").await;
        assert!(!first.headers.contains_key("idempotent-replayed"));
        let first = first.expect(201);
        let entries = region.kinds().await.len();
        let again = post(&owner, path, "ci").await;
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.expect(201), first, "the text of a token included");
        assert_eq!(region.kinds().await.len(), entries);
        post(&owner, path, "another").await.problem(422, "idempotency-key-reused");
        let other = owner.keyed("other").post(path, json!({"name": "other"})).await.expect(201);
        assert_ne!(other["id"], first["id"]);
    }
}

#[tokio::test]
async fn a_key_is_the_callers_own_and_of_one_path() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let other = region.bootstrap("Other").await;
    let other = region.client(other.token.as_deref().expect("a token"));
    let ids: Vec<Value> = vec![
        post(&owner, ACCOUNTS, "ci").await.expect(201)["id"].clone(),
        post(&other, ACCOUNTS, "ci").await.expect(201)["id"].clone(),
        post(&owner, TOKENS, "ci").await.expect(201)["id"].clone(),
    ];
    assert!(ids[0] != ids[1] && ids[0] != ids[2]);
}

#[tokio::test]
async fn a_key_whose_request_still_runs_is_409() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for path in WRITES {
        post(&owner, path, "ci").await.expect(201);
        // As another process's transaction has it before its answer is kept.
        region.sql("UPDATE idempotency SET sealed_answer = NULL").await;
        let answer = post(&owner, path, "ci").await;
        assert_eq!(answer.headers["retry-after"], "1");
        answer.problem(409, "idempotency-key-in-use");
    }
}

#[tokio::test]
async fn two_at_once_have_one_effect() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for path in WRITES {
        let (one, two) = tokio::join!(post(&owner, path, "ci"), post(&owner, path, "ci"));
        let statuses = [one.status.as_u16(), two.status.as_u16()];
        assert!(statuses.contains(&201), "{one:?} {two:?}");
        assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{one:?} {two:?}");
        post(&owner, path, "ci").await.expect(201);
    }
    assert_eq!(region.count("SELECT count(*) FROM replicated.system_account").await, 1);
    assert_eq!(region.count("SELECT count(*) FROM resident.token_name WHERE name = 'ci'").await, 1);
}

/// A crash before the commit: nothing is left, and the same request can come again.
#[tokio::test]
async fn a_write_that_fails_leaves_nothing_and_can_be_repeated() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    // The audit entry is the last statement of each write.
    region
        .sql(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk'; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON audit EXECUTE FUNCTION fail();",
        )
        .await;
    let entries = region.kinds().await.len();
    for path in WRITES {
        post(&owner, path, "ci").await.problem(500, "internal");
    }
    assert_eq!(region.count("SELECT count(*) FROM idempotency").await, 0);
    assert_eq!(region.kinds().await.len(), entries);
    region.sql("DROP TRIGGER fail ON audit").await;
    for path in WRITES {
        post(&owner, path, "ci").await.expect(201);
    }
}

/// The database was restored from a copy that has the write and not its key: no second thing is made.
#[tokio::test]
async fn a_key_that_was_forgotten_makes_the_same_thing_again() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let account = post(&owner, ACCOUNTS, "ci").await.expect(201);
    let token = post(&owner, TOKENS, "ci").await.expect(201);
    region.sql("DELETE FROM idempotency").await;

    assert_eq!(post(&owner, ACCOUNTS, "ci").await.expect(201), account);
    let again = post(&owner, TOKENS, "ci").await.expect(201);
    assert_eq!(again["id"], token["id"], "one token");
    assert_ne!(again["token"], token["token"], "with two texts, of which both work");
    for text in [text(&token, "token"), text(&again, "token")] {
        region.client(text).get("/v3/organizations/me").await.expect(200);
    }
    let listed = owner.get(TOKENS).await.expect(200);
    let count = |list: &Value| list["data"].as_array().expect("tokens").len();
    assert_eq!(count(&listed), 2, "the owner's first one, and this one once");

    region.sql("DELETE FROM idempotency").await;
    post(&owner, TOKENS, "another").await.problem(422, "idempotency-key-reused");
    owner.delete(&format!("{TOKENS}/{}", text(&token, "id"))).await.expect(204);
    post(&owner, TOKENS, "ci").await.problem(409, "conflict");
    // A day later the key stands for another request.
    region.clock.advance(time::Duration::hours(24));
    let fresh = post(&owner, TOKENS, "ci").await.expect(201);
    assert_ne!(fresh["id"], token["id"]);
    let fresh = post(&owner, ACCOUNTS, "cd").await.expect(201);
    assert_ne!(fresh["id"], account["id"]);
}

#[tokio::test]
async fn a_key_has_1_to_255_bytes_and_ends_with_its_session() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for key in [String::new(), "k".repeat(256)] {
        owner.keyed(&key).post(ACCOUNTS, json!({"name": "ci"})).await.problem(400, "invalid-parameter");
    }
    owner.keyed(&"k".repeat(255)).post(ACCOUNTS, json!({"name": "ci"})).await.expect(201);
    region.authz.state().session_ended = true;
    owner.keyed(&"k".repeat(255)).post(ACCOUNTS, json!({"name": "ci"})).await.problem(401, "unauthenticated");
}
