//! Enrolment against a real TLS server: whom the node trusts, what it keeps, when it tries again.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use entity_secrets::NodeKey;
use http_body_util::{BodyExt, Full};
use hyper::{Request as HttpRequest, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateSigningRequestParams, KeyPair};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use sync::enrolment::EnrolmentToken;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use super::*;
use crate::{
    egress::tests::TestProxy,
    test_region::{ServerPair, TestRegion},
};

/// Status, `Retry-After` in seconds if any, and body.
type Reply = (u16, Option<u64>, String);

struct Api {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Value>>>,
}

/// Serves `chain` and answers every request as `answer` says.
async fn serve(
    server: &ServerPair,
    chain: Vec<CertificateDer<'static>>,
    answer: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
) -> Api {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, server.key.clone_key())
        .expect("chain and key");
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen, answer) = (acceptor.clone(), Arc::clone(&seen), Arc::clone(&answer));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: HttpRequest<Incoming>| {
                    let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                    async move {
                        assert_eq!(request.uri().path(), "/v1/nodes/enrol");
                        let body = request.into_body().collect().await.expect("body").to_bytes();
                        let body: Value = serde_json::from_slice(&body).expect("JSON");
                        let count = {
                            let mut seen = seen.lock().expect("lock");
                            seen.push(body.clone());
                            seen.len()
                        };
                        let (status, retry_after, text) = answer(count, &body);
                        let mut response = Response::builder().status(status);
                        if let Some(seconds) = retry_after {
                            response = response.header("retry-after", seconds);
                        }
                        response.body(Full::<bytes::Bytes>::from(text))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Api { address, requests }
}

impl Api {
    fn asked(&self) -> usize {
        self.requests.lock().expect("lock").len()
    }

    fn token(&self, region: &TestRegion) -> EnrolmentToken {
        EnrolmentToken {
            id: Uuid::from_u128(1),
            secret: [9; 32],
            api: format!("https://{}", self.address),
            sync: vec!["127.0.0.1:7443".to_owned()],
            ca_sha256: region.ca_sha256(),
        }
    }
}

/// The answer of a region that knows the node as `identity`.
fn accepted(region: &TestRegion, identity: &NodeIdentity, request: &Value) -> Value {
    let csr = request["csr_pem"].as_str().expect("a request");
    let csr = CertificateSigningRequestParams::from_pem(csr).map(|_| csr).expect("a valid request");
    let (_, pem) = x509_parser::pem::parse_x509_pem(csr.as_bytes()).expect("PEM");
    let (age, life) = (time::Duration::ZERO, time::Duration::days(7));
    json!({
        "certificate_pem": region.sign(&pem.contents, identity, age, life),
        "ca_pem": region.ca_pem,
        "control_plane_id": identity.control_plane,
        "region": identity.region,
        "sync": ["sync.test:1", "sync.test:2"],
    })
}

fn folder() -> (tempfile::TempDir, NodeFiles) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let files = NodeFiles::new(folder.path().join("node"));
    (folder, files)
}

async fn enrol_once(
    files: &NodeFiles,
    token: &EnrolmentToken,
    node: NodeId,
) -> Result<Credentials, EnrolError> {
    ask(files, token, node, ("host-1", None)).await
}

async fn good_api(region: &Arc<TestRegion>) -> Api {
    let server = region.server();
    let chain = vec![server.certificate.clone(), region.ca.clone()];
    let answering = Arc::clone(region);
    serve(&server, chain, move |_, request| {
        (201, None, accepted(&answering, &answering.identity, request).to_string())
    })
    .await
}

