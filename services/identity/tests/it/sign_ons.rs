//! Sign-ons in the audit log: each way to succeed and to fail is an entry of the person's organization, and nobody's attempts are.

use std::time::Duration;

use identity::second_factor::totp;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use time::Duration as Time;
use tokio::time::{Instant, sleep};

use crate::{
    people::{PASSWORD, Person, mail, with},
    region::{Region, text},
    second_factor::decoded,
};

const SIGN_ON: &str = "/v3/authenticate";
const DEADLINE: Duration = Duration::from_secs(20);

/// Outcome, problem and action of the linked entries of type `authentication` whose actor is `person`, each once, by action.
async fn entries(region: &Region, person: &str) -> Vec<String> {
    let query = format!(
        "SELECT DISTINCT outcome || ' ' || coalesce(problem, '-') || ' ' || action FROM audit
         WHERE type = 'authentication' AND actor_id = '{person}' AND seq IS NOT NULL AND actor_kind = 'user'
           AND method IS NOT NULL AND request_id IS NOT NULL ORDER BY 1"
    );
    let db = region.database.pool();
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&db).await.expect("entries")
}

/// Waits until exactly these entries are there.
async fn until(region: &Region, person: &str, expected: &[&str]) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = entries(region, person).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found:#?}, expected {expected:#?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn world() -> (Region, Person) {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    (region, grace)
}

