//! What gateways have of an ACME certificate beside its fields: what was issued, and the challenges that they answer.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::NotReady;
use crate::kinds::{certificate, pem};
use crate::record::{Field, Fields, Property, Secret, SecretMut, Source, Treatment, Writer};
use crate::rules::{self, NAME};

/// Names of one certificate, as with Let's Encrypt; and so the challenges that are open at once.
pub const DOMAINS_MAX: usize = 100;
/// Characters of each half of a key authorization. A token has 22 at least, a thumbprint 43.
const TOKEN_CHARS_MAX: usize = 128;

/// What gateways need beside the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AcmeState {
    /// What was issued last; it is shown until the next one is there.
    pub issued: Option<AcmeIssued>,
    /// What gateways answer the ACME server: key authorizations, each of which begins with the token that is asked for, and a dot.
    pub challenges: Vec<String>,
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq)]
pub struct AcmeIssued {
    /// With its chain, as PEM.
    pub cert: String,
    /// Its private key, as PEM.
    pub key: Secret,
    /// The name of the ACME server.
    pub directory: String,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeLeaf {
    /// The hosts that it is for, in lower case.
    pub names: Vec<String>,
    /// Unix seconds from which on it is valid.
    pub not_before: i64,
    /// Unix seconds of its end.
    pub not_after: i64,
    /// Serial number in lower-case hex.
    pub serial: String,
    /// What it was issued for; `None`: for a key of another kind.
    pub key: Option<AcmeKey>,
    /// The public key, in DER.
    pub public_key: Vec<u8>,
}

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeKey {
    /// RSA, with this many bits.
    Rsa(usize),
    /// ECDSA.
    Ecc,
}

impl AcmeState {
    /// Whether gateways can answer this.
    pub fn is_challenge(text: &str) -> bool {
        key_authorization(text).is_ok()
    }
}

impl AcmeIssued {
    /// What the certificate says of itself; `None` if it cannot be read.
    pub fn leaf(&self) -> Option<AcmeLeaf> {
        AcmeLeaf::of(&self.cert)
    }
}

impl AcmeLeaf {
    /// Of the first certificate of `chain`, which is PEM. `None` if it cannot be read, or is larger than gateways take.
    pub fn of(chain: &str) -> Option<AcmeLeaf> {
        (certificate::CHAIN.check)(chain).ok()?;
        let der = pem::chain(chain).ok()?.into_iter().next()?;
        let (_, leaf) = X509Certificate::from_der(&der).ok()?;
        let names = leaf.subject_alternative_name().ok()??.value.general_names.iter();
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let key = match leaf.public_key().parsed().ok()? {
            PublicKey::RSA(key) => Some(AcmeKey::Rsa(key.key_size())),
            PublicKey::EC(_) => Some(AcmeKey::Ecc),
            _ => None,
        };
        Some(AcmeLeaf {
            names: names.collect(),
            not_before: leaf.validity().not_before.timestamp(),
            not_after: leaf.validity().not_after.timestamp(),
            serial: format!("{:x}", leaf.serial),
            key,
            public_key: leaf.public_key().raw.to_vec(),
        })
    }
}

/// A token and the thumbprint of an account's key.
fn key_authorization(text: &str) -> Result<(), String> {
    let is_part = |part: &str| {
        (1..=TOKEN_CHARS_MAX).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match text.split_once('.') {
        Some((token, thumbprint)) if is_part(token) && is_part(thumbprint) => Ok(()),
        _ => Err("be a token and a thumbprint with a dot between them".to_owned()),
    }
}

/// At rest and on nodes only.
pub(super) struct StateOfOrder;

impl Field for StateOfOrder {
    type Value = Option<AcmeState>;

    fn read(&self, _: &'static str, from: &mut Fields<'_>) -> Option<AcmeState> {
        if from.source() != Source::Wire {
            return None;
        }
        let challenges = from.list("challenges", DOMAINS_MAX, key_authorization);
        let cert = from.text("cert", certificate::CHAIN.check);
        let key = from.text("key_sealed", rules::sealed_text).map(Secret::AtRest);
        let issued_by = from.text("issued_by", NAME.check);
        let issued = match (cert, key, issued_by) {
            (Some(cert), Some(key), Some(directory)) => Some(AcmeIssued { cert, key, directory }),
            (None, None, None) => None,
            _ => {
                from.fail("cert", "must stand beside `key_sealed` and `issued_by`");
                None
            }
        };
        (issued.is_some() || !challenges.is_empty()).then_some(AcmeState { issued, challenges })
    }

    fn write(&self, _: &'static str, value: &Option<AcmeState>, out: &mut Writer) {
        let Some(AcmeState { issued, challenges }) = value else { return };
        if !out.is_wire() {
            return;
        }
        out.list("challenges", challenges);
        let Some(AcmeIssued { cert, key, directory }) = issued else { return };
        out.always("cert", cert.clone());
        out.always("issued_by", directory.clone());
        match key {
            Secret::AtRest(sealed) => out.always("key_sealed", sealed.clone()),
            Secret::Plain(_) | Secret::Missing => out.not_ready(NotReady::NoSecret { field: "key" }),
        }
    }

    fn describe(&self) -> Option<Property> {
        None
    }

    fn secrets_mut<'v>(
        &self,
        _: &'static str,
        value: &'v mut Option<AcmeState>,
        found: &mut Vec<SecretMut<'v>>,
    ) {
        let issued = value.iter_mut().flat_map(|state| &mut state.issued);
        found.extend(issued.map(|issued| SecretMut {
            field: "key",
            treatment: Treatment::Seal,
            secret: &mut issued.key,
        }));
    }
}
