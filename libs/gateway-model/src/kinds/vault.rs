//! Vault: where `{vault://…}` references lead. And config stores, which hold secrets in the control plane itself.

use serde_json::json;

use super::{EXAMPLE_ID, KindRow, Model, UniqueField};
use crate::record::{
    Fields, Rules, Secret, name, optional_integer, record, reference, schema_of, sealed, sparse_object, tags,
    text, word, words,
};
use crate::rules::{self, Rule};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

/// Characters of a vault's description.
const DESCRIPTION_CHARS_MAX: usize = 512;
/// Longest time that a secret is kept, in seconds.
const TTL_MAX_SECONDS: u32 = 2_147_483_647;
/// Bytes of a secret in a config store.
const SECRET_BYTES_MAX: usize = 64 * 1024;

const PREFIX: Rule = Rule::new(prefix, rules::NAME.chars_max);
const DESCRIPTION: Rule = Rule::new(
    |text| rules::length(text, DESCRIPTION_CHARS_MAX).and_then(|()| rules::printable(text)),
    DESCRIPTION_CHARS_MAX,
);
const VALUE: Rule = Rule::new(value, SECRET_BYTES_MAX);
/// The start of the name of an environment variable.
const VARIABLE: Rule = Rule::new(variable, rules::NAME.chars_max);

/// Kong's rule: the prefix is the host of a URL.
fn prefix(text: &str) -> Result<(), String> {
    rules::length(text, rules::NAME.chars_max)?;
    let is_start = |byte: u8| byte.is_ascii_lowercase();
    let mut bytes = text.bytes();
    let valid = bytes.next().is_some_and(is_start)
        && bytes.all(|byte| is_start(byte) || byte.is_ascii_digit() || byte == b'-')
        && !text.ends_with('-')
        && !Backend::is_word(text);
    let message = "hold lower-case letters, digits and `-`, begin with a letter, and not be the name of a kind of vault";
    if valid { Ok(()) } else { Err(message.to_owned()) }
}

/// A secret may have lines, as a key in PEM has.
fn value(text: &str) -> Result<(), String> {
    rules::length_bytes(text, SECRET_BYTES_MAX)?;
    let is_line = |c: char| matches!(c, '\n' | '\r' | '\t');
    rules::printable(&text.chars().filter(|c| !is_line(*c)).collect::<String>())
}

fn variable(text: &str) -> Result<(), String> {
    rules::length(text, rules::NAME.chars_max)?;
    let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if valid { Ok(()) } else { Err("hold only letters, digits, `_` and `-`".to_owned()) }
}

words! {
    /// What keeps the secrets.
    pub enum Backend {
        /// Environment variables of the gateway.
        Env = "env",
        /// A config store of the control plane.
        Konnect = "konnect",
    }
}

impl Backend {
    fn is_word(text: &str) -> bool {
        <Backend as crate::record::Word>::WORDS.iter().any(|(word, _)| *word == text)
    }
}

record! {
    /// Where references such as `{vault://prefix/resource}` lead.
    pub struct Vault keeps empty_lists {
        /// What keeps the secrets: `env` or `konnect`.
        pub backend as "name": Backend = word(Backend::Env).required("use `env` or `konnect`"),
        /// What references name the vault by; unique in the control plane.
        pub prefix: String = text(PREFIX).required("references name the vault by it"),
        /// What it is for.
        pub description: Option<String> = text(DESCRIPTION),
        /// Settings; which ones depends on `name`.
        pub config: VaultConfig = sparse_object(),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

record! {
    /// Settings of a vault.
    pub struct VaultConfig {
        /// With `env`: what the names of its variables begin with.
        pub prefix: Option<String> = text(VARIABLE),
        /// With `konnect`: id of the config store.
        pub config_store_id: Option<String> = text(Rule::new(|text| match rules::uuid(text) {
            Some(_) => Ok(()),
            None => Err("be the id of a config store".to_owned()),
        }, 36)),
        /// Seconds for which a secret is kept before it is read again; null: until the configuration changes.
        pub ttl: Option<u32> = optional_integer(0..=TTL_MAX_SECONDS),
        /// Seconds for which it is remembered that a secret is missing.
        pub neg_ttl: Option<u32> = optional_integer(0..=TTL_MAX_SECONDS),
        /// Seconds for which a secret is used on when it cannot be read again.
        pub resurrect_ttl: Option<u32> = optional_integer(0..=TTL_MAX_SECONDS),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "vault",
    collection: "vaults",
    section: "vaults",
    label: "vault",
    name_field: Some("prefix"),
    unique: &[UniqueField::shown("prefix")],
    grants_access: false,
    children: &[],
    read: |fields| Entity::Vault(super::read(fields)),
    schema: schema_of::<Vault>,
    example: || json!({"name": "env", "prefix": "shop-env", "description": "Variables", "config": {"prefix": "SHOP_", "ttl": 60}, "tags": ["shop"]}),
};

impl Rules for Vault {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.backend == Backend::Konnect && self.config.config_store_id.is_none() {
            fields
                .fail("config.config_store_id", "is required: name the config store that keeps the secrets");
        }
    }
}

impl Rules for VaultConfig {}

impl Model for Vault {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("prefix", &self.prefix)]
    }

    fn name(&self) -> Option<&str> {
        Some(&self.prefix)
    }
}

record! {
    /// Secrets that the control plane keeps, for vaults of kind `konnect`.
    pub struct ConfigStore keeps empty_lists {
        /// Name, unique in the control plane.
        pub name: Option<String> = name(rules::NAME),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const STORE_ROW: KindRow = KindRow {
    name: "config_store",
    collection: "config-stores",
    section: "config_stores",
    label: "config store",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[super::Child::new("secrets", "secrets", Kind::ConfigStoreSecret, "config_store")],
    read: |fields| Entity::ConfigStore(super::read(fields)),
    schema: schema_of::<ConfigStore>,
    example: || json!({"name": "shop", "tags": ["shop"]}),
};

impl Rules for ConfigStore {}

impl Model for ConfigStore {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.name.iter().map(|name| UniqueKey::new("name", name)).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

record! {
    /// A secret in a config store.
    pub struct ConfigStoreSecret keeps empty_lists {
        /// The store.
        pub config_store: Target = reference(Kind::ConfigStore, OnDelete::Cascade).required("name the config store"),
        /// What references name the secret by; unique in the store.
        pub key: String = name(rules::NAME).required("references name the secret by it"),
        /// The secret.
        pub value: Secret = sealed("value_sealed", VALUE).required("give the secret"),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const SECRET_ROW: KindRow = KindRow {
    name: "config_store_secret",
    collection: "config-store-secrets",
    section: "config_store_secrets",
    label: "secret of a config store",
    name_field: None,
    unique: &[UniqueField {
        field: "key",
        taken: Some("the store has a secret of this name"),
        repeated: None,
    }],
    grants_access: false,
    children: &[],
    read: |fields| Entity::ConfigStoreSecret(super::read(fields)),
    schema: schema_of::<ConfigStoreSecret>,
    example: || json!({"config_store": {"id": EXAMPLE_ID}, "key": "database-password", "value": "s3cret", "tags": ["shop"]}),
};

impl ConfigStoreSecret {
    /// The unique key of the secret called `key` in `store`.
    pub fn unique_key(store: &Target, key: &str) -> UniqueKey {
        UniqueKey::new("key", &format!("{}:{key}", Target::to_key(Some(store))))
    }
}

impl Rules for ConfigStoreSecret {}

impl Model for ConfigStoreSecret {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![ConfigStoreSecret::unique_key(&self.config_store, &self.key)]
    }
}
