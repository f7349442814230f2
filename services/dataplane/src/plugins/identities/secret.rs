//! What requests are checked against, in the form in which that is quick.

use std::{cell::OnceCell, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use gateway_model::{Entity, Jwt, JwtAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::plugins::verifier::Verifier;

/// What a credential's owner proves to have.
#[derive(Debug)]
pub enum Secret {
    /// Nothing, or it cannot be opened.
    None,
    /// An API key, or a name in a certificate: who shows it was found by it.
    Key,
    /// The hash of a password.
    Password(Box<str>),
    /// A key that requests are signed with.
    Hmac(HmacKey),
    /// A key that JSON web tokens are signed with.
    Jwt(JwtKey),
    /// A token of another issuer.
    Token(Token),
}

impl Secret {
    /// That of a credential whose secrets are open.
    pub fn new(credential: &Entity) -> Self {
        match credential {
            Entity::KeyAuth(_) | Entity::MtlsAuth(_) => Self::Key,
            Entity::BasicAuth(held) => match &held.password {
                gateway_model::Secret::AtRest(hash) => Self::Password(hash.as_str().into()),
                _ => Self::None,
            },
            Entity::HmacAuth(held) => {
                held.secret.plain().map_or(Self::None, |text| Self::Hmac(HmacKey(text.into())))
            }
            Entity::Jwt(held) => JwtKey::new(held).map_or(Self::None, Self::Jwt),
            Entity::Oauth2Token(held) => Self::Token(Token {
                scopes: held.scope.iter().flat_map(|scope| scope.split_whitespace()).map(Box::from).collect(),
                scope: held.scope.as_deref().map(Box::from),
                userid: held.authenticated_userid.as_deref().map(Box::from),
            }),
            _ => Self::None,
        }
    }
}

/// Why a credential of `entity` cannot be used by this build, though it is valid; `None` if it can.
pub fn unusable(entity: &Entity) -> Option<String> {
    match entity {
        Entity::Jwt(held) if algorithm(held.algorithm).is_none() => {
            Some(format!("algorithm: this gateway does not verify `{}`", held.algorithm.as_str()))
        }
        Entity::Jwt(held) if !held.algorithm.is_symmetric() && public(held).is_none() => {
            let (algorithm, kinds) = (held.algorithm.as_str(), "RSA, EC (P-256, P-384) or Ed25519");
            Some(format!("rsa_public_key: not a key for `{algorithm}`; keys may be {kinds}"))
        }
        _ => None,
    }
}

/// A token of another issuer.
#[derive(Debug)]
pub struct Token {
    /// What it may be used for.
    pub scopes: Vec<Box<str>>,
    /// The same as one text.
    pub scope: Option<Box<str>>,
    /// The person who agreed to it.
    pub userid: Option<Box<str>>,
}

/// A key that requests are signed with.
pub struct HmacKey(pub Box<str>);

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

/// A key that JSON web tokens are signed with. What checks signatures is made once.
pub struct JwtKey {
    algorithm: Algorithm,
    /// The shared secret; `None` where a public key is held.
    secret: Option<Box<str>>,
    plain: OnceCell<Option<Verifier>>,
    /// With the secret read as base64.
    decoded: OnceCell<Option<Verifier>>,
}

impl JwtKey {
    fn new(held: &Jwt) -> Option<Self> {
        let algorithm = algorithm(held.algorithm)?;
        let (secret, plain) = if held.algorithm.is_symmetric() {
            (Some(held.secret.plain()?.into()), OnceCell::new())
        } else {
            (None, OnceCell::from(public(held)))
        };
        Some(Self { algorithm, secret, plain, decoded: OnceCell::new() })
    }

    /// How tokens must be signed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What checks signatures; `None` if the secret cannot be read in this way.
    pub fn verifier(&self, secret_is_base64: bool) -> Option<&Verifier> {
        let Some(secret) = &self.secret else { return self.plain.get()?.as_ref() };
        let verifier = |secret: &[u8]| Verifier::new(self.algorithm, &DecodingKey::from_secret(secret));
        let made = match secret_is_base64 {
            false => self.plain.get_or_init(|| verifier(secret.as_bytes())),
            true => self.decoded.get_or_init(|| verifier(&base64_of_either_alphabet(secret)?)),
        };
        made.as_ref()
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What checks signatures with the public key of a credential; `None` if it has none that fits its algorithm.
fn public(held: &Jwt) -> Option<Verifier> {
    let (pem, algorithm) = (held.rsa_public_key.as_deref()?.as_bytes(), algorithm(held.algorithm)?);
    let key = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_rsa_pem(pem),
    };
    Verifier::new(algorithm, &key.ok()?)
}

/// As Kong reads secrets: in either alphabet, padded or not.
fn base64_of_either_alphabet(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let standard: String = text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(standard).ok()
}

/// The library's name of the algorithm; `None` if it does not have it.
fn algorithm(algorithm: JwtAlgorithm) -> Option<Algorithm> {
    Some(match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Hs384 => Algorithm::HS384,
        JwtAlgorithm::Hs512 => Algorithm::HS512,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::Es512 => return None,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    })
}
