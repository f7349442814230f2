//! Resolving tokens from the database: for this service itself, and for the others over gRPC ([`Internal`](crate::grpc::Internal)).
//!
//! What is not here may be on its way from the region that made it: it is waited for, and 503 then, never a false 401.

use access::{KeySet, OpaqueToken, PrincipalKind, Refusal, Session, Sessions, Unavailable};
use clock::Clock;
use futures::future::BoxFuture;
use ids::{OrganizationId, Region, kinds};
use oplog::Replica;
use postgres::{Error, SqlId};
use replication::Vector;
use replication_runtime::Replication;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use crate::{
    arrivals::{Arrival, Arrivals, WAIT_MAX, Wanted},
    signing_keys::{self, SigningKeys},
};

pub struct LocalSessions {
    pub log: Replica,
    pub keys: SigningKeys,
    pub replication: Replication,
    pub arrivals: Arrivals,
    pub clock: Clock,
}

type Resolved = Result<Result<Session, Refusal>, Unavailable>;

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Token>,
    organization_id: SqlId<kinds::Organization>,
    principal_id: SqlId<kinds::Principal>,
    principal_kind: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
    vector: String,
}

impl Row {
    fn session(self, now: OffsetDateTime) -> Resolved {
        if self.revoked_at.is_some() || self.expires_at <= now {
            return Ok(Err(Refusal::Ended));
        }
        let vector = serde_json::from_str(&self.vector);
        Ok(Ok(Session {
            organization: self.organization_id.into(),
            principal: self.principal_id.into(),
            kind: match self.principal_kind.as_str() {
                "user" => PrincipalKind::User,
                _ => PrincipalKind::SystemAccount,
            },
            id: self.id.into(),
            issued_at: self.created_at.unix_timestamp(),
            expires_at: self.expires_at.unix_timestamp(),
            vector: vector.map_err(|error| unavailable(&error))?,
        }))
    }
}

fn unavailable(cause: &dyn std::fmt::Display) -> Unavailable {
    Unavailable::new("identity", cause)
}

/// What the token with this hash is worth at `now`. `None` if this database has no such token.
pub async fn find(
    db: &PgPool,
    sha256: &[u8],
    now: OffsetDateTime,
) -> Result<Option<Result<Session, Refusal>>, Unavailable> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, organization_id, principal_id, principal_kind, created_at, expires_at, revoked_at, vector
         FROM replicated.token WHERE sha256 = $1",
    )
    .bind(sha256)
    .fetch_optional(db)
    .await
    .map_err(|error| unavailable(&error))?;
    row.map(|row| row.session(now)).transpose()
}

impl LocalSessions {
    /// Whose token has this hash? Its text says that it was minted at `seq` of `region`'s log.
    pub async fn by_hash(&self, sha256: &[u8], region: &Region, seq: u64) -> Resolved {
        let now = self.clock.now();
        if let Some(found) = find(self.log.db(), sha256, now).await? {
            return Ok(found);
        }
        match self.arrivals.wait_for(region, Wanted::Place(seq)).await? {
            Arrival::Never => Ok(Err(Refusal::Unknown)),
            Arrival::Arrived => Ok(find(self.log.db(), sha256, now).await?.unwrap_or(Err(Refusal::Unknown))),
        }
    }

    /// All public keys, `wanted` among them unless there is no such key. `wanted` may be empty.
    pub async fn jwks(&self, wanted: &str) -> Result<Value, Unavailable> {
        if !self.keys.knows(wanted).await.map_err(|error| unavailable(&error))?
            && let Some(region) = access::region_of_key(wanted)
        {
            self.arrivals.wait_for(&region, Wanted::Everything).await?;
        }
        self.keys.jwks().await.map_err(|error| unavailable(&error))
    }

    /// Waits until identity's part of `vector` is applied here.
    pub async fn reached(&self, vector: &Vector) -> Result<(), Unavailable> {
        let vector = vector.of_service("identity");
        if self.log.watch_applied().borrow().covers(&vector) {
            return Ok(());
        }
        // Another replica may have applied it.
        let here = self.log.read_state().await.map_err(|error: Error| unavailable(&error))?.vector();
        if here.covers(&vector) {
            return Ok(());
        }
        let reached = self.replication.reach(&vector, self.log.watch_applied(), WAIT_MAX).await;
        reached.map_err(Unavailable::not_yet)
    }
}

impl Sessions for LocalSessions {
    fn seen(&self, organization: OrganizationId) -> BoxFuture<'_, Result<Vector, Unavailable>> {
        Box::pin(async move {
            let seen = self.log.organization_vector(organization).await;
            seen.map_err(|error| Unavailable::new("identity", &error))
        })
    }

    fn resolve<'a>(&'a self, token: &'a OpaqueToken) -> BoxFuture<'a, Resolved> {
        Box::pin(async move { self.by_hash(&token.sha256(), &token.region, token.seq).await })
    }

    fn signing_keys<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(async move {
            let jwks = self.jwks(wanted).await?;
            signing_keys::parse(&jwks).map_err(|error| unavailable(&error))
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(self.reached(vector))
    }
}
