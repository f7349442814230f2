//! Access tokens over HTTP: the caller's own, and those of system accounts. Served in every region.

use access::{Action, Caller, Resource, TokenKind};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{PrincipalId, ServiceName, SystemAccountId, TokenId, UserId};
use mutation::{Key, Mutation};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use web::{
    Api, Endpoint, FieldError, Json, Listed, Paging, Path, Problem, ProblemType, Protection, Query, text,
};

use super::{Error, Name, NewToken, Token, mint, rename, revoke, store};
use crate::{
    app::{App, Tx},
    error::Answer,
    operation::{RENAMES_GENERATION, ReplacedText},
    revocations::Ended,
    system_accounts::{self, http::existing},
};

/// Life of a token whose maker names no end.
const LIFE_DEFAULT: Duration = Duration::days(90);
/// Longest life of a token.
const LIFE_MAX: Duration = Duration::days(366);
/// Longest time that the old text of a rotated token goes on, seconds.
const OVERLAP_SECONDS_MAX: u32 = 24 * 3600;

/// Examples of refusals.
const TOO_MANY: &str = "at most 10 tokens can be active; revoke one first";
const NOT_ITS_HOLDER: &str = "send this request with the access token that is to be rotated";
const REVOKED_SINCE: &str = "the token that this request made has been revoked since";

/// Adds the endpoints of access tokens.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const OWN: &str = "/v3/users/{user_id}/access-tokens";
    const OWN_ONE: &str = "/v3/users/{user_id}/access-tokens/{token_id}";
    const OF_ACCOUNT: &str = "/v3/system-accounts/{account_id}/access-tokens";
    const OF_ACCOUNT_ONE: &str = "/v3/system-accounts/{account_id}/access-tokens/{token_id}";
    api.endpoint(
        Endpoint::get(OWN, "List your personal access tokens (`me` stands for your id)")
            .home()
            .protection(Protection::Caller)
            .query::<Paging>()
            .answers::<Listed<Token>>(StatusCode::OK),
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
        Endpoint::post(
            format!("{OWN_ONE}/rotate"),
            "Give the token of this request a new text, which replaces its old one",
        )
        .refuses(ProblemType::Forbidden, NOT_ITS_HOLDER)
        .protection(Protection::Caller)
        .body::<RotateToken>()
        .answers::<CreatedToken>(StatusCode::CREATED),
        rotate_own,
    )
    .endpoint(
        Endpoint::post(
            format!("{OF_ACCOUNT_ONE}/rotate"),
            "Give the system account's token of this request a new text, which replaces its old one",
        )
        .refuses(ProblemType::Forbidden, NOT_ITS_HOLDER)
        .protection(Protection::Caller)
        .body::<RotateToken>()
        .answers::<CreatedToken>(StatusCode::CREATED),
        rotate_of_account,
    )
    .endpoint(
        Endpoint::get(OF_ACCOUNT, "List a system account's tokens")
            .query::<Paging>()
            .answers::<Listed<Token>>(StatusCode::OK),
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
    .endpoint(
        Endpoint::get(OF_ACCOUNT_ONE, "One token of a system account, unless it was revoked")
            .answers::<Token>(StatusCode::OK),
        get_of_account,
    )
    .endpoint(
        Endpoint::patch(OF_ACCOUNT_ONE, "Rename a token of a system account")
            .home()
            .body::<UpdateToken>()
            .answers::<Token>(StatusCode::OK),
        rename_of_account,
    )
    .endpoint(Endpoint::delete(OF_ACCOUNT_ONE, "Revoke a token of a system account"), revoke_of_account)
}

/// The body of a request that makes a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    name: String,
    /// When it expires: at most 366 days away, and not after the token that the request is sent with, or that its signed token was
    /// made from. In 90 days unless given, or with that token if that is earlier. It ends with that token in any case.
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

