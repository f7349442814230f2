//! TLS on both sides: the listener's certificate for any name, replaced in place; upstreams verified or not.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use dataplane::proxy::ProxyOptions;
use rcgen::{CertifiedKey, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey as CertifiedKeyOfServer,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

pub fn certificate(names: &[&str]) -> CertifiedKey<KeyPair> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    rcgen::generate_simple_self_signed(names).unwrap()
}

fn write(folder: &Path, certificate: &CertifiedKey<KeyPair>) {
    std::fs::write(folder.join("chain.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
}

pub fn client_config(root: &CertifiedKey<KeyPair>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub fn server_config(certificate: &CertifiedKey<KeyPair>, protocols: &[&str]) -> Arc<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = vec![certificate.cert.der().clone()];
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub async fn connect(
    gateway: &Gateway,
    name: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(gateway.https()).await.unwrap();
    TlsConnector::from(config).connect(ServerName::try_from(name.to_owned()).unwrap(), tcp).await
}

/// A certificate for `shop.io` and `*.shop.io`, and the files in `folder` with its chain and its key.
pub fn own_certificate(folder: &Path) -> (CertifiedKey<KeyPair>, (PathBuf, PathBuf)) {
    let own = certificate(&["shop.io", "*.shop.io"]);
    write(folder, &own);
    (own, (folder.join("chain.pem"), folder.join("key.pem")))
}

/// A gateway with a plain and a TLS listener in front of `url`, and the certificate for `shop.io` and `*.shop.io`.
pub async fn start(
    url: &str,
    service: &str,
    upstream_roots: Option<&CertifiedKey<KeyPair>>,
) -> (Gateway, CertifiedKey<KeyPair>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (own, files) = own_certificate(folder.path());
    let roots = upstream_roots.map(|root| {
        let path = folder.path().join("roots.pem");
        std::fs::write(&path, root.cert.pem()).unwrap();
        path
    });
    let options = ProxyOptions {
        http: Some(any_port()),
        https: Some(any_port()),
        tls: Some(files),
        upstream_roots: roots,
        ..ProxyOptions::default()
    };
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: '{url}', {service} routes: [{{name: r, paths: [/]}}]}}\n"
    );
    (Gateway::start_with(&yaml, options).await, own, folder)
}

#[tokio::test]
async fn any_name_gets_the_certificate_and_the_upstream_hears_of_https() {
    let upstream = Upstream::echo().await;
    let (gateway, own, _folder) = start(&format!("http://{}", upstream.address), "", None).await;
    for name in ["shop.io", "api.shop.io"] {
        let stream = connect(&gateway, name, client_config(&own, &["http/1.1"])).await.unwrap();
        assert_eq!(Client::over(stream).get("/").await.status, 200);
        assert_eq!(upstream.last().header("x-forwarded-proto"), Some("https"));
        assert_eq!(
            upstream.last().header("x-forwarded-port"),
            Some(gateway.https().port().to_string().as_str())
        );
    }
    // A client that does not know the certificate does not get through; nor does plain HTTP on the TLS port.
    let stranger = client_config(&certificate(&["shop.io"]), &[]);
    assert!(connect(&gateway, "shop.io", stranger).await.is_err());
    let mut plain = Client::connect(gateway.https()).await;
    plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!String::from_utf8_lossy(&plain.rest().await.unwrap_or_default()).contains("200"));
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_without_a_restart() {
    let upstream = Upstream::echo().await;
    let (gateway, old, folder) = start(&format!("http://{}", upstream.address), "", None).await;
    let new = certificate(&["shop.io"]);
    // Half of a replacement is not usable and changes nothing.
    std::fs::write(folder.path().join("chain.pem"), new.cert.pem()).unwrap();
    assert!(connect(&gateway, "shop.io", client_config(&old, &[])).await.is_ok());
    write(folder.path(), &new);
    let taken_over = async {
        while connect(&gateway, "shop.io", client_config(&new, &[])).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DEADLINE * 2, taken_over).await.unwrap();
    assert!(connect(&gateway, "shop.io", client_config(&old, &[])).await.is_err());
}