#[tokio::test]
async fn a_token_becomes_an_identity_once() {
    let region = TestRegion::new();
    let api = good_api(&region).await;
    let (folder, files) = folder();
    assert!(matches!(files.credentials(), Err(EnrolError::NotEnrolled)));
    let token = api.token(&region);
    let node = region.identity.node;
    let credentials = enrol(&files, &token.encode(), node, ("host-1", None), &Random::fixed(0), |_| {})
        .await
        .expect("enrols");
    assert_eq!(credentials.identity, region.identity);
    assert_eq!(credentials.endpoints, ["sync.test:1", "sync.test:2"]);
    let request = api.requests.lock().expect("lock")[0].clone();
    assert_eq!(request["token"], token.encode());
    assert_eq!((&request["node_id"], &request["hostname"]), (&json!(node), &json!("host-1")));

    let key = std::fs::metadata(folder.path().join("node/key.pem")).expect("written");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert!(!request.to_string().contains("PRIVATE"), "the key stays here");

    // A restart with the same token asks nobody, and keeps the key.
    let again = enrol(&files, &token.encode(), node, ("host-1", None), &Random::fixed(0), |_| {})
        .await
        .expect("enrolled");
    assert_eq!((api.asked(), again.key_pem), (1, credentials.key_pem.clone()));
    // Another token is another enrolment, of the same key.
    let other = EnrolmentToken { id: Uuid::from_u128(2), ..token };
    let again = enrol(&files, &other.encode(), node, ("host-1", None), &Random::fixed(0), |_| {})
        .await
        .expect("enrols");
    assert_eq!((api.asked(), again.token, again.key_pem), (2, Some(other.id), credentials.key_pem));
}

#[tokio::test]
async fn a_node_enrols_through_a_proxy() {
    let region = TestRegion::new();
    let api = good_api(&region).await;
    let (_folder, files) = folder();
    let proxy = TestProxy::to(api.address).await;
    // A name that this machine does not know: the proxy resolves it.
    let token = EnrolmentToken { api: "https://localhost:9".to_owned(), ..api.token(&region) };
    let way = EgressProxy::try_from(format!("http://gw:se%20cret@{}", proxy.address)).expect("a proxy");
    let way = ("host-1", Some(&way));
    enrol(&files, &token.encode(), region.identity.node, way, &Random::fixed(0), |_| {})
        .await
        .expect("enrols");
    let asked = proxy.asked().await;
    assert!(asked[0].starts_with("CONNECT localhost:9 HTTP/1.1"), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("proxy-authorization: basic "), "{asked:?}");
}

