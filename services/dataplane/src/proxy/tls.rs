//! The HTTPS listener's certificate. It is read from two files, used for every name, and read again when the files change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// The certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    current: ArcSwap<CertifiedKey>,
    chain: PathBuf,
    key: PathBuf,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Certificate {
    /// Reads a PEM chain and its PEM key, and checks that they belong together.
    pub fn load(chain: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        let current = ArcSwap::from_pointee(read(chain, key)?);
        Ok(Arc::new(Self { current, chain: chain.to_owned(), key: key.to_owned() }))
    }

    /// A configuration for TLS 1.2 and 1.3 that offers HTTP/2 and HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> anyhow::Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads changed files until `stop`. If they cannot be used, the old certificate stays in use.
    pub async fn follow_files(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = self.modified();
        let mut ticks = pace::ticks(RELOAD_INTERVAL);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let modified = self.modified();
            if modified == seen {
                continue;
            }
            match read(&self.chain, &self.key) {
                Ok(certificate) => {
                    self.current.store(Arc::new(certificate));
                    tracing::info!(chain = %self.chain.display(), "the HTTPS certificate was replaced");
                    seen = modified;
                }
                // The two files are rarely replaced in the same moment: the next tick tries again.
                Err(error) => tracing::warn!("the changed HTTPS certificate cannot be used yet: {error:#}"),
            }
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.chain, &self.key].map(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
    }
}

fn read(chain: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let in_file = |path: &Path| format!("TLS file {}", path.display());
    let chain_pem = fs::read(chain).with_context(|| in_file(chain))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&chain_pem)
        .collect::<Result<_, _>>()
        .with_context(|| in_file(chain))?;
    anyhow::ensure!(!certificates.is_empty(), "{}: no certificate in it", in_file(chain));
    let key_pem = fs::read(key).with_context(|| in_file(key))?;
    let private = PrivateKeyDer::from_pem_slice(&key_pem).with_context(|| in_file(key))?;
    CertifiedKey::from_der(certificates, private, &aws_lc_rs::default_provider())
        .with_context(|| format!("{} and {} do not belong together", chain.display(), key.display()))
}
