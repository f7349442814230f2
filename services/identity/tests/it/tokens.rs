//! `/v3/users/{user_id}/access-tokens` and `/v3/system-accounts/{account_id}/access-tokens`.

use std::collections::BTreeSet;

use ids::{SystemAccountId, TokenId, UserId};
use serde_json::{Value, json};
use time::{Duration, format_description::well_known::Rfc3339};

use crate::region::{Client, Region, START, Site, text};

const OWN: &str = "/v3/users/me/access-tokens";

async fn account(owner: &Client<'_>) -> String {
    let made = owner.post("/v3/system-accounts", json!({"name": "ci"})).await.expect(201);
    format!("/v3/system-accounts/{}/access-tokens", text(&made, "id"))
}

fn after(duration: Duration) -> String {
    (START + duration).format(&Rfc3339).expect("a time")
}

fn states(list: &Value) -> Vec<(String, String)> {
    let tokens = list["data"].as_array().expect("tokens");
    let mut states: Vec<_> = tokens
        .iter()
        .map(|token| (text(token, "name").to_owned(), text(token, "state").to_owned()))
        .collect();
    states.sort();
    states
}

#[tokio::test]
async fn a_token_of_an_account_is_read_and_renamed_until_it_is_revoked() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let tokens = account(&owner).await;
    let made = owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    let one = format!("{tokens}/{}", text(&made, "id"));
    let mut shown = made.clone();
    shown.as_object_mut().expect("a token").remove("token");
    assert_eq!(owner.get(&one).await.expect(200), shown, "what was answered, but for the text");
    assert_eq!(shown["updated_at"], shown["created_at"]);

    region.clock.advance(Duration::SECOND);
    let renamed = owner.patch(&one, json!({"name": " cd "})).await.expect(200);
    assert_eq!((text(&renamed, "name"), &renamed["created_at"]), ("cd", &made["created_at"]));
    assert_ne!(renamed["updated_at"], made["updated_at"]);
    assert_eq!(owner.get(&one).await.expect(200), renamed);
    assert_eq!(owner.get(&tokens).await.expect(200)["data"], json!([renamed]));
    let entries = region.kinds().await.len();
    for nothing in [json!({"name": "cd"}), json!({}), json!({"name": null})] {
        assert_eq!(owner.patch(&one, nothing).await.expect(200), renamed);
    }
    assert_eq!(region.kinds().await.len(), entries, "nothing changed, so nothing is written");
    region.client(text(&made, "token")).get("/v3/organizations/me").await.expect(200);
    // A token keeps its name when its text is replaced.
    let holder = region.client(text(&made, "token"));
    let rotated = holder.post(&format!("{one}/rotate"), json!({})).await.expect(201);
    assert_eq!(text(&rotated, "name"), "cd");

    for (body, field) in [(json!({"name": ""}), "name"), (json!({"name": "a\u{7}"}), "name")] {
        let refused = owner.patch(&one, body).await.expect(400);
        assert_eq!(refused["invalid_parameters"][0]["field"], field);
    }
    owner.patch(&one, json!({"expires_at": after(Duration::DAY)})).await.expect(400);
    let elsewhere = format!("{tokens}/{}", TokenId::generate());
    owner.get(&elsewhere).await.problem(404, "not-found");
    owner.patch(&elsewhere, json!({"name": "x"})).await.problem(404, "not-found");
    owner.delete(&one).await.expect(204);
    owner.get(&one).await.problem(404, "not-found");
    owner.patch(&one, json!({"name": "x"})).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_token_is_not_renamed_while_a_region_would_not_read_it() {
    let (us, eu) = (Site::new("us"), Site::new("eu"));
    let region = Region::start(&us, &[&eu]).await;
    let (owner, _) = region.owner().await;
    let tokens = account(&owner).await;
    let made = owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    let one = format!("{tokens}/{}", text(&made, "id"));
    let eu = "eu".parse().expect("a region");
    region.app.replication.hear_generation(&eu, 3);
    owner.patch(&one, json!({"name": "cd"})).await.problem(503, "unavailable");
    region.app.replication.hear_generation(&eu, 4);
    owner.patch(&one, json!({"name": "cd"})).await.expect(200);
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_ends_when_it_is_revoked() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    for (tokens, prefix) in [(OWN.to_owned(), "lbp_us_"), (account(&owner).await, "lbs_us_")] {
        let token = owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
        assert!(text(&token, "token").starts_with(prefix), "{token}");
        assert_eq!((text(&token, "state"), &token["revoked_at"]), ("active", &Value::Null));
        let now = region.clock.now() - START;
        assert_eq!(text(&token, "created_at"), after(now));
        assert_eq!(text(&token, "expires_at"), after(now + Duration::days(90)), "its maker names no end");
        let me = region.client(text(&token, "token")).get("/v3/organizations/me").await.expect(200);
        assert_eq!(me["id"], json!(made.organization_id));

        let listed = owner.get(&tokens).await.expect(200);
        assert!(!listed.to_string().contains(prefix), "the text is nowhere else");
        region.clock.advance(Duration::SECOND);
        let one = format!("{tokens}/{}", text(&token, "id"));
        for _ in 0..2 {
            let answer = owner.delete(&one).await;
            assert!(answer.headers.contains_key("landbridge-consistency"));
            answer.expect(204);
        }
        let listed = owner.get(&tokens).await.expect(200);
        assert!(states(&listed).contains(&("ci".to_owned(), "revoked".to_owned())), "{listed}");
        let announced = region.nats.published("landbridge.us.identity.session-revoked");
        assert!(announced.contains(&text(&token, "id").to_owned()), "{announced:?}");
        let opaque = region.app.tokens.read(text(&token, "token")).expect("a token");
        let resolved = region.sessions.by_hash(opaque.sha256(), &opaque.region, opaque.position).await;
        assert!(matches!(resolved, Ok(Err(access::Refusal::Ended(Some(_))))), "{resolved:?}");
    }
}

