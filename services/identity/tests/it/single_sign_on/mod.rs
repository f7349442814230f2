//! Sign-on by OpenID Connect: what counts, who it makes of somebody, and everything that does not count.

mod provider;
mod real;

use ids::OrganizationId;
use serde_json::{Value, json};
use uuid::Uuid;

use self::provider::{CLIENT, Provider, SECRET, Signed};
use crate::{
    identity_providers::{PROVIDERS, SETTINGS},
    people::{PASSWORD, Person, with},
    region::{Answer, CONSOLE, Client, Region, Site, text},
};

const BEGIN: &str = "/v3/authenticate/Acme/sso";
const BACK: &str = "/v3/authenticate/callback";

/// A region whose organization has a provider and the verified domain example.com.
struct World {
    region: Region,
    provider: Provider,
    /// The path of the provider.
    path: String,
    organization: OrganizationId,
}

impl World {
    async fn start() -> Self {
        let site = Site::new("us");
        let region = Region::start(&site, &[]).await;
        let provider = Provider::start(&site.api(), region.clock.unix_seconds()).await;
        let (owner, made) = region.owner().await;
        let path = set_up(&owner, &provider.issuer, CLIENT, SECRET).await;
        verify(&region, "example.com").await;
        Self { path, provider, organization: made.organization_id, region }
    }

    async fn owner(&self) -> Client<'_> {
        self.region.owner_again().await.0
    }

    /// Goes to the provider and logs in; answers who comes back, and with what.
    async fn logged_in(&self) -> (Client<'_>, String) {
        let begun = self.region.stranger().get(BEGIN).await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        let query = self.provider.log_in(begun.headers["location"].to_str().expect("text"));
        let client = self.region.stranger().header("cookie", &kept(&begun, "__Host-landbridge-sign-on"));
        (client, format!("{BACK}?{query}"))
    }

    async fn sign_on(&self) -> Answer {
        let (client, back) = self.logged_in().await;
        client.get(&back).await
    }

    /// The answer to a sign-on in which the provider says something else.
    async fn says(&self, claims: Value) -> Answer {
        self.provider.state().claims = claims;
        let answer = self.sign_on().await;
        self.provider.state().claims = json!({});
        answer
    }
}

/// Sets up a provider; answers its path.
async fn set_up(owner: &Client<'_>, issuer: &str, client: &str, secret: &str) -> String {
    let body = json!({
        "type": "oidc", "enabled": true, "login_path": "sso",
        "config": {"issuer_url": issuer, "client_id": client, "client_secret": secret},
    });
    format!("{PROVIDERS}/{}", text(&owner.post(PROVIDERS, body).await.expect(201), "id"))
}

/// The only organization claims a domain, and DNS has said so.
async fn verify(region: &Region, domain: &str) {
    let (owner, _) = region.owner_again().await;
    owner.post("/v3/domains", json!({"name": domain})).await.expect(201);
    region.sql("UPDATE resident.domain SET verified_at = now()").await;
}

/// A cookie that the answer sets, as a browser sends it.
fn kept(answer: &Answer, name: &str) -> String {
    let all = answer.headers.get_all("set-cookie").into_iter().filter_map(|value| value.to_str().ok());
    let own = all.filter(|text| text.starts_with(name)).filter_map(|text| text.split(';').next());
    own.map(str::to_owned).next().unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers))
}

/// The session of whoever was signed on, as the console goes on with it.
async fn session(region: &Region, answer: &Answer) -> Value {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = region
        .stranger()
        .header("origin", CONSOLE)
        .header("landbridge-console", "1")
        .header("cookie", &kept(answer, "__Host-landbridge-session"));
    page.post("/v3/authenticate/refresh", json!({"cookie": true})).await.expect(200)
}

