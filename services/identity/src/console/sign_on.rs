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
    app::{App, Tx},
    authentication_settings,
    credential::{Credential, Kind},
    error::Answer,
    home::Arrived,
    identity_providers::{self, ProviderId},
    organizations::{self, Organization},
    passwords::{
        self,
        attempts::{self, Subject},
        store::SignOn as Known,
    },
    second_factor,
    signing_keys::TOKEN_LIFE_SECONDS,
    single_sign_on::person,
    users,
};

/// Actions of audit entries: how somebody has signed on, or why not.
const PASSWORD: &str = "sign-on.password";
const PASSWORD_AND_CODE: &str = "sign-on.password-and-code";
const OPENID_CONNECT: &str = "sign-on.openid-connect";
/// With the right password.
const CODE: &str = "sign-on.code";
/// With the right proof, by somebody who is deactivated, or in an organization that is suspended.
pub const NOT_ADMITTED: &str = "sign-on.not-admitted";
/// After too many attempts: nothing was looked at.
const LOCKED: &str = "sign-on.locked";

/// An attempt to sign on, as the audit log is told of it.
pub struct Attempt<'a> {
    /// Where it is made.
    pub app: &'a App,
    /// What the audit log says of the request.
    pub requested: &'a Arc<Requested>,
    /// The organization.
    pub organization: OrganizationId,
    /// `None` where nobody has the address: then there is no entry.
    pub person: Option<UserId>,
}

impl Attempt<'_> {
    /// It has failed, and is answered with `problem`.
    pub fn failed(&self, action: &'static str, problem: ProblemType) {
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
    if !authentication_settings::find(&app.db, organization.id).await?.basic_auth_enabled {
        return Err(Error::NoPasswords.into());
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

    let opening = Opening {
        person,
        address: arrived.address().map(|address| address.to_string()).unwrap_or_default(),
        user_agent: arrived.user_agent(),
        requested: arrived.requested.clone(),
        proof: Proof::Password { hash, with_code },
        seen: applied(app, organization.id).await?,
        organization,
    };
    Ok(open(app, makers, opening).await?.answer(body.cookie, app.clock.now()))
}

/// What somebody has shown that signs on.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The password with this hash.
    Password {
        /// `None`: a person without a password, who never gets so far.
        hash: Option<String>,
        /// Whether a code of a second factor came with it.
        with_code: bool,
    },
    /// What an identity provider says.
    Identity {
        /// The provider.
        provider: ProviderId,
        /// As it names itself.
        issuer: String,
        /// As it names the person.
        subject: String,
    },
}

impl Proof {
    /// The action of the audit entry.
    const fn action(&self) -> &'static str {
        match self {
            Self::Password { with_code: false, .. } => PASSWORD,
            Self::Password { with_code: true, .. } => PASSWORD_AND_CODE,
            Self::Identity { .. } => OPENID_CONNECT,
        }
    }
}

/// Somebody signs on who has shown who it is.
pub struct Opening {
    /// The organization.
    pub organization: Organization,
    /// The person.
    pub person: UserId,
    /// Where it is; may be empty.
    pub address: String,
    /// What it signs on with, as that says itself; may be empty.
    pub user_agent: String,
    /// What the audit log says of the request.
    pub requested: Arc<Requested>,
    /// How it has shown who it is.
    pub proof: Proof,
    /// What decisions have to see of authz's log.
    pub seen: Vector,
}

/// Begins the session, if authz lets the person in, and if what it has shown still counts when the session is written.
pub async fn open(app: &App, makers: &Makers, opening: Opening) -> Answer<SignedOn> {
    let Opening { organization, person, address, user_agent, requested, proof, seen } = opening;
    let now = app.clock.now();
    let id: TokenId = app.random.id(now);
    let session = session_of(organization.id, person, id, now, now + LIFE);
    let attempt = Attempt { app, requested: &requested, organization: organization.id, person: Some(person) };
    let Some(decided) = makers.admits(&session, &seen).await? else {
        attempt.failed(NOT_ADMITTED, ProblemType::Unauthenticated);
        return Err(Error::NotSignedOn.into());
    };
    let limits = organization.limits;
    let session = Session { vector: decided.seen.of_service(ServiceName::Authz), limits, ..session };
    // Signed first: where that is not possible yet, no session begins.
    let access_token = app.keys.sign(&session, now.unix_timestamp()).await?;
    let refresh = Credential::make(Kind::Refresh, organization.id, &app.random);
    let new =
        NewSession { id, person, vector: session.vector, address, user_agent, refresh: refresh.clone() };
    let (random, actor) = (app.random.clone(), Actor { principal: person.cast(), session: Some(id) });
    let mutation = Mutation::in_session(organization.id, actor, &decided, proof.action())
        .of_person(person.cast(), Some(id), requested.clone())
        .authenticates(Outcome::Allowed);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            // The log is locked: nobody can deactivate the person or change its password between this look and the session.
            let organization = tx.organization();
            let known = users::store::find(tx.connection(), organization, new.person).await?;
            if !known.is_some_and(|known| known.active) || !still_counts(tx, &proof, new.person).await? {
                return Err(Error::NotSignedOn.into());
            }
            let ends_at = begin(tx, &random, new).await?;
            tx.audit(&id.to_string()).await?;
            Ok(ends_at)
        })
    });
    let ends_at = work.await?;
    Ok(SignedOn {
        access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFE_SECONDS,
        refresh_token: Some(refresh.expose().to_owned()),
        session_id: id,
        session_ends_at: ends_at,
        organization_id: organization.id,
        user_id: person,
    })
}

/// Whether what `person` has shown counts now. A provider has shown that people can sign on by it.
async fn still_counts(tx: &mut Tx<'_>, proof: &Proof, person: UserId) -> Answer<bool> {
    let (organization, at) = (tx.organization(), tx.at());
    match proof {
        Proof::Password { hash, .. } => Ok(passwords::store::hash(tx.connection(), person).await? == *hash),
        Proof::Identity { provider, issuer, subject } => {
            let found = identity_providers::store::lock(tx.connection(), organization, *provider).await?;
            let is_linked =
                person::linked(tx.connection(), organization, issuer, subject).await? == Some(person);
            if !is_linked || !found.is_some_and(|found| found.shown.enabled) {
                return Ok(false);
            }
            identity_providers::store::used(tx.connection(), *provider, at).await?;
            Ok(true)
        }
    }
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
pub(crate) async fn applied(app: &App, organization: OrganizationId) -> Answer<Vector> {
    let written = app.log.replica().organization_vector(organization).await?;
    let seq = written.get(app.log.origin()).map_or(0, |position| position.seq);
    let applied = app.outbox.applied(seq).await;
    Ok(applied.map_err(|_| Unavailable::not_yet(Vector::default()))?)
}
