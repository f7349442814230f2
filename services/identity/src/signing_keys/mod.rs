//! The keys that sign short-lived tokens: this region's private key, and the public keys of all regions, that everybody
//! verifies with.
//!
//! The public half of a key goes through the log, as `signing_key.put`. A key signs only once the other regions have it:
//! see [`opening`]. Until then `POST /v1/token` is answered 503.

mod opening;

use crate::Answer;
use access::{Claims, ISSUER, KeySet, Session};
use anyhow::Context as _;
use ids::OrganizationId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
pub use opening::Opening;
use postgres::Error;
use seal::SealKey;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};
use uuid::Uuid;
use web::Problem;

/// Life of a short-lived token, seconds. Also how long a cut-off region may honour one that was revoked.
pub const TOKEN_LIFE_SECONDS: i64 = 300;
/// Keys are of no organization; their operations name this one.
pub const ORGANIZATION: OrganizationId = OrganizationId::from_uuid(Uuid::nil());
/// How long a request waits for a key that may sign.
const SIGNER_WAIT: Duration = Duration::from_secs(2);

/// A private key that may sign.
#[derive(Clone)]
struct Signer {
    key_id: String,
    private: EncodingKey,
}

/// Signs, and knows all public keys. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    db: PgPool,
    signer: watch::Receiver<Option<Signer>>,
}

impl SigningKeys {
    /// A short-lived token for `session`, issued at `now` (Unix seconds). 503 while no key may sign.
    pub async fn sign(&self, session: &Session, now: i64) -> Answer<String> {
        let mut signer = self.signer.clone();
        let signer = match timeout(SIGNER_WAIT, signer.wait_for(Option::is_some)).await {
            Ok(Ok(signer)) => signer.clone(),
            _ => None,
        };
        let signer = signer.ok_or_else(|| {
            Problem::unavailable("this region's key has not reached the other regions yet; try again")
        })?;
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
            vector: session.vector.clone(),
        };
        Ok(jsonwebtoken::encode(&header, &claims, &signer.private).map_err(Problem::internal)?)
    }

    /// All public keys, as a JSON Web Key Set.
    pub async fn jwks(&self) -> Result<Value, Error> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT jwk FROM replicated.signing_key ORDER BY created_at, id")
                .fetch_all(&self.db)
                .await?;
        let keys: Vec<Value> = rows.iter().filter_map(|(jwk,)| serde_json::from_str(jwk).ok()).collect();
        Ok(json!({ "keys": keys }))
    }

    /// Whether the public half of a key is here.
    pub async fn knows(&self, key_id: &str) -> Result<bool, Error> {
        let (known,) = sqlx::query_as("SELECT EXISTS (SELECT FROM replicated.signing_key WHERE id = $1)")
            .bind(key_id)
            .fetch_one(&self.db)
            .await?;
        Ok(known)
    }
}

/// A key set as services verify with it.
pub fn parse(jwks: &Value) -> Result<KeySet, Error> {
    KeySet::parse(&jwks.to_string()).map_err(Error::undecodable)
}

/// Applies an operation.
pub async fn put(
    connection: &mut PgConnection,
    at: OffsetDateTime,
    id: &str,
    jwk: &Value,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO replicated.signing_key (id, jwk, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(jwk.to_string())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

impl Signer {
    fn open(seal: &SealKey, key_id: String, sealed: &[u8]) -> anyhow::Result<Self> {
        let private =
            seal.open(key_id.as_bytes(), sealed).context("secrets.key_file: not the key of this database")?;
        Ok(Self { key_id, private: EncodingKey::from_ed_der(&private) })
    }
}
