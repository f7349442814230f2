//! Short-lived tokens (JWT, RFC 7519), signed by identity with Ed25519 and verified here against its public keys.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ids::{OrganizationId, PrincipalId, TokenId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{PrincipalKind, Refusal, Session, Sessions, Unavailable};

/// `iss` of every token.
pub const ISSUER: &str = "landbridge";
/// Least time between two questions to identity about an unknown key.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// What a short-lived token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: PrincipalId,
    pub org: OrganizationId,
    pub kind: PrincipalKind,
    /// The opaque token that it was made from.
    pub sid: TokenId,
    /// Unix seconds.
    pub iat: i64,
    /// Unix seconds.
    pub exp: i64,
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
}

/// Identity's keys, as far as they are known here; an unknown one is asked for.
pub(crate) struct Keys {
    source: Arc<dyn Sessions>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: KeySet,
    asked_at: Option<Instant>,
}

impl Keys {
    pub(crate) fn new(source: Arc<dyn Sessions>) -> Self {
        Self { source, known: Mutex::default() }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Result<Session, Refusal>, Unavailable> {
        let Ok(header) = jsonwebtoken::decode_header(token) else { return Ok(Err(Refusal::Unknown)) };
        let Some(key_id) = header.kid else { return Ok(Err(Refusal::Unknown)) };
        let Some(key) = self.key(&key_id).await? else { return Ok(Err(Refusal::Unknown)) };

        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.leeway = 0;
        let claims = match jsonwebtoken::decode::<Claims>(token, &key, &validation) {
            Ok(data) => data.claims,
            Err(error) if matches!(error.kind(), jsonwebtoken::errors::ErrorKind::ExpiredSignature) => {
                return Ok(Err(Refusal::Ended));
            }
            Err(_) => return Ok(Err(Refusal::Unknown)),
        };
        Ok(Ok(Session {
            organization: claims.org,
            principal: claims.sub,
            kind: claims.kind,
            id: claims.sid,
            issued_at: claims.iat,
            expires_at: claims.exp,
        }))
    }

    /// The key named `key_id`. Asks identity when it is not known, at most once per [`REFRESH_INTERVAL`].
    async fn key(&self, key_id: &str) -> Result<Option<DecodingKey>, Unavailable> {
        let mut known = self.known.lock().await;
        if let Some(key) = known.keys.0.get(key_id) {
            return Ok(Some(key.clone()));
        }
        if known.asked_at.is_some_and(|at| at.elapsed() < REFRESH_INTERVAL) {
            return Ok(None);
        }
        known.keys = self.source.signing_keys().await?;
        known.asked_at = Some(Instant::now());
        Ok(known.keys.0.get(key_id).cloned())
    }
}
