//! Certificates: those that the gateway shows, the names that they are for, and those that it trusts.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::{Child, EXAMPLE_ID, KindRow, Model, UniqueField, pem};
use crate::record::{
    Field, Fields, Property, Rules, Secret, Source, Writer, absent, name, record, reference, schema_of,
    sealed, tags, text,
};
use crate::rules::{self, Rule};
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

/// Bytes of a certificate with its chain, or of a key, as PEM.
const PEM_BYTES_MAX: usize = 64 * 1024;

pub(super) const CHAIN: Rule =
    Rule::new(|text| bounded(text).and_then(|()| pem::chain(text).map(drop)), PEM_BYTES_MAX);
const ONE_CERTIFICATE: Rule =
    Rule::new(|text| bounded(text).and_then(|()| pem::one_certificate(text).map(drop)), PEM_BYTES_MAX);
const PRIVATE_KEY: Rule =
    Rule::new(|text| bounded(text).and_then(|()| pem::private_key(text)), PEM_BYTES_MAX);

fn bounded(text: &str) -> Result<(), String> {
    rules::length_bytes(text, PEM_BYTES_MAX)
}

record! {
    /// A certificate that the gateway shows, with its key.
    pub struct Certificate keeps empty_lists {
        /// The certificate and its chain, as PEM, or a reference to a vault.
        pub cert: String = text(CHAIN).or_reference().required("give the certificate as PEM"),
        /// The private key, as PEM, or a reference to a vault.
        pub key: Secret = sealed("key_sealed", PRIVATE_KEY).or_reference().required("give the private key as PEM"),
        /// Another certificate for the same names, of the other kind of key: RSA beside ECDSA.
        pub cert_alt: Option<String> = text(CHAIN).or_reference(),
        /// The private key of `cert_alt`.
        pub key_alt: Option<Secret> = sealed("key_alt_sealed", PRIVATE_KEY).or_reference(),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
    besides {
        snis = absent("make entities of kind sni that refer to the certificate"),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "certificate",
    collection: "certificates",
    section: "certificates",
    label: "certificate",
    name_field: None,
    unique: &[],
    grants_access: false,
    children: &[Child::new("snis", "snis", Kind::Sni, "certificate")],
    read: |fields| Entity::Certificate(super::read(fields)),
    schema: schema_of::<Certificate>,
    example: || json!({"cert": pem::EXAMPLE_CERTIFICATE, "key": pem::EXAMPLE_KEY, "tags": ["shop"]}),
};

impl Rules for Certificate {
    fn check(&self, fields: &mut Fields<'_>) {
        match (&self.cert_alt, &self.key_alt) {
            (Some(_), None) => fields.fail("key_alt", "is required: it is the key of `cert_alt`"),
            (None, Some(_)) => fields.fail("cert_alt", "is required: `key_alt` is its key"),
            _ => {}
        }
        // What is stored was checked when it was written, and its key is sealed.
        if fields.source() == Source::Wire {
            return;
        }
        let mut pair = |field, cert: Option<&str>, key: Option<&Secret>| {
            if let (Some(cert), Some(Secret::Plain(key))) = (cert, key)
                && pem::is_pair(cert, key) == Some(false)
            {
                fields.fail(field, "must be the key of the certificate beside it");
            }
        };
        pair("key", Some(&self.cert), Some(&self.key));
        pair("key_alt", self.cert_alt.as_deref(), self.key_alt.as_ref());
    }
}

impl Model for Certificate {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        Vec::new()
    }
}

/// A server name: exact, with one wildcard, or `*`.
const SERVER_NAME: Rule = Rule::new(server_name, rules::UPSTREAM_HOST.chars_max);

fn server_name(text: &str) -> Result<(), String> {
    if text == "*" { Ok(()) } else { rules::server_name(text) }
}

record! {
    /// A name that clients ask for in TLS, and the certificate that they are shown.
    pub struct Sni keeps empty_lists {
        /// Host name, exact or with a leading `*.` or trailing `.*`, each for one label; `*` is for clients that no other is for. Unique in
        /// the control plane.
        pub name: String = name(SERVER_NAME).required("give the host name"),
        /// The certificate.
        pub certificate: Target = reference(Kind::Certificate, OnDelete::Cascade).required("name the certificate"),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const SNI_ROW: KindRow = KindRow {
    name: "sni",
    collection: "snis",
    section: "snis",
    label: "sni",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[],
    read: |fields| Entity::Sni(super::read(fields)),
    schema: schema_of::<Sni>,
    example: || json!({"name": "*.shop.example", "certificate": {"id": EXAMPLE_ID}, "tags": ["shop"]}),
};

impl Rules for Sni {}

impl Model for Sni {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("name", &self.name)]
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

record! {
    /// A certificate that the gateway trusts.
    pub struct CaCertificate keeps empty_lists {
        /// The certificate, as PEM: one, and that of an authority.
        pub cert: String = text(ONE_CERTIFICATE).required("give the certificate as PEM"),
        /// SHA-256 of the certificate in lower-case hex, made of it: what is given is not read. Unique in the control plane.
        pub cert_digest: String = Fingerprint,
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const CA_ROW: KindRow = KindRow {
    name: "ca_certificate",
    collection: "ca_certificates",
    section: "ca_certificates",
    label: "CA certificate",
    name_field: None,
    unique: &[UniqueField::shown("cert_digest")],
    grants_access: false,
    children: &[],
    read: |fields| Entity::CaCertificate(super::read(fields)),
    schema: schema_of::<CaCertificate>,
    example: || json!({"cert": pem::EXAMPLE_CERTIFICATE, "tags": ["shop"]}),
};

impl Rules for CaCertificate {}

impl Model for CaCertificate {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("cert_digest", &self.cert_digest)]
    }
}

/// The fingerprint of the certificate beside it.
struct Fingerprint;

impl Field for Fingerprint {
    type Value = String;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> String {
        let cert = from.given("cert").and_then(|cert| cert.as_str());
        let der = cert.and_then(|cert| pem::one_certificate(cert).ok());
        let digest = der.map(|der| hex(&Sha256::digest(&der))).unwrap_or_default();
        from.skip(name);
        digest
    }

    fn write(&self, name: &'static str, value: &String, out: &mut Writer) {
        if !out.is_wire() {
            out.always(name, value.clone());
        }
    }

    fn describe(&self) -> Option<Property> {
        Some(Property::of(ObjectBuilder::new().schema_type(Type::String).read_only(true).build()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
