//! Passwords: changing one, getting a new one by mail, and what failed attempts bring about.

use serde_json::json;
use testbed::wait;
use time::Duration;

use crate::{
    people::{PASSWORD, Person, mail, with},
    region::{Region, text},
};

const RESETS: &str = "/v3/password-resets";
const ACCEPT: &str = "/v3/password-resets/accept";
const NEW: &str = "battery horse correct";

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it_and_ends_other_sessions() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    let (here, there) = (grace.signed_on(&region).await, grace.signed_on(&region).await);
    let client = with(&region, &here);
    let change = async |old: &str, new: &str| {
        client.post("/v3/users/me/password", json!({"old_password": old, "new_password": new})).await
    };
    change("wrong wrong wrong", NEW).await.problem(400, "invalid-body");
    change(PASSWORD, "short").await.problem(400, "invalid-body");
    change(PASSWORD, NEW).await.expect(204);
    let refresh = async |answer: &serde_json::Value| {
        let body = json!({"refresh_token": answer["refresh_token"]});
        region.stranger().post("/v3/authenticate/refresh", body).await
    };
    refresh(&here).await.expect(200);
    refresh(&there).await.problem(401, "unauthenticated");
    assert_eq!(region.authz.state().entries.iter().filter(|(_, kind)| kind == "token.revoked").count(), 1);
    region.stranger().post("/v3/authenticate", grace.sign_on(PASSWORD)).await.problem(401, "unauthenticated");
    region.stranger().post("/v3/authenticate", grace.sign_on(NEW)).await.expect(200);
    // Nobody else's can be changed, and who has none has none to change.
    let path = format!("/v3/users/{}/password", made.owner_id);
    client
        .post(&path, json!({"old_password": NEW, "new_password": PASSWORD}))
        .await
        .problem(404, "not-found");
    let detail = owner.post(&path, json!({"old_password": NEW, "new_password": PASSWORD})).await;
    assert!(detail.problem(400, "invalid-body").contains("password-resets"));
}

#[tokio::test]
async fn a_new_password_comes_by_mail_and_nobody_learns_who_has_an_account() {
    let region = Region::alone().await;
    let (_, made) = region.owner().await;
    let ask = async |organization: &str, email: &str| {
        region.stranger().post(RESETS, json!({"organization": organization, "email": email})).await
    };
    let organization = made.organization_id.to_string();
    for (organization, email) in [
        (organization.as_str(), "ada@example.com"),
        ("Acme", "nobody@example.com"),
        ("Nowhere", "ada@example.com"),
    ] {
        ask(organization, email).await.expect(204);
    }
    // What can be no name and no address is refused, before anything is looked up.
    for (organization, email) in
        [("a\u{0}b", "ada@example.com"), ("Acme", "a\u{0}b@example.com"), ("Nowhere", "nonsense")]
    {
        ask(organization, email).await.problem(400, "invalid-body");
    }
    let nul = json!({"organization": "a\u{0}b", "email": "ada@example.com", "password": PASSWORD});
    region.stranger().post("/v3/authenticate", nul).await.problem(400, "invalid-body");
    let mail = mail(&region, "ada@example.com", 1).await;
    assert_eq!(mail.subject, "A new password for Acme");
    let sent = wait::until("the other mail is dropped", std::time::Duration::from_secs(10), async || {
        match region.count("SELECT count(*) FROM resident.mail").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    });
    sent.await.expect("dropped");
    assert_eq!(testbed::mail::kept(&region.mails).expect("mails").len(), 1, "nobody else gets one");

    let credential = mail.credential().expect("a link").to_owned();
    let accept = async |credential: &str, password: &str| {
        region.stranger().post(ACCEPT, json!({"token": credential, "password": password})).await
    };
    accept(&credential, "short").await.problem(400, "invalid-body");
    region.clock.advance(Duration::minutes(30));
    accept(&credential, PASSWORD).await.problem(401, "unauthenticated");
    region.clock.advance(-Duration::SECOND);
    accept(&credential, PASSWORD).await.expect(204);
    accept(&credential, NEW).await.problem(401, "unauthenticated");
    let owner = Person {
        organization: made.organization_id,
        id: made.owner_id.to_string(),
        email: "ada@example.com".to_owned(),
    };
    owner.signed_on(&region).await;
    // Three links at most are good at once.
    for _ in 0..5 {
        ask("Acme", "ada@example.com").await.expect(204);
    }
    assert_eq!(region.count("SELECT count(*) FROM resident.password_reset").await, 1 + 3, "one is nobody's");
}

#[tokio::test]
async fn who_fails_has_to_wait_longer_each_time_and_so_does_who_is_nobody() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    let nobody = Person {
        organization: made.organization_id,
        id: String::new(),
        email: "nobody@example.com".to_owned(),
    };
    let sign_on = async |person: &Person, password: &str, address: &str| {
        region.stranger().at(address).post("/v3/authenticate", person.sign_on(password)).await
    };
    for person in [&grace, &nobody] {
        for attempt in 0..5 {
            // From wherever they come.
            sign_on(person, "wrong", &format!("192.0.2.{attempt}")).await.problem(401, "unauthenticated");
        }
        let refused = sign_on(person, PASSWORD, "198.51.100.1").await;
        assert_eq!(refused.headers["retry-after"], "30");
        refused.problem(429, "too-many-requests");
    }
    region.clock.advance(Duration::seconds(30));
    sign_on(&grace, "wrong", "192.0.2.9").await.problem(401, "unauthenticated");
    let refused = sign_on(&grace, PASSWORD, "192.0.2.9").await;
    assert_eq!(refused.headers["retry-after"], "60", "twice as long");
    region.clock.advance(Duration::seconds(60));
    sign_on(&grace, PASSWORD, "192.0.2.9").await.expect(200);
    sign_on(&grace, "wrong", "192.0.2.9").await.problem(401, "unauthenticated");
    sign_on(&grace, PASSWORD, "192.0.2.9").await.expect(200);
}

