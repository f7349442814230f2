//! Key: a cryptographic key by its key id. And key sets.

use serde_json::json;

use super::{Child, EXAMPLE_ID, KindRow, Model, UniqueField};
use crate::record::{
    Fields, Rules, Secret, Source, absent, name, optional_object, record, reference, schema_of, sealed, tags,
    text,
};
use crate::rules::{self, NAME, Rule};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

/// Bytes of a key, as JWK or PEM.
const KEY_BYTES_MAX: usize = 16 * 1024;
const JWK: Rule = Rule::new(jwk, KEY_BYTES_MAX);
const PUBLIC_KEY: Rule = Rule::new(
    |text| rules::length_bytes(text, KEY_BYTES_MAX).and_then(|()| super::pem::public_key(text)),
    KEY_BYTES_MAX,
);
const PRIVATE_KEY: Rule = Rule::new(
    |text| rules::length_bytes(text, KEY_BYTES_MAX).and_then(|()| super::pem::private_key(text)),
    KEY_BYTES_MAX,
);

fn jwk(text: &str) -> Result<(), String> {
    rules::length_bytes(text, KEY_BYTES_MAX)?;
    let jwk = serde_json::from_str::<serde_json::Value>(text).ok();
    let has_type = jwk.as_ref().and_then(|jwk| jwk.get("kty")).is_some_and(serde_json::Value::is_string);
    if has_type { Ok(()) } else { Err("be a JSON web key as text, with `kty`".to_owned()) }
}

record! {
    /// Keys that belong together.
    pub struct KeySet keeps empty_lists {
        /// Name, unique in the control plane; may stand for the id in URLs.
        pub name: Option<String> = name(NAME),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const SET_ROW: KindRow = KindRow {
    name: "key_set",
    collection: "key-sets",
    section: "key_sets",
    label: "key set",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[Child::new("keys", "keys", Kind::Key, "set").written_apart()],
    read: |fields| Entity::KeySet(super::read(fields)),
    schema: schema_of::<KeySet>,
    example: || json!({"name": "issuers", "tags": ["shop"]}),
};

impl Rules for KeySet {}

impl Model for KeySet {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.name.iter().map(|name| UniqueKey::new("name", name)).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

record! {
    /// A key pair as PEM.
    pub struct KeyPair {
        /// The public key.
        pub public_key: Option<String> = text(PUBLIC_KEY).or_reference(),
        /// The private key.
        pub private_key: Option<Secret> = sealed("private_key_sealed", PRIVATE_KEY).or_reference(),
    }
}

impl Rules for KeyPair {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.public_key.is_none() && self.private_key.is_none() {
            fields.fail("public_key", "is required: give `public_key`, `private_key` or both");
        }
    }
}

record! {
    /// A cryptographic key, as a JSON web key or as PEM.
    pub struct CryptographicKey keeps empty_lists {
        /// Name, unique in the control plane; may stand for the id in URLs.
        pub name: Option<String> = name(NAME),
        /// The key's id, unique in its set.
        pub kid: String = text(rules::CUSTOM_ID).required("give the key's id"),
        /// The key as the text of a JSON web key.
        pub jwk: Option<Secret> = sealed("jwk_sealed", JWK).or_reference(),
        /// The key as PEM.
        pub pem: Option<KeyPair> = optional_object(),
        /// The set that it belongs to.
        pub set: Option<Target> = reference(Kind::KeySet, OnDelete::Cascade),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
    besides {
        x5t = absent("certificates are not found by their thumbprint; remove it"),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "key",
    collection: "keys",
    section: "keys",
    label: "key",
    name_field: Some("name"),
    unique: &[
        UniqueField::shown("name"),
        UniqueField {
            field: "kid",
            taken: Some("another key of the set has this kid"),
            repeated: Some("repeats the `kid` of {} in the same set"),
        },
    ],
    grants_access: false,
    children: &[],
    read: |fields| Entity::Key(super::read(fields)),
    schema: schema_of::<CryptographicKey>,
    example: || {
        json!({"name": "issuer", "kid": "2026-01", "jwk": "{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"2026-01\"}",
               "set": {"id": EXAMPLE_ID}, "tags": ["shop"]})
    },
};

impl Rules for CryptographicKey {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.jwk.is_some() == self.pem.is_some() {
            fields.fail("jwk", "is required unless `pem` is given: give one of them");
        }
        // What is stored is sealed.
        if let Some(Secret::Plain(jwk)) = &self.jwk
            && fields.source() != Source::Wire
            && let Ok(jwk) = serde_json::from_str::<serde_json::Value>(jwk)
            && jwk.get("kid").and_then(|kid| kid.as_str()) != Some(&self.kid)
        {
            fields.fail("jwk", "must hold the same `kid` as the field beside it");
        }
    }
}

impl Model for CryptographicKey {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let set = Target::to_key(self.set.as_ref());
        let name = self.name.iter().map(|name| UniqueKey::new("name", name));
        name.chain([UniqueKey::new("kid", &format!("{set}:{}", self.kid))]).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
