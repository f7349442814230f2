//! What the audit log is told of requests that write nothing: those that were refused, and sign-ons.
//!
//! A request never waits for it. [`Reporter`] puts an [`Event`] into a bounded queue, which whoever keeps the audit log reads
//! ([`Reports`]). Where the queue is full, the event is dropped and counted for its organization.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::Request,
    http::{HeaderName, Method, header},
};
use ids::{OrganizationId, PrincipalId, Region, TokenId};
use policy::Action;
use tokio::sync::mpsc::{self, error::TrySendError};
use web::{ClientAddress, ForwardedFor, ProblemType};

use crate::{PrincipalKind, Session};

/// Events that wait to be written.
const WAITING_MAX: usize = 4096;
/// Organizations of which it is known how many events were dropped. What is dropped of further ones counts for none.
const DROPPED_ORGANIZATIONS_MAX: usize = 1024;
/// Longest path of a request that is kept, bytes.
const PATH_BYTES_MAX: usize = 256;
/// Longest id of a request that is kept, bytes. A client may choose it.
const ID_BYTES_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest `User-Agent` that is kept, characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// What sent a request: personal data, which is kept in the home region of an organization and nowhere else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// The region that the request has come to.
    pub region: Region,
    /// Its address, if somebody who is believed says it.
    pub address: Option<IpAddr>,
    /// What it says itself that it is; may be empty.
    pub user_agent: Box<str>,
}

/// Nothing of it, so that it is in no log.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Whatever has sent `request`, which has come to `region`.
    fn of(request: &Request, region: &Region) -> Self {
        let extensions = request.extensions();
        let here = extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address);
        let elsewhere = || extensions.get::<ForwardedFor>().map(|ForwardedFor(address)| *address);
        let text = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let text = text.unwrap_or_default().chars();
        let user_agent: String = text.filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect();
        Self { region: region.clone(), address: here.or_else(elsewhere), user_agent: user_agent.into() }
    }
}

/// What was asked for, as the audit log says it. Nothing in it is personal data but for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The HTTP method.
    pub method: Method,
    /// The endpoint's path with parameters in braces, as in `/v3/teams/{team_id}`.
    pub route: Arc<str>,
    /// The path of the request, cut off after 256 bytes. It has no query.
    pub path: Box<str>,
    /// The id by which logs and problems know the request; empty where it has none.
    pub id: Box<str>,
    /// The id of its trace, 32 hexadecimal digits; empty outside of a trace, and of a request that only reads until it is reported.
    pub trace: Box<str>,
    /// What sent it, in a service that keeps that.
    pub client: Option<Client>,
}

impl Requested {
    /// What `request`, which came to the endpoint at `route`, asks for; and what sent it, in a service that keeps that, in `kept_in`.
    pub(crate) fn of(request: &Request, route: Arc<str>, kept_in: Option<&Region>) -> Self {
        let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        // Of a request that only reads, it is seldom needed.
        let trace = if request.method().is_safe() { "".into() } else { trace() };
        Self {
            method: request.method().clone(),
            route,
            path: cut(request.uri().path(), PATH_BYTES_MAX).into(),
            id: cut(id, ID_BYTES_MAX).into(),
            trace,
            client: kept_in.map(|region| Client::of(request, region)),
        }
    }

    /// The same with the id of the current trace, if it has none.
    pub(crate) fn traced(self: &Arc<Self>) -> Arc<Self> {
        match self.trace.is_empty() {
            true => Arc::new(Self { trace: trace(), ..Self::clone(self) }),
            false => self.clone(),
        }
    }
}

/// The id of the current trace; empty outside of one.
fn trace() -> Box<str> {
    telemetry::traceparent().split('-').nth(1).unwrap_or_default().into()
}

/// The beginning of `text`, at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// Whom a token belongs to, also one that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The principal's organization.
    pub organization: OrganizationId,
    /// The user or system account.
    pub principal: PrincipalId,
    /// What it is.
    pub kind: PrincipalKind,
    /// The access token behind it all; `None` where nobody's token was used, as by somebody who fails to sign on.
    pub session: Option<TokenId>,
}

