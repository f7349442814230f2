//! Key-auth credential: an API key of a consumer.
//!
//! The key itself is a secret. It exists in API bodies and, sealed, in the database; nodes, unique keys, logs and debug
//! output only ever hold its hash.

use std::fmt;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::entity::Model;
use crate::fields::{Fields, Source};
use crate::schema::set;
use crate::writer::Writer;
use crate::{Invalid, Kind, NotReady, OnDelete, Reference, ReferenceMut, Target, UniqueKey, rules};

/// Context of the key derivation (BLAKE3, `derive_key` mode). Part of the format: every stored hash depends on it.
const KEY_HASH_CONTEXT: &str = "landbridge gateway-model v1 key-auth credential key";

/// The hash that nodes look credentials up by.
pub fn key_hash(key: &str) -> [u8; 32] {
    blake3::derive_key(KEY_HASH_CONTEXT, key.as_bytes())
}

/// [`key_hash`] in lower-case hex, as on the wire and in unique keys.
pub fn key_hash_hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

/// The key of a credential, as far as its holder knows it.
#[derive(Clone, PartialEq, Eq)]
pub enum Key {
    /// Not chosen yet: the writer generates one.
    Missing,
    /// The key itself.
    Plain(String),
    /// Its hash, all that nodes have.
    Hash([u8; 32]),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Missing => f.write_str("Missing"),
            Key::Plain(_) => f.write_str("Plain(…)"),
            Key::Hash(hash) => write!(f, "Hash({})", key_hash_hex(hash)),
        }
    }
}

/// An API key of a consumer.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct KeyAuth {
    /// The consumer that the key stands for.
    #[schema(value_type = Object)]
    pub consumer: Target,
    /// The API key, unique in the control plane; one is generated when absent.
    #[schema(value_type = Option<String>, max_length = 512)]
    pub key: Key,
    /// Free labels to select entities by.
    #[schema(required = false, max_items = 32)]
    pub tags: Vec<String>,
}

impl KeyAuth {
    /// What nodes look the credential up by; `None` until it has a key.
    pub fn key_hash(&self) -> Option<[u8; 32]> {
        match &self.key {
            Key::Missing => None,
            Key::Plain(key) => Some(key_hash(key)),
            Key::Hash(hash) => Some(*hash),
        }
    }

    /// The derived schema with the shape of the reference.
    pub(crate) fn body_schema() -> RefOr<Schema> {
        let mut schema = KeyAuth::schema();
        set(&mut schema, "consumer", Target::described_schema("The consumer that the key stands for."));
        let no_ttl = ObjectBuilder::new().schema_type(Type::Null);
        set(
            &mut schema,
            "ttl",
            no_ttl.description(Some("Always null: keys do not expire. Delete the credential instead.")),
        );
        schema
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> KeyAuth {
        if !fields.has("consumer") {
            fields.fail("consumer", "is required: name the consumer that the key stands for");
        }
        let credential = KeyAuth {
            // The nil id is never returned: without a consumer there is an error.
            consumer: fields.reference("consumer", Kind::Consumer).unwrap_or(Target::Id(uuid::Uuid::nil())),
            key: read_key(fields),
            tags: fields.tags(),
        };
        fields.unsupported("ttl", None, "keys do not expire; delete the credential instead");
        credential
    }
}

fn read_key(fields: &mut Fields<'_>) -> Key {
    match fields.source() {
        Source::Api => fields.text("key", rules::key).map_or(Key::Missing, Key::Plain),
        // A file must mean the same each time it is applied.
        Source::File => {
            Key::Plain(fields.required_text("key", rules::key, "a file cannot have keys generated"))
        }
        Source::Wire => {
            let hex = fields.required_text("key_hash", hash_rule, "nodes find credentials by it");
            blake3::Hash::from_hex(hex).map_or(Key::Missing, |hash| Key::Hash(*hash.as_bytes()))
        }
    }
}

fn hash_rule(text: &str) -> Result<(), String> {
    let valid = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if valid { Ok(()) } else { Err("be 64 lower-case hex digits".to_owned()) }
}

impl Model for KeyAuth {
    fn write(&self, out: &mut Writer) {
        out.reference("consumer", Kind::Consumer, Some(&self.consumer));
        if out.is_wire() {
            match self.key_hash() {
                Some(hash) => out.always("key_hash", key_hash_hex(&hash)),
                None => out.not_ready(NotReady::NoKey),
            }
        } else {
            let key = if let Key::Plain(key) = &self.key { Some(key.clone()) } else { None };
            out.optional("key", key);
            out.optional("ttl", None::<u32>);
        }
        out.list("tags", &self.tags);
    }

    fn unique_keys(&self) -> Vec<UniqueKey> {
        let hash = self.key_hash().into_iter();
        hash.map(|hash| UniqueKey { field: "key", value: key_hash_hex(&hash) }).collect()
    }

    fn references(&self) -> Vec<Reference<'_>> {
        vec![Reference {
            field: "consumer",
            kind: Kind::Consumer,
            target: &self.consumer,
            on_delete: OnDelete::Cascade,
        }]
    }

    fn references_mut(&mut self) -> Vec<ReferenceMut<'_>> {
        vec![ReferenceMut { field: "consumer", kind: Kind::Consumer, target: &mut self.consumer }]
    }

    fn name(&self) -> Option<&str> {
        None
    }

    fn secret(&self) -> Option<Vec<u8>> {
        match &self.key {
            Key::Plain(key) => Some(key.as_bytes().to_vec()),
            Key::Missing | Key::Hash(_) => None,
        }
    }

    fn join_secret(&mut self, secret: &[u8]) -> Result<(), Invalid> {
        let foreign = || Invalid::one("key", "does not belong to this credential: its hash differs");
        let key = std::str::from_utf8(secret).map_err(|_| foreign())?;
        if self.key != Key::Hash(key_hash(key)) {
            return Err(foreign());
        }
        self.key = Key::Plain(key.to_owned());
        Ok(())
    }

    fn lacks_secret(&self) -> bool {
        self.key == Key::Missing
    }

    fn set_secret(&mut self, key: String) -> Result<(), Invalid> {
        rules::key(&key).map_err(|message| Invalid::one("key", format!("must {message}")))?;
        self.key = Key::Plain(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
