//! Connections to upstreams: pooled and kept alive. The time to connect and the verification of certificates come from the
//! service.
//!
//! hyper-util's client does the pooling. The time to connect and the verification are fixed for a client, so there is one
//! client for each combination in use. In practice there are few; their number has a limit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use http::Uri;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use tokio::net::TcpStream;

use super::{body::AttemptBody, dial::Dialler, guard::Guard, reads_on::ReadsOn};

/// Clients that are kept at most.
const CLIENTS_MAX: usize = 64;
/// Idle connections that a client keeps per upstream at most.
const IDLE_MAX: usize = 256;
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests to upstreams and keeps their connections.
pub type UpstreamClient = Client<Connector, AttemptBody>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Limit of connecting, TLS handshake included.
    pub connect_timeout: Duration,
    /// Whether the upstream's certificate is verified.
    pub verify: bool,
    /// Whether HTTP/2 is not offered: for an upgrade, or for a Host that is not the upstream's.
    pub http1_only: bool,
}

/// The clients in use.
pub struct Clients {
    guard: Arc<Guard>,
    verifying: ClientConfig,
    trusting: ClientConfig,
    /// The most recently used comes last.
    held: Mutex<Vec<(Mode, UpstreamClient)>>,
}

impl Clients {
    /// Upstreams are verified by the CAs in `roots` (PEM), or by the public ones if there are none. Those that ask for a certificate
    /// get `own`, a PEM chain and its key, if they were verified. `guard` decides which addresses they may have.
    pub fn new(roots: Option<&[u8]>, own: Option<(&[u8], &[u8])>, guard: Guard) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let verifying = match roots {
            None => builder()?.with_webpki_roots(),
            Some(pem) => builder()?.with_root_certificates(roots_in(pem)?),
        };
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
        Ok(Self { guard: Arc::new(guard), verifying, trusting, held: Mutex::default() })
    }

    /// The client for `mode`.
    pub fn get(&self, mode: Mode) -> UpstreamClient {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().position(|(other, _)| *other == mode);
        let entry = match found {
            // With few clients none is ever dropped, so their order does not matter.
            Some(at) if held.len() < CLIENTS_MAX => return held[at].1.clone(),
            Some(at) => held.remove(at),
            None => (mode, self.build(mode)),
        };
        if held.len() >= CLIENTS_MAX {
            held.remove(0);
        }
        held.push(entry.clone());
        entry.1
    }

    fn build(&self, mode: Mode) -> UpstreamClient {
        let tcp = Dialler { guard: self.guard.clone(), connect_timeout: mode.connect_timeout };
        let tls = if mode.verify { &self.verifying } else { &self.trusting };
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let https = if mode.http1_only {
            https.enable_http1().wrap_connector(tcp)
        } else {
            https.enable_all_versions().wrap_connector(tcp)
        };
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .set_host(false)
            .build(Connector { https, timeout: mode.connect_timeout })
    }
}

fn roots_in(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.context("not a PEM certificate")?)?;
    }
    Ok(roots)
}

/// Connects to upstreams within a time limit, TLS handshake included.
#[derive(Clone)]
pub struct Connector {
    https: HttpsConnector<Dialler>,
    timeout: Duration,
}

/// The time limit of connecting is over.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub struct ConnectTimeout(Duration);

impl tower::Service<Uri> for Connector {
    type Response = ReadsOn<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, upstream: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(upstream), self.timeout);
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            connected.unwrap_or_else(|_| Err(ConnectTimeout(limit).into())).map(ReadsOn::new)
        })
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
