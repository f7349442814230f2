//! Authorities, the certificates that they issue, and clients that show these.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, SignatureScheme, SupportedProtocolVersion, client::ResolvesClientCert, crypto::aws_lc_rs,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::client_config;

/// An authority.
pub struct Authority {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its chain, and its key.
#[derive(Clone)]
pub struct Pair {
    pub chain: Vec<CertificateDer<'static>>,
    key: Arc<KeyPair>,
}

impl Pair {
    pub fn with(mut self, authority: &Authority) -> Self {
        self.chain.push(authority.der.clone());
        self
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Shop");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn of_authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    pub fn root(name: &str) -> Self {
        let (params, key) = (of_authority(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    /// One that this one has issued.
    pub fn below(&self, name: &str) -> Self {
        let (params, key) = (of_authority(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `common_name` with these DNS names.
    pub fn issue(&self, common_name: &str, names: &[&str]) -> Pair {
        self.issue_as(common_name, names, |_| ())
    }

    pub fn issue_as(
        &self,
        common_name: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = params(common_name);
        params.subject_alt_names =
            names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        Pair { chain, key: key.into() }
    }

    /// The entity, and the subject as it is told to clients.
    pub fn entity(&self, id: u32) -> String {
        let pem: String = self.pem.lines().map(|line| format!("    {line}\n")).collect();
        format!("- id: {}\n  cert: |\n{pem}", self::id(id))
    }
}

/// The id of an authority.
pub fn id(number: u32) -> String {
    format!("00000000-0000-0000-0000-{number:012}")
}

/// A certificate that has issued itself.
pub fn self_signed(common_name: &str) -> Pair {
    let (params, key) = (params(common_name), KeyPair::generate().unwrap());
    Pair { chain: vec![params.self_signed(&key).unwrap().der().clone()], key: key.into() }
}

/// Shows a certificate to whoever asks for one, whatever it says of authorities, and notes what it says.
#[derive(Debug)]
pub struct Shows {
    pair: Option<Arc<CertifiedKey>>,
    /// How many authorities were told, each time that somebody asked.
    pub asked: Mutex<Vec<usize>>,
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.lock().unwrap().push(issuers.len());
        self.pair.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A client with a certificate, or without; sessions are resumed. `server` is the certificate that the gateway shows.
pub struct Clients {
    pub config: Arc<ClientConfig>,
    pub shows: Arc<Shows>,
}

impl Clients {
    pub fn new(
        server: &rcgen::CertifiedKey<KeyPair>,
        pair: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
        protocol: &str,
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pair = pair.map(|pair| {
            let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
            Arc::new(CertifiedKey::from_der(pair.chain.clone(), key, &provider).unwrap())
        });
        let shows = Arc::new(Shows { pair, asked: Mutex::default() });
        let mut roots = rustls::RootCertStore::empty();
        roots.add(server.cert.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(shows.clone());
        config.alpn_protocols = client_config(server, &[protocol]).alpn_protocols.clone();
        Self { config: Arc::new(config), shows }
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut self.shows.asked.lock().unwrap())
    }
}
