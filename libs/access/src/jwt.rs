//! Short-lived tokens (JWT, RFC 7519), signed by identity with Ed25519 and verified here against its public keys.
//!
//! A key that is not known here may have been made in another region a moment ago. identity is asked for it by name; it
//! answers when it has the key or is sure that there is none, and "not yet" otherwise. So an unknown key is a 401 only
//! when identity vouches for it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ids::{OrganizationId, PrincipalId, Region, TokenId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind, jwk::JwkSet};
use moka::{future::Cache, sync::Cache as SyncCache};
use replication::Vector;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use web::Answer;

use crate::{Limits, PrincipalKind, Refusal, Session, Sessions, Unavailable};

/// `iss` of every token.
pub const ISSUER: &str = "landbridge";
/// How long the answer about a key is remembered: the least time between two questions about the same one.
const ASKED_FOR: Duration = Duration::from_secs(1);
/// Key ids whose answers are remembered at once.
const ASKED_MAX: u64 = 10_000;
/// Questions about unknown keys under way at once. Anybody can make up a key id: what is beyond is 503.
const ASKS_MAX: usize = 16;
/// Tokens whose signatures were right that are remembered at once, and for how long: as long as such a token lives.
const VERIFIED_MAX: u64 = 10_000;
const VERIFIED_FOR: Duration = Duration::from_secs(300);
/// The name of no key: who asks for it is told all keys at once, and nothing is waited for.
const NO_KEY: &str = "";
/// Longest key id, bytes: a region, a dot, 64 characters.
const KEY_ID_BYTES_MAX: usize = 16 + 1 + 64;

/// What a short-lived token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed: always [`ISSUER`].
    pub iss: String,
    /// The principal.
    pub sub: PrincipalId,
    /// The principal's organization.
    pub org: OrganizationId,
    /// What the principal is.
    pub kind: PrincipalKind,
    /// The opaque token that it was made from.
    pub sid: TokenId,
    /// When it was signed, Unix seconds.
    pub iat: i64,
    /// When it expires, Unix seconds.
    pub exp: i64,
    /// When the opaque token that it was made from ends, Unix seconds. Earlier releases do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// The session's [`vector`](Session::vector), as in `{"authz.us":[0,17]}`: epoch and sequence number.
    #[serde(default, skip_serializing_if = "Vector::is_empty", with = "compact")]
    pub vector: Vector,
    /// The session's limits. Earlier releases do not say.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub lim: Limits,
}

/// Vectors in few characters.
mod compact {
    use std::collections::BTreeMap;

    use replication::{Origin, Position, Vector};
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// A map from the origin's name to `[epoch, seq]`.
    pub fn serialize<S: Serializer>(vector: &Vector, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(vector.iter().map(|(origin, at)| (origin, (at.epoch, at.seq))))
    }

    /// Inverse of [`serialize`]. Fails if a key is not the name of an origin.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vector, D::Error> {
        let entries = BTreeMap::<Origin, (u32, u64)>::deserialize(deserializer)?;
        Ok(entries.into_iter().map(|(origin, (epoch, seq))| (origin, Position { epoch, seq })).collect())
    }
}

/// The id of a signing key of `region`, as in `us.0198…`. `id` is letters, digits, `-` and `_`, at most 64 of them.
pub fn key_id(region: &Region, id: &str) -> String {
    format!("{region}.{id}")
}

/// The region whose key `key_id` names; `None` if it has not the form of a key id.
pub fn region_of_key(key_id: &str) -> Option<Region> {
    let (region, id) = key_id.split_once('.')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_id = !id.is_empty() && key_id.len() <= KEY_ID_BYTES_MAX && id.bytes().all(allowed);
    if is_id { region.parse().ok() } else { None }
}

/// Whether a token that expires at `expires_at` (Unix seconds) has, by the clock of [`jsonwebtoken::decode`].
fn is_over(expires_at: i64) -> bool {
    !u64::try_from(expires_at).is_ok_and(|end| end >= jsonwebtoken::get_current_timestamp())
}

/// Public keys by key id.
#[derive(Clone, Default)]
pub struct KeySet(Arc<HashMap<String, DecodingKey>>);

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517). Keys without an id or of another kind than Ed25519 are passed over.
    pub fn parse(jwks: &str) -> Result<Self, serde_json::Error> {
        let set: JwkSet = serde_json::from_str(jwks)?;
        let keys = set.keys.iter().filter_map(|jwk| {
            let id = jwk.common.key_id.clone()?;
            Some((id, DecodingKey::from_jwk(jwk).ok()?))
        });
        Ok(Self(Arc::new(keys.collect())))
    }

    fn get(&self, key_id: &str) -> Option<DecodingKey> {
        self.0.get(key_id).cloned()
    }
}