#[tokio::test]
async fn output_is_constant_where_clock_and_randomness_are() {
    let mut made = BTreeSet::new();
    for _ in 0..2 {
        let region = Region::alone().await;
        let owner = region.bootstrap("Acme").await;
        // The first 24 bytes. What follows is the place in the log, sealed, and the region's signing key may come before or after.
        let secret = owner.token.expect("a token").split('_').nth(2).expect("a body")[..48].to_owned();
        made.insert((owner.organization_id, owner.owner_id, secret));
    }
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn a_token_ends_between_now_and_a_year_from_now() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    for tokens in [OWN.to_owned(), account(&owner).await] {
        // The owner's first token ends in 365 days: nothing that is made with it lives longer.
        for wrong in
            [Duration::ZERO, -Duration::SECOND, Duration::days(366), Duration::days(365) + Duration::SECOND]
        {
            let body = json!({"name": "ci", "expires_at": after(wrong)});
            let detail = owner.post(&tokens, body).await.problem(400, "invalid-body");
            assert!(detail.starts_with("expires_at:"), "{detail}");
        }
        for right in [Duration::SECOND, Duration::days(364)] {
            let body = json!({"name": "ci", "expires_at": after(right)});
            assert_eq!(text(&owner.post(&tokens, body).await.expect(201), "expires_at"), after(right));
        }
        for body in [json!({"name": ""}), json!({"name": "a", "expires_at": "tomorrow"}), json!({})] {
            owner.post(&tokens, body).await.problem(400, "invalid-body");
        }
    }
}

#[tokio::test]
async fn ten_tokens_can_be_active_and_only_active_ones_count() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let tokens = account(&owner).await;
    let mut last = Value::Null;
    for number in 0..10 {
        let expires_at = after(Duration::days(1 + number));
        last = owner.post(&tokens, json!({"name": "ci", "expires_at": expires_at})).await.expect(201);
    }
    let detail = owner.post(&tokens, json!({"name": "ci"})).await.problem(403, "limit-reached");
    assert!(detail.contains("at most 10"), "{detail}");
    owner.delete(&format!("{tokens}/{}", text(&last, "id"))).await.expect(204);
    owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    owner.post(&tokens, json!({"name": "ci"})).await.problem(403, "limit-reached");
    region.clock.advance(Duration::days(1));
    owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    owner.post(OWN, json!({"name": "mine"})).await.expect(201);

    let mut seen = Vec::new();
    let mut path = format!("{tokens}?page[size]=5");
    loop {
        let page = owner.get(&path).await.expect(200);
        seen.extend(states(&page));
        match page["meta"]["page"]["next"].as_str() {
            Some(next) => path = format!("{tokens}?page[size]=5&page[after]={next}"),
            None => break,
        }
    }
    let count = |state: &str| seen.iter().filter(|(_, is)| is == state).count();
    assert_eq!((seen.len(), count("active"), count("expired"), count("revoked")), (12, 10, 1, 1));
}

