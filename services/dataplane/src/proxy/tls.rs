//! The certificates of the HTTPS listener. One of the configuration is found by the name that the client asks for, without a lock; the one in two files is
//! for everybody else, and is read again when the files change.
//!
//! What is shown is decided for each handshake, so a certificate is replaced without closing a connection. A session is resumed only while all
//! certificates and names are those that it began with: whoever replaces a certificate knows that nobody goes on with the old one.
//! Resuming needs no memory here, since the client keeps the ticket.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{self, Ticketer},
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_util::sync::CancellationToken;

use crate::view::{Live, Revision};

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// How many tickets a client of TLS 1.3 gets: one for the next connection, and one if two are opened at once.
const TICKETS: usize = 2;

/// A configuration for TLS 1.2 and 1.3 that offers HTTP/2 and HTTP/1.1, shows the certificates of `shown`, and asks clients for theirs as
/// `verifier` says. It resumes its own sessions alone.
pub fn server_config(
    shown: &Shown,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let tickets = Tickets { shown: shown.clone(), made: ArcSwapOption::empty() };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(shown.clone()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(tickets);
    config.send_tls13_tickets = TICKETS;
    Ok(Arc::new(config))
}

/// What clients are shown: the certificates of the view, and those of the files for the names that the view has none for.
#[derive(Clone)]
pub struct Shown {
    /// The view.
    pub live: Live,
    /// The files; `None`: there are none.
    pub files: Option<Arc<Files>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let view = self.live.load();
        match view.certificate(hello.server_name()) {
            Some(pair) => Some(pair.fitting(hello.signature_schemes()).clone()),
            None => self.files.as_ref().map(|files| files.current.load_full()),
        }
    }
}

impl Shown {
    fn is_since(&self, since: &Since) -> bool {
        let file = self.files.as_ref().map(|files| files.current.load());
        self.live.load().certificates_revision() == since.revision
            && match (&file, &since.file) {
                (Some(file), Some(since)) => Arc::ptr_eq(file, since),
                (None, None) => true,
                _ => false,
            }
    }

    fn now(&self) -> Since {
        Since {
            revision: self.live.load().certificates_revision(),
            file: self.files.as_ref().map(|files| files.current.load_full()),
        }
    }
}

/// What is shown since some moment.
struct Since {
    revision: Revision,
    file: Option<Arc<CertifiedKey>>,
}

/// Seals the sessions that clients keep. A key is used while the same certificates are shown, and at most for some hours.
struct Tickets {
    shown: Shown,
    made: ArcSwapOption<(Since, Arc<dyn ProducesTickets>)>,
}

impl Tickets {
    /// What seals now; `None` if there is no randomness.
    fn current(&self) -> Option<Arc<(Since, Arc<dyn ProducesTickets>)>> {
        if let Some(made) = self.made.load_full().filter(|made| self.shown.is_since(&made.0)) {
            return Some(made);
        }
        // Before the key is made: what changes meanwhile makes another one.
        let since = self.shown.now();
        let made = Arc::new((since, Ticketer::new().ok()?));
        self.made.store(Some(made.clone()));
        Some(made)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.current().map_or(0, |made| made.1.lifetime())
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.current()?.1.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.current()?.1.decrypt(cipher)
    }
}

/// A certificate and its key, in two files.
pub struct Files {
    current: ArcSwap<CertifiedKey>,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Reads a PEM chain and its PEM key, and checks that they belong together.
    pub fn load(chain: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        let current = ArcSwap::from_pointee(read(chain, key)?);
        Ok(Arc::new(Self { current, chain: chain.to_owned(), key: key.to_owned() }))
    }

    /// Reads changed files until `stop`. If they cannot be used, the old certificate stays in use.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
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
