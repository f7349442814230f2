//! Certificates and keys as PEM: what a field may hold.

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Certificates of one chain.
const CHAIN_MAX: usize = 16;

/// The certificates of a chain, the leaf first, in DER.
pub(super) fn chain(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let usage = || "be a certificate as PEM, from `-----BEGIN CERTIFICATE-----` on".to_owned();
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|_| usage())?;
        X509Certificate::from_der(&certificate).map_err(|_| usage())?;
        chain.push(certificate);
        if chain.len() > CHAIN_MAX {
            return Err(format!("have at most {CHAIN_MAX} certificates"));
        }
    }
    if chain.is_empty() { Err(usage()) } else { Ok(chain) }
}

/// The only certificate of `text`, which must be that of an authority, in DER.
pub(super) fn one_certificate(text: &str) -> Result<CertificateDer<'static>, String> {
    let chain = chain(text)?;
    let [certificate] = <[_; 1]>::try_from(chain).map_err(|_| "be one certificate".to_owned())?;
    let is_ca = X509Certificate::from_der(&certificate).is_ok_and(|(_, certificate)| certificate.is_ca());
    if is_ca { Ok(certificate) } else { Err("be the certificate of an authority (CA:TRUE)".to_owned()) }
}

/// A private key, not encrypted.
pub(super) fn private_key(text: &str) -> Result<(), String> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err("be a private key as PEM, not encrypted: PKCS #8, PKCS #1 or SEC 1".to_owned()),
    }
}

/// A public key.
pub(super) fn public_key(text: &str) -> Result<(), String> {
    let is_key = rustls_pki_types::SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).is_ok();
    if is_key {
        Ok(())
    } else {
        Err("be a public key as PEM, from `-----BEGIN PUBLIC KEY-----` on".to_owned())
    }
}

/// Whether `key` is that of the leaf of `chain`. `None` if one of them cannot be read, such as a reference to a vault.
pub(super) fn is_pair(chain: &str, key: &str) -> Option<bool> {
    let leaf = self::chain(chain).ok()?.into_iter().next()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok()?;
    let of_key = key.public_key()?;
    let (_, leaf) = X509Certificate::from_der(&leaf).ok()?;
    Some(leaf.public_key().raw == of_key.as_ref())
}

/// A certificate and key for examples and tests, valid for nothing.
pub(super) const EXAMPLE_CERTIFICATE: &str = include_str!("example.crt");
/// The key of [`EXAMPLE_CERTIFICATE`].
pub(super) const EXAMPLE_KEY: &str = include_str!("example.key");
