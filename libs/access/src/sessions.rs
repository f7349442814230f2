//! Whose token is this? Resolved by the region's identity, remembered for a quarter of a second.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture};
use ids::{OrganizationId, PrincipalId, Region, ServiceName, TokenId, subject};
use moka::{future::Cache, policy::EvictionPolicy};
use proto::identity::v1::{
    PrincipalKind as ProtoKind, ReachRequest, ResolveTokenRequest, ResolveTokenResponse, SigningKeysRequest,
    identity_client::IdentityClient,
};
use replication::{Origin, Vector};
use serde::{Deserialize, Serialize};
use telemetry::TracedChannel;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tonic::{Code, Status, metadata::MetadataMap};

use crate::{OpaqueToken, Unavailable, Whose, jwt::KeySet, question};

/// How long a resolved token is remembered: the bound on a revocation that was not heard of.
const REMEMBERED_FOR: Duration = Duration::from_millis(250);
/// Tokens remembered at once.
const REMEMBERED_MAX: u64 = 100_000;
/// How long a text that has opened a session counts as a real one, since it was last shown.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// Texts that count as real at once. Whichever was not shown for longest is forgotten.
const KNOWN_MAX: u64 = 100_000;
/// Texts that anybody could have made up and that are asked about at once.
const TURNS: usize = 8;
/// Requests that wait for one of these turns at once, and for how long.
const WAITING_MAX: usize = 2048;
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What calls: a person or a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program of an organization.
    SystemAccount,
    /// Whoever operates the deployment: a member of no organization.
    Operator,
}

/// Who calls, as proved by a token. What outlives a request may be kept with the session that it was made in, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The principal's organization.
    pub organization: OrganizationId,
    /// The user or system account.
    pub principal: PrincipalId,
    /// What the principal is.
    pub kind: PrincipalKind,
    /// The opaque token behind it all; revoking that ends the session.
    pub id: TokenId,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// When the opaque token ends, Unix seconds: nothing that is made in this session lives longer. A signed token expires earlier.
    pub ends_at: i64,
    /// What authz had applied in the region that made the token: no denial on less than this.
    pub vector: Vector,
    /// What the platform operator has set for the organization.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// Limits of one organization, in place of those of the deployment's settings. Signed tokens carry them, so a change is in force for all
/// sessions once those that were signed before it have expired, within five minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most entities of each control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<NonZeroU32>,
    /// Most access tokens that can be used, of all its people and system accounts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_tokens: Option<NonZeroU32>,
    /// Most requests per second at each process of a service. What is beyond is answered 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
}

impl Limits {
    /// Whether the deployment's settings hold for everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such token, and there never was.
    Unknown,
    /// It is revoked or expired, or its principal is inactive. Whose it was, where that is known.
    Ended(Option<Whose>),
    /// Its organization is suspended or being deleted. Whose it is, where that is known.
    Inactive(Option<Whose>),
}

/// Something that knows tokens and signing keys: identity's own database, or a client of identity.
pub trait Sessions: Send + Sync + 'static {
    /// Whose token it is. A refusal is the truth; one that could be news from another region is [`Unavailable::NotYet`].
    fn resolve<'a>(
        &'a self,
        token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>>;

    /// All signing keys. A set without the key named `wanted` says that no region has it.
    fn signing_keys<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>>;

    /// The last entry of each of identity's logs that touched the organization and that this service's own database has
    /// applied. Empty in a service that keeps none of identity's rows.
    fn seen(&self, _organization: OrganizationId) -> BoxFuture<'_, Result<Vector, Unavailable>> {
        Box::pin(async { Ok(Vector::default()) })
    }

    /// Returns once this region has applied `vector`, of which only the part about identity's logs counts.
    /// [`Unavailable::NotYet`] if that takes too long.
    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// A client of the region's identity.
pub struct RemoteSessions(IdentityClient<TracedChannel>);

impl RemoteSessions {
    /// Asks the identity at the other end of `channel`.
    pub fn new(channel: TracedChannel) -> Self {
        Self(IdentityClient::new(channel))
    }
}

