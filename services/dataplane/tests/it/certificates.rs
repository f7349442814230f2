//! Certificates of the configuration: which one a client is shown, and what becomes of connections and sessions when it is replaced.

use std::sync::{Arc, Mutex};

use dataplane::proxy::ProxyOptions;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
    tls::{certificate, connect, own_certificate},
    upstream::Upstream,
};

/// A certificate of the configuration, and the names that it is for.
pub fn entity(certificate: &CertifiedKey<KeyPair>, id: u32, snis: &[&str]) -> String {
    let indented = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let snis: String = snis.iter().map(|name| format!("  - {{name: '{name}'}}\n")).collect();
    format!(
        "- id: 00000000-0000-0000-0000-{id:012}\n  cert: |\n{}  key: |\n{}{}",
        indented(certificate.cert.pem()),
        indented(certificate.signing_key.serialize_pem()),
        if snis.is_empty() { snis } else { format!("  snis:\n{snis}") },
    )
}

fn yaml(upstream: &Upstream, certificates: &[String]) -> String {
    let certificates = certificates.concat();
    let section =
        if certificates.is_empty() { certificates } else { format!("certificates:\n{certificates}") };
    format!(
        "_format_version: \"3.0\"\n{section}services:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    )
}

fn https() -> ProxyOptions {
    ProxyOptions { https: Some(any_port()), ..ProxyOptions::default() }
}

/// Believes every certificate, and knows the signatures in `schemes` alone.
#[derive(Debug)]
struct Anybody {
    provider: CryptoProvider,
    schemes: Vec<SignatureScheme>,
    shown: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap() = Some(certificate.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// A client of one version of TLS that says what it is shown.
struct Looker {
    seen: Arc<Anybody>,
    config: Arc<ClientConfig>,
}

impl Looker {
    fn new(schemes: Option<&[SignatureScheme]>, version: &'static rustls::SupportedProtocolVersion) -> Self {
        let provider = aws_lc_rs::default_provider();
        let all = provider.signature_verification_algorithms.supported_schemes();
        let schemes = schemes.map_or(all, <[_]>::to_vec);
        let seen = Arc::new(Anybody { provider, schemes, shown: Mutex::default() });
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(seen.clone())
            .with_no_client_auth();
        Self { seen, config: Arc::new(config) }
    }

    fn any() -> Self {
        Self::new(None, &rustls::version::TLS13)
    }

    async fn open(&self, gateway: &Gateway, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        connect(gateway, name, self.config.clone()).await
    }

    /// The certificate that is shown for `name`; `None`: the handshake fails.
    async fn shown(&self, gateway: &Gateway, name: &str) -> Option<CertificateDer<'static>> {
        self.open(gateway, name).await.ok()?;
        self.seen.shown.lock().unwrap().take()
    }
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_decides() {
    let upstream = Upstream::echo().await;
    let exact = certificate(&["api.shop.io"]);
    let (leading, trailing, other) =
        (certificate(&["*.shop.io"]), certificate(&["shop.com"]), certificate(&["x"]));
    let all = [
        entity(&exact, 1, &["API.shop.io"]),
        entity(&leading, 2, &["*.shop.io"]),
        entity(&trailing, 3, &["shop.*", "api.shop.*"]),
    ];
    let gateway = Gateway::start_with(&yaml(&upstream, &all), https()).await;
    assert_eq!(gateway.quarantined(), [""; 0]);
    let der = |certificate: &CertifiedKey<KeyPair>| Some(certificate.cert.der().clone());
    for (name, expected) in [
        ("api.shop.io", der(&exact)),
        ("Api.Shop.Io", der(&exact)),
        ("www.shop.io", der(&leading)),
        // A wildcard stands for one label.
        ("a.b.shop.io", None),
        ("shop.io", der(&trailing)),
        ("shop.com", der(&trailing)),
        ("api.shop.com", der(&trailing)),
        ("127.0.0.1", None),
        ("unknown.test", None),
    ] {
        assert_eq!(Looker::any().shown(&gateway, name).await, expected, "{name}");
    }
    // With a default certificate, everybody gets one.
    let with_default = [&all[..], &[entity(&other, 4, &["*"])]].concat();
    gateway.apply(&yaml(&upstream, &with_default)).await;
    for (name, expected) in [
        ("unknown.test", der(&other)),
        ("127.0.0.1", der(&other)),
        ("a.b.shop.io", der(&other)),
        ("api.shop.io", der(&exact)),
    ] {
        assert_eq!(Looker::any().shown(&gateway, name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn files_are_for_the_names_that_the_configuration_has_no_certificate_for() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let (own, files) = own_certificate(folder.path());
    let theirs = certificate(&["a.test"]);
    let options = ProxyOptions { tls: Some(files), ..https() };
    let gateway = Gateway::start_with(&yaml(&upstream, &[entity(&theirs, 1, &["a.test"])]), options).await;
    for (name, certificate) in [("a.test", &theirs), ("b.test", &own)] {
        assert_eq!(
            Looker::any().shown(&gateway, name).await.as_ref(),
            Some(certificate.cert.der()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn of_two_kinds_of_keys_the_client_gets_the_one_that_it_can_verify() {
    let upstream = Upstream::echo().await;
    let make = |key: KeyPair| {
        let params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap(), key)
    };
    let rsa = make(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());
    let ecdsa = make(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
    let text = |pem: String| serde_json::to_string(&pem).unwrap();
    for (main, other) in [(&rsa, &ecdsa), (&ecdsa, &rsa)] {
        let entity = format!(
            "- cert: {}\n  key: {}\n  cert_alt: {}\n  key_alt: {}\n  snis: [{{name: a.test}}]\n",
            text(main.0.pem()),
            text(main.1.serialize_pem()),
            text(other.0.pem()),
            text(other.1.serialize_pem()),
        );
        let gateway = Gateway::start_with(&yaml(&upstream, &[entity]), https()).await;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let rsa_only = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
            let ecdsa_only = [SignatureScheme::ECDSA_NISTP256_SHA256];
            for (schemes, expected) in [(&rsa_only[..], &rsa), (&ecdsa_only[..], &ecdsa)] {
                let shown = Looker::new(Some(schemes), version).shown(&gateway, "a.test").await;
                assert_eq!(shown.as_ref(), Some(expected.0.der()), "{version:?} {schemes:?}");
            }
            // Who knows both gets the one that costs less.
            let shown = Looker::new(None, version).shown(&gateway, "a.test").await;
            assert_eq!(shown.as_ref(), Some(ecdsa.0.der()), "{version:?}");
        }
    }
}

/// Opens a connection, sends a request on it, and says how the handshake went.
async fn visit(looker: &Looker, gateway: &Gateway) -> (HandshakeKind, Client<TlsStream<TcpStream>>) {
    let mut client = Client::over(looker.open(gateway, "a.test").await.unwrap());
    assert_eq!(client.get("/").await.status, 200);
    let kind = client.stream.get_ref().1.handshake_kind().unwrap();
    (kind, client)
}

#[tokio::test]
async fn a_certificate_is_replaced_without_closing_a_connection_and_sessions_begin_anew() {
    let upstream = Upstream::echo().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (old, new) = (certificate(&["a.test"]), certificate(&["a.test"]));
        let gateway = Gateway::start_with(&yaml(&upstream, &[entity(&old, 1, &["a.test"])]), https()).await;
        let looker = Looker::new(None, version);
        let (kind, mut first) = visit(&looker, &gateway).await;
        assert_eq!(kind, HandshakeKind::Full);
        let (kind, _second) = visit(&looker, &gateway).await;
        assert_eq!(kind, HandshakeKind::Resumed, "{version:?}");
        // A change that concerns no certificate changes nothing.
        let more = yaml(&upstream, &[entity(&old, 1, &["a.test"])]) + "- {name: other, url: 'http://b'}\n";
        gateway.apply(&more).await;
        assert_eq!(visit(&looker, &gateway).await.0, HandshakeKind::Resumed);

        gateway.apply(&yaml(&upstream, &[entity(&new, 1, &["a.test"])])).await;
        assert_eq!(first.get("/").await.status, 200, "the open connection goes on");
        looker.seen.shown.lock().unwrap().take();
        assert_ne!(
            visit(&looker, &gateway).await.0,
            HandshakeKind::Resumed,
            "the old certificate is not relied on"
        );
        assert_eq!(looker.seen.shown.lock().unwrap().take().as_ref(), Some(new.cert.der()));
        assert_eq!(visit(&looker, &gateway).await.0, HandshakeKind::Resumed);

        // Without a certificate the name is not served, and not resumed either.
        gateway.apply(&yaml(&upstream, &[])).await;
        assert!(looker.open(&gateway, "a.test").await.is_err());
        assert_eq!(first.get("/").await.status, 200);
    }
}

/// One that cannot be used is as if it were not there, and is told.
#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told() {
    let upstream = Upstream::echo().await;
    let good = certificate(&["a.test"]);
    let vault = "- {id: 00000000-0000-0000-0000-000000000001, cert: '{vault://env/cert}', key: '{vault://env/key}', snis: [{name: a.test}]}\n";
    let both = [vault.to_owned(), entity(&good, 2, &["*.test", "*"])];
    let gateway = Gateway::start_with(&yaml(&upstream, &both), https()).await;
    let [reason] = &gateway.quarantined()[..] else { panic!("{:?}", gateway.quarantined()) };
    assert!(reason.starts_with("certificate: cert: this gateway does not look into vaults"), "{reason}");
    assert_eq!(Looker::any().shown(&gateway, "a.test").await.as_ref(), Some(good.cert.der()));
}
