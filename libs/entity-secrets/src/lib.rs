//! The secrets of gateway entities as nodes get them: passwords as slow hashes, and texts that a node needs as they are sealed with a key that
//! it has. Which fields are secret, and what is kept of each, the gateway model says (`gateway_model::Treatment`).
//!
//! Used by whoever writes entities for nodes: config, and a gateway that reads its own file. Knows no storage.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use gateway_model::{Entity, Kind, Secret, SecretMut, Treatment};
use seal::SealKey;
use uuid::Uuid;

/// What a password's hash costs: 4 MiB of memory and about 3 ms. Gateways check passwords on the path of requests, and a file may
/// hold thousands of them; this keeps both bearable, and guessing dear.
const PASSWORD_KIBIBYTES: u32 = 4 * 1024;
const PASSWORD_PASSES: u32 = 1;
const PASSWORD_HASH_BYTES: usize = 32;
const PASSWORD_SALT_BYTES: usize = 16;

/// What checking a password against a hash that somebody has given may cost at most, in KiB of memory, passes over it, and lanes.
const CHECK_KIBIBYTES_MAX: u32 = 64 * 1024;
const CHECK_PASSES_MAX: u32 = 8;
const CHECK_LANES_MAX: u32 = 8;

/// How a hash begins that was taken over from Kong: SHA-1 of the password and the consumer's id follows, in hex.
const KONG_HASH_PREFIX: &str = "$kong-sha1$";

/// A sealed secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Sealed(#[from] seal::Unsealable),
    #[error("a secret is no text")]
    NoText,
}

/// A password cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("a password cannot be hashed: {0}")]
pub struct PasswordError(String);

/// The key of one configuration, which its nodes have too. Cheap to clone.
#[derive(Clone)]
pub struct NodeKey(SealKey);

/// Whether both open the same secrets.
impl PartialEq for NodeKey {
    fn eq(&self, other: &Self) -> bool {
        // Not the keys themselves: nobody can read them back.
        let [one, other] = [self, other].map(|key| key.0.derived(b"landbridge entity-secrets v1 equality"));
        one == other
    }
}

impl Eq for NodeKey {}

impl NodeKey {
    /// A key of 32 bytes, which have to be random.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(SealKey::new(key))
    }

    /// Seals what nodes need as it is. What `before`, the form at rest until now, holds of the same text is taken over: the same entity has
    /// the same form.
    pub fn seal(&self, id: Uuid, entity: &mut Entity, before: Option<&mut Entity>) {
        let kind = entity.kind();
        let before = before.map(Entity::secrets_mut).unwrap_or_default();
        let held: Vec<(&str, &String)> = before
            .into_iter()
            .filter_map(|SecretMut { field, treatment, secret }| match (treatment, &*secret) {
                (Treatment::Seal, Secret::AtRest(sealed)) => Some((field, sealed)),
                _ => None,
            })
            .collect();
        for SecretMut { field, treatment, secret } in entity.secrets_mut() {
            let (Treatment::Seal, Secret::Plain(text)) = (treatment, &*secret) else { continue };
            let is_same = |sealed: &str| self.text(kind, id, field, sealed).is_ok_and(|held| held == *text);
            let kept = held.iter().find(|(held, sealed)| *held == field && is_same(sealed));
            let sealed = || BASE64_STANDARD.encode(self.0.seal(&purpose(kind, id, field), text.as_bytes()));
            *secret = Secret::AtRest(kept.map_or_else(sealed, |(_, sealed)| (*sealed).clone()));
        }
    }

    /// Opens what is sealed.
    pub fn open(&self, id: Uuid, entity: &mut Entity) -> Result<(), OpenError> {
        let kind = entity.kind();
        for SecretMut { field, treatment, secret } in entity.secrets_mut() {
            if let (Treatment::Seal, Secret::AtRest(sealed)) = (treatment, &*secret) {
                *secret = Secret::Plain(self.text(kind, id, field, sealed)?);
            }
        }
        Ok(())
    }

    fn text(&self, kind: Kind, id: Uuid, field: &str, sealed: &str) -> Result<String, OpenError> {
        let sealed = BASE64_STANDARD.decode(sealed).map_err(|_| OpenError::NoText)?;
        let opened = self.0.open(&purpose(kind, id, field), &sealed)?;
        String::from_utf8(opened).map_err(|_| OpenError::NoText)
    }
}

/// What a secret is for: it is sealed for its own field of its own entity only.
pub fn purpose(kind: Kind, id: Uuid, field: &str) -> Vec<u8> {
    format!("{} {id} {field}", kind.name()).into_bytes()
}

/// Whether the entity has a password that is to be hashed.
pub fn has_password(entity: &mut Entity) -> bool {
    entity
        .secrets_mut()
        .iter()
        .any(|secret| secret.treatment == Treatment::Password && matches!(secret.secret, Secret::Plain(_)))
}

