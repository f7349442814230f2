//! What checks the signatures of JSON web tokens, made once of a key.
//!
//! `jsonwebtoken` reads keys, and its own verifiers of public keys read theirs again at each signature. Here a key is prepared when it comes. To
//! check a signature by a public key costs as much as to forward a request, or more, and clients show a token many times. So each thread
//! remembers signatures that were right. Whether a token counts at the time is another question, which is asked each time.

use std::{cell::RefCell, collections::HashSet};

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm},
};
use foldhash::fast::RandomState;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// Signatures that a thread remembers to be right at most, 32 bytes each. When there are more, it begins anew.
const REMEMBERED_MAX: usize = 16_384;

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::default();
}

/// Checks signatures of one algorithm with one key. Shows no secret.
#[derive(Debug)]
pub enum Verifier {
    /// By a secret that the signer has too.
    Shared(Box<hmac::Key>),
    /// By a public key.
    Public(Box<PublicKey>),
}

/// See [`Verifier`].
#[derive(Debug)]
pub struct PublicKey {
    key: ParsedPublicKey,
    /// Stands for the key and its algorithm in what is remembered.
    id: [u8; 32],
}

/// Hashes of keys, messages and signatures that are right together.
#[derive(Default)]
struct Remembered(HashSet<[u8; 32], RandomState>);

impl Remembered {
    fn insert(&mut self, right: [u8; 32]) {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        self.0.insert(right);
    }
}

impl Verifier {
    /// One for signatures by `algorithm`; `None` if `key` is not of its kind, or is none at all. RSA keys have 2048 to 8192 bits: with another
    /// one, no signature is right.
    pub fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        // A public key must not count as a secret that is shared.
        if !key.family().algorithms().contains(&algorithm) {
            return None;
        }
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return Some(Self::Public(Box::new(PublicKey::new(algorithm, key)?))),
        };
        Some(Self::Shared(Box::new(hmac::Key::new(hash, key.try_get_as_bytes().ok()?))))
    }

    /// Whether `signature` is one of `message`. Takes as long for a wrong secret as for the right one.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verifies(message, signature),
        }
    }
}

impl PublicKey {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        let key = match algorithm {
            Algorithm::RS256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256, key),
            Algorithm::RS384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384, key),
            Algorithm::RS512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512, key),
            Algorithm::PS256 => rsa(&signature::RSA_PSS_2048_8192_SHA256, key),
            Algorithm::PS384 => rsa(&signature::RSA_PSS_2048_8192_SHA384, key),
            Algorithm::PS512 => rsa(&signature::RSA_PSS_2048_8192_SHA512, key),
            Algorithm::ES256 => prepared(&signature::ECDSA_P256_SHA256_FIXED, key),
            Algorithm::ES384 => prepared(&signature::ECDSA_P384_SHA384_FIXED, key),
            Algorithm::EdDSA => prepared(&signature::ED25519, key),
            _ => None,
        }?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{algorithm:?}\0").as_bytes()).update(key.as_ref());
        Some(Self { id: *hasher.finalize().as_bytes(), key })
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let entry = self.entry(message, signature);
        if REMEMBERED.with_borrow(|remembered| remembered.0.contains(&entry)) {
            return true;
        }
        let is_right = self.key.verify_sig(message, signature).is_ok();
        if is_right {
            REMEMBERED.with_borrow_mut(|remembered| remembered.insert(entry));
        }
        is_right
    }

    fn entry(&self, message: &[u8], signature: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        // The id and the message's length have a fixed size: no two triples are the same bytes.
        hasher.update(&self.id).update(&(message.len() as u64).to_le_bytes());
        *hasher.update(message).update(signature).finalize().as_bytes()
    }
}

fn rsa(algorithm: &'static RsaParameters, key: &DecodingKey) -> Option<ParsedPublicKey> {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(_) => prepared(algorithm, key),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(algorithm).ok()
        }
    }
}

fn prepared(algorithm: &'static dyn VerificationAlgorithm, key: &DecodingKey) -> Option<ParsedPublicKey> {
    ParsedPublicKey::new(algorithm, key.try_get_as_bytes().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_remembered_as_may_be_and_not_more() {
        let mut remembered = Remembered::default();
        for number in 0..=REMEMBERED_MAX as u64 {
            let mut entry = [0; 32];
            entry[..8].copy_from_slice(&number.to_le_bytes());
            remembered.insert(entry);
            let expected = if number == REMEMBERED_MAX as u64 { 1 } else { number as usize + 1 };
            assert_eq!(remembered.0.len(), expected);
        }
    }

    #[test]
    fn what_is_remembered_of_one_algorithm_says_nothing_of_another_one() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let private = jsonwebtoken::EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        let key = DecodingKey::from_rsa_pem(pair.public_key_pem().as_bytes()).unwrap();
        let all = [Algorithm::RS256, Algorithm::RS384, Algorithm::PS256, Algorithm::PS384];
        let signatures = all.map(|algorithm| {
            let signature = jsonwebtoken::crypto::sign(b"text", &private, algorithm).unwrap();
            base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, signature).unwrap()
        });
        let verifiers = all.map(|algorithm| (algorithm, Verifier::new(algorithm, &key).unwrap()));
        // The second time, what is right is remembered.
        for (algorithm, verifier) in verifiers.iter().chain(&verifiers) {
            for (of, signature) in all.iter().zip(&signatures) {
                assert_eq!(verifier.verifies(b"text", signature), of == algorithm, "{algorithm:?} {of:?}");
                assert!(!verifier.verifies(b"tex", &[b"t", signature.as_slice()].concat()));
            }
        }
    }
}
