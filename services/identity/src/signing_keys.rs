//! The keys that sign short-lived tokens: this region's private key, and the public keys that all verify with.

use access::{Claims, ISSUER, KeySet, Session};
use anyhow::Context as _;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use postgres::{Error, seal::SealKey};
use serde_json::{Value, json};
use sqlx::PgPool;

/// Life of a short-lived token, seconds. Also how long a cut-off region may honour one that was revoked.
pub const TOKEN_LIFE_SECONDS: i64 = 300;
/// Advisory lock under which the first key is made, so that replicas that start together make one.
const KEY_LOCK: i64 = 0x6c62_6b65_7973;

pub struct SigningKeys {
    db: PgPool,
    key_id: String,
    private: EncodingKey,
}

impl SigningKeys {
    /// Opens this region's signing key; makes it at the first start.
    pub async fn open(db: &PgPool, seal: &SealKey) -> anyhow::Result<Self> {
        let mut transaction = db.begin().await.context("database")?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(KEY_LOCK).execute(&mut *transaction).await?;
        let newest: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT id, sealed FROM regional.signing_secret JOIN replicated.signing_key USING (id)
             ORDER BY created_at DESC LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let (key_id, private) = match newest {
            Some((key_id, sealed)) => {
                let private = seal
                    .open(key_id.as_bytes(), &sealed)
                    .context("secrets.key_file: not the key of this database")?;
                (key_id, private)
            }
            None => {
                let (key_id, jwk, private) = generate()?;
                sqlx::query("INSERT INTO replicated.signing_key (id, jwk) VALUES ($1, $2)")
                    .bind(&key_id)
                    .bind(jwk.to_string())
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query("INSERT INTO regional.signing_secret (id, sealed) VALUES ($1, $2)")
                    .bind(&key_id)
                    .bind(seal.seal(key_id.as_bytes(), &private))
                    .execute(&mut *transaction)
                    .await?;
                (key_id, private)
            }
        };
        transaction.commit().await?;
        Ok(Self { db: db.clone(), key_id, private: EncodingKey::from_ed_der(&private) })
    }

    /// A short-lived token for `session`, issued at `now` (Unix seconds).
    pub fn sign(&self, session: &Session, now: i64) -> anyhow::Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id.clone());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: session.principal,
            org: session.organization,
            kind: session.kind,
            sid: session.id,
            iat: now,
            exp: session.expires_at.min(now + TOKEN_LIFE_SECONDS),
        };
        Ok(jsonwebtoken::encode(&header, &claims, &self.private)?)
    }

    /// All public keys, as a JSON Web Key Set.
    pub async fn jwks(&self) -> Result<Value, Error> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT jwk FROM replicated.signing_key ORDER BY created_at")
                .fetch_all(&self.db)
                .await?;
        let keys: Vec<Value> = rows.iter().filter_map(|(jwk,)| serde_json::from_str(jwk).ok()).collect();
        Ok(json!({ "keys": keys }))
    }

    pub async fn key_set(&self) -> Result<KeySet, Error> {
        let jwks = self.jwks().await?.to_string();
        KeySet::parse(&jwks).map_err(|error| sqlx::Error::Decode(error.into()).into())
    }
}

/// A new key: its id, its public half as JWK, its private half as PKCS #8.
fn generate() -> anyhow::Result<(String, Value, Vec<u8>)> {
    let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).context("generate a signing key")?;
    let pair =
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).context("read the signing key")?;
    let public = pair.public_key().as_ref();
    let key_id = BASE64_URL_SAFE_NO_PAD.encode(&blake3::hash(public).as_bytes()[..12]);
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id,
        "x": BASE64_URL_SAFE_NO_PAD.encode(public),
    });
    Ok((key_id, jwk, private.as_ref().to_vec()))
}
