//! The key of a node, by which it is told from whoever else has learnt its id.

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// SHA-256 of the public key in a node's certificate (`SubjectPublicKeyInfo`, DER).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// The key that `certificate` is for; `None` if it is no certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(Self(Sha256::digest(certificate.public_key().raw).into()))
    }

    /// As the column `key_sha256` has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
