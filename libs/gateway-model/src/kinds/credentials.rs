//! The credentials that need no more than a table each: basic-auth, hmac-auth, jwt, mtls-auth, acl and tokens of another issuer.
//!
//! The plugins that authenticate check them.

use serde_json::json;

use super::{CONSUMER_REMEDY, EXAMPLE_ID, KindRow, Model, UniqueField};
use crate::record::{
    Fields, Rules, Secret, Source, drawn, hashed, optional_integer, password, record, reference, schema_of,
    sealed, tags, text, word, words,
};
use crate::rules::{self, KEY, Rule, TAG, USERNAME};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

record! {
    /// A username and password of a consumer.
    pub struct BasicAuth keeps empty_lists {
        /// Whom they stand for.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(CONSUMER_REMEDY),
        /// Unique in the control plane.
        pub username: String = text(USERNAME).required("name the user"),
        /// The password, or its hash. Only a hash is kept and shown.
        pub password: Secret = password("password_hash", KEY),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const BASIC_AUTH_ROW: KindRow = KindRow {
    name: "basic_auth",
    collection: "basic-auths",
    section: "basicauth_credentials",
    label: "basic-auth credential",
    name_field: None,
    unique: &[UniqueField::shown("username")],
    grants_access: true,
    children: &[],
    read: |fields| Entity::BasicAuth(super::read(fields)),
    schema: schema_of::<BasicAuth>,
    example: || json!({"consumer": {"id": EXAMPLE_ID}, "username": "alice", "password": "pass word", "tags": ["web"]}),
};

impl Rules for BasicAuth {}

impl Model for BasicAuth {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("username", &self.username)]
    }
}

record! {
    /// A key with which a consumer signs its requests.
    pub struct HmacAuth keeps empty_lists {
        /// Whom it stands for.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(CONSUMER_REMEDY),
        /// Unique in the control plane.
        pub username: String = text(USERNAME).required("name the user"),
        /// The key; one is drawn when absent.
        pub secret: Secret = sealed("secret_sealed", KEY).or_drawn(),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const HMAC_AUTH_ROW: KindRow = KindRow {
    name: "hmac_auth",
    collection: "hmac-auths",
    section: "hmacauth_credentials",
    label: "hmac-auth credential",
    name_field: None,
    unique: &[UniqueField::shown("username")],
    grants_access: true,
    children: &[],
    read: |fields| Entity::HmacAuth(super::read(fields)),
    schema: schema_of::<HmacAuth>,
    example: || json!({"consumer": {"id": EXAMPLE_ID}, "username": "alice", "secret": "s3cret", "tags": ["web"]}),
};

impl Rules for HmacAuth {}

impl Model for HmacAuth {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("username", &self.username)]
    }
}

words! {
    /// How a JSON web token is signed.
    pub enum JwtAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA, PKCS #1, with SHA-256.
        Rs256 = "RS256",
        /// RSA, PKCS #1, with SHA-384.
        Rs384 = "RS384",
        /// RSA, PKCS #1, with SHA-512.
        Rs512 = "RS512",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// ECDSA on P-521.
        Es512 = "ES512",
        /// RSA, PSS, with SHA-256.
        Ps256 = "PS256",
        /// RSA, PSS, with SHA-384.
        Ps384 = "PS384",
        /// RSA, PSS, with SHA-512.
        Ps512 = "PS512",
        /// Ed25519 or Ed448.
        EdDsa = "EdDSA",
    }
}

impl JwtAlgorithm {
    /// Whether both sides hold the same secret; else the gateway holds a public key.
    pub fn is_symmetric(self) -> bool {
        matches!(self, JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512)
    }
}

/// Bytes of a public key as PEM.
const PUBLIC_KEY_BYTES_MAX: usize = 16 * 1024;
const PUBLIC_KEY: Rule = Rule::new(public_key, PUBLIC_KEY_BYTES_MAX);

fn public_key(text: &str) -> Result<(), String> {
    rules::length_bytes(text, PUBLIC_KEY_BYTES_MAX)?;
    super::pem::public_key(text)
}

