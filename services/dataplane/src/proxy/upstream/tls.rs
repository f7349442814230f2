//! TLS to upstreams: by whose certificates they are verified, what the gateway shows them, and which versions of HTTP it offers.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

/// What ALPN calls the versions of HTTP.
pub const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// A configuration that offers HTTP/2 and HTTP/1.1, and one that offers HTTP/1.1 alone.
struct Offers {
    all: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl Offers {
    fn of(config: ClientConfig) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self { all: offering(&[HTTP_2, HTTP_1]), http1: offering(&[HTTP_1]) }
    }
}

/// How TLS is spoken to upstreams.
pub struct Tls {
    verifying: Offers,
    trusting: Offers,
}

impl Tls {
    /// Upstreams are verified by the CAs in `roots` (PEM), or by the public ones if there are none. Those that ask for a certificate
    /// get `own`, a PEM chain and its key, if they were verified.
    pub fn new(roots: Option<&[u8]>, own: Option<(&[u8], &[u8])>) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let roots = match roots {
            None => RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => roots_in(pem)?,
        };
        let verifying = builder()?.with_root_certificates(roots);
        let verifying = match own {
            None => verifying.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>();
                let key = PrivateKeyDer::from_pem_slice(key).context("upstream_key: not PEM")?;
                verifying
                    .with_client_auth_cert(chain.context("upstream_certificate: not PEM")?, key)
                    .context("upstream_certificate and upstream_key do not belong together")?
            }
        };
        let trusting = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider.clone())))
            .with_no_client_auth();
        Ok(Self { verifying: Offers::of(verifying), trusting: Offers::of(trusting) })
    }

    /// The configuration for an upstream that is verified or not, and is offered HTTP/2 or not.
    pub fn config(&self, verify: bool, http1_only: bool) -> Arc<ClientConfig> {
        let offers = if verify { &self.verifying } else { &self.trusting };
        if http1_only { offers.http1.clone() } else { offers.all.clone() }
    }
}

fn roots_in(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.context("not a PEM certificate")?)?;
    }
    Ok(roots)
}

/// For services with `tls_verify: false`. Accepts any certificate; its holder must still prove that it has the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
