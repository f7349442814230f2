//! Against real sockets: each thing that can be wrong between a node and its control plane, one at a time.

use std::{fs, net::Ipv4Addr};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const NAME: &str = "plane.test";

/// A CA, as PEM, and what signs for it.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn certificate(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// What a node with a certificate of this CA shows, and whom it trusts.
    fn client(&self, trusts: &Authority) -> Arc<ClientConfig> {
        let (certificate, key) = self.certificate("node.test");
        let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into());
        let tls = tls.with_safe_default_protocol_versions().unwrap().with_root_certificates(trusts.roots());
        Arc::new(tls.with_client_auth_cert(vec![certificate], key).unwrap())
    }
}

/// A server that answers any request with `date`, to clients with a certificate of `authority`.
async fn serve(authority: &Authority, name: &str, date: &'static str) -> SocketAddr {
    let (certificate, key) = authority.certificate(name);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(authority.roots().into(), provider.clone())
        .build()
        .unwrap();
    let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut tls = tls.with_client_cert_verifier(clients).with_single_cert(vec![certificate], key).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(tcp).await else { continue };
            let service = hyper::service::service_fn(move |_| async move {
                let answer = http::Response::builder().status(404).header("date", date);
                answer.body(http_body_util::Empty::<bytes::Bytes>::new())
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(io, service),
            );
        }
    });
    address
}

/// What is found out about `endpoint`: the findings, as `what mark` and words.
async fn found(endpoint: &str, name: &str, tls: Arc<ClientConfig>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told = |finding: &Finding| findings.push(finding.clone());
    reach::check(endpoint, name, tls, &Seams::system(), &mut Report { told: &mut told, failed: 0 }).await;
    findings
}

fn last(findings: &[Finding]) -> (&'static str, Mark, &str) {
    let last = findings.last().unwrap();
    (last.what, last.mark, &last.words)
}

#[tokio::test]
async fn each_thing_between_a_node_and_its_plane_has_words_of_its_own() {
    let (ours, others) = (Authority::new(), Authority::new());
    let date = httpdate::fmt_http_date(Seams::system().clock.now().into()).leak();
    let plane = serve(&ours, NAME, date).await.to_string();
    let findings = found(&plane, NAME, ours.client(&ours)).await;
    assert!(findings.iter().all(|finding| finding.mark == Mark::Good), "{findings:?}");
    assert_eq!(
        findings.iter().map(|finding| finding.what).collect::<Vec<_>>(),
        ["dns", "connection", "tls", "clock"]
    );

    let url = format!("https://{plane}/");
    assert_eq!(last(&found(&url, NAME, ours.client(&ours)).await).1, Mark::Good);
    let old = serve(&ours, NAME, "Sun, 06 Nov 1994 08:49:37 GMT").await.to_string();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().to_string();
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let speaks_http = plain.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut tcp, _) = plain.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    for (endpoint, name, tls, what, words) in [
        ("no-such-name.invalid:443", NAME, ours.client(&ours), "dns", "has no address"),
        (closed.as_str(), NAME, ours.client(&ours), "connection", "takes none"),
        (plane.as_str(), NAME, ours.client(&others), "tls", "another CA"),
        (plane.as_str(), "other.test", ours.client(&ours), "tls", "another name"),
        (plane.as_str(), NAME, others.client(&ours), "tls", "refuses this node's certificate"),
        (speaks_http.as_str(), NAME, ours.client(&ours), "tls", "speaks no TLS"),
        (old.as_str(), NAME, ours.client(&ours), "clock", "ahead of the control plane's"),
    ] {
        let findings = found(endpoint, name, tls).await;
        let (found, mark, told) = last(&findings);
        assert_eq!((found, mark), (what, Mark::Bad), "{findings:?}");
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn a_gateway_that_cannot_start_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |settings: &Settings| {
        let mut findings = Vec::new();
        let failed =
            run(settings, &Seams::system(), &mut |finding: &Finding| findings.push(finding.to_string()))
                .await;
        (failed, findings.join("\n"))
    };
    let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    let (failed, told) = check(&settings).await;
    assert_eq!(failed, 1, "{told}");
    assert!(told.contains("FAILED  enrolment    this node is not enrolled"), "{told}");

    let file = folder.path().join("shop.yaml");
    settings.declarative = Some(file.clone());
    fs::write(&file, "_format_version: '3.0'\nservices: [{name: a}]").unwrap();
    let (failed, told) = check(&settings).await;
    assert!(failed == 1 && told.contains("services[0]"), "{told}");
    fs::write(&file, "_format_version: '3.0'").unwrap();
    assert_eq!(check(&settings).await.0, 0);

    // A store that somebody has open, and an admin port that nobody has.
    let held = folder.path().join("data").join(STORE_FOLDER);
    let store = Store::open(&held, StoreOptions::default()).unwrap();
    settings.admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let (failed, told) = check(&settings).await;
    assert!(failed == 1 && told.contains("does not answer"), "{told}");
    drop(store);
    let (failed, told) = check(&settings).await;
    assert!(failed == 0 && told.contains("no configuration yet"), "{told}");
}
