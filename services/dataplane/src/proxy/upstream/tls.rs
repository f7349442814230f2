//! TLS to upstreams: by whose certificates they are verified, what the gateway shows them, and which versions of HTTP it offers.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

use crate::view::{Pair, TlsConfigs, TlsProfile, Versions};

/// What ALPN calls the versions of HTTP.
pub const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// What the gateway trusts and shows where a service says nothing of it.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    own: Option<Arc<CertifiedKey>>,
}

impl Tls {
    /// Upstreams are verified by the CAs in `roots` (PEM), or by the public ones if there are none. Those that ask for a certificate
    /// get `own`, a PEM chain and its key, if they were verified.
    pub fn new(roots: Option<&[u8]>, own: Option<(&[u8], &[u8])>) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = match roots {
            None => RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => roots_in(pem)?,
        };
        let own = own.map(|(chain, key)| own_certificate(chain, key, &provider)).transpose()?;
        let tls = Self { provider, roots: Arc::new(roots), own: own.map(Arc::new) };
        // What cannot be used is told at the start.
        tls.verifier(&tls.roots, None)?;
        Ok(tls)
    }

    /// The configuration for an upstream of `profile` to which `versions` are spoken.
    pub fn config(
        &self,
        profile: &TlsProfile,
        versions: Versions,
    ) -> Result<Arc<ClientConfig>, rustls::Error> {
        let configs = match profile.configs() {
            Some(configs) => configs,
            None => profile.keep(self.configs(profile)?),
        };
        Ok(match versions {
            Versions::Http1 => configs.http1.clone(),
            Versions::Http2 => configs.http2.clone(),
            Versions::Negotiated => configs.any.clone(),
        })
    }

    fn configs(&self, profile: &TlsProfile) -> Result<TlsConfigs, rustls::Error> {
        let verifier: Arc<dyn ServerCertVerifier> = match (profile.verify, &profile.roots) {
            (false, _) => Arc::new(AnyCertificate(self.provider.clone())),
            (true, None) => self.verifier(&self.roots, profile.depth)?,
            (true, Some(roots)) => {
                self.verifier(&Arc::new(RootCertStore { roots: roots.clone() }), profile.depth)?
            }
        };
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        // The gateway's own is for those whom it knows. A service's is for its upstream, whoever that is.
        let config = match (&profile.certificate, &self.own) {
            (Some(pair), _) => builder.with_client_cert_resolver(Arc::new(Shown(pair.clone()))),
            (None, Some(own)) if profile.verify => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.clone())))
            }
            (None, _) => builder.with_no_client_auth(),
        };
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(TlsConfigs {
            any: offering(&[HTTP_2, HTTP_1]),
            http1: offering(&[HTTP_1]),
            http2: offering(&[HTTP_2]),
        })
    }

    fn verifier(
        &self,
        roots: &Arc<RootCertStore>,
        depth: Option<u8>,
    ) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.clone(), self.provider.clone()).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(match depth {
            None => verifier,
            Some(depth) => {
                Arc::new(Shallow { verifier, roots: roots.clone(), depth, provider: self.provider.clone() })
            }
        })
    }
}

/// Shows upstreams a service's certificate.
#[derive(Debug)]
struct Shown(Arc<Pair>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.fitting(schemes).clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn own_certificate(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(key).context("upstream_key: not PEM")?;
    CertifiedKey::from_der(chain.context("upstream_certificate: not PEM")?, key, provider)
        .context("upstream_certificate and upstream_key do not belong together")
}

fn roots_in(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.context("not a PEM certificate")?)?;
    }
    Ok(roots)
}

/// For services with `tls_verify_depth`: verifies as usual, and counts the certificates between the upstream's own and a trusted one.
#[derive(Debug)]
struct Shallow {
    verifier: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    depth: u8,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Shallow {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        let is_shallow = |path: &webpki::VerifiedPath<'_>| match path.intermediate_certificates().count() {
            count if count <= usize::from(self.depth) => Ok(()),
            _ => Err(webpki::Error::MaximumPathDepthExceeded),
        };
        let bad = |_| rustls::Error::from(CertificateError::BadEncoding);
        let end = webpki::EndEntityCert::try_from(certificate).map_err(bad)?;
        let path = end.verify_for_usage(
            self.provider.signature_verification_algorithms.all,
            &self.roots.roots,
            intermediates,
            now,
            webpki::KeyUsage::server_auth(),
            None,
            Some(&is_shallow),
        );
        match path {
            Ok(_) => Ok(verified),
            Err(_) => Err(rustls::Error::General(format!(
                "more than tls_verify_depth ({}) certificates between the upstream's own and a trusted one",
                self.depth
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
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
