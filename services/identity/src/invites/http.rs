//! Invites over HTTP. All of it is served in the organization's home region.

use access::{Action, Caller, Resource};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use mutation::{Key, Mutation};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Api, Endpoint, FieldError, Json, Listed, Paging, Path, ProblemType, Query};

use super::{Error, Invite, InviteId, LIFE, WAITING_MAX, store};
use crate::{
    app::App,
    credential::{Credential, Kind},
    error::Answer,
    home::Arrived,
    mail::{self, Letter, Says},
    organizations, passwords,
    passwords::parse_new,
    users::{self, User},
};

/// Examples of refusals.
const IS_MEMBER: &str = "the organization has a person with this e-mail address";
const TOO_MANY: &str = "too many invites wait to be accepted; withdraw some first";
const UNKNOWN: &str = "the invite is unknown, expired, accepted or withdrawn; ask for another one";

/// When whoever finds too much mail waiting may try again.
const MAIL_IS_SLOW: std::time::Duration = std::time::Duration::from_secs(30);

/// Adds the endpoints of invites.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v3/invites";
    api.endpoint(
        Endpoint::get(ALL, "List the invites that wait to be accepted")
            .query::<Paging>()
            .home()
            .answers::<Listed<Invite>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(ALL, "Invite a person by e-mail; an earlier invite to the same address ends")
            .refuses(ProblemType::Conflict, IS_MEMBER)
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .home()
            .body::<CreateInvite>()
            .answers::<Invite>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::delete("/v3/invites/{invite_id}", "Withdraw an invite").home(), withdraw)
    .endpoint(
        Endpoint::post("/v3/invites/accept", "Accept an invite: choose a name and a password")
            .with_credential(UNKNOWN)
            .refuses(ProblemType::Conflict, IS_MEMBER)
            .body::<AcceptInvite>()
            .answers::<User>(StatusCode::CREATED),
        accept,
    )
}

/// The body of a request that invites somebody.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    /// The person's address.
    email: String,
}

/// The body of a request that accepts an invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvite {
    /// What follows the `#` of the link in the mail.
    token: String,
    /// At most 128 characters; may be empty.
    #[serde(default)]
    full_name: String,
    /// At least 12 characters and at most 1024 bytes.
    password: String,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<Invite>>> {
    caller.may(Action::IamReadUsers, &Resource::Iam).await?;
    let (organization, now) = (caller.organization(), app.clock.now());
    let invites = store::list(&app.db, organization, &paging.span()?, now).await?;
    let total = paging.total(store::count(&app.db, organization, now)).await?;
    Ok(Json(paging.page(invites, total, |invite| invite.id)))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<Key>,
    Json(body): Json<CreateInvite>,
) -> Answer<Response> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let Some(email) = users::parse_email(&body.email) else {
        return Err(
            FieldError { field: "email".to_owned(), reason: "must be an e-mail address".to_owned() }.into()
        );
    };
    if !app.mail.is_sent() {
        return Err(Error::NoMail.into());
    }
    let (id, now) = (caller.organization(), app.clock.now());
    let organization = organizations::known(&app, id).await?.ok_or(organizations::Error::NotArrived)?;
    let waiting = i64::try_from(store::count(&app.db, id, now).await?).unwrap_or(i64::MAX);
    if waiting >= WAITING_MAX {
        return Err(Error::LimitReached.into());
    }
    if mail::count(&app.db, id).await? >= mail::WAITING_MAX {
        let text = format!("{} mails wait to be sent; try again later", mail::WAITING_MAX);
        return Err(web::Problem::too_many_requests(text, MAIL_IS_SLOW).into());
    }
    let mut tx = Mutation::by(&caller, "invite.create").under(key).begin(&app.db).await?;
    if passwords::store::by_email(tx.connection(), id, &email).await?.is_some() {
        return Err(Error::IsMember.into());
    }
    let credential = Credential::make(Kind::Invite, id, &app.random);
    let invite = Invite {
        id: app.random.id(now),
        email,
        invited_by: caller.principal().cast(),
        created_at: now,
        expires_at: now + LIFE,
    };
    store::put(tx.connection(), id, &invite, &credential.sha256()).await?;
    let letter = Letter {
        organization: id,
        kind: mail::Kind::Invite,
        to: invite.email.clone(),
        says: Says { organization: organization.name, credential: credential.expose().to_owned() },
        expires_at: invite.expires_at,
    };
    app.mail.put(tx.connection(), &letter, now).await?;
    let response = tx.answer(&invite.id.to_string(), StatusCode::CREATED, &invite).await?;
    app.mail.hurry();
    Ok(response)
}

async fn withdraw(State(app): State<App>, caller: Caller, Path(id): Path<InviteId>) -> Answer<StatusCode> {
    caller.may(Action::IamManageUsers, &Resource::Iam).await?;
    let mut tx = Mutation::by(&caller, "invite.withdraw").begin(&app.db).await?;
    if !store::delete(tx.connection(), caller.organization(), id).await? {
        return Err(Error::Absent.into());
    }
    tx.commit(&id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn accept(State(app): State<App>, arrived: Arrived<AcceptInvite>) -> Answer<Response> {
    let credential = Credential::read(Kind::Invite, &arrived.body.token).ok_or(Error::Unknown)?;
    let organization = credential.organization;
    organizations::known(&app, organization).await?.ok_or(Error::Unknown)?;
    if let Some(answer) = arrived.answered_at_home(organization).await? {
        return Ok(answer);
    }
    let sha256 = credential.sha256();
    let invite = store::find(&app.db, organization, &sha256, app.clock.now()).await?.ok_or(Error::Unknown)?;
    let full_name = users::parse_full_name("full_name", &arrived.body.full_name)?;
    let password = parse_new("password", &arrived.body.password, &invite.email)?;
    let hash = app.hasher.hash(password).await.map_err(passwords::Error::Busy)?;
    let person = app.random.id(app.clock.now());
    let mutation = Mutation::by_operator(organization, "invite.accept").of_person(
        person.cast(),
        None,
        arrived.requested.clone(),
    );
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            // The log is locked: of two requests with one credential, one finds the invite accepted.
            let now = tx.at();
            let found = store::find(tx.connection(), organization, &sha256, now).await?;
            let invite = found.ok_or(Error::Unknown)?;
            store::delete(tx.connection(), organization, invite.id).await?;
            let user = users::join(tx, person, &invite.email, full_name).await?;
            passwords::set(tx, person, &hash, None).await?;
            tx.audit(&person.to_string()).await?;
            Ok((user, tx.next_position().seq.saturating_sub(1)))
        })
    });
    let (user, seq) = work.await?;
    // So that the person can sign on at once. Where authz is late, that is answered 503 and tried again.
    let _ = app.outbox.applied(seq).await;
    Ok((StatusCode::CREATED, Json(user)).into_response())
}
