//! What stands before every handler.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use web::{Answer, Endpoint, Problem, Protection};

use crate::{Access, CONSISTENCY, Caller, OpaqueToken, Refusal, consistency};

/// What every signed token starts with: the beginning of a JSON object in base64.
const SIGNED: &str = "ey";
/// Longest token in a header, bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// Puts before a handler what its [`Protection`] demands.
pub fn guard<S: Clone + Send + Sync + 'static>(
    access: Access,
) -> impl Fn(Protection, MethodRouter<S>) -> MethodRouter<S> + 'static {
    let access = Arc::new(access);
    move |protection, route| match protection {
        Protection::Public => route,
        Protection::Caller | Protection::Decision => {
            route.layer(from_fn_with_state((access.clone(), protection), guarded))
        }
    }
}

/// No guard: for a router that only describes itself and never serves.
pub fn unguarded<S>(_endpoint: &Endpoint, route: MethodRouter<S>) -> MethodRouter<S> {
    route
}

async fn guarded(
    State((access, protection)): State<(Arc<Access>, Protection)>,
    mut request: Request,
    next: Next,
) -> Response {
    let arrived = match access.arrive(request.headers(), protection).await {
        Ok(arrived) => arrived,
        Err(problem) => return problem.into_response(),
    };
    let caller = arrived.caller;
    let answers_token = arrived.sent_token || !request.method().is_safe();
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    // A handler that forgot to ask is a fault of ours, not an open door.
    if protection == Protection::Decision && response.status().is_success() && !caller.was_decided() {
        response = Problem::internal(format!("{path} answered without a decision")).into_response();
    }
    // An answer from the organization's home carries its own token, which covers the request's.
    if answers_token && !response.headers().contains_key(CONSISTENCY) {
        match access.consistency_token(&caller).await {
            Ok(token) => drop(response.headers_mut().insert(CONSISTENCY, token)),
            Err(problem) => return problem.into_response(),
        }
    }
    response
}

/// A request that may go on.
struct Arrived {
    caller: Caller,
    /// Whether it carries a consistency token.
    sent_token: bool,
}

impl Access {
    /// The consistency token of an answer. It covers what the decisions were made on, what the request wrote, and what was
    /// in the rows that it read.
    async fn consistency_token(&self, caller: &Caller) -> Answer<HeaderValue> {
        let organization = caller.organization();
        let mut seen = caller.seen();
        seen.merge(&self.consistency.rows(organization).await?);
        self.consistency.seal(organization, seen)
    }

    /// Waits for what the request's consistency token names, and then finds out who sends the request.
    async fn arrive(&self, headers: &HeaderMap, protection: Protection) -> Answer<Arrived> {
        let bearer = bearer(headers)?;
        let sent = self.consistency.read(headers)?;
        let is_news = match &sent {
            Some(token) => self.consistency.wait(token).await?,
            None => false,
        };
        let resolved = match OpaqueToken::parse(bearer) {
            Some(token) => {
                // What was waited for may be the end of this very token.
                if is_news {
                    self.sessions.forget(&token).await;
                }
                self.sessions.resolve(&token).await?
            }
            None if bearer.starts_with(SIGNED) => self.keys.verify(bearer).await?,
            None => Err(Refusal::Unknown),
        };
        let session = resolved.map_err(refused)?;
        if sent.as_ref().is_some_and(|token| token.organization != session.organization) {
            return Err(consistency::foreign());
        }
        let sent_token = sent.is_some();
        let minimum = sent.map(|token| token.vector).unwrap_or_default();
        let caller = Caller::new(session, minimum, self.decisions.clone());
        // No decision will find out whether a signed token's session has ended. An opaque token was just resolved.
        if protection == Protection::Caller && bearer.starts_with(SIGNED) {
            caller.require_session().await?;
        }
        Ok(Arrived { caller, sent_token })
    }
}

fn refused(refusal: Refusal) -> Problem {
    Problem::unauthenticated(match refusal {
        Refusal::Unknown => "the token is not known; check that it was copied whole",
        Refusal::Ended => "the token is revoked or has expired",
    })
}

/// The token of the request, in the form of one. A text that cannot be a token is refused before anything is waited for.
fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| Problem::unauthenticated("send the header `Authorization: Bearer <token>`"))?;
    let text =
        value.to_str().map_err(|_| Problem::unauthenticated("the Authorization header is not text"))?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN_BYTES_MAX => {
            token.trim()
        }
        _ => return Err(Problem::unauthenticated("send the header `Authorization: Bearer <token>`")),
    };
    if token.starts_with(SIGNED) || OpaqueToken::parse(token).is_some() {
        Ok(token)
    } else {
        Err(refused(Refusal::Unknown))
    }
}
