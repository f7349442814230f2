//! Second factors over HTTP. All of it is served in the organization's home region.

use access::{Action, Caller, Resource};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ids::UserId;
use mutation::Mutation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Api, Endpoint, FieldError, Json, Path, ProblemType, Protection};

use super::{Error, purpose, recovery_codes, recovery_hash, require, store, totp};
use crate::{
    app::App,
    error::Answer,
    organizations,
    passwords::{
        self,
        attempts::{self, Subject},
        comparable,
    },
    tokens::http::oneself,
    users,
};

/// Examples of refusals.
const PRESENT: &str = "you have a second factor; remove it first";
const OWN: &str = "remove your own second factor with a code: POST /v3/users/me/second-factor/remove";

/// Adds the endpoints of second factors.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ONE: &str = "/v3/users/{user_id}/second-factor";
    api.endpoint(
        Endpoint::get(ONE, "Whether you have a second factor")
            .home()
            .protection(Protection::Caller)
            .answers::<SecondFactor>(StatusCode::OK),
        get,
    )
    .endpoint(
        Endpoint::post(
            ONE,
            "Begin with a second factor: a secret for an authenticator app, which has to be confirmed",
        )
        .refuses(ProblemType::Conflict, PRESENT)
        .home()
        .protection(Protection::Caller)
        .body::<BeginSecondFactor>()
        .answers::<NewSecondFactor>(StatusCode::CREATED),
        begin,
    )
    .endpoint(
        Endpoint::post(
            format!("{ONE}/confirm"),
            "Confirm a second factor with a code: it is asked for from then on",
        )
        .home()
        .protection(Protection::Caller)
        .body::<SecondFactorCode>()
        .answers::<RecoveryCodes>(StatusCode::OK),
        confirm,
    )
    .endpoint(
        Endpoint::post(
            format!("{ONE}/remove"),
            "Remove your second factor with a code, or with a recovery code",
        )
        .home()
        .protection(Protection::Caller)
        .body::<SecondFactorCode>(),
        remove,
    )
    .endpoint(
        Endpoint::delete(ONE, "Remove the second factor of a person that has lost it")
            .refuses(ProblemType::Conflict, OWN)
            .home(),
        reset,
    )
}

/// Whether somebody has a second factor.
#[derive(Serialize, ToSchema)]
pub struct SecondFactor {
    /// Whether it is asked for at a sign-on.
    active: bool,
    /// Recovery codes that were not used.
    recovery_codes_left: i64,
}

/// The body of a request that begins with a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginSecondFactor {
    /// The person's password.
    password: String,
}

/// A second factor that waits to be confirmed. Shown this once.
#[derive(Serialize, ToSchema)]
pub struct NewSecondFactor {
    /// What codes are made of, in base32: for an app that reads no picture.
    secret: String,
    /// The same for an app that reads a picture.
    otpauth_url: String,
}

/// A body with a code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorCode {
    /// The six digits that the app shows.
    code: String,
}

/// What somebody signs on with who has lost the app, once each. Shown this once.
#[derive(Serialize, ToSchema)]
pub struct RecoveryCodes {
    recovery_codes: Vec<String>,
}

