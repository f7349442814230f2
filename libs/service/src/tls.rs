//! Certificates from files, and the TLS configurations made of them.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore, ServerConfig, server::danger::ClientCertVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use settings::sections::{Certificate, Tls};
use tonic::transport::{
    Certificate as TonicCertificate, ClientTlsConfig, Identity as TonicIdentity, ServerTlsConfig,
};

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

    /// For a tonic server that demands a certificate of the same CA.
    pub fn tonic_server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(TonicIdentity::from_pem(self.certificate.as_bytes(), self.key.as_bytes()))
            .client_ca_root(TonicCertificate::from_pem(self.ca.as_bytes()))
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
        let (chain, key) = parse_pair(&self.certificate, &self.key)?;
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .context("tls.certificate and tls.key do not fit together")?;
        config.alpn_protocols = http_protocols();
        Ok(Arc::new(config))
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

fn http_protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// A TLS server configuration for HTTP/1.1 and HTTP/2 that asks for no client certificate.
pub fn server_config(files: &Certificate) -> anyhow::Result<Arc<ServerConfig>> {
    let (chain, key) = parse_pair(&read(&files.certificate, "certificate")?, &read(&files.key, "key")?)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and its key do not fit together", files.certificate.display()))?;
    config.alpn_protocols = http_protocols();
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
