//! How many people sign on a second, how many access tokens are exchanged for signed ones, and how many requests with a signed token are
//! served.
//!
//! A sign-on costs one hash of a password (Argon2id, whose costs are among the figures), a session in the log, and a signature. Each
//! caller is a person of its own: attempts of one person at once are bounded.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testbed::{Api, Region, ServiceName, api::text, mail::until_kept};

use crate::{
    Pace, closedloop,
    report::{COUNT, PER_SECOND, Report},
    stage,
};

/// People, and callers.
const CALLERS: usize = 16;
const PASSWORD: &str = "correct horse battery";
/// What identity hashes passwords with: `services/identity/src/passwords/hashing.rs`.
const KIBIBYTES: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// One person, with a connection of its own.
struct Person {
    api: Api,
    sign_on: Value,
    /// With an access token.
    opaque: Api,
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    report.record("argon2.kibibytes", COUNT, f64::from(KIBIBYTES));
    report.record("argon2.passes", COUNT, f64::from(PASSES));
    report.record("argon2.lanes", COUNT, f64::from(LANES));
    let region = stage::start_region().await?;
    let people = prepare(&region).await?;
    for round in 1..=pace.rounds {
        stage::say(&format!("Sign-ons, exchanges and requests, round {round} of {}", pace.rounds));
        // Signing on ends the oldest sessions of a person, and signed tokens live for minutes: so they are of access tokens, and new ones.
        let signed = signed(&people).await?;
        for (key, what) in [
            ("logins", What::SignOn),
            ("token_exchanges", What::Exchange),
            ("verified_requests", What::Request),
        ] {
            let (people, signed) = (Arc::clone(&people), Arc::clone(&signed));
            let outcome = closedloop::run(CALLERS, pace.round, move |call| {
                let (people, signed) = (Arc::clone(&people), Arc::clone(&signed));
                async move {
                    let both = people.get(call.caller).zip(signed.get(call.caller));
                    let (person, signed) = both.context("a person for each caller")?;
                    person.does(what, signed).await
                }
            })
            .await?;
            report.record(format!("{key}_per_s"), PER_SECOND, outcome.per_second);
            report.record_times(&format!("{key}.latency"), &outcome.latencies);
            report.record(format!("{key}.failed"), COUNT, outcome.failed as f64);
        }
    }
    region.stop().await
}

#[derive(Clone, Copy)]
enum What {
    SignOn,
    Exchange,
    Request,
}

impl Person {
    async fn does(&self, what: What, signed: &Api) -> anyhow::Result<()> {
        let answer = match what {
            What::SignOn => self.api.post("/v3/authenticate", &self.sign_on).await?,
            What::Exchange => self.opaque.post("/v1/token", &json!({})).await?,
            What::Request => signed.get("/v3/organizations/me").await?,
        };
        let body = answer.expect(200)?;
        let is_right = match what {
            What::SignOn | What::Exchange => body["access_token"].is_string(),
            What::Request => body["id"] == self.sign_on["organization"],
        };
        ensure!(is_right, "not the right answer: {body}");
        Ok(())
    }
}

/// Invites people, who accept.
async fn prepare(region: &Region) -> anyhow::Result<Arc<[Person]>> {
    stage::say(&format!("{CALLERS} people"));
    let identity = region.api(ServiceName::Identity);
    let organization = &region.owner().organization_id;
    let mut people = Vec::with_capacity(CALLERS);
    for (number, api) in stage::callers(region, ServiceName::Identity, CALLERS)?.into_iter().enumerate() {
        let email = format!("person-{number}@example.com");
        identity.post("/v3/invites", &json!({ "email": email })).await?.expect(201)?;
        let mail = until_kept(region.mail().folder(), &email, 1).await?;
        let body = json!({ "token": mail.credential(), "password": PASSWORD });
        identity.anonymous().post("/v3/invites/accept", &body).await?.expect(201)?;
        let sign_on = json!({ "organization": organization, "email": email, "password": PASSWORD });
        let api = api.anonymous();
        let answer = api.post("/v3/authenticate", &sign_on).await?.expect(200)?;
        let signed = api.with_token(text(&answer, "access_token")?);
        let made =
            signed.post("/v3/users/me/access-tokens", &json!({ "name": "load" })).await?.expect(201)?;
        let opaque = api.with_token(text(&made, "token")?);
        people.push(Person { api, sign_on, opaque });
    }
    Ok(people.into())
}

/// A signed token of each person.
async fn signed(people: &[Person]) -> anyhow::Result<Arc<[Api]>> {
    let mut signed = Vec::with_capacity(people.len());
    for person in people {
        let answer = person.opaque.post("/v1/token", &json!({})).await?.expect(200)?;
        signed.push(person.api.with_token(text(&answer, "access_token")?));
    }
    Ok(signed.into())
}
