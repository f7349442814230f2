//! Sessions of the console: signing on, going on, and ending.

use std::{collections::BTreeSet, time::Duration as StdDuration};

use axum::http::Method;
use serde_json::{Value, json};
use testbed::wait;
use time::Duration;

use crate::{
    people::{PASSWORD, Person, with},
    region::{Answer, CONSOLE, Client, Region, Site, text},
};

const SIGN_ON: &str = "/v3/authenticate";
const REFRESH: &str = "/v3/authenticate/refresh";
const SESSIONS: &str = "/v3/users/me/sessions";
const ME: &str = "/v3/users/me";
const DEADLINE: StdDuration = StdDuration::from_secs(20);

/// A region with a person of the organization Acme.
async fn world() -> (Region, Person) {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    (region, grace)
}

async fn go_on(client: &Client<'_>, answer: &Value) -> Answer {
    client.post(REFRESH, json!({"refresh_token": answer["refresh_token"]})).await
}

#[tokio::test]
async fn a_person_signs_on_and_is_who_it_says() {
    let (region, grace) = world().await;
    let stranger = region.stranger().header("user-agent", "a browser");
    let answer = stranger.post(SIGN_ON, grace.sign_on(PASSWORD)).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let answer = answer.expect(200);
    assert_eq!((text(&answer, "token_type"), &answer["expires_in"]), ("Bearer", &json!(300)));
    assert_eq!(text(&answer, "session_ends_at"), "2100-01-08T00:00:00Z");
    let client = with(&region, &answer);
    assert_eq!(client.get(ME).await.expect(200)["id"], json!(grace.id));
    // By the organization's name, and however the address is written.
    let body = json!({"organization": "Acme", "email": " Grace@example.com ", "password": PASSWORD});
    stranger.post(SIGN_ON, body).await.expect(200);

    let listed = client.get(SESSIONS).await.expect(200);
    let listed = listed["data"].as_array().expect("sessions");
    assert_eq!(listed.len(), 2);
    assert_eq!((text(&listed[0], "user_agent"), text(&listed[0], "address")), ("a browser", "192.0.2.1"));
    // It is no access token, and there is no text of it.
    assert_eq!(client.get("/v3/users/me/access-tokens").await.expect(200)["data"], json!([]));
    assert_eq!(region.count("SELECT count(*) FROM replicated.token WHERE is_session AND name = ''").await, 2);
}

#[tokio::test]
async fn nobody_learns_why_a_sign_on_fails() {
    let (region, grace) = world().await;
    let (owner, _) = region.owner_again().await;
    let mut details = BTreeSet::new();
    let refused = [
        grace.sign_on("wrong wrong wrong"),
        json!({"organization": grace.organization, "email": "nobody@example.com", "password": PASSWORD}),
        json!({"organization": grace.organization, "email": "nonsense", "password": PASSWORD}),
        json!({"organization": "Nowhere", "email": grace.email, "password": PASSWORD}),
        json!({"organization": grace.organization, "email": "ada@example.com", "password": PASSWORD}),
        json!({"organization": grace.organization, "email": grace.email, "password": "x".repeat(5000)}),
    ];
    for body in refused {
        details.insert(region.stranger().post(SIGN_ON, body).await.problem(401, "unauthenticated"));
    }
    owner.patch(&format!("/v3/users/{}", grace.id), json!({"active": false})).await.expect(200);
    let body = grace.sign_on(PASSWORD);
    details.insert(region.stranger().post(SIGN_ON, body).await.problem(401, "unauthenticated"));
    assert_eq!(details.len(), 1, "{details:?}");
}

