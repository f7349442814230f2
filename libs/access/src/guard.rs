//! What stands before every handler.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::MethodRouter,
};
use tokio::sync::Semaphore;
use web::{Answer, BODY_BYTES_MAX, ClientAddress, Endpoint, Problem, ProblemType, Protection, RawBody};

use crate::{
    Access, CONSISTENCY, Caller, Event, Happened, Makers, OpaqueToken, PrincipalKind, Refusal, Requested,
    Session, consistency, rates::Network,
};

/// What every signed token starts with: the beginning of a JSON object in base64.
const SIGNED: &str = "ey";
/// Longest token in a header, bytes.
const TOKEN_BYTES_MAX: usize = 4096;
/// Requests with a credential of another kind that are served at once, by each endpoint that takes one. The others wait.
const CREDENTIALS_MAX: usize = 16;

/// Puts before a handler what its [`Protection`] demands.
pub fn guard<S: Clone + Send + Sync + 'static>(
    access: Access,
) -> impl Fn(&Endpoint, MethodRouter<S>) -> MethodRouter<S> + 'static {
    let access = Arc::new(access);
    move |endpoint, route| match endpoint.protection {
        Protection::Public if endpoint.takes_credential => {
            let turns = Arc::new(Semaphore::new(CREDENTIALS_MAX));
            let path: Arc<str> = endpoint.path.as_str().into();
            route.layer(from_fn_with_state((access.clone(), turns, path), with_credential))
        }
        Protection::Public => route,
        protection @ (Protection::Caller | Protection::Decision | Protection::Operator) => {
            let path: Arc<str> = endpoint.path.as_str().into();
            route.layer(from_fn_with_state((access.clone(), protection, path), guarded))
        }
    }
}

/// No guard: for a router that only describes itself and never serves.
pub fn unguarded<S>(_endpoint: &Endpoint, route: MethodRouter<S>) -> MethodRouter<S> {
    route
}