#[tokio::test]
async fn upstream_certificates_are_verified_unless_the_service_says_otherwise() {
    let theirs = certificate(&["localhost"]);
    let upstream = Upstream::start(Some(server_config(&theirs, &["http/1.1"]))).await;
    let url = format!("https://localhost:{}", upstream.address.port());
    for (service, trusts, status) in [
        ("", false, 502),
        ("tls_verify: false,", false, 200),
        ("", true, 200),
        ("tls_verify: true,", false, 502),
    ] {
        let (gateway, ..) = start(&url, service, trusts.then_some(&theirs)).await;
        let response = Client::connect(gateway.http()).await.get("/").await;
        assert_eq!(response.status, status, "{service} {trusts}");
        if status == 502 {
            assert_eq!(response.json()["reason"], "upstream-tls");
        }
    }
    // The right root, the wrong name.
    let (gateway, ..) = start(&format!("https://{}", upstream.address), "", Some(&theirs)).await;
    assert_eq!(Client::connect(gateway.http()).await.get("/").await.status, 502);
}

/// Has one certificate, and notes the names that clients ask for.
#[derive(Debug)]
struct Asked {
    certificate: Arc<CertifiedKeyOfServer>,
    names: Mutex<Vec<Option<String>>>,
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKeyOfServer>> {
        self.names.lock().unwrap().push(hello.server_name().map(str::to_owned));
        Some(self.certificate.clone())
    }
}

#[tokio::test]
async fn an_upstream_is_asked_for_the_host_that_it_gets() {
    let theirs = certificate(&["localhost", "shop.test"]);
    let key = PrivateKeyDer::try_from(theirs.signing_key.serialize_der()).unwrap();
    let chain = vec![theirs.cert.der().clone()];
    let provider = aws_lc_rs::default_provider();
    let own = CertifiedKeyOfServer::from_der(chain, key, &provider).unwrap();
    let asked = Arc::new(Asked { certificate: Arc::new(own), names: Mutex::default() });
    for protocol in ["http/1.1", "h2"] {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(asked.clone());
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let upstream = Upstream::start(Some(Arc::new(config))).await;
        let port = upstream.address.port();
        for (host, preserves, name, sent, status) in [
            ("localhost", false, Some("localhost"), format!("localhost:{port}"), 200),
            ("localhost", true, Some("shop.test"), "shop.test".to_owned(), 200),
            ("127.0.0.1", true, Some("shop.test"), "shop.test".to_owned(), 200),
            // A certificate for an address, which nobody asks for by name.
            ("127.0.0.1", false, None, String::new(), 502),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let roots = folder.path().join("roots.pem");
            std::fs::write(&roots, theirs.cert.pem()).unwrap();
            let options = ProxyOptions {
                http: Some(any_port()),
                upstream_roots: Some(roots),
                ..ProxyOptions::default()
            };
            let yaml = format!(
                "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'https://{host}:{port}', routes: [{{name: r, paths: [/], preserve_host: {preserves}}}]}}\n"
            );
            let gateway = Gateway::start_with(&yaml, options).await;
            let mut client = Client::connect(gateway.http()).await;
            client.send("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await;
            assert_eq!(client.response().await.status, status, "{protocol} {host} {preserves}");
            let names = std::mem::take(&mut *asked.names.lock().unwrap());
            assert!(!names.is_empty() && names.iter().all(|asked| asked.as_deref() == name), "{names:?}");
            if status == 200 {
                assert_eq!(upstream.last().host, sent, "{protocol} {host} {preserves}");
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_gets_the_gateways_own() {
    let (theirs, ours) = (certificate(&["localhost"]), certificate(&["gateway"]));
    let mut roots = RootCertStore::empty();
    roots.add(ours.cert.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::try_from(theirs.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![theirs.cert.der().clone()], key)
        .unwrap();
    let upstream = Upstream::start(Some(Arc::new(config))).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &ours);
    std::fs::write(folder.path().join("roots.pem"), theirs.cert.pem()).unwrap();
    let own = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    for (own, service, status) in
        [(None, "", 502), (Some(own.clone()), "tls_verify: false,", 502), (Some(own), "", 200)]
    {
        let options = ProxyOptions {
            http: Some(any_port()),
            upstream_roots: Some(folder.path().join("roots.pem")),
            upstream_certificate: own,
            ..ProxyOptions::default()
        };
        let yaml = format!(
            "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'https://localhost:{}', {service} routes: [{{name: r, paths: [/]}}]}}\n",
            upstream.address.port()
        );
        let gateway = Gateway::start_with(&yaml, options).await;
        assert_eq!(Client::connect(gateway.http()).await.get("/").await.status, status, "{service}");
    }
}
