//! A JSON web token before its signature is checked (RFC 7519, in the compact form of RFC 7515): of its header and claims only what decides.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// A token whose signature nobody has checked yet.
pub struct Token<'t> {
    /// What is signed.
    pub signed: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
    /// How it says that it is signed.
    pub algorithm: Algorithm,
    claims: Wanted,
    /// What the header has under the name of the claim that names the credential.
    of_header: Option<Value>,
}

/// What is read of an object.
#[derive(Default)]
struct Wanted {
    key: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    alg: Option<Value>,
    crit: Option<Value>,
}

impl<'t> Token<'t> {
    /// Reads a token, in which `key_claim` names the credential. The error continues "Bad token; ".
    pub fn read(text: &'t str, key_claim: &str) -> Result<Self, &'static str> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("invalid JSON");
        };
        let signed = text.as_bytes().get(..header.len() + 1 + claims.len()).ok_or("invalid JSON")?;
        let header = object(header, key_claim).ok_or("invalid JSON")?;
        let claims = object(claims, key_claim).ok_or("invalid claims")?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| "invalid signature")?;
        let algorithm = header.alg.as_ref().and_then(Value::as_str).and_then(|name| name.parse().ok());
        let algorithm = algorithm.ok_or("invalid alg")?;
        // Who sets it demands that it be understood (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err("extensions are not supported");
        }
        Ok(Self { signed, signature, algorithm, claims, of_header: header.key })
    }

    /// What names the credential, in the claims or else in the header.
    pub fn key(&self) -> Option<&str> {
        self.claims.key.as_ref().or(self.of_header.as_ref())?.as_str()
    }

    /// A claim that is a number: `exp` or `nbf`.
    pub fn number(&self, claim: &str) -> Option<f64> {
        let value = if claim == "exp" { &self.claims.exp } else { &self.claims.nbf };
        value.as_ref()?.as_f64()
    }
}

/// What is wanted of an object in base64.
fn object(part: &str, key_claim: &str) -> Option<Wanted> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    let mut reader = serde_json::Deserializer::from_slice(&json);
    let wanted = Reading { key_claim }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(wanted)
}

/// Reads an object without keeping what nobody asks for.
#[derive(Clone, Copy)]
struct Reading<'c> {
    key_claim: &'c str,
}

/// A name in an object.
#[derive(Clone, Copy, Default)]
struct Name {
    is_key: bool,
    known: Option<Known>,
}

#[derive(Clone, Copy)]
enum Known {
    Exp,
    Nbf,
    Alg,
    Crit,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Wanted;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Wanted, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Wanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wanted, A::Error> {
        let mut wanted = Wanted::default();
        while let Some(Name { is_key, known }) = map.next_key_seed(Naming(self))? {
            if !is_key && known.is_none() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = map.next_value()?;
            let slot = match known {
                Some(Known::Exp) => Some(&mut wanted.exp),
                Some(Known::Nbf) => Some(&mut wanted.nbf),
                Some(Known::Alg) => Some(&mut wanted.alg),
                Some(Known::Crit) => Some(&mut wanted.crit),
                None => None,
            };
            // Readers disagree on which of two counts.
            let twice = || serde::de::Error::custom("a name stands twice");
            if let Some(slot) = slot
                && slot.replace(value.clone()).is_some()
            {
                return Err(twice());
            }
            if is_key && wanted.key.replace(value).is_some() {
                return Err(twice());
            }
        }
        Ok(wanted)
    }
}

/// Reads a name without keeping it.
struct Naming<'c>(Reading<'c>);

impl<'de> DeserializeSeed<'de> for Naming<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Naming<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        let known = match name {
            "exp" => Some(Known::Exp),
            "nbf" => Some(Known::Nbf),
            "alg" => Some(Known::Alg),
            "crit" => Some(Known::Crit),
            _ => None,
        };
        Ok(Name { is_key: name == self.0.key_claim, known })
    }
}
