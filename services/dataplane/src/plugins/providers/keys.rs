//! The public keys of a provider: a JSON web key set (RFC 7517).

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, crypto,
    jwk::{Jwk, PublicKeyUse},
};
use serde_json::Value;

/// Keys of one provider that are looked at.
const KEYS_MAX: usize = 64;

/// The public keys that a provider signs with, by their ids.
#[derive(Debug, Default)]
pub struct Keys {
    by_id: HashMap<String, Key>,
    /// Those without an id.
    others: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    /// `None`: every one of its kind.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// The keys of a set. Those that cannot be used here are left out: secret ones, which nobody may publish, those for encryption, and those of
    /// kinds that this build does not verify.
    pub fn read(set: &Value) -> Option<Self> {
        let mut keys = Self::default();
        for value in set.get("keys")?.as_array()?.iter().take(KEYS_MAX) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value.clone()) else { continue };
            let Ok(key) = DecodingKey::from_jwk(&jwk) else { continue };
            let encrypts =
                jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature);
            if key.family() == AlgorithmFamily::Hmac || encrypts {
                continue;
            }
            let algorithm = match jwk.common.key_algorithm {
                None => None,
                Some(named) => match named.to_string().parse() {
                    Ok(algorithm) => Some(algorithm),
                    Err(_) => continue,
                },
            };
            let key = Key { algorithm, key };
            match jwk.common.key_id {
                Some(id) => drop(keys.by_id.insert(id, key)),
                None => keys.others.push(key),
            }
        }
        Some(keys)
    }

    /// Whether `signature`, in base64, is that of `message` by the key `id`; by any key that fits, if the token names none. `None` if there is no
    /// such key: the provider may have a new one.
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &str,
    ) -> Option<bool> {
        let mut fitting = match id {
            Some(id) => self.by_id.get(id).into_iter().collect::<Vec<_>>(),
            None => self.by_id.values().chain(&self.others).collect(),
        };
        fitting.retain(|key| key.fits(algorithm));
        if fitting.is_empty() {
            return None;
        }
        let verifies = |key: &&Key| crypto::verify(signature, message, &key.key, algorithm).unwrap_or(false);
        Some(fitting.iter().any(verifies))
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm)
            && self.key.family().algorithms().contains(&algorithm)
    }
}