#[tokio::test]
async fn who_guesses_among_many_people_has_to_wait_too() {
    let region = Region::alone().await;
    let (_, made) = region.owner().await;
    let guess = async |email: &str, address: &str| {
        let body = json!({"organization": made.organization_id, "email": email, "password": "wrong"});
        region.stranger().at(address).post("/v3/authenticate", body).await
    };
    guess("a@example.com", "203.0.113.7").await.problem(401, "unauthenticated");
    // As if forty-eight more had been guessed.
    region.sql("UPDATE resident.failed_attempt SET failures = failures + 48").await;
    guess("b@example.com", "203.0.113.7").await.problem(401, "unauthenticated");
    guess("c@example.com", "203.0.113.7").await.problem(429, "too-many-requests");
    guess("c@example.com", "203.0.113.8").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn no_password_and_no_text_of_a_credential_is_stored() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    let answer = grace.signed_on(&region).await;
    let secret = text(&answer, "refresh_token").rsplit('_').next().expect("a secret").to_owned();
    let tables = [
        "SELECT count(*) FROM resident.password AS t WHERE t::text LIKE '%{}%'",
        "SELECT count(*) FROM resident.refresh_token AS t WHERE t::text LIKE '%{}%'",
        "SELECT count(*) FROM resident.session AS t WHERE t::text LIKE '%{}%'",
        "SELECT count(*) FROM log_operation AS t WHERE t::text LIKE '%{}%'",
        "SELECT count(*) FROM audit AS t WHERE t::text LIKE '%{}%'",
    ];
    for table in tables {
        for word in [PASSWORD, secret.as_str()] {
            assert_eq!(region.count_text(&table.replace("{}", word)).await, 0, "{table}");
        }
    }
    assert_eq!(
        region
            .count(
                "SELECT count(*) FROM resident.password WHERE hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'"
            )
            .await,
        1
    );
}

/// Both queues are bounded: what is beyond is told when to come again, and costs nobody an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn who_finds_too_many_passwords_or_mails_waiting_is_told_when_to_come_again() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let hasher = region.app.hasher.clone();
            tokio::spawn(async move {
                loop {
                    if hasher.verify(None, "x".to_owned()).await.is_err() {
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    }
                }
            })
        })
        .collect();
    let busy = wait::until("the queue is full", std::time::Duration::from_secs(30), async || {
        let answer = region.stranger().post("/v3/authenticate", grace.sign_on("wrong wrong wrong")).await;
        match answer.status.as_u16() {
            429 if !answer.body["detail"].as_str().unwrap_or_default().contains("attempts") => Ok(answer),
            // Somebody got a place in between: it counts as an attempt.
            _ => {
                region.sql("DELETE FROM resident.failed_attempt").await;
                Err(answer.body.to_string())
            }
        }
    });
    let busy = busy.await.expect("busy");
    assert!(busy.headers.contains_key("retry-after"), "{}", busy.body);
    assert_eq!(busy.body["type"], "urn:landbridge:problem:too-many-requests");
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    let failures = "SELECT coalesce(max(failures), 0)::bigint FROM resident.failed_attempt";
    assert_eq!(region.count(failures).await, 0, "what was not looked at is no attempt");
    let back = wait::until("passwords are checked again", std::time::Duration::from_secs(30), async || {
        let answer = region.stranger().post("/v3/authenticate", grace.sign_on(PASSWORD)).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    back.await.expect("back");

    // As if a thousand mails waited for a mail server that is away.
    let mails = format!(
        "INSERT INTO resident.mail (id, organization_id, kind, recipient, sealed, created_at, expires_at, next_attempt_at)
         SELECT gen_random_uuid(), '{}', 'invite', 'x@example.com', '', now(), '2200-01-01', '2200-01-01'
         FROM generate_series(1, 1000)",
        made.organization_id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(mails)).execute(&region.database.pool()).await.expect("mails");
    let refused = owner.post("/v3/invites", json!({"email": "next@example.com"})).await;
    assert_eq!(refused.headers["retry-after"], "30");
    refused.problem(429, "too-many-requests");
    // Nobody learns from it who has an account.
    for email in ["grace@example.com", "nobody@example.com"] {
        ask_reset(&region, email).await;
    }
    assert_eq!(region.count("SELECT count(*) FROM resident.mail").await, 1000);
    assert_eq!(region.count("SELECT count(*) FROM resident.invite").await, 0);
}

async fn ask_reset(region: &Region, email: &str) {
    let body = json!({"organization": "Acme", "email": email});
    region.stranger().post(RESETS, body).await.expect(204);
}
