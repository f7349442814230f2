//! Certificates from files, and the TLS configurations made of them.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use settings::sections::{Certificate, Tls};
use tonic::transport::{Certificate as TonicCertificate, ClientTlsConfig, Identity as TonicIdentity};

/// Name that a service's certificate carries and its callers verify, whatever address they dial.
pub const INTERNAL_NAME: &str = "localhost";

/// This service on internal connections: a certificate, its key and the CA that signs all of them, as PEM.
#[derive(Clone)]
pub struct Identity {
    certificate: Arc<str>,
    key: Arc<str>,
    ca: Arc<str>,
}

impl Identity {
    /// Reads the files that `tls` names. An error says which of them cannot be read or holds no certificate.
    pub fn load(tls: &Tls) -> anyhow::Result<Self> {
        let identity = Self {
            certificate: read(&tls.certificate, "tls.certificate")?.into(),
            key: read(&tls.key, "tls.key")?.into(),
            ca: read(&tls.ca, "tls.ca")?.into(),
        };
        roots(&identity.ca).context("tls.ca")?;
        Ok(identity)
    }

    /// For a gRPC server that demands a certificate of the same CA.
    pub(crate) fn internal_server_config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        self.server_config(WebPkiClientVerifier::builder(self.roots()?).build().context("tls.ca")?)
    }

    /// For the server of the public API, which shows the certificate in `files`. A client may show one of this CA, as the region's edge
    /// does; another certificate is refused.
    pub(crate) fn api_server_config(&self, files: &Certificate) -> anyhow::Result<Arc<ServerConfig>> {
        let verifier = WebPkiClientVerifier::builder(self.roots()?).allow_unauthenticated();
        let shown = (&*read(&files.certificate, "certificate")?, &*read(&files.key, "key")?);
        server_config(verifier.build().context("tls.ca")?, shown)
            .with_context(|| format!("{}", files.certificate.display()))
    }

    fn roots(&self) -> anyhow::Result<Arc<RootCertStore>> {
        Ok(Arc::new(roots(&self.ca).context("tls.ca")?))
    }

    /// For a tonic client that shows this certificate to a service of the region.
    pub fn tonic_client(&self) -> ClientTlsConfig {
        self.tonic_client_of(INTERNAL_NAME, &self.ca)
    }

    /// For a tonic client that expects the server `name`, by the CA in `ca` (PEM).
    pub(crate) fn tonic_client_of(&self, name: &str, ca: &str) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .domain_name(name)
            .identity(TonicIdentity::from_pem(self.certificate.as_bytes(), self.key.as_bytes()))
            .ca_certificate(TonicCertificate::from_pem(ca.as_bytes()))
    }

    /// For any other client that shows this certificate, as NATS.
    pub fn client_config(&self) -> anyhow::Result<ClientConfig> {
        self.client_config_of(roots(&self.ca).context("tls.ca")?)
    }

    /// The same, for servers known by other CAs.
    pub(crate) fn client_config_of(&self, roots: RootCertStore) -> anyhow::Result<ClientConfig> {
        let (chain, key) = parse_pair(&self.certificate, &self.key)?;
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .context("tls.certificate and tls.key do not fit together")
    }

    /// For an HTTP server that shows this certificate and lets in whom `verifier` does.
    pub(crate) fn server_config(
        &self,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> anyhow::Result<Arc<ServerConfig>> {
        server_config(verifier, (&self.certificate, &self.key)).context("tls.certificate and tls.key")
    }
}

/// The CAs in a PEM text; at least one.
pub(crate) fn roots(pem: &str) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.context("not PEM")?).context("no usable CA")?;
    }
    anyhow::ensure!(!roots.is_empty(), "it holds no certificate");
    Ok(roots)
}

/// For a server of HTTP/1.1 and HTTP/2 that shows `certificate` (PEM, with its key) and lets in whom `verifier` does.
fn server_config(
    verifier: Arc<dyn ClientCertVerifier>,
    (certificate, key): (&str, &str),
) -> anyhow::Result<Arc<ServerConfig>> {
    let (chain, key) = parse_pair(certificate, key)?;
    let builder = ServerConfig::builder().with_client_cert_verifier(verifier);
    let mut config = builder.with_single_cert(chain, key).context("they do not fit together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn parse_pair(
    certificate: &str,
    key: &str,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("the certificate file is not PEM")?;
    anyhow::ensure!(!chain.is_empty(), "the certificate file holds no certificate");
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).context("the key file holds no private key in PEM")?;
    Ok((chain, key))
}

pub(crate) fn read(path: &Path, setting: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{setting}: cannot read {}", path.display()))
}
