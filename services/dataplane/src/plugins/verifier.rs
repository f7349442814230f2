//! What checks the signatures of JSON web tokens, made once of a key.
//!
//! `jsonwebtoken` reads keys, and its own verifiers of public keys read theirs again at each signature. Here a key is prepared when it comes.

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm},
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// Checks signatures of one algorithm with one key. Shows no secret.
#[derive(Debug)]
pub enum Verifier {
    /// By a secret that the signer has too.
    Shared(Box<hmac::Key>),
    /// By a public key.
    Public(ParsedPublicKey),
}

impl Verifier {
    /// One for signatures by `algorithm`; `None` if `key` is not of its kind, or is none at all. RSA keys have 2048 to 8192 bits: with another
    /// one, no signature is right.
    pub fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        // A public key must not count as a secret that is shared.
        if !key.family().algorithms().contains(&algorithm) {
            return None;
        }
        match algorithm {
            Algorithm::HS256 => shared(hmac::HMAC_SHA256, key),
            Algorithm::HS384 => shared(hmac::HMAC_SHA384, key),
            Algorithm::HS512 => shared(hmac::HMAC_SHA512, key),
            Algorithm::RS256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256, key),
            Algorithm::RS384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384, key),
            Algorithm::RS512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512, key),
            Algorithm::PS256 => rsa(&signature::RSA_PSS_2048_8192_SHA256, key),
            Algorithm::PS384 => rsa(&signature::RSA_PSS_2048_8192_SHA384, key),
            Algorithm::PS512 => rsa(&signature::RSA_PSS_2048_8192_SHA512, key),
            Algorithm::ES256 => public(&signature::ECDSA_P256_SHA256_FIXED, key),
            Algorithm::ES384 => public(&signature::ECDSA_P384_SHA384_FIXED, key),
            Algorithm::EdDSA => public(&signature::ED25519, key),
            _ => None,
        }
    }

    /// Whether `signature` is one of `message`. Takes as long for a wrong secret as for the right one.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn shared(algorithm: hmac::Algorithm, key: &DecodingKey) -> Option<Verifier> {
    let secret = key.try_get_as_bytes().ok()?;
    Some(Verifier::Shared(Box::new(hmac::Key::new(algorithm, secret))))
}

fn rsa(algorithm: &'static RsaParameters, key: &DecodingKey) -> Option<Verifier> {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(_) => public(algorithm, key),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            let prepared = RsaPublicKeyComponents { n, e }.to_parsed_public_key(algorithm).ok()?;
            Some(Verifier::Public(prepared))
        }
    }
}

fn public(algorithm: &'static dyn VerificationAlgorithm, key: &DecodingKey) -> Option<Verifier> {
    let bytes = key.try_get_as_bytes().ok()?;
    Some(Verifier::Public(ParsedPublicKey::new(algorithm, bytes).ok()?))
}