impl From<&Session> for Whose {
    fn from(session: &Session) -> Self {
        Self {
            organization: session.organization,
            principal: session.principal,
            kind: session.kind,
            session: Some(session.id),
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was refused with 403. The action is that of the decision; `None` where the endpoint's own rules refused it.
    Denied(Option<Action>, ProblemType),
    /// It was refused with 401: its token was known, and has ended.
    NotAuthenticated(ProblemType),
    /// Its caller got a credential by it that was not written anywhere, under this name, as in `token.exchange`.
    SignedOn(&'static str),
    /// Somebody has shown a wrong password or code, or could not sign on for another reason, which this name says, as in
    /// `sign-on.password`.
    NotSignedOn(&'static str, ProblemType),
}

/// Something that the audit log is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who sent the request.
    pub whose: Whose,
    /// What became of it.
    pub happened: Happened,
    /// What was asked for.
    pub requested: Arc<Requested>,
}

/// Tells the audit log. Cheap to clone. The default tells nobody.
#[derive(Clone, Default)]
pub struct Reporter(Option<Sending>);

#[derive(Clone)]
struct Sending {
    queue: mpsc::Sender<Event>,
    dropped: Dropped,
}

/// How many events were dropped, by organization.
type Dropped = Arc<Mutex<BTreeMap<OrganizationId, u64>>>;

/// What was told, for whoever keeps the audit log.
pub struct Reports {
    queue: mpsc::Receiver<Event>,
    dropped: Dropped,
}

impl Reporter {
    /// A reporter, and where its events come out.
    pub fn new() -> (Self, Reports) {
        let (sender, queue) = mpsc::channel(WAITING_MAX);
        let dropped = Dropped::default();
        (Self(Some(Sending { queue: sender, dropped: dropped.clone() })), Reports { queue, dropped })
    }

    /// Tells of `event`, without waiting.
    pub fn report(&self, event: Event) {
        let Some(Sending { queue, dropped }) = &self.0 else { return };
        // Closed: the process ends, and whoever kept the log has written what there was.
        let Err(TrySendError::Full(event)) = queue.try_send(event) else { return };
        let mut dropped = dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let known = dropped.len() < DROPPED_ORGANIZATIONS_MAX;
        match dropped.get_mut(&event.whose.organization) {
            Some(count) => *count += 1,
            None if known => drop(dropped.insert(event.whose.organization, 1)),
            None => *dropped.entry(OrganizationId::from_uuid(uuid::Uuid::nil())).or_default() += 1,
        }
    }
}

impl Reports {
    /// Waits for events, and moves at most `limit` of them to `events`. 0: there are none any more.
    pub async fn receive(&mut self, events: &mut Vec<Event>, limit: usize) -> usize {
        self.queue.recv_many(events, limit).await
    }

    /// Takes no further events. Those that wait can still be received.
    pub fn close(&mut self) {
        self.queue.close();
    }

    /// How many events were dropped since the last call, by organization. The id of zeros stands for those of many others.
    pub fn take_dropped(&self) -> BTreeMap<OrganizationId, u64> {
        std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(organization: OrganizationId) -> Event {
        Event {
            whose: Whose {
                organization,
                principal: PrincipalId::generate(),
                kind: PrincipalKind::User,
                session: Some(TokenId::generate()),
            },
            happened: Happened::Denied(None, ProblemType::Forbidden),
            requested: Arc::new(Requested {
                method: Method::GET,
                route: "/x".into(),
                path: "/x".into(),
                id: "".into(),
                trace: "".into(),
                client: None,
            }),
        }
    }

    #[tokio::test]
    async fn what_finds_the_queue_full_is_dropped_and_counted() {
        let (reporter, mut reports) = Reporter::new();
        let (one, other) = (OrganizationId::generate(), OrganizationId::generate());
        for _ in 0..WAITING_MAX {
            reporter.report(event(one));
        }
        for _ in 0..3 {
            reporter.report(event(other));
        }
        assert_eq!(reports.take_dropped(), BTreeMap::from([(other, 3)]));
        assert!(reports.take_dropped().is_empty(), "each is told once");
        let mut events = Vec::new();
        assert_eq!(reports.receive(&mut events, 10).await, 10);
        reporter.report(event(other));
        assert!(reports.take_dropped().is_empty(), "there is room again");
    }

    #[test]
    fn what_sent_a_request_is_known_where_it_is_kept_and_is_never_shown() {
        let region = "us".parse().expect("a region");
        let request = |extend: &dyn Fn(&mut Request)| {
            let builder = axum::http::Request::builder().header("user-agent", "a browser".repeat(100));
            let mut request = builder.body(axum::body::Body::empty()).expect("a request");
            extend(&mut request);
            Requested::of(&request, "/x".into(), Some(&region))
        };
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([198, 51, 100, 7]));
        let forwarded = request(&|request| {
            request.extensions_mut().insert(ForwardedFor(there));
        });
        let direct = request(&|request| {
            request.extensions_mut().insert(ForwardedFor(there));
            request.extensions_mut().insert(ClientAddress(here));
        });
        let address = |requested: &Requested| requested.client.as_ref().expect("a client").address;
        assert_eq!(
            (address(&forwarded), address(&direct), address(&request(&|_| {}))),
            (Some(there), Some(here), None)
        );
        assert_eq!(direct.client.as_ref().map(|client| client.user_agent.len()), Some(USER_AGENT_CHARS_MAX));
        let shown = format!("{direct:?}");
        assert!(!shown.contains("192.0.2.1") && !shown.contains("browser"), "{shown}");
        let request = Request::new(axum::body::Body::empty());
        assert_eq!(Requested::of(&request, "/x".into(), None).client, None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
