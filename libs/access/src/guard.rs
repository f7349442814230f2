//! What stands before every handler.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use web::{Answer, Problem, Protection};

use crate::{Access, Caller, OpaqueToken, Refusal};

/// What every signed token starts with: the beginning of a JSON object in base64.
const SIGNED: &str = "ey";
/// Longest token in a header, bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// Puts before a handler what its [`Protection`] demands.
pub fn guard<S: Clone + Send + Sync + 'static>(
    access: Access,
) -> impl Fn(Protection, MethodRouter<S>) -> MethodRouter<S> + 'static {
    move |protection, route| match protection {
        Protection::Public => route,
        Protection::Caller => route.layer(from_fn_with_state(access.clone(), authenticated)),
        Protection::Decision => route.layer(from_fn_with_state(access.clone(), decided)),
    }
}

/// No guard: for a router that only describes itself and never serves.
pub fn unguarded<S>(_protection: Protection, route: MethodRouter<S>) -> MethodRouter<S> {
    route
}

async fn authenticated(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let caller = match access.caller(request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    // No decision will find out whether a signed token's session has ended. An opaque token was just resolved.
    if is_signed(request.headers())
        && let Err(problem) = caller.require_session().await
    {
        return problem.into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// As [`authenticated`], and withholds every answer but a refusal when the handler took no decision: a handler that
/// forgot to ask is a fault of ours, not an open door.
async fn decided(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let caller = match access.caller(request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(caller.clone());
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if response.status().is_success() && !caller.was_decided() {
        return Problem::internal(format!("{path} answered without a decision")).into_response();
    }
    response
}

impl Access {
    /// Who makes a request with these headers.
    async fn caller(&self, headers: &HeaderMap) -> Answer<Caller> {
        let token = bearer(headers)?;
        let resolved = match OpaqueToken::parse(token) {
            Some(token) => self.sessions.resolve(&token).await?,
            None if token.starts_with(SIGNED) => self.keys.verify(token).await?,
            None => Err(Refusal::Unknown),
        };
        let caller = resolved.map(|session| Caller::new(session, self.decisions.clone()));
        caller.map_err(|refusal| {
            Problem::unauthenticated(match refusal {
                Refusal::Unknown => "the token is not known; check that it was copied whole",
                Refusal::Ended => "the token is revoked or has expired",
            })
        })
    }
}

fn is_signed(headers: &HeaderMap) -> bool {
    bearer(headers).is_ok_and(|token| token.starts_with(SIGNED))
}

fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| Problem::unauthenticated("send the header `Authorization: Bearer <token>`"))?;
    let text =
        value.to_str().map_err(|_| Problem::unauthenticated("the Authorization header is not text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN_BYTES_MAX => {
            Ok(token.trim())
        }
        _ => Err(Problem::unauthenticated("send the header `Authorization: Bearer <token>`")),
    }
}
