//! How TLS is spoken with each client: whether it is asked for a certificate, and whose it may choose.
//!
//! A certificate is asked for where the view says that a plugin may want one. Any is taken: the handshake proves that the client has its key, and
//! plugins decide what it is worth.
//!
//! Each way has sessions of its own, and TLS resumes a session under its own server name only. So a session that began without being asked is
//! not resumed where clients are asked, and no certificate gets to another name by a session.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use listener::Choice;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::{
        ClientHello, NoClientAuth,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::tls::{Shown, server_config};

/// Certificates that a client may show, its own included.
const CHAIN_MAX: usize = 10;
/// Bytes of all of them. A connection holds them for as long as it is open.
const CHAIN_BYTES_MAX: usize = 16 * 1024;
/// Ways to ask that are kept. When there are more, they are made anew, and their sessions are not resumed.
const WAYS_MAX: usize = 64;

/// The names of authorities that a client is told.
type Issuers = BTreeSet<Vec<u8>>;

/// The ways in which TLS is spoken.
pub struct Handshakes {
    shown: Shown,
    not_asking: Arc<ServerConfig>,
    asking: Arc<ServerConfig>,
    /// Those that tell clients whose certificates they may choose.
    telling: Mutex<HashMap<Issuers, Arc<ServerConfig>>>,
}

impl Handshakes {
    /// With the certificates of `shown`.
    pub fn new(shown: Shown) -> Result<Self, rustls::Error> {
        Ok(Self {
            not_asking: server_config(&shown, Arc::new(NoClientAuth))?,
            asking: server_config(&shown, Arc::new(Any::new(&Issuers::new())))?,
            telling: Mutex::default(),
            shown,
        })
    }

    /// How TLS is spoken with a client.
    pub fn choose(&self, hello: &ClientHello<'_>) -> Choice {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let name = name.as_deref().map(|name| name.strip_suffix('.').unwrap_or(name));
        let view = self.shown.live.load();
        match view.asks(name) {
            None => Choice { config: self.not_asking.clone(), asks: false },
            Some(issuers) => Choice { config: self.telling(&issuers), asks: true },
        }
    }

    fn telling(&self, issuers: &BTreeSet<&[u8]>) -> Arc<ServerConfig> {
        if issuers.is_empty() {
            return self.asking.clone();
        }
        let issuers: Issuers = issuers.iter().map(|issuer| issuer.to_vec()).collect();
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = telling.get(&issuers) {
            return config.clone();
        }
        // It can be made, since `asking` could. If not, clients choose by themselves.
        let Ok(config) = server_config(&self.shown, Arc::new(Any::new(&issuers))) else {
            return self.asking.clone();
        };
        if telling.len() >= WAYS_MAX {
            telling.clear();
        }
        telling.insert(issuers, config.clone());
        config
    }
}

/// Takes any certificate whose key the client has, and none as well.
struct Any {
    issuers: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Any {
    fn new(issuers: &Issuers) -> Self {
        let issuers = issuers.iter().map(|issuer| DistinguishedName::in_sequence(issuer)).collect();
        Self { issuers, algorithms: aws_lc_rs::default_provider().signature_verification_algorithms }
    }
}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Any").field("issuers", &self.issuers.len()).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Any {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let bytes = more.iter().map(|certificate| certificate.len()).sum::<usize>() + own.len();
        if more.len() >= CHAIN_MAX || bytes > CHAIN_BYTES_MAX {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
