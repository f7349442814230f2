//! Somebody signs on: who it is, whether it may, and the session that begins.

use std::sync::Arc;

use access::{
    Event, Happened, Limits, Makers, PrincipalKind, Requested, Session, Unavailable, Vector, Whose,
};
use axum::response::Response;
use ids::{OrganizationId, ServiceName, TokenId, UserId};
use mutation::{Actor, Mutation, audit::Outcome};
use time::OffsetDateTime;
use web::ProblemType;

use super::{Error, LIFE, NewSession, SignedOn, begin, http::SignOn};
use crate::{
    app::App,
    credential::{Credential, Kind},
    error::Answer,
    home::Arrived,
    organizations,
    passwords::{
        self,
        attempts::{self, Subject},
        store::SignOn as Known,
    },
    second_factor,
    signing_keys::TOKEN_LIFE_SECONDS,
    users,
};

/// Actions of audit entries: how somebody has signed on, or why not.
const PASSWORD: &str = "sign-on.password";
const PASSWORD_AND_CODE: &str = "sign-on.password-and-code";
/// With the right password.
const CODE: &str = "sign-on.code";
/// With the right password, by somebody who is deactivated, or in an organization that is suspended.
const NOT_ADMITTED: &str = "sign-on.not-admitted";
/// After too many attempts: nothing was looked at.
const LOCKED: &str = "sign-on.locked";

/// An attempt to sign on, as the audit log is told of it.
struct Attempt<'a> {
    app: &'a App,
    requested: &'a Arc<Requested>,
    organization: OrganizationId,
    /// `None` where nobody has the address: then there is no entry.
    person: Option<UserId>,
}

impl Attempt<'_> {
    /// It has failed, and is answered with `problem`.
    fn failed(&self, action: &'static str, problem: ProblemType) {
        let Some(person) = self.person else { return };
        let whose = Whose {
            organization: self.organization,
            principal: person.cast(),
            kind: PrincipalKind::User,
            session: None,
        };
        let happened = Happened::NotSignedOn(action, problem);
        self.app.reporter.report(Event { whose, happened, requested: self.requested.clone() });
    }
}

