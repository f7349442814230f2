//! Tokens of system accounts.

use access::{Action, Caller, Resource, TokenKind};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{PrincipalId, SystemAccountId, TokenId};
use mutation::{Key, Mutation};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Listed, Paging, Path, Problem, ProblemType, Protection, Query, text};

use super::{
    CreateToken, CreatedToken, Error, REVOKED_SINCE, TOO_MANY, Token, create, end, page,
    rotate::{NOT_ITS_HOLDER, RotateToken, rotate},
    store,
};
use crate::{
    app::App, error::Answer, operation::RENAMES_GENERATION, system_accounts::http::existing, tokens::rename,
};

/// Adds the endpoints of system accounts' tokens.
pub(super) fn endpoints(api: Api<App>) -> Api<App> {
    const OF_ACCOUNT: &str = "/v3/system-accounts/{account_id}/access-tokens";
    const OF_ACCOUNT_ONE: &str = "/v3/system-accounts/{account_id}/access-tokens/{token_id}";
    api.endpoint(
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

/// The body of a request that changes a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateToken {
    /// What it is called from now on.
    name: Option<String>,
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
    end(&app, &caller, Mutation::by(&caller, "token.revoke"), account.cast(), token).await
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
