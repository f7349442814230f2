//! `POST /v1/token`: an access token in, a short-lived signed token out. And the keys to verify it with.

use crate::Answer;
use access::Caller;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Problem, ProblemType, Protection};

use crate::{app::App, signing_keys::TOKEN_LIFE_SECONDS};

pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::post("/v1/token", "Exchange an access token for a short-lived signed token")
            .refuses(
                ProblemType::Forbidden,
                "a signed token cannot be exchanged; send an access token (lbp_… or lbs_…)",
            )
            .protection(Protection::Caller)
            .answers::<ShortLivedToken>(StatusCode::OK),
        exchange,
    )
    .endpoint(
        Endpoint::get("/v1/jwks.json", "Public keys of signed tokens (RFC 7517)")
            .protection(Protection::Public)
            .answers::<serde_json::Value>(StatusCode::OK),
        jwks,
    )
}

#[derive(Serialize, ToSchema)]
struct ShortLivedToken {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
}

async fn exchange(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Answer<Json<ShortLivedToken>> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !bearer.contains(" lbp_") && !bearer.contains(" lbs_") {
        return Err(Problem::forbidden(
            "a signed token cannot be exchanged; send an access token (lbp_… or lbs_…)",
        )
        .into());
    }
    // Its session is asked about in authz, so that the token carries what authz has applied by now.
    caller.require_session().await?;
    let mut session = caller.session.clone();
    session.vector.merge(&caller.seen().of_service("authz"));
    let now = app.clock.unix_seconds();
    let access_token = app.keys.sign(&session, now).await?;
    let expires_in = TOKEN_LIFE_SECONDS.min(session.expires_at - now);
    Ok(Json(ShortLivedToken { access_token, token_type: "Bearer", expires_in }))
}

async fn jwks(State(app): State<App>) -> Answer<Json<serde_json::Value>> {
    Ok(Json(app.keys.jwks().await?))
}