/// A token whose signature was right, for as long as its key is known.
#[derive(Clone)]
struct Verified {
    key_id: Arc<str>,
    session: Session,
}

/// Identity's keys, as far as they are known here; an unknown one is asked for.
pub(crate) struct Keys {
    source: Arc<dyn Sessions>,
    known: RwLock<KeySet>,
    /// By the SHA-256 of their texts: to check a signature takes longer than all else that is done to know who calls.
    verified: SyncCache<[u8; 32], Verified>,
    asked: Cache<String, Option<DecodingKey>>,
    asks: Semaphore,
}

impl Keys {
    pub(crate) fn new(source: Arc<dyn Sessions>) -> Self {
        let asked = Cache::builder().max_capacity(ASKED_MAX).time_to_live(ASKED_FOR).build();
        let verified = SyncCache::builder().max_capacity(VERIFIED_MAX).time_to_live(VERIFIED_FOR).build();
        Self { source, known: RwLock::default(), verified, asked, asks: Semaphore::new(ASKS_MAX) }
    }

    /// The session of `token`. `may_ask` is called before a key that is not known here is asked for: anybody can make up its name.
    pub(crate) async fn verify(
        &self,
        token: &str,
        may_ask: impl FnOnce() -> Answer<()>,
    ) -> Answer<Result<Session, Refusal>> {
        let sha256: [u8; 32] = Sha256::digest(token).into();
        if let Some(Verified { key_id, session }) = self.verified.get(&sha256)
            && self.known(&key_id).is_some()
        {
            let has_ended = is_over(session.expires_at);
            let ended = Refusal::Ended(Some((&session).into()));
            return Ok(if has_ended { Err(ended) } else { Ok(session) });
        }
        let Ok(header) = jsonwebtoken::decode_header(token) else { return Ok(Err(Refusal::Unknown)) };
        let Some(key_id) = header.kid else { return Ok(Err(Refusal::Unknown)) };
        let Some(key) = self.key(&key_id, may_ask).await? else { return Ok(Err(Refusal::Unknown)) };

        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.leeway = 0;
        let claims = match jsonwebtoken::decode::<Claims>(token, &key, &validation) {
            Ok(data) => data.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                // The library keeps the claims of an expired token to itself.
                return Ok(Err(Refusal::Ended(None)));
            }
            Err(_) => return Ok(Err(Refusal::Unknown)),
        };
        let session = Session {
            organization: claims.org,
            principal: claims.sub,
            kind: claims.kind,
            id: claims.sid,
            issued_at: claims.iat,
            expires_at: claims.exp,
            ends_at: claims.end.unwrap_or(claims.exp),
            vector: claims.vector,
            limits: claims.lim,
        };
        self.verified.insert(sha256, Verified { key_id: key_id.into(), session: session.clone() });
        Ok(Ok(session))
    }

    /// The key named `key_id`; `None` if there is no such key in any region. Who may not ask for it by name gets it if it is among all
    /// keys that identity has now. That is asked once a second, whoever sends what.
    async fn key(&self, key_id: &str, may_ask: impl FnOnce() -> Answer<()>) -> Answer<Option<DecodingKey>> {
        if let Some(known) = self.known(key_id) {
            return Ok(Some(known));
        }
        // What has not the form of a key id names no key, and goes no further than here.
        if region_of_key(key_id).is_none() {
            return Ok(None);
        }
        if let Err(problem) = may_ask() {
            self.asked(NO_KEY).await?;
            return self.known(key_id).map(Some).ok_or(problem);
        }
        Ok(self.asked(key_id).await?)
    }

    fn known(&self, key_id: &str) -> Option<DecodingKey> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(key_id)
    }

    /// The answer about a key that is not older than [`ASKED_FOR`].
    async fn asked(&self, key_id: &str) -> Result<Option<DecodingKey>, Unavailable> {
        let asked = self.asked.try_get_with(key_id.to_owned(), self.ask(key_id)).await;
        asked.map_err(|error| Unavailable::clone(&error))
    }

    /// Asks identity for the key. Requests that ask for the same one share the answer.
    async fn ask(&self, key_id: &str) -> Result<Option<DecodingKey>, Unavailable> {
        // Anybody can ask that much, so it is no news to the log.
        let _permit = self.asks.try_acquire().map_err(|_| Unavailable::not_yet(Vector::default()))?;
        let keys = self.source.signing_keys(key_id).await?;
        let found = keys.get(key_id);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(found)
    }
}
