//! Codes that somebody signs on with beside the password.

use identity::second_factor::totp;
use serde_json::{Value, json};
use time::Duration;

use crate::{
    people::{PASSWORD, Person, with},
    region::{Answer, Client, Region, text},
};

const OWN: &str = "/v3/users/me/second-factor";
const SIGN_ON: &str = "/v3/authenticate";

/// The bytes that base32 digits stand for.
pub fn decoded(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.chars() {
        bits = bits << 5 | u32::try_from(alphabet.find(digit).expect("a digit")).expect("small");
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).expect("a byte"));
        }
    }
    bytes
}

struct App {
    secret: Vec<u8>,
    recovery_codes: Vec<String>,
}

impl App {
    fn code(&self, region: &Region) -> String {
        totp::code_at(&self.secret, region.clock.unix_seconds())
    }
}

/// Begins with a second factor and confirms it.
async fn enrolled(region: &Region, client: &Client<'_>) -> App {
    let begun = client.post(OWN, json!({"password": PASSWORD})).await;
    assert_eq!(begun.headers["cache-control"], "no-store");
    let begun = begun.expect(201);
    assert!(
        text(&begun, "otpauth_url").starts_with("otpauth://totp/Landbridge%20Acme:grace@example.com?secret=")
    );
    let secret = decoded(text(&begun, "secret"));
    let code = totp::code_at(&secret, region.clock.unix_seconds());
    let confirmed = client.post(&format!("{OWN}/confirm"), json!({"code": code})).await.expect(200);
    let codes = confirmed["recovery_codes"].as_array().expect("codes");
    let recovery_codes = codes.iter().map(|code| code.as_str().expect("text").to_owned()).collect();
    region.clock.advance(Duration::seconds(30));
    App { secret, recovery_codes }
}

async fn sign_on(region: &Region, person: &Person, code: Option<&str>) -> Answer {
    let mut body = person.sign_on(PASSWORD);
    body["totp"] = json!(code);
    region.stranger().post(SIGN_ON, body).await
}

async fn world() -> (Region, Person) {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let grace = Person::invited(&region, &owner, made.organization_id, "grace@example.com").await;
    (region, grace)
}

#[tokio::test]
async fn a_code_is_asked_for_once_it_is_confirmed_and_counts_once() {
    let (region, grace) = world().await;
    let client = with(&region, &grace.signed_on(&region).await);
    assert_eq!(client.get(OWN).await.expect(200), json!({"active": false, "recovery_codes_left": 0}));
    client.post(OWN, json!({"password": "wrong wrong wrong"})).await.problem(400, "invalid-body");
    client.post(&format!("{OWN}/confirm"), json!({"code": "123456"})).await.problem(404, "not-found");
    client.post(OWN, json!({"password": PASSWORD})).await.expect(201);
    client.post(&format!("{OWN}/confirm"), json!({"code": "x"})).await.problem(400, "invalid-body");
    // Begun and not confirmed: nothing is asked for.
    grace.signed_on(&region).await;
    let app = enrolled(&region, &client).await;
    assert_eq!(client.get(OWN).await.expect(200), json!({"active": true, "recovery_codes_left": 10}));
    client.post(OWN, json!({"password": PASSWORD})).await.problem(409, "conflict");

    let missing = sign_on(&region, &grace, None).await;
    assert_eq!(missing.body["invalid_parameters"][0]["field"], "totp");
    missing.problem(400, "invalid-body");
    sign_on(&region, &grace, Some("000000")).await.problem(401, "unauthenticated");
    let code = app.code(&region);
    sign_on(&region, &grace, Some(&code)).await.expect(200);
    sign_on(&region, &grace, Some(&code)).await.problem(401, "unauthenticated");
    region.clock.advance(Duration::seconds(30));
    // By an app whose clock is a step ahead; then no code of before counts.
    let ahead = totp::code_at(&app.secret, region.clock.unix_seconds() + 30);
    sign_on(&region, &grace, Some(&ahead)).await.expect(200);
    sign_on(&region, &grace, Some(&app.code(&region))).await.problem(401, "unauthenticated");
    // The secret lies sealed.
    let hexadecimal = hex::encode(&app.secret);
    let query =
        format!("SELECT count(*) FROM resident.second_factor AS t WHERE t::text LIKE '%{hexadecimal}%'");
    assert_eq!(region.count_text(&query).await, 0);
}

#[tokio::test]
async fn a_recovery_code_counts_once_and_guessing_has_an_end() {
    let (region, grace) = world().await;
    let client = with(&region, &grace.signed_on(&region).await);
    let app = enrolled(&region, &client).await;
    let code = app.recovery_codes[0].to_lowercase();
    sign_on(&region, &grace, Some(&code)).await.expect(200);
    sign_on(&region, &grace, Some(&code)).await.problem(401, "unauthenticated");
    assert_eq!(client.get(OWN).await.expect(200)["recovery_codes_left"], 9);
    // With the right password, and wrong codes: like wrong passwords.
    for _ in 0..4 {
        sign_on(&region, &grace, Some("000000")).await.problem(401, "unauthenticated");
    }
    sign_on(&region, &grace, Some(&app.code(&region))).await.problem(429, "too-many-requests");
}

#[tokio::test]
async fn it_is_removed_with_a_code_or_by_an_administrator() {
    let (region, grace) = world().await;
    let client = with(&region, &grace.signed_on(&region).await);
    let app = enrolled(&region, &client).await;
    let remove = async |code: &str| client.post(&format!("{OWN}/remove"), json!({"code": code})).await;
    remove("000000").await.problem(400, "invalid-body");
    remove(&app.code(&region)).await.expect(204);
    grace.signed_on(&region).await;
    remove("000000").await.problem(404, "not-found");

    enrolled(&region, &client).await;
    let path = format!("/v3/users/{}/second-factor", grace.id);
    client.delete(&path).await.problem(409, "conflict");
    let (owner, _) = region.owner_again().await;
    owner.delete(&path).await.expect(204);
    owner.delete(&path).await.problem(404, "not-found");
    let answer: Value = grace.signed_on(&region).await;
    assert!(answer["access_token"].is_string());
    assert_eq!(region.count("SELECT count(*) FROM resident.recovery_code").await, 0);
    let other = region.bootstrap("Other").await;
    let other = region.client(other.token.as_deref().expect("a token"));
    other.delete(&path).await.problem(404, "not-found");
}
