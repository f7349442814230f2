//! A CA certificate of the configuration: one that upstreams, and clients, are verified by.
//!
//! Made by the view; used by it for upstreams, and by the plugins that verify clients.

use std::ops::RangeInclusive;

use gateway_model::CaCertificate;
use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject as _};
use webpki::anchor_from_trusted_cert;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// One of them.
#[derive(Debug)]
pub struct Authority {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// What is trusted where it is.
    pub anchor: TrustAnchor<'static>,
    /// Whether it has issued itself. Otherwise another authority stands above it.
    pub is_root: bool,
    /// Unix seconds at which it counts.
    pub valid: RangeInclusive<u64>,
    hash: blake3::Hash,
}

impl Authority {
    /// Reads the certificate. The error says why it cannot be used.
    pub fn new(ca: &CaCertificate) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(ca.cert.as_bytes());
        let certificate = certificate.map_err(|error| format!("cert: {error}"))?;
        let anchor = anchor_from_trusted_cert(&certificate).map_err(|error| format!("cert: {error}"))?;
        let (anchor, hash) = (anchor.to_owned(), blake3::hash(&certificate));
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|error| format!("cert: {error}"))?;
        let (is_root, valid) = (parsed.subject().as_raw() == parsed.issuer().as_raw(), validity(&parsed));
        Ok(Self { certificate, anchor, is_root, valid, hash })
    }

    /// Stands for the certificate.
    pub fn hash(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }
}

/// Unix seconds at which a certificate counts. What was before 1970 counts as its beginning.
pub fn validity(certificate: &X509Certificate<'_>) -> RangeInclusive<u64> {
    let validity = certificate.validity();
    let [from, to] =
        [validity.not_before, validity.not_after].map(|time| u64::try_from(time.timestamp()).unwrap_or(0));
    from..=to
}
