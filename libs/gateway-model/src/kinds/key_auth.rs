//! Key-auth credential: an API key of a consumer.
//!
//! The key itself is a secret. It exists in API bodies and, sealed, in the database; nodes, unique keys, logs and debug
//! output only ever hold its hash.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _};
use serde_json::json;

use super::{KindRow, Model, UniqueField};
use crate::record::{Rules, Secret, hashed, record, reference, schema_of, tags};
use crate::rules::KEY;
use crate::{Entity, Expiry, Kind, OnDelete, Target, UniqueKey};

/// Context of the key derivation (BLAKE3, `derive_key` mode). Part of the format: every stored hash depends on it.
const KEY_HASH_CONTEXT: &str = "landbridge gateway-model v1 key-auth credential key";

/// The hash that nodes look credentials up by.
pub fn key_hash(key: &str) -> [u8; 32] {
    /// What every hash begins with. (It costs as much as the rest.)
    static CONTEXT: LazyLock<ContextKey> =
        LazyLock::new(|| blake3::hazmat::hash_derive_key_context(KEY_HASH_CONTEXT));
    *blake3::Hasher::new_from_context_key(&CONTEXT).update(key.as_bytes()).finalize().as_bytes()
}

/// [`key_hash`] in lower-case hex, as on the wire and in unique keys.
pub fn key_hash_hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

fn hex_of(key: &str) -> String {
    key_hash_hex(&key_hash(key))
}

record! {
    /// An API key of a consumer.
    pub struct KeyAuth keeps empty_lists {
        /// The consumer that the key stands for.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(super::CONSUMER_REMEDY),
        /// The API key, unique in the control plane; one is drawn when absent.
        pub key: Secret = hashed("key_hash", hex_of, KEY),
        /// Seconds from now until the key expires; null: never. The same number again does not prolong it.
        pub ttl: Expiry = super::ttl(),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "key_auth",
    collection: "key-auths",
    section: "keyauth_credentials",
    label: "key-auth credential",
    name_field: None,
    // The value is a hash of the key: nobody can read anything from it.
    unique: &[UniqueField { field: "key", taken: Some("another credential has this key"), repeated: None }],
    grants_access: true,
    children: &[],
    read: |fields| Entity::KeyAuth(super::read(fields)),
    schema: schema_of::<KeyAuth>,
    example: || json!({"consumer": {"id": super::EXAMPLE_ID}, "key": "another key", "ttl": 3600, "tags": ["phone"]}),
};

impl KeyAuth {
    /// What nodes look the credential up by; `None` until it has a key.
    pub fn key_hash(&self) -> Option<[u8; 32]> {
        let hex = self.hash_hex()?;
        blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes())
    }

    fn hash_hex(&self) -> Option<String> {
        match &self.key {
            Secret::Missing => None,
            Secret::Plain(key) => Some(hex_of(key)),
            Secret::AtRest(hash) => Some(hash.clone()),
        }
    }
}

impl Rules for KeyAuth {}

impl Model for KeyAuth {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.hash_hex().map(|value| UniqueKey { field: "key", value }).into_iter().collect()
    }

    fn expires_at(&self) -> Option<u64> {
        self.ttl.at
    }

    fn expiry_mut(&mut self) -> Option<&mut Expiry> {
        Some(&mut self.ttl)
    }
}

#[cfg(test)]
mod tests;
