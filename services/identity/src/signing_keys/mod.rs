//! The keys that sign short-lived tokens: this region's private key, and the public keys of all regions, by which every
//! service verifies.
//!
//! The public half of a key goes through the log, as `signing_key.put`. A key signs only once the other regions have its
//! public half: see `opening.rs`. Until then `POST /v1/token` is answered 503.

pub mod http;
mod opening;
pub mod store;

use access::{Claims, ISSUER, KeySet, Session};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
pub use opening::Opening;
use seal::SealKey;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};

/// Life of a short-lived token, seconds. Also how long a region that is cut off may accept one whose session was revoked.
pub const TOKEN_LIFE_SECONDS: i64 = 300;
/// How long a request waits for a key that may sign.
const SIGNER_WAIT: Duration = Duration::from_secs(2);

/// What can go wrong with a signing key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or holds a key that this release cannot read.
    #[error(transparent)]
    Database(#[from] postgres::Error),
    /// The region's key may not sign yet, because other regions could not verify what it signs.
    #[error("this region's key has not reached the other regions yet")]
    NotSigningYet,
    /// A key cannot be made, opened or used: a fault of ours or of the settings.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    fn unusable(what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Unusable(format!("{what}: {cause}"))
    }
}

/// A private key that may sign.
#[derive(Clone)]
struct Signer {
    key_id: String,
    private: EncodingKey,
}

impl Signer {
    /// Opens a private half that was sealed under the id of its key.
    fn open(seal: &SealKey, key_id: String, sealed: &[u8]) -> Result<Self, Error> {
        let private = seal
            .open(key_id.as_bytes(), sealed)
            .map_err(|error| Error::unusable("secrets.key_file is not the key of this database", error))?;
        Ok(Self { key_id, private: EncodingKey::from_ed_der(&private) })
    }
}

/// Signs, and knows all public keys. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    db: PgPool,
    signer: watch::Receiver<Option<Signer>>,
}

impl SigningKeys {
    /// A short-lived token for `session`, issued at `now` (Unix seconds). It ends after [`TOKEN_LIFE_SECONDS`], or with the
    /// session if that is earlier. Waits up to two seconds for a key that may sign.
    pub async fn sign(&self, session: &Session, now: i64) -> Result<String, Error> {
        let mut signer = self.signer.clone();
        let signer = match timeout(SIGNER_WAIT, signer.wait_for(Option::is_some)).await {
            Ok(Ok(signer)) => signer.clone(),
            _ => None,
        };
        let signer = signer.ok_or(Error::NotSigningYet)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(signer.key_id);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: session.principal,
            org: session.organization,
            kind: session.kind,
            sid: session.id,
            iat: now,
            exp: session.expires_at.min(now + TOKEN_LIFE_SECONDS),
            end: Some(session.ends_at),
            vector: session.vector.clone(),
            lim: session.limits,
        };
        jsonwebtoken::encode(&header, &claims, &signer.private)
            .map_err(|error| Error::unusable("sign a token", error))
    }

    /// The public keys of all regions, as a JSON Web Key Set (RFC 7517).
    pub async fn jwks(&self) -> Result<Value, postgres::Error> {
        Ok(json!({ "keys": store::public_halves(&self.db).await? }))
    }

    /// Whether the public half of the key with this id is here.
    pub async fn knows(&self, key_id: &str) -> Result<bool, postgres::Error> {
        store::exists(&self.db, key_id).await
    }
}

/// A key set as services verify with it.
pub fn parse(jwks: &Value) -> Result<KeySet, postgres::Error> {
    KeySet::parse(&jwks.to_string()).map_err(postgres::Error::undecodable)
}
