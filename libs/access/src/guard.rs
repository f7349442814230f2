//! What stands before every handler.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use web::{Answer, Problem, Protection};

use crate::{Access, Caller, OpaqueToken, Refusal, Session};

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
    match access.authenticate(request.headers()).await {
        Ok(session) => {
            request.extensions_mut().insert(Caller::new(session, access.decisions.clone()));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// As [`authenticated`], and withholds every answer but a refusal when the handler took no decision: a handler that
/// forgot to ask is a fault of ours, not an open door.
async fn decided(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let session = match access.authenticate(request.headers()).await {
        Ok(session) => session,
        Err(problem) => return problem.into_response(),
    };
    let caller = Caller::new(session, access.decisions.clone());
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
    pub async fn authenticate(&self, headers: &HeaderMap) -> Answer<Session> {
        let token = bearer(headers)?;
        let resolved = match OpaqueToken::parse(token) {
            Some(token) => self.sessions.resolve(&token).await?,
            None if token.starts_with("ey") => self.keys.verify(token).await?,
            None => Err(Refusal::Unknown),
        };
        resolved.map_err(|refusal| {
            Problem::unauthenticated(match refusal {
                Refusal::Unknown => "the token is not known; check that it was copied whole",
                Refusal::Ended => "the token is revoked or has expired",
            })
        })
    }
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
