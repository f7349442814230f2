//! Sessions of the console: somebody signs on, with a password or by an identity provider, and goes on with short-lived signed tokens.
//!
//! A session is a row in `replicated.token` without a text. So it is revoked like an access token, in every region, also for signed tokens
//! that were made in it. What is personal about it (who, where from, how it goes on) is resident. A session goes on by its refresh token,
//! which is used once and replaced by the next one. Who shows a used one again ends the session: either of the two that have it may have
//! stolen it. Within [`GRACE`] the same next one is answered, because two tabs of a browser may ask at once, and answers get lost.

mod cookie;
pub mod http;
pub mod origins;
mod refresh;
pub mod sign_on;
pub mod store;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ids::{OrganizationId, TokenId, UserId};
use random::Random;
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use web::Json;

use crate::{
    app::Tx,
    credential::Credential,
    operation::{Operation, TokenMinted},
    tokens,
};

/// Longest life of a session, from the sign-on.
pub const LIFE: Duration = Duration::days(7);
/// Longest time that a session goes on without being used.
pub const IDLE_MAX: Duration = Duration::hours(24);
/// How long a refresh token that was used is answered with the same next one.
pub const GRACE: Duration = Duration::seconds(10);
/// Sessions of one person at once. Whoever signs on once more ends the oldest.
pub const PER_PERSON_MAX: usize = 20;
/// How often a session goes on at most: once in thirty seconds, all its life.
pub const ROTATIONS_MAX: i32 = 20_160;

/// What can go wrong with a session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or the log did.
    #[error(transparent)]
    NotWritten(#[from] mutation::Error),
    /// Organization, address or password are not those of anybody who may sign on. Which of them is not told.
    #[error("organization, address or password is wrong")]
    NotSignedOn,
    /// The code of the second factor is wrong, or has counted before.
    #[error("the code of the second factor is wrong or was used")]
    WrongCode,
    /// The organization's people do not sign on with passwords.
    #[error("this organization's people sign on by its identity provider, not by password")]
    NoPasswords,
    /// The refresh token goes on with no session.
    #[error("the session has ended")]
    Ended,
    /// The person has no such session.
    #[error("no such session")]
    Absent,
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// The answer to a sign-on, and to whoever goes on with a session. In the form of OAuth 2.0 (RFC 6749), with what else a client needs.
#[derive(Serialize, ToSchema)]
pub struct SignedOn {
    /// A signed token, for the header `Authorization: Bearer …` in every region.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Life of the signed token, seconds.
    expires_in: i64,
    /// Goes on with the session, once, at `POST /v3/authenticate/refresh`. Absent where it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// The session.
    session_id: TokenId,
    /// When the session ends at the latest.
    #[serde(with = "time::serde::rfc3339")]
    session_ends_at: OffsetDateTime,
    /// The organization.
    organization_id: OrganizationId,
    /// The person.
    user_id: UserId,
}

impl SignedOn {
    /// The answer, with the refresh token in a cookie if `as_cookie`.
    fn answer(mut self, as_cookie: bool, now: OffsetDateTime) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if as_cookie && let Some(text) = self.refresh_token.take() {
            let life = IDLE_MAX.min(self.session_ends_at - now);
            headers.insert(header::SET_COOKIE, cookie::set(&text, life));
        }
        (StatusCode::OK, headers, Json(self)).into_response()
    }
}

impl SignedOn {
    /// The same for a browser that an identity provider has sent: it gets the cookie, and goes on to the console's page at `path`.
    pub fn landing(self, path: &str, now: OffsetDateTime) -> Response {
        let location = HeaderValue::try_from(path).unwrap_or_else(|_| HeaderValue::from_static("/"));
        let (mut parts, _) = self.answer(true, now).into_parts();
        parts.status = StatusCode::SEE_OTHER;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::LOCATION, location);
        parts.headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        parts.headers.append(header::SET_COOKIE, crate::single_sign_on::forget_pending());
        Response::from_parts(parts, Body::empty())
    }
}

/// A session that begins.
struct NewSession {
    id: TokenId,
    person: UserId,
    /// What authz had applied when it was decided.
    vector: access::Vector,
    address: String,
    user_agent: String,
    refresh: Credential,
}

/// Begins a session; answers when it ends.
async fn begin(tx: &mut Tx<'_>, random: &Random, new: NewSession) -> Result<OffsetDateTime, Error> {
    let (organization, at) = (tx.organization(), tx.at());
    let open = tokens::store::usable_sessions(tx.connection(), new.person.cast(), at).await?;
    for (id, ends_at) in open.iter().take((open.len() + 1).saturating_sub(PER_PERSON_MAX)) {
        tokens::revoke_session(tx, *id, *ends_at).await?;
    }
    let ends_at = at + LIFE;
    let minted = TokenMinted {
        id: new.id,
        // Of no text: nobody can send it.
        sha256: random.bytes(),
        principal_id: new.person.cast(),
        principal_kind: access::PrincipalKind::User,
        name: String::new(),
        name_print: None,
        expires_at: ends_at,
        vector: new.vector.clone(),
        parent: None,
        replaces: None,
        session: true,
    };
    tx.append(Operation::TokenMinted(minted)).await?;
    store::insert(tx.connection(), organization, &new, at, ends_at).await?;
    store::insert_refresh(tx.connection(), new.id, &new.refresh, ends_at.min(at + IDLE_MAX)).await?;
    Ok(ends_at)
}