#[tokio::test]
async fn anybody_elses_tokens_are_not_found() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let tokens = account(&owner).await;
    let token = owner.post(&tokens, json!({"name": "ci"})).await.expect(201);
    let program = region.client(text(&token, "token"));
    let own = format!("/v3/users/{}/access-tokens", made.owner_id);
    owner.get(&own).await.expect(200);
    let unknown = TokenId::generate();
    for path in
        [format!("/v3/users/{}/access-tokens", UserId::generate()), "/v3/users/x/access-tokens".to_owned()]
    {
        owner.get(&path).await.problem(404, "not-found");
        owner.post(&path, json!({"name": "x"})).await.problem(404, "not-found");
        owner.delete(&format!("{path}/{unknown}")).await.problem(404, "not-found");
    }
    for path in [OWN, own.as_str()] {
        program.get(path).await.problem(404, "not-found");
        program.post(path, json!({"name": "x"})).await.problem(404, "not-found");
    }
    // A token of one principal is not found among another's.
    owner.delete(&format!("{OWN}/{}", text(&token, "id"))).await.problem(404, "not-found");
    for path in [OWN, tokens.as_str()] {
        owner.delete(&format!("{path}/{unknown}")).await.problem(404, "not-found");
        owner.delete(&format!("{path}/not-an-id")).await.problem(404, "not-found");
    }
    let absent = format!("/v3/system-accounts/{}/access-tokens", SystemAccountId::generate());
    owner.get(&absent).await.problem(404, "not-found");
    owner.post(&absent, json!({"name": "x"})).await.problem(404, "not-found");
    owner.delete(&format!("{absent}/{unknown}")).await.problem(404, "not-found");
}

#[tokio::test]
async fn nobody_makes_a_token_of_an_account_that_holds_more_than_he_does() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let tokens = account(&owner).await;
    region.authz.state().may_confer = false;
    let detail = owner.post(&tokens, json!({"name": "ci"})).await.problem(403, "forbidden");
    assert!(detail.contains("roles that you do not"), "{detail}");
    assert_eq!(region.count("SELECT count(*) FROM replicated.token WHERE name = 'ci'").await, 0);
}

#[tokio::test]
async fn a_revocation_succeeds_only_once_authz_has_applied_it_and_can_be_repeated() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let token = owner.post(OWN, json!({"name": "ci"})).await.expect(201);
    let one = format!("{OWN}/{}", text(&token, "id"));
    region.authz.state().takes_entries = false;
    let detail = owner.delete(&one).await.problem(503, "unavailable");
    assert!(detail.contains("revoked") && detail.contains("try again"), "{detail}");
    region.authz.state().takes_entries = true;
    owner.delete(&one).await.expect(204);
}

/// The text of a token that `client` makes, which ends after `life`; by default where `None`.
async fn made(client: &Client<'_>, tokens: &str, life: Option<Duration>) -> Value {
    let mut body = json!({"name": "made"});
    if let Some(life) = life {
        body["expires_at"] = json!(after(life));
    }
    client.post(tokens, body).await.expect(201)
}

/// Whether the text of a token opens anything: as the database says, since a service remembers tokens for a moment.
async fn opens(region: &Region, token: &Value) -> bool {
    let opaque = region.app.tokens.read(text(token, "token")).expect("a token");
    let resolved = region.sessions.by_hash(opaque.sha256(), &opaque.region, opaque.position).await;
    resolved.expect("known").is_ok()
}

async fn signed(client: &Client<'_>) -> String {
    text(&client.post("/v1/token", json!({})).await.expect(200), "access_token").to_owned()
}

#[tokio::test]
async fn what_is_made_with_a_token_ends_with_it() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let hour = made(&owner, OWN, Some(Duration::hours(1))).await;
    let opaque = region.client(text(&hour, "token"));
    let jwt = signed(&opaque).await;
    for client in [opaque, region.client(&jwt)] {
        let refused = client.post(OWN, json!({"name": "x", "expires_at": after(Duration::hours(2))})).await;
        let detail = refused.problem(400, "invalid-body");
        assert!(detail.contains(&after(Duration::hours(1))), "the maximum is named: {detail}");
        let longest = made(&client, OWN, Some(Duration::hours(1))).await;
        assert_eq!(text(&longest, "expires_at"), after(Duration::hours(1)));
        let by_default = made(&client, OWN, None).await;
        assert_eq!(text(&by_default, "expires_at"), after(Duration::hours(1)), "not 90 days");
    }

    // A tree: the owner's token, `hour`, `below`, `leaf` of an account.
    let below = made(&region.client(&jwt), OWN, None).await;
    let of_account = account(&owner).await;
    let leaf = made(&region.client(text(&below, "token")), &of_account, None).await;
    let beside = made(&owner, &of_account, None).await;
    let works = async |token: &Value| opens(&region, token).await;
    assert!(works(&below).await && works(&leaf).await && works(&beside).await);
    owner.delete(&format!("{OWN}/{}", text(&hour, "id"))).await.expect(204);
    assert!(!works(&hour).await && !works(&below).await && !works(&leaf).await);
    for gone in [&hour, &below] {
        // Also while the token is still remembered.
        let client = region.client(text(gone, "token"));
        client.post(OWN, json!({"name": "x"})).await.problem(401, "unauthenticated");
    }
    assert!(works(&beside).await, "of another parent");
    let revoked = region.kinds().await.into_iter().filter(|kind| kind == "token.revoked").count();
    assert!(revoked >= 7, "authz hears of each one by name: {revoked}");
}

