//! Short-lived signed tokens over HTTP: `POST /v1/token` makes one from an access token, and `GET /v1/jwks.json` lists the
//! keys to verify them with.

use access::Caller;
use axum::{extract::State, http::StatusCode};
use ids::ServiceName;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Problem, ProblemType, Protection};

use super::TOKEN_LIFE_SECONDS;
use crate::{app::App, error::Answer};

/// To a caller that shows what this endpoint makes.
const SIGNED: &str = "a signed token cannot be exchanged; send an access token (lbp_… or lbs_…)";

/// Adds the endpoints of short-lived tokens.
pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::post("/v1/token", "Exchange an access token for a short-lived signed token")
            .refuses(ProblemType::Forbidden, SIGNED)
            .protection(Protection::Caller)
            .answers::<ShortLivedToken>(StatusCode::OK),
        exchange,
    )
    .endpoint(
        Endpoint::get("/v1/jwks.json", "Public keys of signed tokens (RFC 7517)")
            .protection(Protection::Public)
            .answers::<Value>(StatusCode::OK),
        jwks,
    )
}

/// A short-lived signed token, in the form of OAuth 2.0 (RFC 6749).
#[derive(Serialize, ToSchema)]
struct ShortLivedToken {
    /// The signed token: a JWT.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
}

async fn exchange(State(app): State<App>, caller: Caller) -> Answer<Json<ShortLivedToken>> {
    if caller.shown.is_none() {
        return Err(Problem::forbidden(SIGNED).into());
    }
    // Its session is asked about in authz, so that the token carries what authz has applied by now.
    caller.require_session().await?;
    let mut session = caller.session.clone();
    session.vector.merge(&caller.seen().of_service(ServiceName::Authz));
    let now = app.clock.unix_seconds();
    let access_token = app.keys.sign(&session, now).await?;
    caller.signed_on("token.exchange");
    let expires_in = TOKEN_LIFE_SECONDS.min(session.expires_at - now);
    Ok(Json(ShortLivedToken { access_token, token_type: "Bearer", expires_in }))
}

async fn jwks(State(app): State<App>) -> Answer<Json<Value>> {
    Ok(Json(app.keys.jwks().await?))
}
