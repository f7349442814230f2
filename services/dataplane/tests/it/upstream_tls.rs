//! TLS to upstreams as services ask for it: who is trusted, what is shown, and that nothing of it outlives a change.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use dataplane::{proxy::ProxyOptions, view::Change};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedKey, IsCa, Issuer, KeyPair};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::time::timeout;

use crate::{
    certificates::entity,
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    tls::certificate,
    upstream::Upstream,
    websocket,
};

fn plain() -> ProxyOptions {
    ProxyOptions { http: Some(any_port()), ..ProxyOptions::default() }
}

const CA: &str = "00000000-0000-0000-0000-00000000000c";
const OWN: &str = "00000000-0000-0000-0000-000000000001";

/// A service at `port` over TLS with `fields`, and whatever `sections` there are.
fn yaml(port: u16, fields: &str, sections: &str) -> String {
    format!(
        "_format_version: \"3.0\"\n{sections}services:\n- {{name: s, url: 'https://localhost:{port}', {fields} routes: [{{name: r, paths: [/]}}]}}\n"
    )
}

fn gone(kind: &str, id: &str) -> Change {
    Change { kind: kind.to_owned(), id: id.parse().unwrap(), body: None }
}

fn ca_section(id: &str, certificate: &Certificate) -> String {
    let pem = serde_json::to_string(&certificate.pem()).unwrap();
    format!("ca_certificates:\n- {{id: {id}, cert: {pem}}}\n")
}

/// An authority, and the key of what it signs.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn params() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = Self::params().self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(Self::params(), key) }
    }

    /// One below this one.
    fn intermediate(&self, name: &str) -> Self {
        let mut params = Self::params();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A server for `localhost` that shows `chain` behind its own certificate.
    fn server(&self, chain: &[&Authority]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let own =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let all =
            [own.der().clone()].into_iter().chain(chain.iter().map(|one| one.certificate.der().clone()));
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(all.collect(), key)
            .unwrap();
        Arc::new(config)
    }
}

#[tokio::test]
async fn a_service_trusts_the_authorities_that_it_names() {
    let (theirs, others) = (Authority::new(), Authority::new());
    let upstream = Upstream::start(Some(theirs.server(&[]))).await;
    let port = upstream.address.port();
    let trusting = format!("ca_certificates: [{CA}],");
    let gateway = Gateway::start_with(&yaml(port, "", ""), plain()).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/").await.json()["reason"], "upstream-tls", "the public ones did not sign it");
    for (authority, fields, status) in [
        (&theirs, trusting.as_str(), 200),
        // The same entity, with another content: from now on, and also for connections that are open.
        (&others, trusting.as_str(), 502),
        (&theirs, trusting.as_str(), 200),
        (&theirs, "", 502),
        (&others, &format!("tls_verify: false, {trusting}"), 200),
    ] {
        gateway.apply(&yaml(port, fields, &ca_section(CA, &authority.certificate))).await;
        assert_eq!(gateway.quarantined(), [""; 0]);
        assert_eq!(client.get("/").await.status, status, "{fields}");
    }
    // One that is not there is not served without.
    gateway.apply(&yaml(port, &trusting, &ca_section(CA, &theirs.certificate))).await;
    gateway.change(vec![gone("ca_certificate", CA)]).await;
    assert_eq!(client.get("/").await.json()["reason"], "configuration-quarantined");
    assert!(
        gateway.quarantined()[0].starts_with("service: ca_certificates: "),
        "{:?}",
        gateway.quarantined()
    );
}

#[tokio::test]
async fn a_chain_is_as_long_as_the_service_allows() {
    let root = Authority::new();
    let middle = root.intermediate("middle");
    let last = middle.intermediate("last");
    let section = ca_section(CA, &root.certificate);
    for (server, length) in
        [(root.server(&[]), 0), (middle.server(&[&middle]), 1), (last.server(&[&last, &middle]), 2)]
    {
        let upstream = Upstream::start(Some(server)).await;
        for (depth, allows) in [(None, 9), (Some(0), 0), (Some(1), 1), (Some(2), 2), (Some(64), 9)] {
            let depth = depth.map_or(String::new(), |depth: u8| format!("tls_verify_depth: {depth},"));
            let fields = format!("ca_certificates: [{CA}], {depth}");
            let gateway =
                Gateway::start_with(&yaml(upstream.address.port(), &fields, &section), plain()).await;
            let status = Client::connect(gateway.http()).await.get("/").await.status;
            assert_eq!(status, if length <= allows { 200 } else { 502 }, "{length} certificates, {depth}");
        }
    }
}

