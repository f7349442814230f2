//! Access tokens over HTTP: the caller's own, and those of system accounts. Served in every region.

use access::{Action, Caller, Resource, TokenKind};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{PrincipalId, ServiceName, SystemAccountId, TokenId, UserId};
use mutation::{Key, Mutation};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use web::{
    Api, Cursor, Cursored, Endpoint, FieldError, Json, Path, Problem, ProblemType, Protection, Query, text,
};

use super::{Error, NewToken, Token, mint, revoke, store};
use crate::{
    app::App,
    error::Answer,
    revocations::Ended,
    system_accounts::{self, http::existing},
};

/// Life of a token whose maker names no end.
const LIFE_DEFAULT: Duration = Duration::days(90);
/// Longest life of a token.
const LIFE_MAX: Duration = Duration::days(366);

/// Examples of refusals.
const TOO_MANY: &str = "at most 10 tokens can be active; revoke one first";
const REVOKED_SINCE: &str = "the token that this request made has been revoked since";

/// Adds the endpoints of access tokens.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const OWN: &str = "/v3/users/{user_id}/access-tokens";
    const OWN_ONE: &str = "/v3/users/{user_id}/access-tokens/{token_id}";
    const OF_ACCOUNT: &str = "/v3/system-accounts/{account_id}/access-tokens";
    const OF_ACCOUNT_ONE: &str = "/v3/system-accounts/{account_id}/access-tokens/{token_id}";
    api.endpoint(
        Endpoint::get(OWN, "List your personal access tokens (`me` stands for your id)")
            .protection(Protection::Caller)
            .query::<Cursor>()
            .answers::<Cursored<Token>>(StatusCode::OK),
        list_own,
    )
    .endpoint(
        Endpoint::post(OWN, "Create a personal access token")
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .refuses(ProblemType::Conflict, REVOKED_SINCE)
            .protection(Protection::Caller)
            .body::<CreateToken>()
            .answers::<CreatedToken>(StatusCode::CREATED),
        create_own,
    )
    .endpoint(
        Endpoint::delete(OWN_ONE, "Revoke a personal access token").protection(Protection::Caller),
        revoke_own,
    )
    .endpoint(
        Endpoint::get(OF_ACCOUNT, "List a system account's tokens")
            .query::<Cursor>()
            .answers::<Cursored<Token>>(StatusCode::OK),
        list_of_account,
    )
    .endpoint(
        Endpoint::post(OF_ACCOUNT, "Create a token of a system account")
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .refuses(ProblemType::Conflict, REVOKED_SINCE)
            .body::<CreateToken>()
            .answers::<CreatedToken>(StatusCode::CREATED),
        create_of_account,
    )
    .endpoint(Endpoint::delete(OF_ACCOUNT_ONE, "Revoke a token of a system account"), revoke_of_account)
}

/// The body of a request that makes a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    name: String,
    /// When it expires; in 90 days unless given, and at most 366 days away.
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

/// The caller, if the `user` of the path is the caller. A person sees its own tokens only: other people's are not found.
fn own(caller: &Caller, user: &str) -> Answer<PrincipalId> {
    let is_own = caller.is_user()
        && (user == "me" || user.parse::<UserId>().is_ok_and(|id| id.cast() == caller.principal()));
    if is_own {
        Ok(caller.principal())
    } else {
        Err(Problem::not_found("user with access tokens that you may see").into())
    }
}

async fn list_own(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<Token>>> {
    page(&app, own(&caller, &user)?, &cursor).await
}

async fn create_own(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    key: Option<Key>,
    Json(body): Json<CreateToken>,
) -> Answer<Response> {
    let principal = own(&caller, &user)?;
    // A decision, so that the token carries what authz has applied here.
    caller.require_session().await?;
    create(&app, &caller, principal, TokenKind::Personal, key, body).await
}

async fn revoke_own(
    State(app): State<App>,
    caller: Caller,
    Path((user, token)): Path<(String, TokenId)>,
) -> Answer<StatusCode> {
    end(&app, &caller, own(&caller, &user)?, token).await
}

async fn list_of_account(
    State(app): State<App>,
    caller: Caller,
    Path(account): Path<SystemAccountId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<Token>>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    existing(&app, &caller, account).await?;
    page(&app, account.cast(), &cursor).await
}

async fn create_of_account(
    State(app): State<App>,
    caller: Caller,
    Path(account): Path<SystemAccountId>,
    key: Option<Key>,
    Json(body): Json<CreateToken>,
) -> Answer<Response> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    existing(&app, &caller, account).await?;
    caller.may_confer(account.cast()).await?;
    create(&app, &caller, account.cast(), TokenKind::System, key, body).await
}

async fn revoke_of_account(
    State(app): State<App>,
    caller: Caller,
    Path((account, token)): Path<(SystemAccountId, TokenId)>,
) -> Answer<StatusCode> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    existing(&app, &caller, account).await?;
    end(&app, &caller, account.cast(), token).await
}

async fn page(app: &App, principal: PrincipalId, cursor: &Cursor) -> Answer<Json<Cursored<Token>>> {
    let limit = cursor.limit();
    let tokens = store::list(&app.db, principal, cursor.after()?, limit, app.clock.now()).await?;
    Ok(Json(cursor.page(tokens, |token| token.id)))
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
    let expires_at = body.expires_at.unwrap_or(now + LIFE_DEFAULT);
    if expires_at <= now || expires_at > now + LIFE_MAX {
        let reason = "must lie in the future, at most 366 days away".to_owned();
        return Err(FieldError { field: "expires_at".to_owned(), reason }.into());
    }
    let new = NewToken {
        id: match &key {
            Some(key) => TokenId::from_uuid(key.derived_id("token")),
            None => app.random.id(now),
        },
        principal,
        kind,
        name,
        expires_at,
        vector: caller.seen().of_service(ServiceName::Authz),
    };
    let (organization, region, random) = (caller.organization(), app.region.clone(), app.random.clone());
    let work = app.write(Mutation::by(caller, "token.create").under(key), move |tx| {
        Box::pin(async move {
            if kind == TokenKind::System {
                // The log is locked: nobody can delete the account between this look and the token.
                let account = system_accounts::store::find(tx.connection(), organization, principal.cast());
                account.await?.ok_or(system_accounts::Error::Absent)?;
            }
            let (token, text) = mint(tx, &region, &random, new).await?;
            let id = token.id.to_string();
            let created = CreatedToken { token, text: text.expose().to_owned() };
            Ok(tx.answer(&id, StatusCode::CREATED, &created).await?)
        })
    });
    work.await
}

/// Revokes, and waits until authz refuses the sessions made from the token as well.
async fn end(app: &App, caller: &Caller, principal: PrincipalId, token: TokenId) -> Answer<StatusCode> {
    if store::find(&app.db, principal, token, app.clock.now()).await?.is_none() {
        app.settle().await?;
    }
    let work = app.write(Mutation::by(caller, "token.revoke"), move |tx| {
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
