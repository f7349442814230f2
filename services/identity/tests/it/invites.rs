//! `/v3/invites`, and the mail that carries the credential.

use serde_json::json;
use testbed::wait;
use time::Duration;

use crate::{
    people::{PASSWORD, mail},
    region::{Region, text},
};

const ALL: &str = "/v3/invites";
const ACCEPT: &str = "/v3/invites/accept";

#[tokio::test]
async fn an_invite_is_mailed_listed_and_accepted_once() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let invite = owner.post(ALL, json!({"email": "Grace@Example.com"})).await.expect(201);
    assert_eq!(text(&invite, "email"), "grace@example.com");
    assert_eq!(invite["invited_by"], json!(made.owner_id));
    assert_eq!(text(&invite, "expires_at"), "2100-01-08T00:00:00Z");
    let listed = owner.get(ALL).await.expect(200);
    assert_eq!(listed["data"], json!([invite]));

    let mail = mail(&region, "grace@example.com", 1).await;
    assert_eq!(mail.subject, "Invitation to Acme");
    let credential = mail.credential().expect("a link");
    let body = json!({"token": credential, "full_name": " Grace Hopper ", "password": PASSWORD});
    let user = region.stranger().post(ACCEPT, body.clone()).await.expect(201);
    assert_eq!((text(&user, "email"), text(&user, "full_name")), ("grace@example.com", "Grace Hopper"));
    assert_eq!(owner.get(&format!("/v3/users/{}", text(&user, "id"))).await.expect(200), user);
    assert_eq!(owner.get(ALL).await.expect(200)["data"], json!([]));
    region.stranger().post(ACCEPT, body).await.problem(401, "unauthenticated");
    owner.post(ALL, json!({"email": "grace@example.com"})).await.problem(409, "conflict");

    // Neither the credential nor the address is in a log, and nothing waits to be sent.
    for word in ["grace", "Grace", credential] {
        let query = format!("SELECT count(*) FROM log_operation WHERE body LIKE '%{word}%'");
        assert_eq!(region.count_text(&query).await, 0, "{word}");
    }
    let sent =
        wait::until("the mail is no longer kept", std::time::Duration::from_secs(10), async || match region
            .count("SELECT count(*) FROM resident.mail")
            .await
        {
            0 => Ok(()),
            left => Err(left.to_string()),
        });
    sent.await.expect("sent");
}

#[tokio::test]
async fn an_invite_ends_when_it_expires_is_withdrawn_or_is_replaced() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let accept = async |credential: &str| {
        region.stranger().post(ACCEPT, json!({"token": credential, "password": PASSWORD})).await
    };
    owner.post(ALL, json!({"email": "a@example.com"})).await.expect(201);
    let first = mail(&region, "a@example.com", 1).await;
    let second_invite = owner.post(ALL, json!({"email": "a@example.com"})).await.expect(201);
    let second = mail(&region, "a@example.com", 2).await;
    accept(first.credential().expect("a link")).await.problem(401, "unauthenticated");
    assert_eq!(owner.get(ALL).await.expect(200)["data"].as_array().map(Vec::len), Some(1));

    owner.delete(&format!("{ALL}/{}", text(&second_invite, "id"))).await.expect(204);
    owner.delete(&format!("{ALL}/{}", text(&second_invite, "id"))).await.problem(404, "not-found");
    accept(second.credential().expect("a link")).await.problem(401, "unauthenticated");

    owner.post(ALL, json!({"email": "b@example.com"})).await.expect(201);
    let third = mail(&region, "b@example.com", 1).await;
    region.clock.advance(Duration::days(7));
    accept(third.credential().expect("a link")).await.problem(401, "unauthenticated");
    region.clock.advance(-Duration::SECOND);
    accept(third.credential().expect("a link")).await.expect(201);
}

#[tokio::test]
async fn who_may_not_invite_does_not_and_what_is_no_invite_is_refused() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    owner.post(ALL, json!({"email": "nonsense"})).await.problem(400, "invalid-body");
    owner.post(ALL, json!({"email": "ada@example.com"})).await.problem(409, "conflict");
    let keyed = owner.keyed("once");
    let first = keyed.post(ALL, json!({"email": "grace@example.com"})).await.expect(201);
    assert_eq!(keyed.post(ALL, json!({"email": "grace@example.com"})).await.expect(201), first);
    let credential = mail(&region, "grace@example.com", 1).await;
    let credential = credential.credential().expect("a link");
    for password in ["short", "grace@example.com", "aaaaaaaaaaaaaaaa"] {
        let body = json!({"token": credential, "password": password});
        region.stranger().post(ACCEPT, body).await.problem(400, "invalid-body");
    }
    for token in ["", "lbi_1_2", &credential.replace("lbi", "lbw"), &format!("{credential}0")] {
        let body = json!({"token": token, "password": PASSWORD});
        region.stranger().post(ACCEPT, body).await.problem(401, "unauthenticated");
    }
    // Another organization's invites are not there.
    let other = region.bootstrap("Other").await;
    let other = region.client(other.token.as_deref().expect("a token"));
    other.delete(&format!("{ALL}/{}", text(&first, "id"))).await.problem(404, "not-found");
    assert_eq!(other.get(ALL).await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_mail_that_is_refused_is_given_up_and_one_that_is_put_off_is_tried_again() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    owner.post(ALL, json!({"email": "refused@example.com"})).await.expect(201);
    owner.post(ALL, json!({"email": "later@example.com"})).await.expect(201);
    let tried = wait::until(
        "one is given up, the other waits",
        std::time::Duration::from_secs(20),
        async || {
            let waiting = region.count("SELECT count(*) FROM resident.mail").await;
            let later = region
            .count("SELECT count(*) FROM resident.mail WHERE attempts = 1 AND next_attempt_at > created_at AND claimed_until IS NULL")
            .await;
            match (waiting, later) {
                (1, 1) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    );
    tried.await.expect("tried");
    // Nothing is lost by an end between the commit and the mail server: the row is the mail.
    region.sql("UPDATE resident.mail SET recipient = 'late@example.com', next_attempt_at = created_at").await;
    region.app.mail.hurry();
    mail(&region, "late@example.com", 1).await;
}
