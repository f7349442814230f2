//! Passwords over HTTP. All of it is served in the organization's home region.

use access::Caller;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use ids::UserId;
use mutation::{Mutation, audit::Outcome};
use serde::Deserialize;
use time::Duration;
use utoipa::ToSchema;
use web::{Api, Endpoint, FieldError, Json, Path, ProblemType, Protection};

use super::{Error, attempts, attempts::Subject, comparable, parse_new, set, store};
use crate::{
    app::App,
    credential::{Credential, Kind},
    error::Answer,
    home::Arrived,
    mail::{self, Letter, Says},
    organizations,
    revocations::Ended,
    tenant::Tenant,
    tokens::http::oneself,
    users,
};

/// How long the link in a mail sets a new password.
const LINK_LIFE: Duration = Duration::minutes(30);
/// Links that are good at once for one person. Whoever asks for more gets no further mail.
const LINKS_MAX: i64 = 3;
/// Example of a refusal.
const LINK_UNKNOWN: &str = "the link is unknown, expired or used; ask for another one";

/// Adds the endpoints of passwords.
pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::post("/v3/users/{user_id}/password", "Change your password; ends your other sessions")
            .home()
            .protection(Protection::Caller)
            .body::<ChangePassword>(),
        change,
    )
    .endpoint(
        Endpoint::post(
            "/v3/password-resets",
            "Send a mail with a link that sets a new password; the answer does not tell whether anybody has the address",
        )
        .bounded()
        .body::<ResetPassword>(),
        ask,
    )
    .endpoint(
        Endpoint::post("/v3/password-resets/accept", "Set a new password with the link of a mail; ends all sessions")
            .with_credential(LINK_UNKNOWN)
            .body::<AcceptReset>(),
        accept,
    )
}

/// The body of a request that changes the caller's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    old_password: String,
    /// At least 12 characters and at most 1024 bytes.
    new_password: String,
}

/// The body of a request for a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// The organization's id or name.
    organization: String,
    /// The person's address.
    email: String,
}

