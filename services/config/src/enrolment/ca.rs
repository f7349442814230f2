//! The region's CA. It signs the certificates of nodes, and the certificate that this service shows to nodes. It signs nothing
//! else: with a node's certificate one can open the stream of one control plane and no other connection.

use std::{fs, sync::Arc};

use anyhow::Context as _;
use ids::Region;
use random::Random;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier as _},
};
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer, UnixTime, pem::PemObject as _,
};
use settings::sections::Certificate;
use sha2::{Digest as _, Sha256};
use sync::{
    identity::{NodeIdentity, plane_name},
    limits::{CERTIFICATE_LIFE, CSR_BYTES_MAX},
};
use time::{Duration, OffsetDateTime};

use super::{
    key::NodeKey,
    verifier::{AlsoEnded, OrPinned},
};
use crate::pins::known::KnownPins;

/// How long before it is signed a certificate becomes valid, for nodes whose clock is behind.
const CLOCK_SKEW: Duration = Duration::minutes(5);
/// Validity of the certificate that this service shows to nodes. A new one is made at each start.
const SERVER_LIFE: Duration = Duration::days(365);

/// The region's CA, with its key.
pub struct RegionCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    sha256: [u8; 32],
    /// Takes the certificates that it has signed.
    verifier: AlsoEnded,
    region: Region,
    /// Draws serial numbers.
    random: Random,
}

/// A certificate for a node.
pub struct Issued {
    /// The certificate alone, without the CA's.
    pub pem: String,
    /// End of its validity.
    pub expires_at: OffsetDateTime,
    /// The key that it is for.
    pub key: NodeKey,
}

/// A certificate request that cannot be signed.
#[derive(Debug, thiserror::Error)]
#[error("the certificate request cannot be used: {0}")]
pub struct UnusableRequest(String);

impl RegionCa {
    /// Reads certificate and key. The error names the setting and the file.
    pub fn load(files: &Certificate, region: &Region, random: Random) -> anyhow::Result<Self> {
        let pem = fs::read_to_string(&files.certificate)
            .with_context(|| format!("region_ca.certificate: cannot read {}", files.certificate.display()))?;
        let key = fs::read_to_string(&files.key)
            .with_context(|| format!("region_ca.key: cannot read {}", files.key.display()))?;
        let key = KeyPair::from_pem(&key).context("region_ca.key: not a private key in PEM")?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).context("region_ca.certificate: not PEM")?;
        let issuer = Issuer::from_ca_cert_der(&der, key).context("region_ca.certificate: not a CA")?;
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).context("region_ca.certificate")?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
        let verifier = AlsoEnded(verifier.context("region_ca.certificate")?);
        let sha256 = Sha256::digest(&der).into();
        Ok(Self { issuer, sha256, verifier, pem, region: region.clone(), random })
    }

    /// SHA-256 of the CA's certificate (DER). Enrolment tokens carry it, so that a new node can verify the region's API.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The CA's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a certificate for `node` with the public key in `csr`. Nothing else of the request is used.
    pub fn sign(
        &self,
        csr: &[u8],
        node: &NodeIdentity,
        now: OffsetDateTime,
    ) -> Result<Issued, UnusableRequest> {
        let unusable = |error: &dyn std::fmt::Display| UnusableRequest(error.to_string());
        if csr.len() > CSR_BYTES_MAX {
            return Err(UnusableRequest(format!("it is larger than {CSR_BYTES_MAX} bytes")));
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr));
        let mut request = request.map_err(|error| unusable(&error))?;
        let expires_at = now + CERTIFICATE_LIFE;
        let uri = node.to_string().try_into().map_err(|error| unusable(&error))?;
        request.params = CertificateParams::default();
        request.params.distinguished_name = common_name(&node.node.to_string());
        request.params.subject_alt_names = vec![SanType::URI(uri)];
        request.params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.params.not_before = now - CLOCK_SKEW;
        request.params.not_after = expires_at;
        request.params.serial_number = Some(self.serial_number());
        let certificate = request.signed_by(&self.issuer).map_err(|error| unusable(&error))?;
        let key = NodeKey::of(certificate.der()).ok_or_else(|| UnusableRequest("its key".to_owned()))?;
        Ok(Issued { pem: certificate.pem(), expires_at, key })
    }

    /// Whether this CA has signed `certificate`, which may have ended.
    pub fn has_issued(&self, certificate: &CertificateDer<'_>) -> bool {
        self.verifier.verify_client_cert(certificate, &[], UnixTime::now()).is_ok()
    }

    /// TLS for the listener of streams. It shows a new certificate, valid from `now` on, and accepts clients only with a certificate
    /// that this CA has signed, also one that has ended, or with one of `pins`.
    pub fn server_tls(&self, now: OffsetDateTime, pins: KnownPins) -> anyhow::Result<Arc<ServerConfig>> {
        let key = KeyPair::generate().context("make a key for the sync listener")?;
        let name = plane_name(&self.region);
        let mut params = CertificateParams::new(vec![name.clone()]).context("name the sync listener")?;
        params.distinguished_name = common_name(&name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + SERVER_LIFE;
        params.serial_number = Some(self.serial_number());
        let certificate =
            params.signed_by(&key, &self.issuer).context("sign the sync listener's certificate")?;
        let authority =
            CertificateDer::from_pem_slice(self.pem.as_bytes()).context("region_ca.certificate")?;
        let verifier = OrPinned { signed: self.verifier.clone(), pins };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(vec![certificate.der().clone(), authority], key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Nodes resume no session.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Positive, and at most 20 bytes (RFC 5280).
    fn serial_number(&self) -> SerialNumber {
        let mut bytes: [u8; 16] = self.random.bytes();
        bytes[0] &= 0x7f;
        SerialNumber::from_slice(&bytes)
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
