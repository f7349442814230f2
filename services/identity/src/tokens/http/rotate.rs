//! A token gets a new text in place of its old one.

use access::{Caller, TokenKind};
use axum::{http::StatusCode, response::Response};
use ids::{PrincipalId, ServiceName, TokenId};
use mutation::{Key, Mutation};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use web::{FieldError, Problem};

use super::{CreatedToken, Error, Name, NewToken, life, mint, store};
use crate::{app::App, error::Answer, operation::ReplacedText, revocations::Ended};

/// Longest time that the old text of a rotated token goes on, seconds.
const OVERLAP_SECONDS_MAX: u32 = 24 * 3600;

/// An example of a refusal.
pub(super) const NOT_ITS_HOLDER: &str = "send this request with the access token that is to be rotated";

/// The body of a request that rotates a token. All of it may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateToken {
    /// When the token expires now: at most 366 days away, not after the token that it was made with, and not before those that were made with it. Unless given, it lives as
    /// long from now as it was given to live before, within these limits.
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// For how long the old text goes on, so that the new one can be put into place; 0 unless given, at most a day.
    #[serde(default)]
    #[schema(maximum = 86400)]
    overlap_seconds: u32,
}

/// Replaces the text that the request was sent with. The token keeps its id, and what was made with it lives on. A signed token rotates
/// nothing: it would turn five minutes into a year.
pub(super) async fn rotate(
    app: &App,
    caller: &Caller,
    (principal, id): (PrincipalId, TokenId),
    kind: TokenKind,
    key: Option<Key>,
    body: RotateToken,
) -> Answer<Response> {
    let shown = caller.shown.filter(|_| caller.session.id == id);
    let sha256 = shown.ok_or_else(|| Problem::forbidden(NOT_ITS_HOLDER))?;
    if body.overlap_seconds > OVERLAP_SECONDS_MAX {
        let reason = format!("must be at most {OVERLAP_SECONDS_MAX}");
        return Err(FieldError { field: "overlap_seconds".to_owned(), reason }.into());
    }
    caller.require_session().await?;
    let now = app.clock.now();
    let held = store::held(&mut *app.db.acquire().await.map_err(postgres::Error::from)?, id, sha256).await?;
    let held = held.ok_or(Error::ParentEnded)?;
    let before = store::find(&app.db, principal, id, now).await?.ok_or(Error::Absent)?;
    let latest = match held.parent {
        Some(parent) => life::latest_end(app, caller, parent).await?.min(now + life::MAX),
        None => now + life::MAX,
    };
    let expires_at =
        life::end_within(body.expires_at, now + (before.expires_at - before.created_at), now, latest)?;
    let new = NewToken {
        id,
        principal,
        kind,
        name: Name::Kept(Box::new(before)),
        expires_at,
        vector: caller.seen().of_service(ServiceName::Authz),
        parent: held.parent,
        replaces: Some(ReplacedText {
            sha256,
            ends_at: now + Duration::seconds(i64::from(body.overlap_seconds)),
        }),
    };
    let maker = app.maker();
    let work = app.write(Mutation::by(caller, "token.rotate").under(key), move |tx| {
        Box::pin(async move {
            // The log is locked: of two requests that rotate the same text, one finds it replaced.
            store::held(tx.connection(), id, sha256).await?.ok_or(Error::ParentEnded)?;
            life::no_earlier_than_descendants(tx, id, expires_at).await?;
            let (token, text) = mint(tx, &maker, new).await?;
            let created = CreatedToken { token, text: text.expose().to_owned() };
            Ok(tx.answer(&id.to_string(), StatusCode::CREATED, &created).await?)
        })
    });
    let response = work.await?;
    app.announcer.announce(Ended::Session(id)).await;
    Ok(response)
}
