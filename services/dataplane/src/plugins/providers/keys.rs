//! The public keys of a provider: a JSON web key set (RFC 7517).

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, PublicKeyUse},
};
use serde_json::Value;

use crate::plugins::verifier::Verifier;

/// Keys of one provider that are looked at.
const KEYS_MAX: usize = 64;

/// The public keys that a provider signs with, by their ids.
#[derive(Debug, Default)]
pub struct Keys {
    by_id: HashMap<String, Key>,
    /// Those without an id.
    others: Vec<Key>,
}

/// A key, by each algorithm that tokens may be signed by with it.
#[derive(Debug)]
struct Key(Vec<(Algorithm, Verifier)>);

impl Keys {
    /// The keys of a set. Those that cannot be used here are left out: secret ones, which nobody may publish, those for encryption, and those of
    /// kinds that this build does not verify.
    pub fn read(set: &Value) -> Option<Self> {
        let mut keys = Self::default();
        for value in set.get("keys")?.as_array()?.iter().take(KEYS_MAX) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value.clone()) else { continue };
            let Some(key) = Key::new(&jwk) else { continue };
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
        let named = id.map(|id| self.by_id.get(id));
        let keys = named.into_iter().flatten();
        let all = self.by_id.values().chain(&self.others).filter(|_| id.is_none());
        let mut fitting = keys.chain(all).filter_map(|key| key.verifier(algorithm)).peekable();
        fitting.peek()?;
        let Ok(signature) = BASE64_URL_SAFE_NO_PAD.decode(signature) else { return Some(false) };
        Some(fitting.any(|verifier| verifier.verifies(message, &signature)))
    }
}

impl Key {
    fn new(jwk: &Jwk) -> Option<Self> {
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let encrypts =
            jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature);
        if key.family() == AlgorithmFamily::Hmac || encrypts {
            return None;
        }
        // A key that names none is for all of its kind.
        let named = jwk.common.key_algorithm.map(|named| named.to_string().parse::<Algorithm>());
        let only = named.transpose().ok()?;
        let family = key.family();
        let algorithms = family.algorithms().iter().filter(|one| only.is_none_or(|only| only == **one));
        let verifiers: Vec<_> =
            algorithms.filter_map(|one| Some((*one, Verifier::new(*one, &key)?))).collect();
        Some(Self(verifiers)).filter(|key| !key.0.is_empty())
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        let (_, verifier) = self.0.iter().find(|(own, _)| *own == algorithm)?;
        Some(verifier)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, crypto};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
    use serde_json::json;

    use super::*;

    const ALL: [Algorithm; 9] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// A key for `algorithm`, and its public one as a provider publishes it, without what it may leave out.
    fn pair(algorithm: Algorithm) -> (EncodingKey, Value) {
        let (kind, read): (_, fn(&[u8]) -> _) = match algorithm {
            Algorithm::ES256 => (&PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_pem),
            Algorithm::ES384 => (&PKCS_ECDSA_P384_SHA384, EncodingKey::from_ec_pem),
            Algorithm::EdDSA => (&PKCS_ED25519, EncodingKey::from_ed_pem),
            _ => (&PKCS_RSA_SHA256, EncodingKey::from_rsa_pem),
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let private = read(pair.serialize_pem().as_bytes()).unwrap();
        if algorithm == Algorithm::EdDSA {
            let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key_raw());
            return (private, json!({ "kty": "OKP", "crv": "Ed25519", "x": x }));
        }
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&private, algorithm).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().retain(|name, _| name != "alg");
        (private, jwk)
    }

    #[test]
    fn a_key_verifies_what_was_signed_with_it_by_each_algorithm_of_its_kind_and_nothing_else() {
        for kind in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
            let ((key, mut jwk), (other, _)) = (pair(kind), pair(kind));
            jwk["kid"] = json!("k");
            let mut bound = jwk.clone();
            (bound["kid"], bound["alg"]) = (json!("bound"), json!(kind));
            let keys = Keys::read(&json!({ "keys": [jwk, bound] })).unwrap();
            let rsa: &[Algorithm] = &ALL[..6];
            let own = if kind == Algorithm::RS256 { rsa } else { std::slice::from_ref(&kind) };
            for algorithm in ALL {
                if !own.contains(&algorithm) {
                    assert_eq!(
                        keys.verify(Some("k"), algorithm, b"text", ""),
                        None,
                        "{kind:?} {algorithm:?}"
                    );
                    continue;
                }
                let signature = crypto::sign(b"text", &key, algorithm).unwrap();
                let forged = crypto::sign(b"text", &other, algorithm).unwrap();
                for id in [Some("k"), None] {
                    let verify = |message: &[u8], signature| keys.verify(id, algorithm, message, signature);
                    assert_eq!(verify(b"text", &signature), Some(true), "{algorithm:?}");
                    assert_eq!(verify(b"texts", &signature), Some(false), "{algorithm:?}");
                    assert_eq!(verify(b"text", &forged), Some(false), "{algorithm:?}");
                    assert_eq!(verify(b"text", ""), Some(false), "{algorithm:?}");
                    assert_eq!(verify(b"text", "!"), Some(false), "{algorithm:?}");
                }
                let bound = keys.verify(Some("bound"), algorithm, b"text", &signature);
                assert_eq!(bound, (algorithm == kind).then_some(true), "{algorithm:?}");
                assert_eq!(keys.verify(Some("K"), algorithm, b"text", &signature), None);
            }
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out() {
        let algorithm = Algorithm::ES256;
        let (key, good) = pair(algorithm);
        let edited = |name: &str, value: Value| {
            let mut jwk = good.clone();
            jwk[name] = value;
            jwk
        };
        let signature = crypto::sign(b"text", &key, algorithm).unwrap();
        let secret = json!({ "kty": "oct", "k": "c2VjcmV0" });
        for (jwk, expected) in [
            (good.clone(), Some(true)),
            (edited("use", json!("sig")), Some(true)),
            (edited("use", json!("enc")), None),
            (edited("alg", json!("RSA-OAEP")), None),
            (edited("x", json!("AAAA")), None),
            (edited("y", good["x"].clone()), None),
            (edited("kty", json!("unknown")), None),
            (json!("text"), None),
        ] {
            let keys = Keys::read(&json!({ "keys": [secret, jwk] })).unwrap();
            assert_eq!(keys.verify(None, algorithm, b"text", &signature), expected, "{jwk}");
            assert_eq!(keys.verify(None, Algorithm::HS256, b"text", &signature), None);
        }
        assert!(Keys::read(&json!({})).is_none() && Keys::read(&json!({ "keys": {} })).is_none());
    }
}
