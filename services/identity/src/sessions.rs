//! Resolves tokens from the database: for this service itself, and for the others over gRPC ([`crate::grpc`]).
//!
//! A token that is not here may be on its way from the region that made it. It is waited for, and the answer is 503 if it
//! does not arrive in time: never a wrong 401.

use access::{KeySet, OpaqueToken, Refusal, Session, Sessions, Unavailable};
use clock::Clock;
use futures::future::BoxFuture;
use ids::{OrganizationId, Region};
use oplog::Replica;
use postgres::Lookups;
use replication::{Position, Vector};
use replication_runtime::Replication;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    app::SERVICE,
    arrivals::{Arrival, Arrivals, WAIT_MAX, Wanted},
    signing_keys::{self, SigningKeys},
    tokens::{
        TokenState,
        store::{Resolved, TokenRow},
        uses::Uses,
    },
};

/// Questions that anybody can bring about and that the database is asked at once, by this service and for the others together. The
/// other connections are for those whose tokens are real.
pub const STRANGERS_MAX: usize = 4;

/// Sessions from this service's own database.
pub struct LocalSessions {
    /// The logs of this database.
    pub log: Replica,
    /// Its tokens, by the hash of their texts.
    pub tokens: Lookups<TokenRow>,
    /// All public keys.
    pub keys: SigningKeys,
    /// Knows what other regions have announced.
    pub replication: Replication,
    /// Waits for what other regions have written.
    pub arrivals: Arrivals,
    /// Turns of questions that anybody can bring about: [`STRANGERS_MAX`].
    pub strangers: Semaphore,
    /// By which tokens expire.
    pub clock: Clock,
    /// Which tokens are used.
    pub uses: Uses,
}

/// Who calls, or why the token opens nothing; an error if that is not known now.
pub type Resolution = Result<Result<Session, Refusal>, Unavailable>;

impl LocalSessions {
    /// Resolves the token whose text has the hash `sha256`. The text says that it was made at `position` of the log of `region`; in
    /// epoch 0 if it does not say in which one. Anybody can make up such a text.
    pub async fn by_hash(&self, sha256: [u8; 32], region: &Region, position: Position) -> Resolution {
        let made_up = position.epoch == 0;
        let found = match self.find(sha256, made_up).await? {
            Some(found) => Some(found),
            None => match self.arrivals.wait_for(region, Wanted::Place(position)).await? {
                Arrival::Never => None,
                Arrival::Arrived => self.find(sha256, made_up).await?,
            },
        };
        let opened = found.map_or(Err(Refusal::Unknown), session);
        if let Ok(session) = &opened {
            self.uses.note(session.organization, session.id, self.clock.now());
        }
        Ok(opened)
    }

    async fn find(&self, sha256: [u8; 32], made_up: bool) -> Result<Option<Resolved>, Unavailable> {
        let _turn = self.stranger(made_up).await;
        let found = self.tokens.find(sha256).await.map_err(|error| unavailable(&error))?;
        let resolved = found.map(|row| row.resolved(self.clock.now())).transpose();
        resolved.map_err(|error| unavailable(&error))
    }

    /// The turn of a question that anybody can bring about; no turn for others.
    async fn stranger(&self, is_stranger: bool) -> Option<SemaphorePermit<'_>> {
        match is_stranger {
            true => self.strangers.acquire().await.ok(),
            false => None,
        }
    }

    /// All public keys, as a JSON Web Key Set. A set without the key `wanted` says that no region has such a key; `wanted` may
    /// be empty.
    pub async fn jwks(&self, wanted: &str) -> Result<Value, Unavailable> {
        if let Some(region) = access::region_of_key(wanted)
            && !self.knows_key(wanted).await?
        {
            self.arrivals.wait_for(&region, Wanted::Everything).await?;
        }
        self.keys.jwks().await.map_err(|error| unavailable(&error))
    }

    async fn knows_key(&self, wanted: &str) -> Result<bool, Unavailable> {
        let _turn = self.stranger(true).await;
        self.keys.knows(wanted).await.map_err(|error| unavailable(&error))
    }

    /// Waits until the part of `vector` that is about identity's logs is applied here, at most two seconds.
    pub async fn wait_reached(&self, vector: &Vector) -> Result<(), Unavailable> {
        let vector = vector.of_service(SERVICE);
        if self.log.watch_applied().borrow().covers(&vector) {
            return Ok(());
        }
        // Another replica may have applied it.
        let here = self.log.read_state().await.map_err(|error| unavailable(&error))?.vector();
        if here.covers(&vector) {
            return Ok(());
        }
        let reached = self.replication.reach(&vector, self.log.watch_applied(), WAIT_MAX).await;
        reached.map_err(Unavailable::not_yet)
    }
}

fn session(resolved: Resolved) -> Result<Session, Refusal> {
    let whose = Some((&resolved.session).into());
    match resolved.state {
        TokenState::Active if resolved.suspended => Err(Refusal::Inactive(whose)),
        TokenState::Active => Ok(resolved.session),
        TokenState::Expired | TokenState::Revoked => Err(Refusal::Ended(whose)),
    }
}

fn unavailable(cause: &dyn std::fmt::Display) -> Unavailable {
    Unavailable::new(SERVICE, cause)
}

impl Sessions for LocalSessions {
    fn seen(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Vector, Unavailable>> {
        Box::pin(async move {
            let seen = self.log.organization_vector(organization).await;
            seen.map_err(|error| unavailable(&error))
        })
    }

    fn resolve<'a>(&'a self, token: &'a OpaqueToken) -> BoxFuture<'a, Resolution> {
        Box::pin(async move { self.by_hash(token.sha256(), &token.region, token.position).await })
    }

    fn signing_keys<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(async move {
            let jwks = self.jwks(wanted).await?;
            signing_keys::parse(&jwks).map_err(|error| unavailable(&error))
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(self.wait_reached(vector))
    }
}