/// Takes any client's certificate, and notes it.
#[derive(Debug, Default)]
struct Asks(Mutex<Vec<CertificateDer<'static>>>);

impl ClientCertVerifier for Asks {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.lock().unwrap().push(certificate.clone().into_owned());
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A server that is `theirs` and answers only clients that show a certificate.
fn demanding(theirs: &CertifiedKey<KeyPair>, asks: &Arc<Asks>, protocols: &[&str]) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(asks.clone())
        .with_single_cert(
            vec![theirs.cert.der().clone()],
            PrivateKeyDer::try_from(theirs.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[tokio::test]
async fn a_service_shows_its_own_certificate_and_each_change_opens_connections_of_its_own() {
    let (theirs, asks) = (certificate(&["localhost"]), Arc::new(Asks::default()));
    for protocol in ["http/1.1", "h2"] {
        let upstream = Upstream::start(Some(demanding(&theirs, &asks, &[protocol]))).await;
        let port = upstream.address.port();
        let (one, other) = (certificate(&["one"]), certificate(&["other"]));
        let service = format!("tls_verify: false, client_certificate: {{id: {OWN}}},");
        let with = |own: &CertifiedKey<KeyPair>| {
            yaml(port, &service, &format!("certificates:\n{}", entity(own, 1, &[])))
        };
        let gateway = Gateway::start_with(&with(&one), plain()).await;
        let mut client = Client::connect(gateway.http()).await;
        let shown = |asks: &Asks| std::mem::take(&mut *asks.0.lock().unwrap());
        assert_eq!(client.get("/").await.status, 200, "{protocol}");
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(shown(&asks), [one.cert.der().clone()], "the second request uses the same connection");
        gateway.apply(&with(&other)).await;
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(shown(&asks), [other.cert.der().clone()], "{protocol}");
        // Back to the first, its connection serves again: it has the right identity.
        gateway.apply(&with(&one)).await;
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(shown(&asks), [], "{protocol}");
        // Without a certificate the upstream says no.
        gateway.apply(&yaml(port, "tls_verify: false,", "")).await;
        assert_eq!(client.get("/").await.status, 502);
        assert_eq!(shown(&asks), []);
        // One that is not there is not served without.
        gateway.apply(&with(&one)).await;
        gateway.change(vec![gone("certificate", OWN)]).await;
        assert_eq!(client.get("/").await.json()["reason"], "configuration-quarantined");
    }
}

/// An upstream entity may name the certificate for its targets. The service's own comes first.
#[tokio::test]
async fn an_upstream_shows_its_certificate_where_the_service_names_none() {
    let (theirs, asks) = (certificate(&["localhost"]), Arc::new(Asks::default()));
    let config = demanding(&theirs, &asks, &[]);
    let server = Upstream::start(Some(config)).await;
    let (of_upstream, of_service) = (certificate(&["upstream"]), certificate(&["service"]));
    const OTHER: &str = "00000000-0000-0000-0000-000000000002";
    let yaml = |upstream: &str, service: &str, first: &CertifiedKey<KeyPair>| {
        format!(
            "_format_version: \"3.0\"\ncertificates:\n{}{}upstreams:\n- {{name: many.test, {upstream} targets: [{{target: '{}'}}]}}\nservices:\n- {{name: s, url: 'https://Many.test', tls_verify: false, {service} routes: [{{name: r, paths: [/]}}]}}\n",
            entity(first, 1, &[]),
            entity(&of_service, 2, &[]),
            server.address,
        )
    };
    let upstream = format!("client_certificate: {{id: {OWN}}},");
    let service = format!("client_certificate: {{id: {OTHER}}},");
    let gateway = Gateway::start_with(&yaml(&upstream, "", &of_upstream), plain()).await;
    let mut client = Client::connect(gateway.http()).await;
    let shown = |asks: &Asks| std::mem::take(&mut *asks.0.lock().unwrap());
    let newer = certificate(&["upstream"]);
    for (upstream, service, first, expected) in [
        (upstream.as_str(), "", &of_upstream, Some(&of_upstream)),
        // The upstream's is replaced.
        (&upstream, "", &newer, Some(&newer)),
        (&upstream, &service, &newer, Some(&of_service)),
        ("", "", &newer, None),
    ] {
        gateway.apply(&yaml(upstream, service, first)).await;
        assert_eq!(gateway.quarantined(), [""; 0]);
        let status = client.get("/").await.status;
        assert_eq!(status, if expected.is_some() { 200 } else { 502 });
        let expected: Vec<_> = expected.iter().map(|one| one.cert.der().clone()).collect();
        assert_eq!(shown(&asks), expected);
    }
    // One that is not there is not done without.
    gateway.apply(&yaml(&upstream, "", &newer)).await;
    gateway.change(vec![gone("certificate", OWN)]).await;
    assert_eq!(client.get("/").await.json()["reason"], "configuration-quarantined");
}

/// Services with the same wishes have one configuration of TLS, with the sessions in it.
#[tokio::test]
async fn sessions_with_upstreams_are_resumed_across_changes() {
    let (theirs, asks) = (certificate(&["localhost"]), Arc::new(Asks::default()));
    let upstream = Upstream::start(Some(demanding(&theirs, &asks, &["http/1.1"]))).await;
    let (port, own) = (upstream.address.port(), certificate(&["own"]));
    let service = format!("tls_verify: false, client_certificate: {{id: {OWN}}},");
    let text = yaml(port, &service, &format!("certificates:\n{}", entity(&own, 1, &[])));
    // Each WebSocket takes a connection of its own.
    let gateway = Gateway::start_with(&text, plain()).await;
    for n in 0..4 {
        let mut client = Client::connect(gateway.http()).await;
        client.send(websocket::OPEN).await;
        assert_eq!(client.head().await.unwrap().status, 101);
        gateway.apply(&(text.clone() + &format!("- {{name: other, url: 'http://a{n}'}}\n"))).await;
    }
    assert_eq!((upstream.connections(), asks.0.lock().unwrap().len()), (4, 1), "one whole handshake");
}

/// A check shows what requests show: without it the target would be down, and would stay so.
#[tokio::test]
async fn checks_show_the_certificate_of_their_upstream() {
    let (theirs, asks) = (certificate(&["localhost"]), Arc::new(Asks::default()));
    let server = Upstream::start(Some(demanding(&theirs, &asks, &["http/1.1"]))).await;
    let (one, other) = (certificate(&["one"]), certificate(&["other"]));
    let checks = "healthchecks: {active: {type: https, https_verify_certificate: false, http_path: /health, \
                  healthy: {interval: 0.1, successes: 1}, unhealthy: {interval: 0.1, tcp_failures: 1}}},";
    let yaml = |shows: &str, own: &CertifiedKey<KeyPair>| {
        format!(
            "_format_version: \"3.0\"\ncertificates:\n{}upstreams:\n- {{name: many.test, {shows} {checks} targets: [{{target: '{}'}}]}}\nservices:\n- {{name: s, url: 'https://many.test', tls_verify: false, routes: [{{name: r, paths: [/]}}]}}\n",
            entity(own, 1, &[]),
            server.address,
        )
    };
    let shows = format!("client_certificate: {{id: {OWN}}},");
    let gateway = Gateway::start_with(&yaml("", &one), plain()).await;
    let until = async |reason: Option<&str>| {
        let becomes = async {
            let mut client = Client::connect(gateway.http()).await;
            loop {
                let answer = client.get("/").await;
                match reason {
                    None if answer.status == 200 => break,
                    Some(reason) if answer.status == 503 && answer.json()["reason"] == reason => break,
                    _ => {}
                }
            }
        };
        timeout(DEADLINE, becomes).await.expect("it becomes so");
    };
    let checked = || server.seen().iter().filter(|seen| seen.target == "/health").count();
    let until_checked = async |shown: &CertifiedKey<KeyPair>| {
        // Only whole handshakes show one, and only checks do here: the request has a connection that is kept.
        let sees = || asks.0.lock().unwrap().last().is_some_and(|last| last == shown.cert.der());
        let becomes = async {
            while !sees() {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, becomes).await.expect("it is shown");
    };
    until(Some("no-healthy-target")).await;
    assert_eq!((checked(), asks.0.lock().unwrap().len()), (0, 0));
    gateway.apply(&yaml(&shows, &one)).await;
    assert_eq!(gateway.quarantined(), [""; 0]);
    until(None).await;
    until_checked(&one).await;
    assert!(checked() > 0);
    // What is replaced is replaced in checks too; and one that is not there is not done without.
    gateway.apply(&yaml(&shows, &other)).await;
    until_checked(&other).await;
    until(None).await;
    gateway.change(vec![gone("certificate", OWN)]).await;
    let quarantined = gateway.quarantined().into_iter().collect::<BTreeSet<_>>();
    let missing = format!("client_certificate: {OWN} is not there, or this gateway cannot use it");
    assert_eq!(quarantined, ["service", "upstream"].map(|kind| format!("{kind}: {missing}")).into());
    until(Some("configuration-quarantined")).await;
}