/// The body of a request that changes a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateToken {
    /// What it is called from now on.
    name: Option<String>,
}

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
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<Token>>> {
    page(&app, own(&caller, &user)?, &paging).await
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
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<Token>>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    existing(&app, &caller, account).await?;
    page(&app, account.cast(), &paging).await
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

async fn get_of_account(
    State(app): State<App>,
    caller: Caller,
    Path((account, token)): Path<(SystemAccountId, TokenId)>,
) -> Answer<Json<Token>> {
    caller.may(Action::IamReadSystemAccounts, &Resource::Iam).await?;
    existing(&app, &caller, account).await?;
    live(&app, account.cast(), token).await.map(Json)
}

/// The token, unless it was revoked; 404 only if it is certain that it is not on its way from another region.
async fn live(app: &App, principal: PrincipalId, id: TokenId) -> Answer<Token> {
    let find = async || store::find_live(&app.db, principal, id, app.clock.now()).await;
    if let Some(found) = find().await? {
        return Ok(found);
    }
    app.settle().await?;
    Ok(find().await?.ok_or(Error::Absent)?)
}

async fn rename_of_account(
    State(app): State<App>,
    caller: Caller,
    Path((account, token)): Path<(SystemAccountId, TokenId)>,
    Json(body): Json<UpdateToken>,
) -> Answer<Json<Token>> {
    caller.may(Action::IamManageSystemAccounts, &Resource::Iam).await?;
    let name = body.name.map(|name| text::name("name", &name)).transpose()?;
    existing(&app, &caller, account).await?;
    live(&app, account.cast(), token).await?;
    if !app.replication.all_read(RENAMES_GENERATION) {
        return Err(Error::RenamedTooEarly.into());
    }
    let work = app.write(Mutation::by(&caller, "token.update"), move |tx| {
        Box::pin(async move {
            let renamed = rename(tx, account.cast(), token, name).await?;
            tx.audit(&token.to_string()).await?;
            Ok(renamed)
        })
    });
    work.await.map(Json)
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

async fn page(app: &App, principal: PrincipalId, paging: &Paging) -> Answer<Json<Listed<Token>>> {
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
    let parent = caller.session.id;
    let latest = latest_end(app, caller, parent).await?.min(now + LIFE_MAX);
    let expires_at = end_within(body.expires_at, now + LIFE_DEFAULT, now, latest)?;
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
        parent: Some(parent),
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

/// When the token `id` of the caller's organization ends: what is made with it ends no later.
async fn latest_end(app: &App, caller: &Caller, id: TokenId) -> Answer<OffsetDateTime> {
    let find = async || store::expiry_of(&app.db, caller.organization(), id).await;
    if let Some(end) = find().await? {
        return Ok(end);
    }
    // A signed token can be used in a region before the access token behind it has arrived there.
    app.settle().await?;
    Ok(find().await?.ok_or(Error::ParentNotArrived)?)
}

/// The end that was asked for, or `default`. One that was asked for is never shortened: what lies behind `latest` is refused.
fn end_within(
    asked: Option<OffsetDateTime>,
    default: OffsetDateTime,
    now: OffsetDateTime,
    latest: OffsetDateTime,
) -> Result<OffsetDateTime, FieldError> {
    let Some(asked) = asked else { return Ok(default.min(latest)) };
    if asked > now && asked <= latest {
        return Ok(asked);
    }
    let shown = latest.format(&Rfc3339).unwrap_or_else(|_| latest.to_string());
    let reason = format!(
        "must lie in the future and at the latest at {shown}: 366 days from now, or the end of the token that it is made with"
    );
    Err(FieldError { field: "expires_at".to_owned(), reason })
}

async fn rotate_own(
    State(app): State<App>,
    caller: Caller,
    Path((user, token)): Path<(String, TokenId)>,
    key: Option<Key>,
    Json(body): Json<RotateToken>,
) -> Answer<Response> {
    let principal = own(&caller, &user)?;
    rotate(&app, &caller, (principal, token), TokenKind::Personal, key, body).await
}

async fn rotate_of_account(
    State(app): State<App>,
    caller: Caller,
    Path((account, token)): Path<(SystemAccountId, TokenId)>,
    key: Option<Key>,
    Json(body): Json<RotateToken>,
) -> Answer<Response> {
    if caller.is_user() || caller.principal() != account.cast() {
        // Of another organization's account, nobody learns that it is there.
        existing(&app, &caller, account).await?;
        return Err(Problem::forbidden(NOT_ITS_HOLDER).into());
    }
    rotate(&app, &caller, (account.cast(), token), TokenKind::System, key, body).await
}

/// Replaces the text that the request was sent with. The token keeps its id, and what was made with it lives on. A signed token rotates
/// nothing: it would turn five minutes into a year.
async fn rotate(
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
        Some(parent) => latest_end(app, caller, parent).await?.min(now + LIFE_MAX),
        None => now + LIFE_MAX,
    };
    let expires_at = end_within(body.expires_at, now + (before.expires_at - before.created_at), now, latest)?;
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
            no_earlier_than_descendants(tx, id, expires_at).await?;
            let (token, text) = mint(tx, &maker, new).await?;
            let created = CreatedToken { token, text: text.expose().to_owned() };
            Ok(tx.answer(&id.to_string(), StatusCode::CREATED, &created).await?)
        })
    });
    let response = work.await?;
    app.announcer.announce(Ended::Session(id)).await;
    Ok(response)
}

/// Refuses an end of the token `id` that what was made with it would outlive.
async fn no_earlier_than_descendants(tx: &mut Tx<'_>, id: TokenId, end: OffsetDateTime) -> Answer<()> {
    let (organization, now) = (tx.organization(), tx.at());
    let below = store::descendants(tx.connection(), organization, &[id], now).await?;
    let Some(last) = below.into_iter().map(|(_, end)| end).max().filter(|last| *last > end) else {
        return Ok(());
    };
    let shown = last.format(&Rfc3339).unwrap_or_else(|_| last.to_string());
    let reason = format!(
        "must not lie before {shown}, when the last token that was made with it ends; revoke that one first"
    );
    Err(FieldError { field: "expires_at".to_owned(), reason }.into())
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