/// Replaces passwords by their hashes: the same password of the same entity of `owner`, a control plane or another whole configuration, has
/// the same hash, so that what is written again changes nothing. Takes milliseconds for each.
pub fn hash_passwords(owner: Uuid, entity: &mut Entity) -> Result<(), PasswordError> {
    let keys: Vec<String> = entity.unique_keys().into_iter().map(|key| key.value).collect();
    let kind = entity.kind().name();
    for SecretMut { treatment, secret, .. } in entity.secrets_mut() {
        if let (Treatment::Password, Secret::Plain(password)) = (treatment, &*secret) {
            let salt = format!("{owner} {kind} {}", keys.join(" "));
            *secret = Secret::AtRest(password_hash(&salt, password)?);
        }
    }
    Ok(())
}

/// A password's hash in PHC form.
fn password_hash(owner: &str, password: &str) -> Result<String, PasswordError> {
    let salt = blake3::derive_key("landbridge config v1 password salt", owner.as_bytes());
    let salt = salt.get(..PASSWORD_SALT_BYTES).unwrap_or_default();
    let failed = |error: argon2::Error| PasswordError(error.to_string());
    let params = Params::new(PASSWORD_KIBIBYTES, PASSWORD_PASSES, 1, Some(PASSWORD_HASH_BYTES));
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(failed)?);
    let mut hash = [0; PASSWORD_HASH_BYTES];
    argon.hash_password_into(password.as_bytes(), salt, &mut hash).map_err(failed)?;
    let [salt, hash] = [salt, &hash].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
    Ok(format!("$argon2id$v=19$m={PASSWORD_KIBIBYTES},t={PASSWORD_PASSES},p=1${salt}${hash}"))
}

/// Whether `hash`, as it is stored for a credential of `consumer`, is that of `password`. Takes milliseconds for a hash of Argon2. `false` also for
/// a hash that is none, or that costs too much to check.
pub fn is_password(hash: &str, consumer: Uuid, password: &[u8]) -> bool {
    match hash.strip_prefix(KONG_HASH_PREFIX) {
        Some(expected) => is_kong_hash(expected, consumer, password),
        None => is_argon_hash(hash, password).unwrap_or(false),
    }
}

/// Whether it takes milliseconds to check a password against `hash`.
pub fn is_dear(hash: &str) -> bool {
    !hash.starts_with(KONG_HASH_PREFIX)
}

fn is_kong_hash(expected: &str, consumer: Uuid, password: &[u8]) -> bool {
    let mut hasher = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hasher.update(password);
    hasher.update(consumer.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    let expected = hex::decode(expected).unwrap_or_default();
    verify_slices_are_equal(hasher.finish().as_ref(), &expected).is_ok()
}

/// `None` if the hash has not the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, or costs too much.
fn is_argon_hash(hash: &str, password: &[u8]) -> Option<bool> {
    let mut parts = hash.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, expected) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = costs.split(',');
    let mut cost = |name: &str, max: u32| {
        let number = costs.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
        (1..=max).contains(&number).then_some(number)
    };
    let kibibytes = cost("m", CHECK_KIBIBYTES_MAX)?;
    let passes = cost("t", CHECK_PASSES_MAX)?;
    let lanes = cost("p", CHECK_LANES_MAX)?;
    let [salt, expected] = [salt, expected].map(|text| BASE64_STANDARD_NO_PAD.decode(text));
    let (salt, expected) = (salt.ok()?, expected.ok()?);
    let params = Params::new(kibibytes, passes, lanes, Some(expected.len())).ok()?;
    let mut found = vec![0; expected.len()];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password, &salt, &mut found).ok()?;
    Some(verify_slices_are_equal(&found, &expected).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let consumer = Uuid::from_u128(7);
        let hash = password_hash("a salt", "pass word").unwrap();
        assert!(is_password(&hash, consumer, b"pass word"));
        for wrong in ["pass wor", "Pass word", "", "pass word "] {
            assert!(!is_password(&hash, consumer, wrong.as_bytes()), "{wrong}");
        }
        // SHA-1 of "secret00000000-0000-0000-0000-000000000007".
        let kong = format!(
            "$kong-sha1${}",
            hex::encode(digest::digest(
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                format!("secret{consumer}").as_bytes(),
            ))
        );
        assert!(is_password(&kong, consumer, b"secret"));
        assert!(!is_password(&kong, Uuid::from_u128(8), b"secret"));
        assert!(!is_password(&kong, consumer, b"secre"));
    }

    #[test]
    fn a_hash_of_another_form_or_too_dear_fits_nothing() {
        let good = password_hash("a salt", "p").unwrap();
        for hash in [
            String::new(),
            "$argon2id$v=19$".to_owned(),
            good.replace("m=4096", "m=4194304"),
            good.replace("t=1", "t=1000"),
            good.replace("p=1", "p=0"),
            good.replace("argon2id", "argon2i"),
            "$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ$".to_owned(),
            "$kong-sha1$".to_owned(),
            "$kong-sha1$zz".to_owned(),
        ] {
            assert!(!is_password(&hash, Uuid::nil(), b"p"), "{hash}");
            assert!(!is_password(&hash, Uuid::nil(), b""), "{hash}");
        }
    }
}