/// A token cannot be made to end before what was made with it.
#[tokio::test]
async fn a_rotation_leaves_nothing_that_outlives_the_token() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let parent = made(&owner, OWN, Some(Duration::hours(4))).await;
    let holder = region.client(text(&parent, "token"));
    let child = made(&holder, OWN, Some(Duration::hours(3))).await;
    let rotate = format!("{OWN}/{}/rotate", text(&parent, "id"));
    let early = holder.post(&rotate, json!({"expires_at": after(Duration::hours(2))})).await;
    let detail = early.problem(400, "invalid-body");
    assert!(detail.contains(&after(Duration::hours(3))), "{detail}");
    assert!(opens(&region, &parent).await, "nothing was done");
    owner.delete(&format!("{OWN}/{}", text(&child, "id"))).await.expect(204);
    holder.post(&rotate, json!({"expires_at": after(Duration::hours(2))})).await.expect(201);
}

#[tokio::test]
async fn a_token_is_rotated_by_its_holder_alone() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let of_account = account(&owner).await;
    for tokens in [OWN.to_owned(), of_account] {
        let old = made(&owner, &tokens, Some(Duration::days(10))).await;
        let rotate = format!("{tokens}/{}/rotate", text(&old, "id"));
        let holder = region.client(text(&old, "token"));
        owner.post(&rotate, json!({})).await.problem(403, "forbidden");
        let jwt = signed(&holder).await;
        region.client(&jwt).post(&rotate, json!({})).await.problem(403, "forbidden");
        let too_long = json!({"expires_at": after(Duration::days(366))});
        holder.post(&rotate, too_long).await.problem(400, "invalid-body");
        holder.post(&rotate, json!({"overlap_seconds": 86401})).await.problem(400, "invalid-body");

        region.clock.advance(Duration::days(1));
        let new = holder.post(&rotate, json!({})).await.expect(201);
        assert_eq!(new["id"], old["id"]);
        assert_eq!(text(&new, "expires_at"), after(Duration::days(11)), "as long as before");
        assert_ne!(new["token"], old["token"]);
        assert!(!opens(&region, &old).await && opens(&region, &new).await);
        holder.post(&rotate, json!({})).await.problem(401, "unauthenticated");
        let holder = region.client(text(&new, "token"));
        let listed = owner.get(&tokens).await.expect(200);
        let shown = listed["data"].as_array().expect("tokens").iter().filter(|one| one["id"] == old["id"]);
        assert_eq!(
            shown.map(|one| text(one, "state")).collect::<Vec<_>>(),
            ["active"],
            "one token: {listed}"
        );

        // With an overlap the old text goes on for a while, and what was made with the token lives on.
        let child = if tokens == OWN { Some(made(&holder, OWN, None).await) } else { None };
        let newest = holder.post(&rotate, json!({"overlap_seconds": 60})).await.expect(201);
        assert!(opens(&region, &new).await && opens(&region, &newest).await);
        region.clock.advance(Duration::seconds(61));
        assert!(!opens(&region, &new).await && opens(&region, &newest).await);
        if let Some(child) = &child {
            assert!(opens(&region, child).await);
        }
        owner.delete(&format!("{tokens}/{}", text(&old, "id"))).await.expect(204);
        region
            .client(text(&newest, "token"))
            .get("/v3/organizations/me")
            .await
            .problem(401, "unauthenticated");
    }
    let rotations = region.count("SELECT count(*) FROM audit WHERE action = 'token.rotate'").await;
    assert_eq!(rotations, 4);
}

/// It is written with those of other tokens, later, and shown by the region where the token was used.
#[tokio::test]
async fn the_last_use_of_a_token_is_shown() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    let token = owner.post(OWN, json!({"name": "ci"})).await.expect(201);
    assert_eq!(token["last_used_at"], Value::Null);
    let last_used = async || {
        region.sessions.uses.write(&region.app.db).await.expect("written");
        let listed = owner.get(OWN).await.expect(200);
        let listed = listed["data"].as_array().expect("a list");
        listed.iter().find(|one| one["id"] == token["id"]).expect("listed")["last_used_at"].clone()
    };
    assert_eq!(last_used().await, Value::Null);
    let client = region.client(text(&token, "token"));
    region.clock.advance(Duration::SECOND);
    client.get("/v3/organizations/me").await.expect(200);
    assert_eq!(last_used().await, json!(after(Duration::SECOND)));
    region.clock.advance(-Duration::SECOND);
    let opaque = region.app.tokens.read(text(&token, "token")).expect("a token");
    region
        .sessions
        .by_hash(opaque.sha256(), &opaque.region, opaque.position)
        .await
        .expect("known")
        .expect("real");
    assert_eq!(last_used().await, json!(after(Duration::SECOND)), "it never goes back");
}
