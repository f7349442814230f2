//! The caller's own tokens.

use access::{Caller, TokenKind};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{PrincipalId, TokenId, UserId};
use mutation::{Key, Mutation};
use web::{Api, Endpoint, Json, Listed, Paging, Path, Problem, ProblemType, Protection, Query};

use super::{
    CreateToken, CreatedToken, REVOKED_SINCE, TOO_MANY, Token, create, end, page,
    rotate::{NOT_ITS_HOLDER, RotateToken, rotate},
};
use crate::{app::App, error::Answer};

/// Adds the endpoints of the caller's own tokens.
pub(super) fn endpoints(api: Api<App>) -> Api<App> {
    const OWN: &str = "/v3/users/{user_id}/access-tokens";
    const OWN_ONE: &str = "/v3/users/{user_id}/access-tokens/{token_id}";
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
        Endpoint::patch(
            format!("{OWN_ONE}/revoke"),
            "Revoke a personal access token, as Konnect's clients do it",
        )
        .protection(Protection::Caller),
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
}

/// The caller, if the `user` of the path is the caller. A person sees its own tokens only: other people's are not found.
pub(crate) fn oneself(caller: &Caller, user: &str) -> Answer<PrincipalId> {
    let is_own = caller.is_user()
        && (user == "me" || user.parse::<UserId>().is_ok_and(|id| id.cast() == caller.principal()));
    if is_own {
        Ok(caller.principal())
    } else {
        Err(Problem::not_found("user whose tokens and sessions you may see").into())
    }
}

async fn list_own(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<Json<Listed<Token>>> {
    page(&app, oneself(&caller, &user)?, &paging).await
}

async fn create_own(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    key: Option<Key>,
    Json(body): Json<CreateToken>,
) -> Answer<Response> {
    let principal = oneself(&caller, &user)?;
    // A decision, so that the token carries what authz has applied here.
    caller.require_session().await?;
    create(&app, &caller, principal, TokenKind::Personal, key, body).await
}

async fn revoke_own(
    State(app): State<App>,
    caller: Caller,
    Path((user, token)): Path<(String, TokenId)>,
) -> Answer<StatusCode> {
    let principal = oneself(&caller, &user)?;
    end(&app, &caller, Mutation::by(&caller, "token.revoke"), principal, token).await
}

async fn rotate_own(
    State(app): State<App>,
    caller: Caller,
    Path((user, token)): Path<(String, TokenId)>,
    key: Option<Key>,
    Json(body): Json<RotateToken>,
) -> Answer<Response> {
    let principal = oneself(&caller, &user)?;
    rotate(&app, &caller, (principal, token), TokenKind::Personal, key, body).await
}