/// The body of a request that sets a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptReset {
    /// What follows the `#` of the link.
    token: String,
    /// At least 12 characters and at most 1024 bytes.
    password: String,
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Json(body): Json<ChangePassword>,
) -> Answer<StatusCode> {
    let person: UserId = oneself(&caller, &user)?.cast();
    let known = users::store::find(&app.db, caller.organization(), person).await?;
    let known = known.ok_or(users::Error::Absent)?;
    let new = parse_new("new_password", &body.new_password, &known.email)?;
    let subject = Subject::person(caller.organization(), &known.email);
    attempts::charge(&app.db, &[&subject], app.clock.now()).await?.map_err(Error::Locked)?;
    let hash = store::hash(&app.db, person).await?;
    if !app.hasher.verify(hash, comparable(&body.old_password)).await.map_err(Error::Busy)? {
        caller.failed("password.change", ProblemType::InvalidBody);
        let reason =
            "is not your password; if you have none, ask for a mail with POST /v3/password-resets".to_owned();
        return Err(FieldError { field: "old_password".to_owned(), reason }.into());
    }
    let hash = app.hasher.hash(new).await.map_err(Error::Busy)?;
    let kept = caller.session.id;
    let work = app.write(Mutation::by(&caller, "password.change"), move |tx| {
        Box::pin(async move {
            attempts::succeeded(tx.connection(), &subject, None).await?;
            set(tx, person, &hash, Some(kept)).await?;
            tx.audit(&person.to_string()).await?;
            Ok(tx.next_position().seq.saturating_sub(1))
        })
    });
    until_heard(&app, work.await?).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn ask(State(app): State<App>, arrived: Arrived<ResetPassword>) -> Answer<Response> {
    let done = || Ok(StatusCode::NO_CONTENT.into_response());
    let Some(email) = users::parse_email(&arrived.body.email) else {
        let reason = "must be an e-mail address".to_owned();
        return Err(FieldError { field: "email".to_owned(), reason }.into());
    };
    let Some(organization) = organizations::named(&app, &arrived.body.organization).await? else {
        return done();
    };
    if let Some(answer) = arrived.answered_at_home(organization.id).await? {
        return Ok(answer);
    }
    let now = app.clock.now();
    if let Some(address) = arrived.address() {
        let subject = Subject::asking(address);
        attempts::charge(&app.db, &[&subject], now).await?.map_err(Error::Locked)?;
    }
    if !app.mail.is_sent() {
        tracing::warn!("somebody asked for a new password, and no mail is sent: set section `mail`");
        return done();
    }
    let found = store::by_email(&app.db, organization.id, &email).await?.filter(|found| found.active);
    // What follows is the same work for an address that nobody has, up to a mail that nobody gets.
    let (person, kind) = match found {
        Some(found) => (found.person, mail::Kind::PasswordReset),
        None => (app.random.id(now), mail::Kind::Decoy),
    };
    let is_enough = store::count_resets(&app.db, person, now).await? >= LINKS_MAX
        || mail::count(&app.db, organization.id).await? >= mail::WAITING_MAX;
    if is_enough {
        return done();
    }
    let credential = Credential::make(Kind::PasswordReset, organization.id, &app.random);
    let expires_at = now + LINK_LIFE;
    let letter = Letter {
        organization: organization.id,
        kind,
        to: email,
        says: Says { organization: organization.name, credential: credential.expose().to_owned() },
        expires_at,
    };
    // What is asked for nobody is in nobody's audit log.
    let of =
        if kind == mail::Kind::Decoy { Tenant::Deployment } else { Tenant::Organization(organization.id) };
    let mutation = Mutation::by_operator(of.stored(), "password.reset")
        .of_person(person.cast(), None, arrived.requested.clone())
        .authenticates(Outcome::Allowed);
    let mut tx = mutation.begin(&app.db).await?;
    let sha256 = credential.sha256();
    store::insert_reset(tx.connection(), &sha256, organization.id, person, now, expires_at).await?;
    app.mail.put(tx.connection(), &letter, now).await?;
    tx.commit(&person.to_string()).await?;
    app.mail.hurry();
    done()
}

async fn accept(State(app): State<App>, arrived: Arrived<AcceptReset>) -> Answer<Response> {
    let credential = Credential::read(Kind::PasswordReset, &arrived.body.token).ok_or(Error::LinkUnknown)?;
    let organization = credential.organization;
    organizations::known(&app, organization).await?.ok_or(Error::LinkUnknown)?;
    if let Some(answer) = arrived.answered_at_home(organization).await? {
        return Ok(answer);
    }
    let sha256 = credential.sha256();
    let found = store::find_reset(&app.db, &sha256, app.clock.now()).await?;
    let (person, email) = found.ok_or(Error::LinkUnknown)?;
    let password = parse_new("password", &arrived.body.password, &email)?;
    let hash = app.hasher.hash(password).await.map_err(Error::Busy)?;
    let mutation = Mutation::by_operator(organization, "password.set")
        .of_person(person.cast(), None, arrived.requested.clone())
        .authenticates(Outcome::Allowed);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            // The log is locked: of two requests with one link, one finds it used.
            let now = tx.at();
            let found = store::find_reset(tx.connection(), &sha256, now).await?;
            let (person, email) = found.ok_or(Error::LinkUnknown)?;
            attempts::succeeded(tx.connection(), &Subject::person(organization, &email), None).await?;
            set(tx, person, &hash, None).await?;
            tx.audit(&person.to_string()).await?;
            Ok(tx.next_position().seq.saturating_sub(1))
        })
    });
    until_heard(&app, work.await?).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Waits until sessions that have ended are refused everywhere in this region. The new password is there in any case, so the request
/// has succeeded: where authz is late, a session that was ended lasts until its signed token expires, five minutes at most.
async fn until_heard(app: &App, seq: u64) {
    app.announcer.announce(Ended::Any).await;
    if app.outbox.applied(seq).await.is_err() {
        tracing::warn!(seq, "authz has not applied the end of sessions in time; it will");
    }
}