async fn sign_on(region: &Region, grace: &Person, password: &str, totp: Option<&str>, status: u16) -> Value {
    let mut body = grace.sign_on(password);
    body["totp"] = json!(totp);
    let answer = region.stranger().post(SIGN_ON, body).await;
    assert_eq!(answer.status, status, "{}", answer.body);
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_sign_on_and_out_is_an_entry() {
    let (region, grace) = world().await;
    let answer = sign_on(&region, &grace, PASSWORD, None, 200).await;
    let query = format!(
        "SELECT count(*) FROM audit WHERE action = 'sign-on.password' AND target = '{0}' AND session_id = '{0}'",
        text(&answer, "session_id")
    );
    assert_eq!(region.count_text(&query).await, 1, "it is written with the session");
    sign_on(&region, &grace, "wrong wrong wrong", None, 401).await;

    let client = with(&region, &answer);
    let own = "/v3/users/me/second-factor";
    client.post(own, json!({"password": "wrong wrong wrong"})).await.problem(400, "invalid-body");
    let begun = client.post(own, json!({"password": PASSWORD})).await.expect(201);
    let secret = decoded(text(&begun, "secret"));
    let code = totp::code_at(&secret, region.clock.unix_seconds());
    client.post(&format!("{own}/confirm"), json!({"code": code})).await.expect(200);
    sign_on(&region, &grace, PASSWORD, Some("000000"), 401).await;
    region.clock.advance(Time::seconds(30));
    let code = totp::code_at(&secret, region.clock.unix_seconds());
    let second = sign_on(&region, &grace, PASSWORD, Some(&code), 200).await;

    with(&region, &second).delete("/v3/users/me/sessions/current").await.expect(204);
    client.delete("/v3/users/me/sessions").await.expect(204);
    until(
        &region,
        &grace.id,
        &[
            "allowed - sign-on.password",
            "allowed - sign-on.password-and-code",
            "allowed - sign-out",
            "allowed - sign-out.all",
            "failed invalid-body second-factor.begin",
            "failed unauthenticated sign-on.code",
            "failed unauthenticated sign-on.password",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_counted_and_who_may_not_sign_on_is_told_apart() {
    let (region, grace) = world().await;
    let (owner, _) = region.owner_again().await;
    for _ in 0..5 {
        sign_on(&region, &grace, "wrong wrong wrong", None, 401).await;
    }
    for _ in 0..40 {
        sign_on(&region, &grace, PASSWORD, None, 429).await;
    }
    region.clock.advance(Time::seconds(30));
    owner.patch(&format!("/v3/users/{}", grace.id), json!({"active": false})).await.expect(200);
    sign_on(&region, &grace, PASSWORD, None, 401).await;
    until(
        &region,
        &grace.id,
        &[
            "failed too-many-requests sign-on.locked",
            "failed unauthenticated sign-on.not-admitted",
            "failed unauthenticated sign-on.password",
        ],
    )
    .await;
    // Forty of the same are not forty entries.
    let rows = "SELECT count(*) FROM audit WHERE action = 'sign-on.locked'";
    assert!(region.count(rows).await <= 3, "equal ones are counted together");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_used_again_and_a_new_password_are_entries() {
    let (region, grace) = world().await;
    let answer = sign_on(&region, &grace, PASSWORD, None, 200).await;
    let refresh = json!({"refresh_token": answer["refresh_token"]});
    region.stranger().post("/v3/authenticate/refresh", refresh.clone()).await.expect(200);
    region.clock.advance(Time::seconds(11));
    region.stranger().post("/v3/authenticate/refresh", refresh).await.problem(401, "unauthenticated");
    let ask = json!({"organization": "Acme", "email": grace.email});
    region.stranger().post("/v3/password-resets", ask).await.expect(204);
    let link = mail(&region, &grace.email, 2).await;
    let accept = json!({"token": link.credential(), "password": "battery horse correct"});
    region.stranger().post("/v3/password-resets/accept", accept).await.expect(204);
    until(
        &region,
        &grace.id,
        &[
            "allowed - password.reset",
            "allowed - password.set",
            "allowed - sign-on.password",
            "failed - session.reuse",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_for_nobody_is_in_nobodys_log() {
    let (region, grace) = world().await;
    let acme =
        "SELECT count(*) FROM audit AS a JOIN replicated.organization AS o ON o.id = a.organization_id";
    let before = region.count(acme).await;
    for (organization, email) in [("Acme", "nobody@example.com"), ("Nowhere", "grace@example.com")] {
        let body = json!({"organization": organization, "email": email, "password": PASSWORD});
        region.stranger().post(SIGN_ON, body).await.problem(401, "unauthenticated");
        let ask = json!({"organization": organization, "email": email});
        region.stranger().post("/v3/password-resets", ask).await.expect(204);
    }
    // What was reported before this one is written before it.
    sign_on(&region, &grace, "wrong wrong wrong", None, 401).await;
    until(&region, &grace.id, &["failed unauthenticated sign-on.password"]).await;
    assert_eq!(region.count(acme).await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_suspended_organization_is_refused_in_its_log() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let operator = region.operator().await;
    let path = format!("/v1/operator/organizations/{}", made.organization_id);
    operator.post(&format!("{path}/suspend"), Value::Null).await.expect(200);
    owner.get("/v3/users/me").await.problem(403, "organization-inactive");
    let query = format!(
        "SELECT count(*) FROM audit WHERE type = 'authorization' AND outcome = 'denied' AND seq IS NOT NULL
         AND problem = 'organization-inactive' AND organization_id = '{0}' AND actor_id = '{1}'",
        made.organization_id, made.owner_id
    );
    let deadline = Instant::now() + DEADLINE;
    while region.count_text(&query).await != 1 {
        assert!(Instant::now() < deadline, "not in the audit log");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Who is told where sign-ons come from: the organization's own log, at home.
#[tokio::test(flavor = "multi_thread")]
async fn entries_say_where_somebody_was_and_different_places_are_told_apart() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    for address in ["192.0.2.7", "2001:db8::7"] {
        let stranger = region.stranger().at(address).header("user-agent", "a browser/7");
        stranger.post(SIGN_ON, grace.sign_on(PASSWORD)).await.expect(200);
        stranger.post(SIGN_ON, grace.sign_on("wrong wrong wrong")).await.problem(401, "unauthenticated");
    }
    let shown = "SELECT count(*) FROM audit AS a JOIN resident.audit_client AS c USING (client_hash)
        WHERE a.action = 'sign-on.password' AND a.seq IS NOT NULL AND c.user_agent = 'a browser/7'
          AND c.organization_id = a.organization_id AND c.address IN ('192.0.2.7', '2001:db8::7')";
    let deadline = Instant::now() + DEADLINE;
    while region.count(shown).await != 4 {
        assert!(Instant::now() < deadline, "{} of 4 entries", region.count(shown).await);
        sleep(Duration::from_millis(50)).await;
    }
    // What the owner has done before has one, too; the platform operator's is nobody's business.
    let owners = "SELECT count(*) FROM audit WHERE action = 'invite.create' AND client_hash IS NOT NULL";
    assert_eq!(region.count(owners).await, 1);
    let operator = region.operator().await;
    let path = format!("/v1/operator/organizations/{}", made.organization_id);
    operator.post(&format!("{path}/suspend"), Value::Null).await.expect(200);
    let of_operator = "SELECT count(*) FROM audit WHERE actor_kind = 'operator' AND client_hash IS NOT NULL";
    assert_eq!(region.count(of_operator).await, 0);
    operator.delete(&path).await.expect(202);
    let deadline = Instant::now() + DEADLINE;
    while region.count("SELECT count(*) FROM resident.audit_client").await > 0 {
        assert!(Instant::now() < deadline, "they go with the organization");
        sleep(Duration::from_millis(50)).await;
    }
}