record! {
    /// What a consumer signs its JSON web tokens with.
    pub struct Jwt keeps empty_lists {
        /// Whom they stand for.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(CONSUMER_REMEDY),
        /// What tokens name this credential by, in their claim `iss` by default. Unique in the control plane; drawn when absent.
        pub key: Secret = drawn(KEY),
        /// The shared secret of the `HS` algorithms; one is drawn when absent.
        pub secret: Secret = sealed("secret_sealed", KEY).or_drawn().or_instead("rsa_public_key"),
        /// How tokens are signed.
        pub algorithm: JwtAlgorithm = word(JwtAlgorithm::Hs256),
        /// Public key as PEM, for every algorithm but the `HS` ones.
        pub rsa_public_key: Option<String> = text(PUBLIC_KEY),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const JWT_ROW: KindRow = KindRow {
    name: "jwt",
    collection: "jwts",
    section: "jwt_secrets",
    label: "jwt credential",
    name_field: None,
    unique: &[UniqueField::shown("key")],
    grants_access: true,
    children: &[],
    read: |fields| Entity::Jwt(super::read(fields)),
    schema: schema_of::<Jwt>,
    example: || json!({"consumer": {"id": EXAMPLE_ID}, "key": "shop", "secret": "s3cret", "algorithm": "HS512", "tags": ["web"]}),
};

impl Rules for Jwt {
    fn check(&self, fields: &mut Fields<'_>) {
        if !self.algorithm.is_symmetric() && !fields.has("rsa_public_key") {
            let algorithm = self.algorithm.as_str();
            fields.fail("rsa_public_key", format!("is required: `{algorithm}` is checked with a public key"));
        }
        if self.algorithm.is_symmetric() && self.secret == Secret::Missing && fields.source() == Source::File
        {
            fields.fail("secret", "is required: a file cannot have it drawn");
        }
    }
}

impl Model for Jwt {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        match &self.key {
            Secret::Plain(key) => vec![UniqueKey::new("key", key)],
            Secret::Missing | Secret::AtRest(_) => Vec::new(),
        }
    }
}

/// A name that a certificate states of its owner: of the subject, or one of its alternative names.
const SUBJECT_NAME: Rule = rules::CUSTOM_ID;

record! {
    /// A name in certificates that stands for a consumer.
    pub struct MtlsAuth keeps empty_lists {
        /// Whom it stands for.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(CONSUMER_REMEDY),
        /// A subject alternative name of the certificate (DNS name, e-mail address, URI or IP address), or the common name of one that has none.
        pub subject_name: String = text(SUBJECT_NAME).required("give the name that the consumer's certificate has"),
        /// The CA certificate that must have issued it; null: any that the plugin names.
        pub ca_certificate: Option<Target> = reference(Kind::CaCertificate, OnDelete::Cascade),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const MTLS_AUTH_ROW: KindRow = KindRow {
    name: "mtls_auth",
    collection: "mtls-auths",
    section: "mtls_auth_credentials",
    label: "mtls-auth credential",
    name_field: None,
    unique: &[UniqueField {
        field: "subject",
        taken: Some("the subject name stands for a consumer already, for certificates of the same issuer"),
        repeated: Some("repeats the subject name of {} for the same CA certificate"),
    }],
    grants_access: true,
    children: &[],
    read: |fields| Entity::MtlsAuth(super::read(fields)),
    schema: schema_of::<MtlsAuth>,
    example: || {
        json!({"consumer": {"id": EXAMPLE_ID}, "subject_name": "till-7.shop.example", "ca_certificate": {"id": EXAMPLE_ID},
               "tags": ["tills"]})
    },
};

impl Rules for MtlsAuth {}

impl Model for MtlsAuth {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let issuer = Target::to_key(self.ca_certificate.as_ref());
        vec![UniqueKey::new("subject", &format!("{issuer}:{}", self.subject_name))]
    }
}

record! {
    /// A name under which access lists know a consumer.
    pub struct Acl keeps empty_lists {
        /// The consumer.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(CONSUMER_REMEDY),
        /// The name.
        pub group: String = text(TAG).required("name the group"),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const ACL_ROW: KindRow = KindRow {
    name: "acl",
    collection: "acls",
    section: "acls",
    label: "acl group",
    name_field: None,
    unique: &[UniqueField {
        field: "member",
        taken: Some("the consumer has this group already"),
        repeated: Some("repeats {}"),
    }],
    grants_access: true,
    children: &[],
    read: |fields| Entity::Acl(super::read(fields)),
    schema: schema_of::<Acl>,
    example: || json!({"consumer": {"id": EXAMPLE_ID}, "group": "staff", "tags": ["web"]}),
};

impl Rules for Acl {}

impl Model for Acl {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let consumer = Target::to_key(Some(&self.consumer));
        vec![UniqueKey::new("member", &format!("{consumer}:{}", self.group))]
    }
}

/// Context of the derivation of a token's hash (BLAKE3, `derive_key` mode). Part of the format.
const TOKEN_HASH_CONTEXT: &str = "landbridge gateway-model v1 oauth2 access token";

/// The hash that nodes look an access token up by.
pub fn access_token_digest(token: &str) -> [u8; 32] {
    blake3::derive_key(TOKEN_HASH_CONTEXT, token.as_bytes())
}

/// [`access_token_digest`] in lower-case hex, as on the wire and in unique keys.
pub fn access_token_hash(token: &str) -> String {
    super::key_auth::key_hash_hex(&access_token_digest(token))
}

/// Characters of a token's scope.
const SCOPE: Rule = Rule::new(rules::header_value, rules::HEADER_VALUE.chars_max);

record! {
    /// An access token that another issuer gave to a consumer, taken over so that it stays valid until its end.
    pub struct Oauth2Token keeps empty_lists {
        /// Whom it stands for.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required(CONSUMER_REMEDY),
        /// The token, unique in the control plane.
        pub access_token: Secret = hashed("access_token_hash", access_token_hash, KEY),
        /// What it may be used for, separated by spaces.
        pub scope: Option<String> = text(SCOPE),
        /// The person who agreed to it, as the issuer calls them.
        pub authenticated_userid: Option<String> = text(rules::CUSTOM_ID),
        /// Unix seconds at which it ends; null: never.
        pub expires_at: Option<u64> = optional_integer(1..=253_402_300_799),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const OAUTH2_TOKEN_ROW: KindRow = KindRow {
    name: "oauth2_token",
    collection: "oauth2_tokens",
    section: "oauth2_tokens",
    label: "oauth2 token",
    name_field: None,
    unique: &[UniqueField {
        field: "access_token",
        taken: Some("another token is the same"),
        repeated: None,
    }],
    grants_access: true,
    children: &[],
    read: |fields| Entity::Oauth2Token(super::read(fields)),
    schema: schema_of::<Oauth2Token>,
    example: || {
        json!({"consumer": {"id": EXAMPLE_ID}, "access_token": "4f1c", "scope": "read write",
               "authenticated_userid": "bob", "expires_at": 4_102_444_800_u64, "tags": ["migrated"]})
    },
};

impl Oauth2Token {
    /// What nodes look the token up by; `None` until it has one.
    pub fn digest(&self) -> Option<[u8; 32]> {
        match &self.access_token {
            Secret::Missing => None,
            Secret::Plain(token) => Some(access_token_digest(token)),
            Secret::AtRest(hash) => blake3::Hash::from_hex(hash).ok().map(|hash| *hash.as_bytes()),
        }
    }
}

impl Rules for Oauth2Token {}

impl Model for Oauth2Token {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let hash = match &self.access_token {
            Secret::Missing => return Vec::new(),
            Secret::Plain(token) => access_token_hash(token),
            Secret::AtRest(hash) => hash.clone(),
        };
        vec![UniqueKey { field: "access_token", value: hash }]
    }

    fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }
}