impl Sessions for RemoteSessions {
    fn resolve<'a>(
        &'a self,
        token: &'a OpaqueToken,
    ) -> BoxFuture<'a, Result<Result<Session, Refusal>, Unavailable>> {
        Box::pin(async move {
            let request = ResolveTokenRequest {
                sha256: token.sha256().to_vec().into(),
                minted_region: token.region.to_string(),
                minted_seq: token.position.seq,
                minted_epoch: token.position.epoch,
            };
            match question::ask(|| {
                let (mut client, request) = (self.0.clone(), request.clone());
                async move { client.resolve_token(request).await }
            })
            .await
            {
                Ok(response) => session(response).map(Ok),
                Err(status) if status.code() == Code::NotFound => Ok(Err(Refusal::Unknown)),
                Err(status) if status.code() == Code::Unauthenticated => {
                    Ok(Err(Refusal::Ended(whose(status.metadata()))))
                }
                Err(status) if status.code() == Code::FailedPrecondition => {
                    Ok(Err(Refusal::Inactive(whose(status.metadata()))))
                }
                Err(status) => Err(Unavailable::of_status(ServiceName::Identity, &status, &minted_at(token))),
            }
        })
    }

    fn signing_keys<'a>(&'a self, wanted: &'a str) -> BoxFuture<'a, Result<KeySet, Unavailable>> {
        Box::pin(async move {
            let request = SigningKeysRequest { wanted: wanted.to_owned() };
            let response = question::ask(|| {
                let (mut client, request) = (self.0.clone(), request.clone());
                async move { client.signing_keys(request).await }
            })
            .await
            .map_err(|status| Unavailable::of_status(ServiceName::Identity, &status, &Vector::default()))?;
            KeySet::parse(&response.jwks_json)
                .map_err(|error| Unavailable::new(ServiceName::Identity, &error))
        })
    }

    fn reach<'a>(&'a self, vector: &'a Vector) -> BoxFuture<'a, Result<(), Unavailable>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let reached = client.reach(ReachRequest { vector: vector.to_wire() }).await;
            reached.map_err(|status| Unavailable::of_status(ServiceName::Identity, &status, vector)).map(drop)
        })
    }
}

/// Names of the metadata of a refusal that say whose the token was.
const ORGANIZATION: &str = "landbridge-organization";
const PRINCIPAL: &str = "landbridge-principal";
const KIND: &str = "landbridge-principal-kind";
const SESSION: &str = "landbridge-session";

impl Refusal {
    /// As identity answers it to the region's other services.
    pub fn status(self) -> Status {
        let (mut status, whose) = match self {
            Self::Unknown => return Status::not_found("no such token"),
            Self::Inactive(whose) => (Status::failed_precondition("the organization is not active"), whose),
            Self::Ended(whose) => (Status::unauthenticated("revoked or expired"), whose),
        };
        let Some((whose, session)) = whose.and_then(|whose| Some((whose, whose.session?))) else {
            return status;
        };
        let kind = match whose.kind {
            PrincipalKind::User => "user",
            PrincipalKind::SystemAccount => "system_account",
            PrincipalKind::Operator => "operator",
        };
        for (name, value) in [
            (ORGANIZATION, whose.organization.to_string()),
            (PRINCIPAL, whose.principal.to_string()),
            (KIND, kind.to_owned()),
            (SESSION, session.to_string()),
        ] {
            // Ids are ASCII.
            if let Ok(value) = value.parse() {
                status.metadata_mut().insert(name, value);
            }
        }
        status
    }
}

/// Whose the token was that a refusal of identity is about; `None` where it does not say.
fn whose(metadata: &MetadataMap) -> Option<Whose> {
    let text = |name| metadata.get(name)?.to_str().ok();
    Some(Whose {
        organization: text(ORGANIZATION)?.parse().ok()?,
        principal: text(PRINCIPAL)?.parse().ok()?,
        kind: match text(KIND)? {
            "user" => PrincipalKind::User,
            "system_account" => PrincipalKind::SystemAccount,
            "operator" => PrincipalKind::Operator,
            _ => return None,
        },
        session: Some(text(SESSION)?.parse().ok()?),
    })
}