#[tokio::test]
async fn somebody_unknown_becomes_a_person_and_has_a_session() {
    let world = World::start().await;
    let begun = world.region.stranger().get(&format!("{BEGIN}?return_to=/teams%3Fa%3Db")).await;
    let cookie = begun.headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
    let location = begun.headers["location"].to_str().expect("text").to_owned();
    assert!(
        location.contains("redirect_uri=https%3A%2F%2Fapi.us.example%2Fv3%2Fauthenticate%2Fcallback"),
        "{location}"
    );
    let query = world.provider.log_in(&location);
    let browser = world.region.stranger().header("cookie", &kept(&begun, "__Host-landbridge-sign-on"));
    let answer = browser.get(&format!("{BACK}?{query}")).await;
    assert_eq!(answer.headers["location"], format!("{CONSOLE}/teams?a=b"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    let cookies = answer.headers.get_all("set-cookie").into_iter();
    let cookies: Vec<&str> = cookies.map(|value| value.to_str().expect("text")).collect();
    assert!(
        cookies.iter().any(|text| text.starts_with("__Host-landbridge-sign-on=; ")),
        "{:?}",
        answer.headers
    );
    assert!(cookies.iter().any(|text| text.contains("SameSite=Strict")), "{:?}", answer.headers);

    let signed = session(&world.region, &answer).await;
    let me = with(&world.region, &signed).get("/v3/users/me").await.expect(200);
    assert_eq!((text(&me, "email"), text(&me, "full_name")), ("alan@example.com", "Alan Turing"));
    // The next time it is the same one, also with another address and without a domain.
    world.region.sql("DELETE FROM resident.domain").await;
    let changes = json!({"email": "other@elsewhere.example", "email_verified": false, "name": "Other"});
    let again = session(&world.region, &world.says(changes).await).await;
    let again = with(&world.region, &again).get("/v3/users/me").await.expect(200);
    assert_eq!(
        (&again["id"], &again["email"], &again["full_name"]),
        (&me["id"], &me["email"], &me["full_name"])
    );
    let owner = world.owner().await;
    assert_ne!(owner.get(&world.path).await.expect(200)["last_used_at"], Value::Null);
    // Nothing of a person is in the log.
    let personal = "SELECT count(*) FROM log_operation WHERE body ~* 'alan|subject-1|turing'";
    assert_eq!(world.region.count(personal).await, 0);
    assert_eq!(world.region.count("SELECT count(*) FROM audit WHERE action = 'user.link-identity'").await, 1);
}

#[tokio::test]
async fn what_the_provider_must_not_say_does_not_count() {
    let world = World::start().await;
    let now = world.region.clock.unix_seconds();
    for (claims, reason) in [
        (json!({"nonce": "another"}), "another sign-on"),
        (json!({"nonce": null}), "another sign-on"),
        (json!({"iss": "https://id.example"}), "another issuer"),
        (json!({"aud": "others"}), "somebody else"),
        (json!({"aud": [CLIENT, "others"]}), "somebody else"),
        (json!({"azp": "others"}), "somebody else"),
        (json!({"exp": now - 61}), "over"),
        (json!({"iat": now + 61}), "future"),
        (json!({"sub": null}), "of whom"),
        (json!({"at_hash": "AAAA"}), "belong together"),
    ] {
        let detail = world.says(claims.clone()).await.problem(401, "unauthenticated");
        assert!(detail.contains(reason), "{claims}: {detail}");
    }
    for (signed, reason) in [
        (Signed::Not, "not signed"),
        (Signed::WithSecret, "in a way that does not count"),
        (Signed::WithAnother, "signature"),
        (Signed::Unpublished, "does not publish"),
    ] {
        world.provider.state().signed = signed;
        let detail = world.sign_on().await.problem(401, "unauthenticated");
        assert!(detail.contains(reason), "{signed:?}: {detail}");
    }
    world.provider.state().signed = Signed::Well;
    world.provider.state().iss = Some("https://id.example".to_owned());
    let detail = world.sign_on().await.problem(401, "unauthenticated");
    assert!(detail.contains("another one"), "{detail}");
    world.provider.state().iss = Some(world.provider.issuer.clone());
    assert_eq!(world.region.count("SELECT count(*) FROM resident.session").await, 0);
    assert_eq!(world.region.count("SELECT count(*) FROM resident.person").await, 1, "the owner");
    assert_eq!(world.sign_on().await.status, 303);
}

#[tokio::test]
async fn a_sign_on_comes_back_once_in_time_to_the_browser_that_began_it() {
    let world = World::start().await;
    let stranger = world.region.stranger();
    let (browser, back) = world.logged_in().await;
    // Somebody sends the link to another one: nobody is signed on as somebody else.
    stranger.get(&back).await.problem(401, "unauthenticated");
    let (other, _) = world.logged_in().await;
    other.get(&back).await.problem(401, "unauthenticated");
    assert_eq!(browser.get(&back).await.status, 303);
    let detail = browser.get(&back).await.problem(401, "unauthenticated");
    assert!(detail.contains("begin again"), "{detail}");

    // The code of another sign-on: its challenge is not that of this one's verifier.
    let (browser, back) = world.logged_in().await;
    let (_, other) = world.logged_in().await;
    let part = |text: &str, name: &str| {
        text.split(['?', '&']).find(|pair| pair.starts_with(name)).expect("a pair").to_owned()
    };
    let mixed = back.replace(&part(&back, "code="), &part(&other, "code="));
    let detail = browser.get(&mixed).await.problem(401, "unauthenticated");
    assert!(detail.contains("invalid_grant"), "{detail}");

    // The provider takes no code twice.
    let (browser, back) = world.logged_in().await;
    let used = back.replace(&part(&back, "code="), "code=code-0");
    let detail = browser.get(&used).await.problem(401, "unauthenticated");
    assert!(detail.contains("invalid_grant"), "{detail}");

    let (browser, back) = world.logged_in().await;
    world.region.clock.advance(time::Duration::minutes(10));
    browser.get(&back).await.problem(401, "unauthenticated");
    let state = part(&back, "state=");
    let denied = format!("{BACK}?{state}&error=access_denied&error_description=no");
    browser.get(&denied).await.problem(401, "unauthenticated");

    world.provider.state().now = world.region.clock.unix_seconds();
    let (browser, back) = world.logged_in().await;
    let denied = format!("{BACK}?{}&error=access_denied", part(&back, "state="));
    let detail = browser.get(&denied).await.problem(401, "unauthenticated");
    assert!(detail.contains("access_denied"), "{detail}");
    browser.get(&back).await.problem(401, "unauthenticated");
    let elsewhere = stranger.get(&format!("{BEGIN}?return_to=//evil.example")).await;
    elsewhere.problem(400, "invalid-parameter");
    identity::sweep::once(&world.region.app.db, &world.region.clock).await.expect("swept");
    let used = "SELECT count(*) FROM resident.used_sign_on WHERE expires_at < '2100-01-01 00:11:00Z'";
    assert_eq!(world.region.count(used).await, 0);
}

#[tokio::test]
async fn only_who_may_be_a_person_of_the_organization_is_let_in() {
    let world = World::start().await;
    let owner = world.owner().await;
    for (claims, reason) in [
        (json!({"email": null}), "no e-mail address"),
        (json!({"email": "nonsense"}), "no e-mail address"),
        (json!({"email_verified": false}), "verified"),
        (json!({"email_verified": null}), "verified"),
        (json!({"email": "alan@elsewhere.example"}), "no domain"),
        (json!({"email": "alan@sub.example.com"}), "no domain"),
    ] {
        let detail = world.says(claims.clone()).await.problem(403, "forbidden");
        assert!(detail.contains(reason), "{claims}: {detail}");
    }
    assert_eq!(world.says(json!({"email_verified": "true"})).await.status, 303);
    // Whoever has the address now, and is somebody else there.
    let detail = world.says(json!({"sub": "subject-2"})).await.problem(403, "forbidden");
    assert!(detail.contains("somebody else"), "{detail}");

    // A person who was there is linked.
    let grace = Person::invited(&world.region, &owner, world.organization, "grace@example.com").await;
    let claims = json!({"sub": "subject-3", "email": "GRACE@example.com"});
    let signed = session(&world.region, &world.says(claims.clone()).await).await;
    assert_eq!(signed["user_id"], json!(grace.id));
    owner.patch(&format!("/v3/users/{}", grace.id), json!({"active": false})).await.expect(200);
    let detail = world.says(claims).await.problem(403, "forbidden");
    assert!(detail.contains("deactivated"), "{detail}");
    // Also the first time.
    let linus = Person::invited(&world.region, &owner, world.organization, "linus@example.com").await;
    owner.patch(&format!("/v3/users/{}", linus.id), json!({"active": false})).await.expect(200);
    let claims = json!({"sub": "subject-4", "email": "linus@example.com"});
    world.says(claims).await.problem(403, "forbidden");

    let accepts = json!({"config": {"accept_unverified_emails": true}});
    owner.patch(&world.path, accepts).await.expect(200);
    let claims = json!({"sub": "subject-5", "email": "barbara@example.com", "email_verified": null});
    assert_eq!(world.says(claims).await.status, 303);
    // What the token lacks may be at the userinfo endpoint, if that is about the same one.
    world.provider.state().userinfo = Some(json!({"sub": "subject-1", "email": "x@example.com"}));
    let claims = json!({"sub": "subject-6", "email": null});
    world.region.clock.advance(time::Duration::ZERO);
    world.says(claims).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_sign_on_is_off_where_it_is_turned_off() {
    let world = World::start().await;
    let owner = world.owner().await;
    let stranger = world.region.stranger();
    for path in [
        "/v3/authenticate/Nowhere/sso",
        "/v3/authenticate/Acme/other",
        "/v3/authenticate/%20/sso",
        "/v3/authenticate/Acme/%00",
    ] {
        stranger.get(path).await.problem(404, "not-found");
    }
    let (browser, back) = world.logged_in().await;
    owner.patch(SETTINGS, json!({"oidc_auth_enabled": false})).await.expect(200);
    stranger.get(BEGIN).await.problem(404, "not-found");
    browser.get(&back).await.problem(404, "not-found");
    owner.patch(SETTINGS, json!({"oidc_auth_enabled": true})).await.expect(200);
    let (browser, back) = world.logged_in().await;
    owner.patch(&world.path, json!({"enabled": false})).await.expect(200);
    browser.get(&back).await.problem(404, "not-found");
    stranger.get(BEGIN).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_provider_that_is_away_is_503_and_its_new_keys_refuse_nobody() {
    let world = World::start().await;
    world.provider.state().is_broken = true;
    let answer = world.region.stranger().get(BEGIN).await;
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    answer.problem(503, "unavailable");
    world.provider.state().is_broken = false;
    let come = testbed::wait::until("it is asked again", std::time::Duration::from_secs(10), async || {
        let answer = world.region.stranger().get(BEGIN).await;
        if answer.status == 303 { Ok(()) } else { Err(answer.body.to_string()) }
    });
    come.await.expect("it answers");
    assert_eq!(world.sign_on().await.status, 303);
    let asked = world.provider.state().keys_asked;
    assert_eq!(world.sign_on().await.status, 303);
    assert_eq!(world.provider.state().keys_asked, asked, "they are remembered");
    // A new key beside the old one, then a new one in its place, then another at once.
    for (number, keeps) in [("second", true), ("third", false), ("fourth", false)] {
        world.provider.rotate(number, keeps);
        let (one, other) = tokio::join!(world.sign_on(), world.sign_on());
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (303, 303), "{number}");
    }
    assert_eq!(world.provider.state().keys_asked, asked + 3, "once for each");
    let (browser, back) = world.logged_in().await;
    world.provider.state().is_broken = true;
    let answer = browser.get(&back).await;
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    answer.problem(503, "unavailable");
}

#[tokio::test]
async fn groups_become_teams_at_each_sign_on() {
    let world = World::start().await;
    let owner = world.owner().await;
    let [ops, readers] = [Uuid::now_v7(), Uuid::now_v7()].map(|id| id.to_string());
    world.region.authz.state().teams.extend([ops.clone(), readers.clone()]);
    for (group, team) in [("Ops", &ops), ("Readers", &readers), ("ops", &readers)] {
        let body = json!({"group": group, "team_id": team});
        owner.post(&format!("{}/team-group-mappings", world.path), body).await.expect(201);
    }
    let last = || world.region.authz.state().mapped.last().cloned().expect("a call").1;
    // Off, nothing is mapped.
    assert_eq!(world.says(json!({"groups": ["Ops"]})).await.status, 303);
    assert!(last().is_empty());
    owner.patch(SETTINGS, json!({"idp_mapping_enabled": true})).await.expect(200);
    let signed =
        session(&world.region, &world.says(json!({"groups": ["Ops", "ops", "other", 1]})).await).await;
    let (person, teams) = world.region.authz.state().mapped.last().cloned().expect("a call");
    assert_eq!((json!(person), teams), (signed["user_id"].clone(), [ops, readers.clone()].into()));
    assert_eq!(world.says(json!({"groups": "Readers"})).await.status, 303);
    assert_eq!(last(), [readers].into());
    assert_eq!(world.says(json!({"groups": null})).await.status, 303);
    assert!(last().is_empty());
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    world.says(json!({"groups": many})).await.problem(403, "forbidden");
    // With authz away nobody signs on with what a group has lost.
    let (browser, back) = world.logged_in().await;
    world.region.authz.state().takes_entries = false;
    browser.get(&back).await.problem(503, "unavailable");
}

#[tokio::test]
async fn away_from_home_the_browser_stays_in_its_region() {
    let sites = [Site::new("us"), Site::new("eu")];
    let us = Region::start(&sites[0], &[&sites[1]]).await;
    let eu = Region::start(&sites[1], &[&sites[0]]).await;
    us.listen(&sites[0], &[&sites[1]]).await;
    eu.listen(&sites[1], &[&sites[0]]).await;
    let (owner, _) = us.owner().await;
    let provider = Provider::start(&sites[0].api(), us.clock.unix_seconds()).await;
    set_up(&owner, &provider.issuer, CLIENT, SECRET).await;
    verify(&us, "example.com").await;
    // eu has to know the organization, and us has to have the key that signs in both.
    let signed_on =
        testbed::wait::until("somebody signs on", std::time::Duration::from_secs(20), async || {
            let begun = eu.stranger().get(BEGIN).await;
            if begun.status != 303 {
                return Err(begun.body.to_string());
            }
            let location = begun.headers["location"].to_str().expect("text").to_owned();
            assert!(location.contains("api.eu.example"), "{location}");
            let back = format!("{BACK}?{}", provider.log_in(&location));
            let browser = eu.stranger().header("cookie", &kept(&begun, "__Host-landbridge-sign-on"));
            let answer = browser.get(&back).await;
            if answer.status == 303 { Ok(answer) } else { Err(answer.body.to_string()) }
        });
    let answer = signed_on.await.expect("signed on");
    assert_eq!(answer.headers["location"], format!("{CONSOLE}/"));
    let signed = session(&eu, &answer).await;
    assert!(text(&signed, "access_token").contains('.'));
    assert_eq!(eu.count("SELECT count(*) FROM resident.person").await, 0);
    assert_eq!(us.count("SELECT count(*) FROM resident.session").await, 1);
    us.stranger()
        .post(
            "/v3/authenticate",
            json!({"organization": "Acme", "email": "alan@example.com", "password": PASSWORD}),
        )
        .await
        .problem(401, "unauthenticated");
}