#[tokio::test]
async fn a_session_goes_on_and_two_tabs_that_race_get_the_same() {
    let (region, grace) = world().await;
    let first = grace.signed_on(&region).await;
    region.clock.advance(Duration::minutes(4));
    let stranger = region.stranger();
    let (one, other) = tokio::join!(go_on(&stranger, &first), go_on(&stranger, &first));
    let (one, other) = (one.expect(200), other.expect(200));
    assert_eq!(one["refresh_token"], other["refresh_token"]);
    assert_ne!(one["refresh_token"], first["refresh_token"]);
    assert_eq!(one["session_id"], first["session_id"]);
    // Also ten seconds later, and when the clock of this replica is behind that of another one.
    for skew in [Duration::seconds(10), Duration::seconds(-300), Duration::seconds(290)] {
        region.clock.advance(skew);
        assert_eq!(go_on(&stranger, &first).await.expect(200)["refresh_token"], one["refresh_token"]);
    }
    let next = go_on(&stranger, &one).await.expect(200);
    with(&region, &next).get(ME).await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_that_is_shown_again_ends_the_session() {
    let (region, grace) = world().await;
    let first = grace.signed_on(&region).await;
    let stranger = region.stranger();
    let second = go_on(&stranger, &first).await.expect(200);
    let other = grace.signed_on(&region).await;
    region.clock.advance(Duration::seconds(11));
    // Whoever of the two has stolen it.
    let detail = go_on(&stranger, &first).await.problem(401, "unauthenticated");
    assert!(detail.contains("sign on again"), "{detail}");
    go_on(&stranger, &second).await.problem(401, "unauthenticated");
    let revoked = region.authz.state().entries.iter().filter(|(_, kind)| kind == "token.revoked").count();
    assert_eq!(revoked, 1, "authz refuses its signed tokens");
    go_on(&stranger, &other).await.expect(200);
    assert_eq!(region.count("SELECT count(*) FROM audit WHERE action = 'session.reuse'").await, 1);
    // A second replay writes nothing more.
    go_on(&stranger, &first).await.problem(401, "unauthenticated");
    assert_eq!(region.count("SELECT count(*) FROM audit WHERE action = 'session.reuse'").await, 1);
}

/// A thief and its victim come at the same moment, and both with what was used.
#[tokio::test(flavor = "multi_thread")]
async fn replays_at_once_end_the_session_and_no_other() {
    let (region, grace) = world().await;
    let (first, other) = (grace.signed_on(&region).await, grace.signed_on(&region).await);
    let stranger = region.stranger();
    let second = go_on(&stranger, &first).await.expect(200);
    region.clock.advance(Duration::seconds(11));
    let replays = (0..8).map(|_| go_on(&stranger, &first));
    for answer in futures::future::join_all(replays).await {
        answer.problem(401, "unauthenticated");
    }
    go_on(&stranger, &second).await.problem(401, "unauthenticated");
    let query = "SELECT count(*) FROM replicated.token WHERE is_session AND revoked_at IS NOT NULL";
    assert_eq!(region.count(query).await, 1);
    // Many tabs at once go on with one and the same next token.
    let tabs = (0..8).map(|_| go_on(&stranger, &other));
    let answers = futures::future::join_all(tabs).await;
    let next: BTreeSet<String> =
        answers.into_iter().map(|answer| text(&answer.expect(200), "refresh_token").to_owned()).collect();
    assert_eq!(next.len(), 1, "{next:?}");
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let (region, grace) = world().await;
    let stranger = region.stranger();
    let idle = grace.signed_on(&region).await;
    region.clock.advance(Duration::hours(24));
    go_on(&stranger, &idle).await.problem(401, "unauthenticated");

    let mut answer = grace.signed_on(&region).await;
    for _ in 0..7 {
        region.clock.advance(Duration::hours(23));
        answer = go_on(&stranger, &answer).await.expect(200);
    }
    region.clock.advance(Duration::hours(7) - Duration::seconds(60));
    answer = go_on(&stranger, &answer).await.expect(200);
    assert_eq!(answer["expires_in"], 60, "a signed token does not outlive its session");
    region.clock.advance(Duration::seconds(60));
    go_on(&stranger, &answer).await.problem(401, "unauthenticated");
    identity::sweep::once(&region.app.db, &region.clock).await.expect("swept");
    assert_eq!(region.count("SELECT count(*) FROM resident.session").await, 0);
    assert_eq!(region.count("SELECT count(*) FROM resident.refresh_token").await, 0);
}

#[tokio::test]
async fn somebody_signs_out_of_one_session_and_everywhere() {
    let (region, grace) = world().await;
    let stranger = region.stranger();
    let [one, two, three] =
        [grace.signed_on(&region).await, grace.signed_on(&region).await, grace.signed_on(&region).await];
    let client = with(&region, &one);
    let answer = client.delete(&format!("{SESSIONS}/current")).await;
    assert!(answer.headers["set-cookie"].to_str().expect("text").ends_with("Max-Age=0"));
    answer.expect(204);
    go_on(&stranger, &one).await.problem(401, "unauthenticated");
    let client = with(&region, &two);
    assert_eq!(client.get(SESSIONS).await.expect(200)["data"].as_array().map(Vec::len), Some(2));

    let token = client.post("/v3/users/me/access-tokens", json!({"name": "ci"})).await.expect(201);
    client.delete(&format!("{SESSIONS}/{}", text(&token, "id"))).await.problem(404, "not-found");
    client.delete(&format!("{SESSIONS}/nonsense")).await.problem(404, "not-found");
    client.delete(SESSIONS).await.expect(204);
    for ended in [&two, &three] {
        go_on(&stranger, ended).await.problem(401, "unauthenticated");
    }
    let announced = region.nats.published("landbridge.us.identity.session-revoked");
    assert!(announced.contains(&text(&one, "session_id").to_owned()), "{announced:?}");
    assert_eq!(region.authz.state().entries.iter().filter(|(_, kind)| kind == "token.revoked").count(), 3);
    // The access token goes on: it is not bound to the session that it was made in.
    let token = region.client(text(&token, "token"));
    token.get(ME).await.expect(200);
    let own = token.post("/v3/users/me/access-tokens", json!({"name": "below"})).await.expect(201);
    assert!(text(&own, "expires_at") <= "2100-04-01T00:00:00Z", "what a token makes is bound to it");
}

#[tokio::test]
async fn access_tokens_made_in_a_session_have_their_own_limits() {
    let (region, grace) = world().await;
    let client = with(&region, &grace.signed_on(&region).await);
    let year = json!({"name": "0", "expires_at": "2101-01-01T00:00:00Z"});
    client.post("/v3/users/me/access-tokens", year).await.expect(201);
    let more = json!({"name": "0", "expires_at": "2101-06-01T00:00:00Z"});
    client.post("/v3/users/me/access-tokens", more).await.problem(400, "invalid-body");
    for number in 1..10 {
        let body = json!({"name": number.to_string()});
        client.post("/v3/users/me/access-tokens", body).await.expect(201);
    }
    let body = json!({"name": "10"});
    client.post("/v3/users/me/access-tokens", body).await.problem(403, "limit-reached");
}

#[tokio::test]
async fn the_oldest_session_makes_room() {
    let (region, grace) = world().await;
    let first = grace.signed_on(&region).await;
    region.clock.advance(Duration::SECOND);
    for _ in 0..20 {
        grace.signed_on(&region).await;
    }
    go_on(&region.stranger(), &first).await.problem(401, "unauthenticated");
    let query = "SELECT count(*) FROM replicated.token WHERE is_session AND revoked_at IS NULL";
    assert_eq!(region.count(query).await, 20);
}

#[tokio::test]
async fn what_authz_does_not_admit_does_not_begin_or_go_on() {
    let (region, grace) = world().await;
    let answer = grace.signed_on(&region).await;
    let stranger = region.stranger();
    region.authz.state().session_ended = true;
    stranger.post(SIGN_ON, grace.sign_on(PASSWORD)).await.problem(401, "unauthenticated");
    go_on(&stranger, &answer).await.problem(401, "unauthenticated");
    region.authz.state().session_ended = false;
    region.authz.state().refusal = Some(tonic::Status::unavailable("away"));
    let refused = stranger.post(SIGN_ON, grace.sign_on(PASSWORD)).await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.problem(503, "unavailable");
    go_on(&stranger, &answer).await.problem(503, "unavailable");
    region.authz.state().refusal = None;
    // The refresh token was not used up.
    region.clock.advance(Duration::minutes(1));
    go_on(&stranger, &answer).await.expect(200);
}

#[tokio::test]
async fn a_browser_keeps_the_refresh_token_and_only_the_console_makes_it_count() {
    let (region, grace) = world().await;
    let stranger = region.stranger();
    let mut body = grace.sign_on(PASSWORD);
    body["cookie"] = json!(true);
    let elsewhere = stranger.header("origin", "https://evil.example").header("landbridge-console", "1");
    let without_header = stranger.header("origin", CONSOLE);
    for client in [&stranger, &elsewhere, &without_header] {
        client.post(SIGN_ON, body.clone()).await.problem(403, "forbidden");
    }
    let console = stranger.header("origin", CONSOLE).header("landbridge-console", "1");
    let answer = console.post(SIGN_ON, body).await;
    assert_eq!(answer.headers["access-control-allow-origin"], CONSOLE);
    assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    let (kept, attributes) = cookie.split_once(';').expect("attributes");
    assert!(kept.starts_with("__Host-landbridge-session=lbr_"), "{cookie}");
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(attributes.contains(attribute), "{cookie}");
    }
    assert!(answer.body.get("refresh_token").is_none(), "no script sees it");

    let go_on = json!({"cookie": true});
    for client in [&stranger, &elsewhere, &without_header] {
        client.header("cookie", kept).post(REFRESH, go_on.clone()).await.problem(403, "forbidden");
    }
    console.header("cookie", kept).post(REFRESH, json!({})).await.problem(401, "unauthenticated");
    let next = console.header("cookie", kept).post(REFRESH, go_on.clone()).await;
    assert!(next.headers["set-cookie"].to_str().expect("text").starts_with("__Host-landbridge-session=lbr_"));
    next.expect(200);
    console.post(REFRESH, go_on).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn browsers_are_told_which_pages_may_use_the_api() {
    let region = Region::alone().await;
    let asked = region.stranger().header("access-control-request-method", "POST");
    let allowed = asked.header("origin", CONSOLE).send(Method::OPTIONS, SIGN_ON, None).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.headers["access-control-allow-origin"], CONSOLE);
    let headers = allowed.headers["access-control-allow-headers"].to_str().expect("text");
    assert!(headers.contains("authorization") && headers.contains("landbridge-console"), "{headers}");
    for other in ["https://evil.example", "https://console.example.evil.example", "null"] {
        let refused = asked.header("origin", other).send(Method::OPTIONS, SIGN_ON, None).await;
        assert!(!refused.headers.contains_key("access-control-allow-origin"), "{other}");
        refused.problem(405, "method-not-allowed");
    }
}

