//! Access tokens over HTTP: the caller's own, and those of system accounts. Served in every region.

mod life;
mod of_account;
mod own;
mod rotate;

use access::{Caller, TokenKind};
use axum::{http::StatusCode, response::Response};
use ids::{PrincipalId, ServiceName, TokenId};
use mutation::{Key, Mutation};
pub(crate) use own::oneself;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Api, Json, Listed, Paging, text};

use super::{Error, Name, NewToken, Token, mint, revoke, store};
use crate::{app::App, error::Answer, revocations::Ended, system_accounts};

/// Examples of refusals.
const TOO_MANY: &str = "at most 10 tokens can be active; revoke one first";
const REVOKED_SINCE: &str = "the token that this request made has been revoked since";

/// Adds the endpoints of access tokens.
pub fn endpoints(api: Api<App>) -> Api<App> {
    of_account::endpoints(own::endpoints(api))
}

/// The body of a request that makes a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    name: String,
    /// When it expires: at most 366 days away, and not after the token that the request is sent with, or that its signed token was
    /// made from. In 90 days unless given, or with that token if that is earlier. It ends with that token in any case. A token that is
    /// made in a session of the console is not bound to it.
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

/// A new token, with its text.
#[derive(Serialize, ToSchema)]
pub struct CreatedToken {
    #[serde(flatten)]
    token: Token,
    /// The text of the token. Shown this once.
    #[serde(rename = "token")]
    text: String,
}

/// A page of the tokens of `principal`.
pub(crate) async fn page(app: &App, principal: PrincipalId, paging: &Paging) -> Answer<Json<Listed<Token>>> {
    let tokens = store::list(&app.db, principal, &paging.span()?, app.clock.now()).await?;
    let total = paging.total(store::count(&app.db, principal)).await?;
    Ok(Json(paging.page(tokens, total, |token| token.id)))
}

async fn create(
    app: &App,
    caller: &Caller,
    principal: PrincipalId,
    kind: TokenKind,
    key: Option<Key>,
    body: CreateToken,
) -> Answer<Response> {
    let name = text::name("name", &body.name)?;
    let now = app.clock.now();
    let life::Bounds { latest, parent } = life::bounds(app, caller, now).await?;
    let expires_at = life::end_within(body.expires_at, now + life::DEFAULT, now, latest)?;
    let new = NewToken {
        id: match &key {
            Some(key) => TokenId::from_uuid(key.derived_id("token")),
            None => app.random.id(now),
        },
        principal,
        kind,
        name: Name::Given(name),
        expires_at,
        vector: caller.seen().of_service(ServiceName::Authz),
        parent,
        replaces: None,
    };
    let (organization, maker) = (caller.organization(), app.maker());
    let work = app.write(Mutation::by(caller, "token.create").under(key), move |tx| {
        Box::pin(async move {
            if kind == TokenKind::System {
                // The log is locked: nobody can delete the account between this look and the token.
                let account = system_accounts::store::find(tx.connection(), organization, principal.cast());
                account.await?.ok_or(system_accounts::Error::Absent)?;
            }
            let (token, text) = mint(tx, &maker, new).await?;
            let id = token.id.to_string();
            let created = CreatedToken { token, text: text.expose().to_owned() };
            Ok(tx.answer(&id, StatusCode::CREATED, &created).await?)
        })
    });
    let response = work.await;
    app.names.notify_one();
    response
}

/// Revokes by `mutation`, and waits until authz refuses the sessions made from the token as well.
pub(crate) async fn end(
    app: &App,
    caller: &Caller,
    mutation: Mutation,
    principal: PrincipalId,
    token: TokenId,
) -> Answer<StatusCode> {
    if store::find(&app.db, principal, token, app.clock.now()).await?.is_none() {
        app.settle().await?;
    }
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let seq = revoke(tx, principal, token).await?;
            tx.audit(&token.to_string()).await?;
            Ok(seq)
        })
    });
    let seq = work.await?;
    app.announcer.announce(Ended::Session(token)).await;
    app.outbox.wait_applied(caller, seq).await.map_err(|_| Error::StillHonoured)?;
    Ok(StatusCode::NO_CONTENT)
}
