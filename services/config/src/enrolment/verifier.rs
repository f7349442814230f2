//! Whose TLS handshakes the listener of streams takes: nodes with a certificate of the region's CA, also after its end, and those with a
//! pinned certificate, whatever it says. A node whose certificate ended while it was away, switched off over a long holiday say, still holds
//! its key. It gets a new certificate for it, and nothing else, unless it was removed (`streams/session.rs`). One whose pinned certificate
//! has ended is told so, and nothing else.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::pins::{known::KnownPins, sha256};

/// Verifies what `inner` verifies, for certificates that have ended as of their last second.
#[derive(Clone, Debug)]
pub struct AlsoEnded(pub Arc<dyn ClientCertVerifier>);

/// Verifies what `signed` verifies, and the certificates of `pins`. That a client holds the key is proved by its signature, in either case.
#[derive(Debug)]
pub struct OrPinned {
    /// For certificates of the region's CA.
    pub signed: AlsoEnded,
    /// Pinned certificates.
    pub pins: KnownPins,
}

/// When the certificate ends, in seconds since 1970; `None` if it is no certificate, or ends before 1970.
pub fn end_of(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    certificate.validity().not_after.timestamp().try_into().ok()
}

impl ClientCertVerifier for AlsoEnded {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let end = end_of(end_entity)
            .map_or(now, |end| UnixTime::since_unix_epoch(std::time::Duration::from_secs(end)));
        self.0.verify_client_cert(end_entity, intermediates, now.min(end))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl ClientCertVerifier for OrPinned {
    /// None: a client with a pinned certificate shows it, whoever issued it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.signed.verify_client_cert(end_entity, intermediates, now).or_else(|error| {
            match self.pins.has(&sha256(end_entity)) {
                true => Ok(ClientCertVerified::assertion()),
                false => Err(error),
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
