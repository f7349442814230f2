//! The public keys of a provider: a JSON web key set (RFC 7517), and what they have signed.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, PublicKeyUse},
};
use serde_json::{Map, Value};

/// Keys of one provider that are looked at.
const KEYS_MAX: usize = 64;

/// The public keys that a provider signs with.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// `None`: each algorithm of its kind.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// A token's claims do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// The provider may have a new key.
    UnknownKey,
    /// It is so with any key.
    Never(&'static str),
}

impl Keys {
    /// The keys of a set. Those that cannot be used here are left out: secret ones, which nobody may publish, those for encryption, and those of
    /// kinds that are not verified here.
    pub fn read(set: &Value) -> Option<Self> {
        let values = set.get("keys")?.as_array()?;
        let read = |value: &Value| Key::new(serde_json::from_value(value.clone()).ok()?);
        Some(Self(values.iter().take(KEYS_MAX).filter_map(read).collect()))
    }

    /// The claims of `token`, if it is signed with one of these keys, and by one of `algorithms` where the provider names some.
    pub fn claims(&self, token: &str, algorithms: Option<&[String]>) -> Result<Map<String, Value>, Unsigned> {
        // `none` is no algorithm, so it cannot be read.
        let header =
            decode_header(token).map_err(|_| Unsigned::Never("its token is not signed as it must be"))?;
        let is_shared = AlgorithmFamily::Hmac.algorithms().contains(&header.alg);
        let name = serde_json::to_value(header.alg).ok();
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let is_named = algorithms.is_none_or(|all| all.iter().any(|one| one == name));
        if is_shared || !is_named || header.crit.is_some() {
            return Err(Unsigned::Never("its token is signed in a way that does not count here"));
        }
        let fits = |key: &&Key| {
            key.key.family().algorithms().contains(&header.alg)
                && key.algorithm.is_none_or(|only| only == header.alg)
                && header.kid.as_ref().is_none_or(|id| key.id.as_ref() == Some(id))
        };
        let mut fitting = self.0.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return Err(Unsigned::UnknownKey);
        }
        let mut validation = Validation::new(header.alg);
        // What the claims have to say is judged elsewhere, by the clock of the service.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let signed = fitting.find_map(|key| decode::<Map<String, Value>>(token, &key.key, &validation).ok());
        match (signed, header.kid) {
            (Some(data), _) => Ok(data.claims),
            // Without a name nobody can tell whether the key is missing or the signature is wrong.
            (None, None) => Err(Unsigned::UnknownKey),
            (None, Some(_)) => Err(Unsigned::Never("the signature of its token is wrong")),
        }
    }
}

impl Key {
    fn new(jwk: Jwk) -> Option<Self> {
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let encrypts =
            jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature);
        if key.family() == AlgorithmFamily::Hmac || encrypts {
            return None;
        }
        let named = jwk.common.key_algorithm.map(|named| named.to_string().parse::<Algorithm>());
        Some(Self { id: jwk.common.key_id, algorithm: named.transpose().ok()?, key })
    }
}