/// Where in identity's logs a token says that it was made.
fn minted_at(token: &OpaqueToken) -> Vector {
    [(Origin::new(ServiceName::Identity, &token.region), token.position)].into_iter().collect()
}

fn session(response: ResolveTokenResponse) -> Result<Session, Unavailable> {
    let malformed = |what: &dyn std::fmt::Display| Unavailable::new(ServiceName::Identity, what);
    let kind = match response.principal_kind() {
        ProtoKind::User => PrincipalKind::User,
        ProtoKind::SystemAccount => PrincipalKind::SystemAccount,
        ProtoKind::Operator => PrincipalKind::Operator,
        ProtoKind::Unspecified => return Err(malformed(&"no kind of principal")),
    };
    Ok(Session {
        organization: response.organization_id.parse().map_err(|error| malformed(&error))?,
        principal: response.principal_id.parse().map_err(|error| malformed(&error))?,
        kind,
        id: response.session_id.parse().map_err(|error| malformed(&error))?,
        issued_at: response.issued_at,
        expires_at: response.expires_at,
        ends_at: response.expires_at,
        vector: Vector::from_wire(&response.vector).map_err(|error| malformed(&error))?,
        limits: Limits {
            entities: NonZeroU32::new(response.entities_max),
            // Only identity counts tokens.
            access_tokens: None,
            requests_per_second: NonZeroU32::new(response.requests_per_second_max),
        },
    })
}

/// Remembers what [`Sessions`] answered; asks once for requests that come together.
#[derive(Clone)]
pub(crate) struct SessionCache {
    source: Arc<dyn Sessions>,
    remembered: Cache<[u8; 32], Result<Session, Refusal>>,
    /// Texts that have opened a session lately.
    known: Cache<[u8; 32], ()>,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl SessionCache {
    pub(crate) fn new(source: Arc<dyn Sessions>) -> Self {
        let remembered = Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED_FOR).build();
        let known = Cache::builder()
            .max_capacity(KNOWN_MAX)
            .time_to_idle(KNOWN_FOR)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let turns = Arc::new(Semaphore::new(TURNS));
        Self { source, remembered, known, turns, waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    /// Whether a stranger could not have made up the text of `token`.
    pub(crate) async fn is_real(&self, token: &OpaqueToken) -> bool {
        token.is_sealed() || self.known.get(&token.sha256()).await.is_some()
    }

    /// The turn of a text that could be made up, to be held while it is resolved: few are asked about at once, so that real ones find
    /// identity and its database free. An error if too many wait, or if it takes too long.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Unavailable> {
        let busy = || Unavailable::Busy { service: ServiceName::Identity };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        match timeout(WAIT_MAX, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(busy()),
        }
    }

    pub(crate) async fn resolve(&self, token: &OpaqueToken) -> Result<Result<Session, Refusal>, Unavailable> {
        let resolved = self
            .remembered
            .try_get_with(token.sha256(), self.source.resolve(token))
            .await
            .map_err(|error| Unavailable::clone(&error))?;
        match resolved {
            Ok(_) if token.is_sealed() => {}
            Ok(_) => self.known.insert(token.sha256(), ()).await,
            Err(_) => self.known.invalidate(&token.sha256()).await,
        }
        Ok(resolved)
    }

    /// The next answer about `token` is a new one.
    pub(crate) async fn forget(&self, token: &OpaqueToken) {
        self.remembered.invalidate(&token.sha256()).await;
    }

    pub(crate) async fn follow_revocations(
        self,
        nats: async_nats::Client,
        region: Region,
    ) -> Result<(), async_nats::SubscribeError> {
        let mut revoked = nats.subscribe(subject::session_revoked(&region)).await?;
        while revoked.next().await.is_some() {
            // Revocations are rare and entries short-lived: forgetting all of them costs one question each.
            self.remembered.invalidate_all();
        }
        Ok(())
    }
}