/// For a request whose credential its handler checks: few are served at once, and an address that has tried too many is not heard. The
/// handler finds in the request's extensions what the audit log says of it (`Arc<Requested>`).
async fn with_credential(
    State((access, turns, route)): State<(Arc<Access>, Arc<Semaphore>, Arc<str>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let requested = Arc::new(Requested::of(&request, route, access.clients_kept_in.as_ref()));
    request.extensions_mut().insert(requested);
    request.extensions_mut().insert(Makers::new(access.decisions.clone()));
    let address = network(&request);
    if let Err(problem) = access.rates.hears(address) {
        return problem.into_response();
    }
    // Read first, so that nobody keeps a turn by sending slowly.
    let request = match read_whole(request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let _turn = turns.acquire().await;
    // Others of the same address may have been refused meanwhile.
    if let Err(problem) = access.rates.hears(address) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        access.rates.was_refused(address);
    }
    response
}

async fn guarded(
    State((access, protection, route)): State<(Arc<Access>, Protection, Arc<str>)>,
    request: Request,
    next: Next,
) -> Response {
    let requested = Arc::new(Requested::of(&request, route, access.clients_kept_in.as_ref()));
    let (arrived, mut request) = match access.admit(request, protection, requested).await {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    let caller = arrived.caller;
    let answers_token = arrived.sent_token || !request.method().is_safe();
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    // A request that the home region refused is reported there: its problem comes as bytes.
    if let Some(problem) = response.extensions().get::<ProblemType>() {
        caller.was_refused(*problem);
    }
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

async fn read_whole(request: Request) -> Answer<Request> {
    let (parts, body) = request.into_parts();
    let RawBody(body) = RawBody::<BODY_BYTES_MAX>::from_request(Request::new(body), &()).await?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn network(request: &Request) -> Option<Network> {
    request.extensions().get::<ClientAddress>().copied().map(Network::of)
}

/// A request that may go on.
struct Arrived {
    caller: Caller,
    /// Whether it carries a consistency token.
    sent_token: bool,
}

/// A token in the form of one.
enum Bearer<'h> {
    Opaque(OpaqueToken),
    Signed(&'h str),
}

impl Access {
    /// The consistency token of an answer. It covers what the decisions were made on, what the request wrote, and what was
    /// in the rows that it read.
    async fn consistency_token(&self, caller: &Caller) -> Answer<HeaderValue> {
        let organization = caller.organization();
        let mut seen = caller.seen();
        if caller.reads_rows() {
            seen.merge(&self.consistency.rows(organization).await?);
        }
        self.consistency.seal(organization, seen, &caller.places())
    }

    /// Finds out who sends the request, and charges it to them.
    async fn admit(
        &self,
        request: Request,
        protection: Protection,
        requested: Arc<Requested>,
    ) -> Answer<(Arrived, Request)> {
        let arrived = self.arrive(request.headers(), network(&request), protection, requested).await?;
        let (parts, body) = request.into_parts();
        let body = self.rates.charge(&arrived.caller.session, body)?;
        Ok((arrived, Request::from_parts(parts, body)))
    }

    /// Waits for what the request's consistency token names, and then finds out who sends the request.
    async fn arrive(
        &self,
        headers: &HeaderMap,
        address: Option<Network>,
        protection: Protection,
        requested: Arc<Requested>,
    ) -> Answer<Arrived> {
        let text = bearer(headers)?;
        let Some(bearer) = self.read(text) else { return Err(self.refuse(Refusal::Unknown, address)) };
        let sent = self.consistency.read(headers)?;
        let is_news = match &sent {
            Some(sent) => self.consistency.wait(&sent.token).await?,
            None => false,
        };
        let resolved = match &bearer {
            Bearer::Opaque(token) => {
                // What was waited for may be the end of this very token.
                if is_news {
                    self.sessions.forget(token).await;
                }
                self.resolve(token, address).await?
            }
            Bearer::Signed(text) => self.keys.verify(text, || self.rates.hears(address)).await?,
        };
        let session = match resolved {
            Ok(session) => session,
            Err(refusal) => {
                self.report_refusal(refusal, &requested);
                return Err(match refusal {
                    // Its token is real.
                    Refusal::Inactive(_) => Problem::organization_inactive(),
                    refusal => self.refuse(refusal, address),
                });
            }
        };
        belongs_here(&session, protection)?;
        if sent.as_ref().is_some_and(|sent| sent.token.organization != session.organization) {
            return Err(consistency::foreign());
        }
        let sent_token = sent.is_some();
        let (minimum, places) = sent.map(|sent| (sent.token.vector, sent.places)).unwrap_or_default();
        let shown = match &bearer {
            Bearer::Opaque(token) => Some(token.sha256()),
            Bearer::Signed(_) => None,
        };
        let seen = (minimum, places);
        let means = (self.decisions.clone(), self.turns.clone(), self.reporter.clone());
        let caller = Caller::new(session, shown, seen, means, requested);
        // No decision will find out whether a signed token's session has ended. An opaque token was just resolved.
        if protection == Protection::Caller
            && shown.is_none()
            && let Err(problem) = caller.require_session().await
        {
            caller.was_refused(problem.kind);
            return Err(problem);
        }
        Ok(Arrived { caller, sent_token })
    }

    /// Tells the audit log of a token that opens nothing, if it is known whose it is.
    fn report_refusal(&self, refusal: Refusal, requested: &Arc<Requested>) {
        let (whose, happened) = match refusal {
            Refusal::Ended(whose) => (whose, Happened::NotAuthenticated(ProblemType::Unauthenticated)),
            Refusal::Inactive(whose) => (whose, Happened::Denied(None, ProblemType::OrganizationInactive)),
            Refusal::Unknown => return,
        };
        if let Some(whose) = whose {
            self.reporter.report(Event { whose, happened, requested: requested.traced() });
        }
    }

    /// A text that cannot be a token is refused before anything is waited for.
    fn read<'h>(&self, text: &'h str) -> Option<Bearer<'h>> {
        match text.starts_with(SIGNED) {
            true => Some(Bearer::Signed(text)),
            false => self.tokens.read(text).map(Bearer::Opaque),
        }
    }

    /// Whose token it is. One that could be made up has to wait for its turn, and is not asked about at all if its address has shown
    /// too many of that sort.
    async fn resolve(
        &self,
        token: &OpaqueToken,
        address: Option<Network>,
    ) -> Answer<Result<Session, Refusal>> {
        if self.sessions.is_real(token).await {
            return Ok(self.sessions.resolve(token).await?);
        }
        self.rates.hears(address)?;
        let _turn = self.sessions.turn().await?;
        // Others of the same address may have been refused meanwhile.
        self.rates.hears(address)?;
        Ok(self.sessions.resolve(token).await?)
    }

    /// The answer to a token that opens nothing. An address that sends too many is told to wait, unless the token was once real: its
    /// holder has to learn that it has ended, whoever else sends from there.
    fn refuse(&self, refusal: Refusal, address: Option<Network>) -> Problem {
        let beyond = self.rates.hears(address).err();
        self.rates.was_refused(address);
        match (refusal, beyond) {
            (Refusal::Unknown, Some(beyond)) => beyond,
            (refusal, _) => refused(refusal),
        }
    }
}

fn refused(refusal: Refusal) -> Problem {
    Problem::unauthenticated(match refusal {
        Refusal::Unknown => "the token is not known; check that it was copied whole",
        Refusal::Ended(_) => "the token is revoked or has expired",
        Refusal::Inactive(_) => return Problem::organization_inactive(),
    })
}

/// The platform operator calls what is the operator's and nothing else; nobody else calls that.
fn belongs_here(session: &Session, protection: Protection) -> Answer<()> {
    match (session.kind == PrincipalKind::Operator, protection == Protection::Operator) {
        (true, false) => Err(Problem::forbidden(
            "the platform operator can call nothing of an organization; use a token of one",
        )),
        (false, true) => Err(Problem::forbidden("only the platform operator can do this")),
        (true, true) | (false, false) => Ok(()),
    }
}

/// The token of the request.
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