pub(super) async fn sign_on(app: &App, makers: &Makers, arrived: &Arrived<SignOn>) -> Answer<Response> {
    let body = &arrived.body;
    if body.cookie && !arrived.is_forwarded() {
        app.origins.require_console(arrived.headers())?;
    }
    if body.password.len() > passwords::BYTES_MAX {
        return Err(Error::NotSignedOn.into());
    }
    let password = passwords::comparable(&body.password);
    let Some(organization) = organizations::named(app, &body.organization).await? else {
        // As long as for a person that has the address.
        app.hasher.verify(None, password).await.map_err(passwords::Error::Busy)?;
        return Err(Error::NotSignedOn.into());
    };
    if let Some(answer) = arrived.answered_at_home(organization.id).await? {
        return Ok(answer);
    }
    let email = users::parse_email(&body.email).unwrap_or_default();
    let subject = Subject::person(organization.id, &email);
    let place = arrived.address().map(Subject::place);
    let charged: Vec<&Subject> = place.iter().chain([&subject]).collect();
    let charge = attempts::charge(&app.db, &charged, app.clock.now()).await?;
    let known = passwords::store::by_email(&app.db, organization.id, &email).await?;
    let attempt = Attempt {
        app,
        requested: &arrived.requested,
        organization: organization.id,
        person: known.as_ref().map(|known| known.person),
    };
    if let Err(locked) = charge {
        attempt.failed(LOCKED, ProblemType::TooManyRequests);
        return Err(passwords::Error::Locked(locked).into());
    }
    let hash = known.as_ref().and_then(|known| known.hash.clone());
    let is_right = app.hasher.verify(hash.clone(), password).await;
    let mut tx = app.db.begin().await.map_err(postgres::Error::from)?;
    let is_right = match is_right {
        Ok(is_right) => is_right,
        Err(busy) => {
            attempts::give_back(&mut tx, &charged).await?;
            tx.commit().await.map_err(postgres::Error::from)?;
            return Err(passwords::Error::Busy(busy).into());
        }
    };
    let may = |known: &Known| known.active && organization.state == organizations::State::Active;
    let Some(person) = known.filter(|known| is_right && may(known)).map(|known| known.person) else {
        attempt.failed(if is_right { NOT_ADMITTED } else { PASSWORD }, ProblemType::Unauthenticated);
        return Err(Error::NotSignedOn.into());
    };
    let now = app.clock.unix_seconds();
    let code = second_factor::require(&mut tx, &app.seal, person, body.totp.as_deref(), now).await;
    match &code {
        Ok(_) => attempts::succeeded(&mut tx, &subject, place.as_ref()).await?,
        // The client could not know that one is needed.
        Err(second_factor::Error::Needed) => attempts::give_back(&mut tx, &charged).await?,
        Err(_) => {}
    }
    tx.commit().await.map_err(postgres::Error::from)?;
    let with_code = code.map_err(|error| match error {
        second_factor::Error::Wrong => {
            attempt.failed(CODE, ProblemType::Unauthenticated);
            crate::error::Error::from(Error::WrongCode)
        }
        error => error.into(),
    })?;

    let now = app.clock.now();
    let id: TokenId = app.random.id(now);
    let session = session_of(organization.id, person, id, now, now + LIFE);
    let decided = makers.admits(&session, &applied(app, organization.id).await?).await?;
    let Some(decided) = decided else {
        attempt.failed(NOT_ADMITTED, ProblemType::Unauthenticated);
        return Err(Error::NotSignedOn.into());
    };
    let limits = organization.limits;
    let session = Session { vector: decided.seen.of_service(ServiceName::Authz), limits, ..session };
    // Signed first: where that is not possible yet, no session begins.
    let access_token = app.keys.sign(&session, now.unix_timestamp()).await?;
    let refresh = Credential::make(Kind::Refresh, organization.id, &app.random);
    let new = NewSession {
        id,
        person,
        vector: session.vector,
        address: arrived.address().map(|address| address.to_string()).unwrap_or_default(),
        user_agent: arrived.user_agent(),
        refresh: refresh.clone(),
    };
    let (random, actor) = (app.random.clone(), Actor { principal: person.cast(), session: Some(id) });
    let action = if with_code { PASSWORD_AND_CODE } else { PASSWORD };
    let mutation = Mutation::in_session(organization.id, actor, &decided, action)
        .of_person(person.cast(), Some(id), arrived.requested.clone())
        .authenticates(Outcome::Allowed);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            // The log is locked: nobody can deactivate the person or change its password between this look and the session.
            let (organization, person) = (tx.organization(), new.person);
            let known = users::store::find(tx.connection(), organization, person).await?;
            let is_same = passwords::store::hash(tx.connection(), person).await? == hash;
            if !is_same || !known.is_some_and(|known| known.active) {
                return Err(Error::NotSignedOn.into());
            }
            let ends_at = begin(tx, &random, new).await?;
            tx.audit(&id.to_string()).await?;
            Ok(ends_at)
        })
    });
    let ends_at = work.await?;
    let answer = SignedOn {
        access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFE_SECONDS,
        refresh_token: Some(refresh.expose().to_owned()),
        session_id: id,
        session_ends_at: ends_at,
        organization_id: organization.id,
        user_id: person,
    };
    Ok(answer.answer(body.cookie, now))
}

/// The session `id` as it is at `now`.
pub(super) fn session_of(
    organization: OrganizationId,
    person: UserId,
    id: TokenId,
    now: OffsetDateTime,
    ends_at: OffsetDateTime,
) -> Session {
    Session {
        organization,
        principal: person.cast(),
        kind: PrincipalKind::User,
        id,
        issued_at: now.unix_timestamp(),
        expires_at: ends_at.unix_timestamp(),
        ends_at: ends_at.unix_timestamp(),
        vector: Vector::default(),
        limits: Limits::default(),
    }
}

/// Waits until authz has applied what this region has written of the organization, so that it knows its people. Answers where that
/// stands in authz's log.
pub(super) async fn applied(app: &App, organization: OrganizationId) -> Answer<Vector> {
    let written = app.log.replica().organization_vector(organization).await?;
    let seq = written.get(app.log.origin()).map_or(0, |position| position.seq);
    let applied = app.outbox.applied(seq).await;
    Ok(applied.map_err(|_| Unavailable::not_yet(Vector::default()))?)
}
