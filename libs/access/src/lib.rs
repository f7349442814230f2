//! From the token of a request to a decision: who calls, and may the caller do this? Every endpoint of every service uses
//! it.
//!
//! [`guard()`] stands before and after each handler. Before, it waits for what the request's consistency token names, and
//! authenticates. After, it turns the success of an endpoint that needs a decision and asked for none into a 500. A handler
//! receives the [`Caller`] and asks it: `caller.may(action, &resource).await?`. The answer to a write carries a consistency
//! token, which covers all that the request has seen. What cannot be known now is answered 503 and never a false 401, 403
//! or 404. How much anybody may ask is bounded (`rates`): by address for tokens that open nothing, by caller and by organization.

#![warn(missing_docs)]

mod authority;
mod caller;
mod consistency;
mod decisions;
mod guard;
mod jwt;
mod makers;
mod parking;
mod question;
mod rates;
mod remembered;
mod report;
mod sessions;
mod token;
mod turns;
mod unavailable;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use authority::{Authority, UnknownAuthority};
pub use caller::{Caller, Visible};
pub use consistency::CONSISTENCY;
pub use decisions::{Decided, Decisions, RemoteDecisions, resource_from_proto, resource_to_proto};
pub use guard::{guard, unguarded};
pub use jwt::{Claims, ISSUER, KeySet, key_id, region_of_key};
pub use makers::Makers;
pub use parking::Parking;
pub use policy::{Action, Resource, Verdict};
pub use replication::{TokenKey, Vector};
pub use report::{Client, Event, Happened, Reporter, Reports, Requested, Whose};
pub use sessions::{Limits, PrincipalKind, Refusal, RemoteSessions, Session, Sessions};
pub use settings::sections::Rates;
pub use sync::{Place, Places};
pub use token::{OpaqueToken, SEALED_TOKENS_GENERATION, TokenFormat, TokenKind};
pub use turns::{TooMany, Turn, Turns};
pub use unavailable::Unavailable;

/// Requests that a process works on at once, once their bodies are read. Each needs a connection to the database now and then, of which there are
/// fewer.
const WORKED_ON_MAX: usize = 256;
/// Requests of one organization that wait for that.
const WAITING_MAX: usize = 1024;

/// How a service authenticates and decides. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    sessions: sessions::SessionCache,
    keys: Arc<jwt::Keys>,
    decisions: Arc<dyn Decisions>,
    consistency: Arc<consistency::Consistency>,
    tokens: TokenFormat,
    rates: Arc<rates::Rates>,
    turns: Turns,
    reporter: Reporter,
    clients_kept_in: Option<ids::Region>,
}

impl Access {
    /// `sessions` knows tokens (identity itself, or a client of it); `decisions` decides (authz itself, or a client);
    /// `key` seals consistency tokens and the places in access tokens, in every region and service the same; `rates` is how much
    /// anybody may ask.
    pub fn new(
        sessions: Arc<dyn Sessions>,
        decisions: Arc<dyn Decisions>,
        key: TokenKey,
        rates: &Rates,
    ) -> Self {
        Self {
            tokens: TokenFormat::new(&key),
            rates: Arc::new(rates::Rates::new(rates)),
            turns: Turns::new(WORKED_ON_MAX, WAITING_MAX),
            reporter: Reporter::default(),
            clients_kept_in: None,
            keys: Arc::new(jwt::Keys::new(sessions.clone())),
            consistency: Arc::new(consistency::Consistency::new(sessions.clone(), decisions.clone(), key)),
            sessions: sessions::SessionCache::new(sessions),
            decisions,
        }
    }

    /// The same, which tells `reporter` of requests that were refused and of sign-ons.
    pub fn reporting(self, reporter: Reporter) -> Self {
        Self { reporter, ..self }
    }

    /// The same, in a service of `region` that keeps what sent a request where that is the home of the request's organization.
    pub fn keeping_clients(self, region: ids::Region) -> Self {
        Self { clients_kept_in: Some(region), ..self }
    }

    /// Forgets tokens resolved before, whenever identity says that one was revoked. Runs until the connection ends.
    pub async fn follow_revocations(
        self,
        nats: async_nats::Client,
        region: ids::Region,
    ) -> Result<(), async_nats::SubscribeError> {
        self.sessions.follow_revocations(nats, region).await
    }
}
