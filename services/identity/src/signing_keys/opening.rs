//! Makes this region's key at its first start, and decides when it may sign.
//!
//! The rule: a key signs once every other configured region has applied its public half. A region that has not been
//! heard of for [`SILENCE_MAX`] is not waited for, since a region works alone: while it is away nobody can show it a token,
//! and when it is back it fetches the key before it refuses one (`crate::sessions`). So no token is signed that a region
//! within reach cannot verify. Once decided, it stays so, and regions added later receive the key with the log.

use std::{collections::BTreeSet, time::Duration};

use crate::Answer;
use anyhow::Context as _;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ids::Region;
use mutation::Mutation;
use oplog::{Log, columns};
use postgres::Error;
use replication::Position;
use replication_runtime::Replication;
use seal::SealKey;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use web::Problem;

use super::{ORGANIZATION, Signer, SigningKeys};
use crate::{app, apply::Rows, operation::Operation};

/// Pause between two looks at what is missing.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// A region that was not heard of for so long is away.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The part that runs until the region's key signs.
pub struct Opening {
    log: Log<Rows>,
    replication: Replication,
    regions: BTreeSet<Region>,
    seal: SealKey,
    signer: watch::Sender<Option<Signer>>,
    started: Instant,
}

/// This region's newest key, as it is stored.
#[derive(sqlx::FromRow)]
struct Secret {
    id: String,
    sealed: Vec<u8>,
    epoch: i64,
    seq: i64,
    signs: bool,
}

/// What is known of another region.
#[derive(Clone, Copy, Debug)]
struct Witness {
    /// It has applied the public half.
    holds: bool,
    /// Since it was last heard of; since the start, if never.
    silence: Duration,
}

impl Opening {
    /// `regions` are the other ones that this service knows of.
    pub fn new(
        log: Log<Rows>,
        replication: Replication,
        regions: BTreeSet<Region>,
        seal: SealKey,
    ) -> (SigningKeys, Self) {
        let (signer, receiver) = watch::channel(None);
        let keys = SigningKeys { db: log.db().clone(), signer: receiver };
        let started = Instant::now();
        (keys, Self { log, replication, regions, seal, signer, started })
    }

    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut told = String::new();
        loop {
            match self.step().await {
                Ok(Some(signer)) => {
                    tracing::info!(key_id = signer.key_id, "the region's key signs");
                    self.signer.send_replace(Some(signer));
                    drain.cancelled().await;
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) => {
                    let reason = format!("{error:#}");
                    if reason != told {
                        tracing::warn!(error = reason, "no key signs yet; trying again");
                        told = reason;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                () = drain.cancelled() => return Ok(()),
            }
        }
    }

    /// Goes one step further: makes the key, or opens it. Replicas do so at once, under the lock of the log's head.
    async fn step(&self) -> anyhow::Result<Option<Signer>> {
        let Some(secret) = newest(self.log.db()).await? else {
            self.make().await?;
            return Ok(None);
        };
        if !secret.signs {
            if !may_sign(&self.witnesses(columns::position(secret.epoch, secret.seq)?)) {
                return Ok(None);
            }
            sqlx::query("UPDATE regional.signing_secret SET signs = true WHERE id = $1")
                .bind(&secret.id)
                .execute(self.log.db())
                .await?;
        }
        Signer::open(&self.seal, secret.id, &secret.sealed).map(Some)
    }

    async fn make(&self) -> Answer<()> {
        let (id, jwk, private) = generate(self.log.origin().region()).map_err(Problem::internal)?;
        let sealed = self.seal.seal(id.as_bytes(), &private);
        let mutation = Mutation::by_operator(ORGANIZATION, "signing-key.create");
        let work = app::write(&self.log, mutation, move |tx| {
            Box::pin(async move {
                if newest(tx.connection()).await?.is_some() {
                    return Ok(());
                }
                let put = Operation::SigningKeyPut { id: id.clone(), jwk };
                let place = tx.append(put).await?;
                let at = tx.at();
                sqlx::query(
                    "INSERT INTO regional.signing_secret (id, sealed, created_at, epoch, seq) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(&id)
                .bind(sealed)
                .bind(at)
                .bind(columns::epoch(place))
                .bind(columns::seq(place))
                .execute(tx.connection())
                .await
                .map_err(Error::from)?;
                tx.audit(&id).await?;
                Ok(())
            })
        });
        work.await
    }

    fn witnesses(&self, place: Position) -> Vec<Witness> {
        let status = self.replication.status();
        let witness = |region: &Region| {
            let known = status.iter().find(|known| known.region == *region);
            let held = known.and_then(|known| known.held.get(self.log.origin()));
            let heard = known.and_then(|known| known.heard_ago);
            Witness {
                holds: held.is_some_and(|held| held >= place),
                silence: heard.unwrap_or(Duration::MAX).min(self.started.elapsed()),
            }
        };
        self.regions.iter().map(witness).collect()
    }
}

fn may_sign(others: &[Witness]) -> bool {
    others.iter().all(|other| other.holds || other.silence > SILENCE_MAX)
}

/// The newest key whose public half is in the log.
async fn newest(executor: impl sqlx::PgExecutor<'_>) -> Result<Option<Secret>, Error> {
    let secret = sqlx::query_as(
        "SELECT id, sealed, epoch, seq, signs FROM regional.signing_secret JOIN replicated.signing_key USING (id)
         ORDER BY signing_secret.created_at DESC LIMIT 1",
    )
    .fetch_optional(executor)
    .await?;
    Ok(secret)
}

/// A new key: its id, its public half as JWK, its private half as PKCS #8.
fn generate(region: &Region) -> anyhow::Result<(String, Value, Vec<u8>)> {
    let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).context("generate a signing key")?;
    let pair =
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).context("read the signing key")?;
    let public = pair.public_key().as_ref();
    let key_id =
        access::key_id(region, &BASE64_URL_SAFE_NO_PAD.encode(&blake3::hash(public).as_bytes()[..12]));
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id,
        "x": BASE64_URL_SAFE_NO_PAD.encode(public),
    });
    Ok((key_id, jwk, private.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SILENCE_MAX, Witness, generate, may_sign};

    #[test]
    fn a_key_signs_once_no_region_within_reach_lacks_it() {
        let witness = |holds, seconds| Witness { holds, silence: Duration::from_secs(seconds) };
        assert!(may_sign(&[]), "a region alone");
        assert!(may_sign(&[witness(true, 0), witness(true, 3600)]));
        assert!(!may_sign(&[witness(true, 0), witness(false, 0)]));
        assert!(!may_sign(&[witness(false, SILENCE_MAX.as_secs())]), "it may just be late");
        assert!(may_sign(&[witness(true, 0), witness(false, SILENCE_MAX.as_secs() + 1)]), "it is away");
    }

    #[test]
    fn a_keys_id_names_its_region_and_its_public_half_verifies() {
        let region = "us".parse().expect("region");
        let (id, jwk, private) = generate(&region).expect("key");
        assert_eq!(access::region_of_key(&id), Some(region));
        assert_eq!(jwk["kid"], id.as_str());
        let jwk = serde_json::from_value(jwk).expect("JWK");
        let public = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("public half");
        let key = jsonwebtoken::EncodingKey::from_ed_der(&private);
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        let claims = serde_json::json!({"exp": 4_102_444_800_u64});
        let token = jsonwebtoken::encode(&header, &claims, &key).expect("signed");
        let validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        jsonwebtoken::decode::<serde_json::Value>(&token, &public, &validation).expect("verified");
    }
}
