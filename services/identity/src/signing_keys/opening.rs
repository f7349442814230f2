//! Makes this region's key at its first start, and decides when it may sign.
//!
//! The rule: a key signs once every other configured region has applied its public half. A region that has not been
//! heard of for [`SILENCE_MAX`] is not waited for, because each region has to work alone: while the other one is away nobody
//! can show it a token, and when it is back it fetches the key before it refuses a token (`crate::sessions`). So no token is
//! signed that a region within reach cannot verify. A key that has signed goes on signing, and regions that are added later
//! receive its public half with the log.

use std::{collections::BTreeSet, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ids::Region;
use mutation::Mutation;
use oplog::Log;
use replication::Position;
use replication_runtime::Replication;
use seal::SealKey;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Signer, SigningKeys,
    store::{self, Secret},
};
use crate::{app, apply::Rows, error::Answer, operation::Operation, tenant::Tenant};

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

/// What is known of another region.
#[derive(Clone, Copy, Debug)]
struct Witness {
    /// It has applied the public half.
    holds: bool,
    /// Time since it was last heard of, or since the start if it never was.
    silence: Duration,
}

impl Opening {
    /// The region's keys, and the part that has to run. `regions` are the other regions of the deployment.
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

    /// Runs until `drain`. The keys sign as soon as the rule allows it.
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
                    let reason = error.to_string();
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

    /// Makes the key if there is none; answers a signer once the key may sign. Replicas may do so at the same time: the first
    /// to have the log's lock makes the key.
    async fn step(&self) -> Answer<Option<Signer>> {
        let Some(secret) = store::newest(self.log.db()).await? else {
            self.make().await?;
            return Ok(None);
        };
        if !secret.signs {
            if !may_sign(&self.witnesses(secret.position)) {
                return Ok(None);
            }
            store::let_sign(self.log.db(), &secret.key_id).await?;
        }
        Ok(Some(Signer::open(&self.seal, secret.key_id, &secret.sealed)?))
    }

    async fn make(&self) -> Answer<()> {
        let key = NewKey::generate(self.log.origin().region())?;
        let sealed = self.seal.seal(key.id.as_bytes(), &key.private);
        let mutation = Mutation::by_operator(Tenant::Deployment.stored(), "signing-key.create");
        let work = app::write(&self.log, mutation, move |tx| {
            Box::pin(async move {
                if store::newest(tx.connection()).await?.is_some() {
                    return Ok(());
                }
                let put = Operation::SigningKeyPut { id: key.id.clone(), jwk: key.public };
                let position = tx.append(put).await?;
                let secret = Secret { key_id: key.id, sealed, position, signs: false };
                let at = tx.at();
                store::insert_secret(tx.connection(), &secret, at).await?;
                tx.audit(&secret.key_id).await?;
                Ok(())
            })
        });
        work.await
    }

    /// What every other region knows of the public half at `position` of this region's log.
    fn witnesses(&self, position: Position) -> Vec<Witness> {
        let status = self.replication.status();
        let witness = |region: &Region| {
            let known = status.iter().find(|known| known.region == *region);
            let held = known.and_then(|known| known.held.get(self.log.origin()));
            let heard = known.and_then(|known| known.heard_ago);
            Witness {
                holds: held.is_some_and(|held| held >= position),
                silence: heard.unwrap_or(Duration::MAX).min(self.started.elapsed()),
            }
        };
        self.regions.iter().map(witness).collect()
    }
}

fn may_sign(others: &[Witness]) -> bool {
    others.iter().all(|other| other.holds || other.silence > SILENCE_MAX)
}

/// A key that is not stored yet.
struct NewKey {
    id: String,
    /// The public half as a JSON Web Key.
    public: Value,
    /// The private half, as PKCS #8.
    private: Vec<u8>,
}

impl NewKey {
    fn generate(region: &Region) -> Result<Self, Error> {
        let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
            .map_err(|error| Error::unusable("make a signing key", error))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref())
            .map_err(|error| Error::unusable("read a signing key", error))?;
        let public = pair.public_key().as_ref();
        let digest = BASE64_URL_SAFE_NO_PAD.encode(&blake3::hash(public).as_bytes()[..12]);
        let id = access::key_id(region, &digest);
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(public),
        });
        Ok(Self { id, public: jwk, private: private.as_ref().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{NewKey, SILENCE_MAX, Witness, may_sign};

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
        let NewKey { id, public: jwk, private } = NewKey::generate(&region).expect("key");
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