#[tokio::test]
async fn only_the_authority_in_the_token_is_trusted() {
    let region = TestRegion::new();
    let impostor = TestRegion::new();
    let server = region.server();
    let node = region.identity.node;
    let (_folder, files) = folder();
    let full = vec![server.certificate.clone(), region.ca.clone()];

    let other_pin = {
        let api = serve(&server, full.clone(), |_, _| (500, None, String::new())).await;
        let token = EnrolmentToken { ca_sha256: impostor.ca_sha256(), ..api.token(&region) };
        (api, token)
    };
    let no_root = {
        let api = serve(&server, vec![server.certificate.clone()], |_, _| (500, None, String::new())).await;
        let token = api.token(&region);
        (api, token)
    };
    // The right root is on show, but the certificate is somebody else's.
    let borrowed_root = {
        let forged = impostor.server();
        let chain = vec![forged.certificate.clone(), region.ca.clone()];
        let api = serve(&forged, chain, |_, _| (500, None, String::new())).await;
        let token = api.token(&region);
        (api, token)
    };
    let both_roots = {
        let forged = impostor.server();
        let chain = vec![forged.certificate.clone(), impostor.ca.clone(), region.ca.clone()];
        let api = serve(&forged, chain, |_, _| (500, None, String::new())).await;
        let token = api.token(&region);
        (api, token)
    };
    for (case, (api, token)) in
        [("pin", other_pin), ("no root", no_root), ("borrowed", borrowed_root), ("both", both_roots)]
    {
        let error = enrol_once(&files, &token, node).await.err().expect("refused").to_string();
        assert!(error.contains("certificate") || error.contains("Certificate"), "{case}: {error}");
        assert_eq!(api.asked(), 0, "{case}: the token was shown to a stranger");
    }

    // The right server under a name that is not its own.
    let api = serve(&server, full, |_, _| (500, None, String::new())).await;
    let address = format!("https://127.0.0.2:{}", api.address.port());
    let listens_on_all = TcpListener::bind(("127.0.0.2", api.address.port())).await.expect("binds");
    let relay = tokio::spawn({
        let to = api.address;
        async move {
            let (mut from, _) = listens_on_all.accept().await.expect("accepts");
            let mut to = tokio::net::TcpStream::connect(to).await.expect("connects");
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
    });
    let token = EnrolmentToken { api: address, ..api.token(&region) };
    let error = enrol_once(&files, &token, node).await.err().expect("refused").to_string();
    assert!(error.contains("not valid for name") || error.contains("NotValidForName"), "{error}");
    assert_eq!(api.asked(), 0);
    relay.abort();
    assert!(matches!(files.credentials(), Err(EnrolError::NotEnrolled)));

    let plain = EnrolmentToken { api: "http://127.0.0.1:1".to_owned(), ..token };
    assert!(matches!(enrol_once(&files, &plain, node).await, Err(EnrolError::Answer(_))));
}

#[tokio::test]
async fn an_unusable_answer_is_not_kept() {
    let region = TestRegion::new();
    let stranger = TestRegion::new();
    let server = region.server();
    let node = region.identity.node;
    type Twist = fn(&TestRegion, &TestRegion, Value) -> String;
    let twists: [(&str, Twist); 6] = [
        ("CA", |_, stranger, mut answer| {
            answer["ca_pem"] = json!(stranger.ca_pem);
            answer.to_string()
        }),
        ("it is for", |_, _, mut answer| {
            answer["control_plane_id"] = json!(ControlPlaneId::generate());
            answer.to_string()
        }),
        ("it is for", |_, _, mut answer| {
            answer["region"] = json!("us");
            answer.to_string()
        }),
        ("another key", |region, _, mut answer| {
            let key = KeyPair::generate().expect("key");
            let csr = super::files::certificate_request(&key).expect("request");
            let (age, life) = (time::Duration::ZERO, time::Duration::days(7));
            answer["certificate_pem"] = json!(region.sign(csr.der(), &region.identity, age, life));
            answer.to_string()
        }),
        ("missing field", |_, _, mut answer| {
            answer.as_object_mut().expect("an object").remove("region");
            answer.to_string()
        }),
        ("larger than", |_, _, _| " ".repeat(ANSWER_BYTES_MAX + 1)),
    ];
    for (reason, twist) in twists {
        let (_folder, files) = folder();
        let (region_a, region_b) = (Arc::clone(&region), Arc::clone(&stranger));
        let chain = vec![server.certificate.clone(), region.ca.clone()];
        let api = serve(&server, chain, move |_, request| {
            (201, None, twist(&region_a, &region_b, accepted(&region_a, &region_a.identity, request)))
        })
        .await;
        let error = enrol_once(&files, &api.token(&region), node).await.err().expect("refused").to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(matches!(files.credentials(), Err(EnrolError::NotEnrolled)), "{reason}");
    }
}

#[tokio::test]
async fn an_outage_is_waited_out_and_a_refusal_is_final() {
    let region = TestRegion::new();
    let server = region.server();
    let chain = vec![server.certificate.clone(), region.ca.clone()];
    let (_folder, files) = folder();
    let answering = Arc::clone(&region);
    let api = serve(&server, chain.clone(), move |count, request| match count {
        1 => (503, Some(0), json!({ "detail": "not ready" }).to_string()),
        2 => (429, None, String::new()),
        _ => (201, None, accepted(&answering, &answering.identity, request).to_string()),
    })
    .await;
    let (random, mut failures) = (Random::fixed(0), Vec::new());
    let token = api.token(&region).encode();
    let enrolling = enrol(&files, &token, region.identity.node, ("host-1", None), &random, |error| {
        failures.push(error.to_string())
    });
    tokio::time::timeout(Duration::from_secs(30), enrolling).await.expect("in time").expect("enrols");
    assert_eq!((api.asked(), failures.len()), (3, 2));
    assert!(failures[0].contains("not ready"), "{failures:?}");

    let (_folder, files) = self::folder();
    let api =
        serve(&server, chain, |_, _| (403, None, json!({ "detail": "the token is used up" }).to_string()))
            .await;
    let refused = enrol(
        &files,
        &api.token(&region).encode(),
        region.identity.node,
        ("host-1", None),
        &Random::seeded(1),
        |_| {},
    )
    .await;
    let error = refused.err().expect("refused");
    assert!(matches!(&error, EnrolError::Refused { status, .. } if status.as_u16() == 403), "{error}");
    assert!(error.to_string().contains("the token is used up"), "{error}");
    assert_eq!(api.asked(), 1);
}

#[tokio::test]
async fn a_renewed_certificate_must_be_this_nodes() {
    let region = TestRegion::new();
    let api = good_api(&region).await;
    let (_folder, files) = folder();
    let credentials = enrol_once(&files, &api.token(&region), region.identity.node).await.expect("enrols");
    let csr = credentials.certificate_request().expect("request");
    let (age, life) = (time::Duration::ZERO, time::Duration::days(9));
    let other = NodeIdentity { node: NodeId::generate(), ..region.identity.clone() };
    let foreign = files.replace_certificate(&region.sign(&csr, &other, age, life));
    assert!(matches!(foreign, Err(EnrolError::Certificate(_))), "{foreign:?}");
    assert_eq!(files.credentials().expect("kept").certificate_pem, credentials.certificate_pem);

    files.replace_certificate(&region.sign(&csr, &region.identity, age, life)).expect("replaced");
    let renewed = files.credentials().expect("kept");
    assert_eq!(renewed.identity, region.identity);
    assert!(renewed.not_after > credentials.not_after);
    assert!(matches!(files.replace_certificate("nonsense"), Err(EnrolError::Certificate(_))));
}

#[tokio::test]
async fn the_key_of_secrets_is_this_control_planes_and_nobody_elses() {
    let region = TestRegion::new();
    let (folder, files) = folder();
    let enrolled = |region: &TestRegion| {
        let request = files::certificate_request(&files.key().expect("key")).expect("request");
        let (age, life) = (time::Duration::ZERO, time::Duration::days(7));
        let certificate = region.sign(request.der(), &region.identity, age, life);
        let sync = vec!["sync.test:1".to_owned()];
        files
            .keep(region.identity.clone(), &certificate, &region.ca_pem, sync, Uuid::from_u128(1))
            .expect("kept");
    };
    assert!(files.secrets_key().expect("none").is_none());
    assert!(files.keep_secrets_key(&[1; 32]).is_err(), "whose would it be?");
    enrolled(&region);
    for key in [[1; 32], [2; 32], [2; 32]] {
        files.keep_secrets_key(&key).expect("kept");
        assert!(files.secrets_key().expect("readable") == Some(NodeKey::new(&key)));
    }
    let file = folder.path().join("node/secrets.json");
    let mode = std::fs::metadata(&file).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Of another control plane it opens nothing.
    enrolled(&TestRegion::new());
    assert!(files.secrets_key().expect("readable").is_none());
    files.keep_secrets_key(&[3; 32]).expect("kept");
    assert!(files.secrets_key().expect("readable") == Some(NodeKey::new(&[3; 32])));
    // What cannot be read is replaced.
    for text in ["", "{}", &std::fs::read_to_string(&file).expect("text").replace("0303", "03zz")] {
        std::fs::write(&file, text).expect("written");
        assert!(files.secrets_key().is_err() && files.secrets_key_or_none().is_none());
        files.keep_secrets_key(&[3; 32]).expect("kept");
        assert!(files.secrets_key().expect("readable").is_some());
    }
}