/// Two regions; us is the home.
#[tokio::test]
async fn somebody_signs_on_away_from_home_and_the_session_counts_in_both_regions() {
    let sites = [Site::new("us"), Site::new("eu")];
    let us = Region::start(&sites[0], &[&sites[1]]).await;
    let eu = Region::start(&sites[1], &[&sites[0]]).await;
    us.listen(&sites[0], &[&sites[1]]).await;
    eu.listen(&sites[1], &[&sites[0]]).await;
    let (owner, made) = us.owner().await;
    let arrived = wait::until("the organization is known in eu", DEADLINE, async || {
        let query = "SELECT count(*) FROM replicated.organization";
        match eu.count(query).await {
            1 => Ok(()),
            found => Err(found.to_string()),
        }
    });
    arrived.await.expect("known");
    // The invite is accepted in eu, too.
    owner.post("/v3/invites", json!({"email": "grace@example.com"})).await.expect(201);
    let mail = crate::people::mail(&us, "grace@example.com", 1).await;
    let body = json!({"token": mail.credential(), "password": PASSWORD});
    let user = eu.stranger().post("/v3/invites/accept", body).await.expect(201);
    let grace = Person {
        organization: made.organization_id,
        id: text(&user, "id").to_owned(),
        email: "grace@example.com".to_owned(),
    };
    let signed = wait::until("the key signs", DEADLINE, async || {
        let answer = eu.stranger().post(SIGN_ON, grace.sign_on(PASSWORD)).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body.to_string()) }
    });
    let signed = signed.await.expect("signed on");
    for region in [&us, &eu] {
        assert_eq!(with(region, &signed).get(ME).await.expect(200)["id"], json!(grace.id));
    }
    // Where the person was is known at home, and nothing of it in eu.
    let listed = with(&us, &signed).get(SESSIONS).await.expect(200);
    assert_eq!(text(&listed["data"][0], "address"), "192.0.2.1");
    for table in ["person", "password", "session", "refresh_token", "failed_attempt", "invite", "mail"] {
        assert_eq!(eu.count_text(&format!("SELECT count(*) FROM resident.{table}")).await, 0, "{table}");
    }
    let next = go_on(&eu.stranger(), &signed).await.expect(200);
    // A wrong password in eu counts at home; an unknown credential is refused by eu itself.
    eu.stranger().post(SIGN_ON, grace.sign_on("wrong")).await.problem(401, "unauthenticated");
    assert_eq!(us.count("SELECT count(*) FROM resident.failed_attempt WHERE failures > 0").await, 2);

    // Signed out in eu; what home keeps does not go on.
    with(&eu, &next).delete(&format!("{SESSIONS}/current")).await.expect(204);
    let ended = wait::until("it has ended at home", DEADLINE, async || {
        let answer = go_on(&us.stranger(), &next).await;
        if answer.status == 401 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    ended.await.expect("ended");
    let revoked = eu.authz.state().entries.iter().filter(|(_, kind)| kind == "token.revoked").count();
    assert_eq!(revoked, 1, "the authz of the region where it ended has heard of it before the answer");
}

#[tokio::test]
async fn with_its_home_away_nobody_signs_on_or_goes_on_and_is_told_to_try_again() {
    let sites = [Site::new("us"), Site::new("eu")];
    let us = Region::start(&sites[0], &[&sites[1]]).await;
    let eu = Region::start(&sites[1], &[&sites[0]]).await;
    // us answers nobody.
    let (_, made) = us.owner().await;
    sqlx::query(
        "INSERT INTO replicated.organization (id, name, owner_id, home_region) VALUES ($1, 'Acme', $2, 'us')",
    )
    .bind(made.organization_id.uuid())
    .bind(made.owner_id.uuid())
    .execute(&eu.database.pool())
    .await
    .expect("a row");
    let credential = format!("lbr_{}_{}", made.organization_id.uuid().simple(), "cd".repeat(24));
    let sign_on = json!({"organization": "Acme", "email": "ada@example.com", "password": PASSWORD});
    for (path, body) in [(SIGN_ON, sign_on), (REFRESH, json!({"refresh_token": credential}))] {
        let refused = eu.stranger().post(path, body).await;
        assert!(refused.headers.contains_key("retry-after"), "{path}");
        let detail = refused.problem(503, "unavailable");
        assert!(detail.contains("home region"), "{detail}");
    }
}
