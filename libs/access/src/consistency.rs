//! The consistency token of a request: read, waited for, and answered.
//!
//! A token names a minimum vector: the request is answered on at least that state. Example: a client adds a member in us,
//! sends the answer's token to eu, and eu answers with the member or with 503. A token is sealed, so that nobody makes up a
//! position that is never reached, and bound to an organization. [`guard`](crate::guard()) calls this before it authenticates, since the caller's
//! own token may be among what is waited for.
//!
//! A token may also name versions of control planes ([`Places`]). Those are for gateways; here they are passed on to the answer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ids::{OrganizationId, ServiceName};
use replication::{Token, TokenKey, Vector};
use sync::Places;
use tokio::time::timeout;
use web::{Answer, Problem, ProblemType};

use crate::{Decisions, Sessions, Unavailable, parking::Parking};

/// The header of requests and answers that carries the token.
pub const CONSISTENCY: HeaderName = HeaderName::from_static(sync::CONSISTENCY);
/// Longest time that a request waits for what its tokens name.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Most tokens that one request may carry: one for each write that ran beside others, say.
const TOKENS_MAX: usize = 8;

/// Requests that wait at once in a process.
pub(crate) const PARKED_MAX: usize = 512;
/// Requests of one organization that wait at once in a process.
pub(crate) const PARKED_PER_ORGANIZATION_MAX: usize = 128;
/// How long what was seen reached is believed.
const REACHED_LASTS: Duration = Duration::from_secs(1);

struct Reached {
    since: Instant,
    vector: Vector,
}

impl Default for Reached {
    fn default() -> Self {
        Self { since: Instant::now(), vector: Vector::default() }
    }
}

/// What the tokens of one request name together.
pub(crate) struct Sent {
    pub token: Token,
    pub places: Places,
}

pub(crate) struct Consistency {
    sessions: Arc<dyn Sessions>,
    decisions: Arc<dyn Decisions>,
    key: TokenKey,
    /// What the region was seen to have applied a moment ago: a token that was seen reached costs no call. It is forgotten
    /// soon, since a database can be restored from a copy; each decision is asked for with its minimum vector anyway.
    reached: Mutex<Reached>,
    parking: Parking,
}

impl Consistency {
    /// Nothing waits yet. `key` opens consistency tokens; all regions have the same one. `sessions` and `decisions` tell
    /// how far this region has applied the logs of identity and authz.
    pub fn new(sessions: Arc<dyn Sessions>, decisions: Arc<dyn Decisions>, key: TokenKey) -> Self {
        Self {
            sessions,
            decisions,
            key,
            reached: Mutex::default(),
            parking: Parking::new(PARKED_MAX, PARKED_PER_ORGANIZATION_MAX),
        }
    }

    /// What the request's tokens name together, if it carries any. Several may stand in one header, with commas, or in
    /// several.
    pub fn read(&self, headers: &HeaderMap) -> Answer<Option<Sent>> {
        let mut merged: Option<Sent> = None;
        for (count, text) in texts(headers).enumerate() {
            if count >= TOKENS_MAX {
                return Err(invalid(&format!("at most {TOKENS_MAX} tokens; leave out older ones")));
            }
            let text = text.ok_or_else(|| invalid(&format!("not text; {REMEDY}")))?;
            let (sealed, places) = sync::split(text);
            let token =
                Token::open(sealed, &self.key).map_err(|error| invalid(&format!("{error}; {REMEDY}")))?;
            let places = places.map_or_else(|| Ok(Places::default()), Places::read);
            let places = places.map_err(|error| invalid(&format!("{error}; {REMEDY}")))?;
            match &mut merged {
                None => merged = Some(Sent { token, places }),
                Some(Sent { token: first, places: seen }) if first.organization == token.organization => {
                    first.vector.merge(&token.vector);
                    seen.merge(&places);
                }
                Some(_) => return Err(foreign()),
            }
        }
        Ok(merged)
    }

    /// Returns once the region has applied what `token` names, and answers whether it had to ask. After [`WAIT_MAX`], or at
    /// once when too many requests wait, it is [`Unavailable::NotYet`].
    pub async fn wait(&self, token: &Token) -> Result<bool, Unavailable> {
        let missing = self.reached().vector.missing(&token.vector);
        if missing.is_empty() {
            return Ok(false);
        }
        let Some(_permit) = self.parking.enter(token.organization) else {
            return Err(Unavailable::not_yet(missing));
        };
        let identity = async {
            let part = missing.of_service(ServiceName::Identity);
            if !part.is_empty() {
                self.sessions.reach(&part).await?;
                self.reached().vector.merge(&part);
            }
            Ok(())
        };
        let authz = async {
            let part = missing.of_service(ServiceName::Authz);
            if !part.is_empty() {
                self.decisions.reach(&part).await?;
                self.reached().vector.merge(&part);
            }
            Ok(())
        };
        let both = async { tokio::try_join!(identity, authz) };
        match timeout(WAIT_MAX, both).await {
            Ok(reached) => reached.map(|_| true),
            Err(_) => Err(Unavailable::not_yet(self.reached().vector.missing(&missing))),
        }
    }

    /// The last entry of each log that touched `organization` and that this service's own database has applied.
    pub async fn rows(&self, organization: OrganizationId) -> Result<Vector, Unavailable> {
        let mut rows = self.sessions.seen(organization).await?;
        rows.merge(&self.decisions.seen(organization).await?);
        Ok(rows)
    }

    /// A token of `vector` and `places`, as a header's value.
    pub fn seal(&self, organization: OrganizationId, vector: Vector, places: &Places) -> Answer<HeaderValue> {
        let sealed = Token { organization, vector }.seal(&self.key);
        HeaderValue::try_from(places.behind(sealed)).map_err(Problem::internal)
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.since.elapsed() > REACHED_LASTS {
            *reached = Reached::default();
        }
        reached
    }
}

const REMEDY: &str = "send back unchanged what an answer carried, or leave the header out";

/// The tokens of a request; `None` for what is not text.
fn texts(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    headers.get_all(CONSISTENCY).iter().flat_map(|value| {
        let text = value.to_str().ok();
        let parts = text.into_iter().flat_map(|text| text.split(',').map(|part| Some(part.trim())));
        parts.chain(text.is_none().then_some(None))
    })
}

fn invalid(what: &str) -> Problem {
    Problem::new(ProblemType::InvalidParameter, format!("Landbridge-Consistency: {what}"))
}

/// The token is of another organization than the caller's.
pub(crate) fn foreign() -> Problem {
    invalid("the token is of another organization; send back what answers of this one carried")
}