/// An answer that nobody on the way keeps.
fn unkept(status: StatusCode, body: impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

async fn get(State(app): State<App>, caller: Caller, Path(user): Path<String>) -> Answer<Json<SecondFactor>> {
    let person: UserId = oneself(&caller, &user)?.cast();
    let found = store::find(&app.db, person).await?.filter(|found| found.confirmed);
    Ok(Json(SecondFactor {
        active: found.is_some(),
        recovery_codes_left: found.map_or(0, |found| found.recovery_codes),
    }))
}

async fn begin(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Json(body): Json<BeginSecondFactor>,
) -> Answer<Response> {
    let person: UserId = oneself(&caller, &user)?.cast();
    let id = caller.organization();
    let known = users::store::find(&app.db, id, person).await?.ok_or(users::Error::Absent)?;
    let organization = organizations::known(&app, id).await?.ok_or(organizations::Error::NotArrived)?;
    require_password(&app, &caller, &known, &body.password).await?;
    let secret: [u8; totp::SECRET_BYTES] = app.random.bytes();
    let sealed = app.seal.seal(&purpose(person), &secret);
    let mut tx = Mutation::by(&caller, "second-factor.begin").begin(&app.db).await?;
    if !store::put(tx.connection(), person, &sealed, app.clock.now()).await? {
        return Err(Error::Present.into());
    }
    tx.commit(&person.to_string()).await?;
    let otpauth_url = totp::url(&secret, &format!("Landbridge {}", organization.name), &known.email);
    Ok(unkept(StatusCode::CREATED, NewSecondFactor { secret: totp::base32(&secret), otpauth_url }))
}

/// Whoever has got hold of a signed token does not get further with it.
async fn require_password(app: &App, caller: &Caller, person: &users::User, password: &str) -> Answer<()> {
    let subject = Subject::person(caller.organization(), &person.email);
    let now = app.clock.now();
    attempts::charge(&app.db, &[&subject], now).await?.map_err(passwords::Error::Locked)?;
    let hash = passwords::store::hash(&app.db, person.id).await?;
    let is_right = app.hasher.verify(hash, comparable(password)).await.map_err(passwords::Error::Busy)?;
    if !is_right {
        caller.failed("second-factor.begin", ProblemType::InvalidBody);
        return Err(
            FieldError { field: "password".to_owned(), reason: "is not your password".to_owned() }.into()
        );
    }
    let mut connection = app.db.acquire().await.map_err(postgres::Error::from)?;
    attempts::succeeded(&mut connection, &subject, None).await?;
    Ok(())
}

async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Json(body): Json<SecondFactorCode>,
) -> Answer<Response> {
    let person: UserId = oneself(&caller, &user)?.cast();
    charge(&app, &caller, person).await?;
    let now = app.clock.now();
    let mut tx = Mutation::by(&caller, "second-factor.confirm").begin(&app.db).await?;
    let found = store::find(tx.connection(), person).await?.filter(|found| !found.confirmed);
    let found = found.ok_or(Error::Absent)?;
    let secret = app.seal.open(&purpose(person), &found.sealed).map_err(|_| Error::Unreadable)?;
    let step = totp::step_of(&secret, body.code.trim(), now.unix_timestamp());
    let step = step.ok_or(Error::Wrong).inspect_err(|_| {
        caller.failed("second-factor.confirm", ProblemType::InvalidBody);
    })?;
    let codes = recovery_codes(&app.random);
    let hashes: Vec<[u8; 32]> = codes.iter().map(|code| recovery_hash(code)).collect();
    store::confirm(tx.connection(), person, step, &hashes, now).await?;
    give_back(&app, &caller, person, tx.connection()).await?;
    tx.commit(&person.to_string()).await?;
    Ok(unkept(StatusCode::OK, RecoveryCodes { recovery_codes: codes }))
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Json(body): Json<SecondFactorCode>,
) -> Answer<StatusCode> {
    let person: UserId = oneself(&caller, &user)?.cast();
    charge(&app, &caller, person).await?;
    let mut tx = Mutation::by(&caller, "second-factor.remove").begin(&app.db).await?;
    let found = store::find(tx.connection(), person).await?.filter(|found| found.confirmed);
    found.ok_or(Error::Absent)?;
    let now = app.clock.unix_seconds();
    let counts = require(tx.connection(), &app.seal, person, Some(&body.code), now).await;
    if let Err(Error::Wrong) = counts {
        caller.failed("second-factor.remove", ProblemType::InvalidBody);
    }
    counts?;
    store::delete(tx.connection(), person).await?;
    give_back(&app, &caller, person, tx.connection()).await?;
    tx.commit(&person.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the codes of `person` are charged to: who guesses them has to wait as who guesses passwords.
async fn subject(app: &App, caller: &Caller, person: UserId) -> Answer<Subject> {
    let known = users::store::find(&app.db, caller.organization(), person).await?;
    Ok(Subject::person(caller.organization(), &known.ok_or(users::Error::Absent)?.email))
}

async fn charge(app: &App, caller: &Caller, person: UserId) -> Answer<()> {
    let subject = subject(app, caller, person).await?;
    attempts::charge(&app.db, &[&subject], app.clock.now()).await?.map_err(passwords::Error::Locked)?;
    Ok(())
}

async fn give_back(
    app: &App,
    caller: &Caller,
    person: UserId,
    connection: &mut sqlx::PgConnection,
) -> Answer<()> {
    let subject = subject(app, caller, person).await?;
    Ok(attempts::succeeded(connection, &subject, None).await?)
}

async fn reset(State(app): State<App>, caller: Caller, Path(person): Path<UserId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    if caller.principal() == person.cast() {
        return Err(web::Problem::conflict(OWN).into());
    }
    users::store::find(&app.db, caller.organization(), person).await?.ok_or(users::Error::Absent)?;
    let mut tx = Mutation::by(&caller, "second-factor.reset").begin(&app.db).await?;
    if !store::delete(tx.connection(), person).await? {
        return Err(Error::Absent.into());
    }
    tx.commit(&person.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}
