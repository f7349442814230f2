//! Whose token is this? Resolved by the region's identity, remembered for a quarter of a second.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture};
use ids::{OrganizationId, PrincipalId, Region, TokenId};
use moka::future::Cache;
use proto::identity::v1::{
    PrincipalKind as ProtoKind, ResolveTokenRequest, ResolveTokenResponse, SigningKeysRequest,
    identity_client::IdentityClient,
};
use serde::{Deserialize, Serialize};
use telemetry::TracedChannel;
use tonic::Code;

use crate::{OpaqueToken, Unavailable, jwt::KeySet};

/// How long a resolved token is remembered: the bound on a revocation that was not heard of.
const REMEMBERED_FOR: Duration = Duration::from_millis(250);
/// Tokens remembered at once.
const REMEMBERED_MAX: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    User,
    SystemAccount,
}

/// Who calls, as proved by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub organization: OrganizationId,
    pub principal: PrincipalId,
    pub kind: PrincipalKind,
    /// The opaque token behind it all; revoking that ends the session.
    pub id: TokenId,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such token, and there never was.
    Unknown,
    /// It is revoked or expired, or its principal is inactive.
    Ended,
}

/// Something that knows tokens and signing keys: identity's own database, or a client of identity.
pub trait Sessions: Send + Sync + 'static {
    fn resolve(&self, sha256: [u8; 32]) -> BoxFuture<'_, Result<Result<Session, Refusal>, Unavailable>>;
    fn signing_keys(&self) -> BoxFuture<'_, Result<KeySet, Unavailable>>;
}

/// A client of the region's identity.
pub struct RemoteSessions(IdentityClient<TracedChannel>);

impl RemoteSessions {
    pub fn new(channel: TracedChannel) -> Self {
        Self(IdentityClient::new(channel))
    }
}

impl Sessions for RemoteSessions {
    fn resolve(&self, sha256: [u8; 32]) -> BoxFuture<'_, Result<Result<Session, Refusal>, Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let request = ResolveTokenRequest { sha256: sha256.to_vec().into() };
            match client.resolve_token(request).await {
                Ok(response) => session(response.into_inner()).map(Ok),
                Err(status) if status.code() == Code::NotFound => Ok(Err(Refusal::Unknown)),
                Err(status) if status.code() == Code::Unauthenticated => Ok(Err(Refusal::Ended)),
                Err(status) => Err(Unavailable::new("identity", &status)),
            }
        })
    }

    fn signing_keys(&self) -> BoxFuture<'_, Result<KeySet, Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let response = client
                .signing_keys(SigningKeysRequest {})
                .await
                .map_err(|status| Unavailable::new("identity", &status))?;
            KeySet::parse(&response.into_inner().jwks_json)
                .map_err(|error| Unavailable::new("identity", &error))
        })
    }
}

fn session(response: ResolveTokenResponse) -> Result<Session, Unavailable> {
    let malformed = |what: &dyn std::fmt::Display| Unavailable::new("identity", what);
    let kind = match response.principal_kind() {
        ProtoKind::User => PrincipalKind::User,
        ProtoKind::SystemAccount => PrincipalKind::SystemAccount,
        ProtoKind::Unspecified => return Err(malformed(&"no kind of principal")),
    };
    Ok(Session {
        organization: response.organization_id.parse().map_err(|error| malformed(&error))?,
        principal: response.principal_id.parse().map_err(|error| malformed(&error))?,
        kind,
        id: response.session_id.parse().map_err(|error| malformed(&error))?,
        issued_at: response.issued_at,
        expires_at: response.expires_at,
    })
}

/// Remembers what [`Sessions`] answered; asks once for requests that come together.
#[derive(Clone)]
pub(crate) struct SessionCache {
    source: Arc<dyn Sessions>,
    remembered: Cache<[u8; 32], Result<Session, Refusal>>,
}

impl SessionCache {
    pub(crate) fn new(source: Arc<dyn Sessions>) -> Self {
        let remembered = Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED_FOR).build();
        Self { source, remembered }
    }

    pub(crate) async fn resolve(&self, token: &OpaqueToken) -> Result<Result<Session, Refusal>, Unavailable> {
        let sha256 = token.sha256();
        self.remembered
            .try_get_with(sha256, self.source.resolve(sha256))
            .await
            .map_err(|error| Unavailable::clone(&error))
    }

    pub(crate) async fn follow_revocations(
        self,
        nats: async_nats::Client,
        region: Region,
    ) -> Result<(), async_nats::SubscribeError> {
        let mut revoked = nats.subscribe(crate::revocation_subject(&region)).await?;
        while revoked.next().await.is_some() {
            // Revocations are rare and entries short-lived: forgetting all of them costs one question each.
            self.remembered.invalidate_all();
        }
        Ok(())
    }
}
