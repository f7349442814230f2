//! Reads a certificate that is to be pinned, and refuses what no gateway could use.

use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::{
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    prelude::{FromDer as _, X509Certificate},
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use super::PinError;

/// The longest text, in bytes.
pub const PEM_BYTES_MAX: usize = 16 * 1024;
/// Sizes of RSA keys that can be used, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A certificate that gateways can show.
#[derive(Debug)]
pub struct Usable {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// From when on it counts.
    pub not_before: OffsetDateTime,
    /// Until when it counts.
    pub not_after: OffsetDateTime,
}

impl Usable {
    /// Reads the one certificate in `pem`, which has not ended at `now`. The error says what is wrong, and what to send.
    pub fn read(pem: &str, now: OffsetDateTime) -> Result<Self, PinError> {
        let unusable = |reason: &str| PinError::Unusable(reason.to_owned());
        if pem.len() > PEM_BYTES_MAX {
            return Err(PinError::Unusable(format!("at most {PEM_BYTES_MAX} bytes: one certificate in PEM")));
        }
        if pem.contains("PRIVATE KEY") {
            return Err(unusable("send the certificate alone: its private key stays with the gateways"));
        }
        let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (found.next(), found.next()) else {
            return Err(unusable(
                "must be exactly one certificate in PEM, the gateways' own without its chain",
            ));
        };
        let (_, parsed) = X509Certificate::from_der(&der)
            .map_err(|error| PinError::Unusable(format!("is no X.509 certificate: {error}")))?;
        ParsedCertificate::try_from(&der)
            .map_err(|error| PinError::Unusable(format!("cannot be used for TLS: {error}")))?;
        if !has_usable_key(parsed.public_key()) {
            return Err(unusable(
                "its key cannot be used for TLS: use RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519",
            ));
        }
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
        if not_after <= now {
            return Err(PinError::Unusable(format!("it ended at {not_after}; make a new one")));
        }
        Ok(Self { sha256: sha256(&der), der: der.clone(), not_before, not_after })
    }
}

/// SHA-256 of a certificate (DER), by which it is known.
pub fn sha256(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// Whether the region's TLS takes signatures of such a key.
fn has_usable_key(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        return matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&rsa.key_size()));
    }
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let is_known = |curve| [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521].contains(&curve);
    algorithm.algorithm == OID_SIG_ED25519
        || algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve.is_some_and(is_known)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, date_time_ymd};

    use super::*;

    fn made(key: &KeyPair) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2040, 1, 1));
        params.self_signed(key).expect("a certificate")
    }

    #[test]
    fn one_certificate_is_read_and_what_nobody_could_use_is_refused() {
        let now = date_time_ymd(2035, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let (certificate, pem) = (made(&key), made(&key).pem());
        let usable = Usable::read(&format!("text before\n{}\n", certificate.pem()), now).expect("usable");
        assert_eq!((usable.sha256, usable.not_after), (sha256(certificate.der()), date_time_ymd(2040, 1, 1)));
        let ed25519 = made(&KeyPair::generate_for(&PKCS_ED25519).expect("a key")).pem();
        Usable::read(&ed25519, now).expect("usable");

        for (text, reason) in [
            (String::new(), "exactly one certificate"),
            ("x".repeat(PEM_BYTES_MAX + 1), "at most"),
            (format!("{pem}{pem}"), "exactly one certificate"),
            (format!("{pem}{}", key.serialize_pem()), "stays with the gateways"),
            (pem.replace("MII", "AAA"), "X.509"),
            (pem[..pem.len() - 40].to_owned(), "exactly one certificate"),
        ] {
            let refused = Usable::read(&text, now).expect_err(reason).to_string();
            assert!(refused.contains(reason), "{refused}");
        }
        let late = Usable::read(&pem, date_time_ymd(2040, 1, 1)).expect_err("ended").to_string();
        assert!(late.contains("it ended at 2040"), "{late}");
    }
}
