//! The whole gateway in one process, in declarative mode: traffic, configuration over the admin port, restart, drain.

use std::{path::Path, sync::OnceLock, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, Uri},
    routing::any,
};
use gateway_model::Kind;
use opentelemetry::trace::SpanKind;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;
use crate::{
    settings::Listen,
    store::{Bound, Commit, Incarnation, Settled},
    stream::tests::{certificate, plane},
    test_region::{TestRegion, entity},
    test_traces::TestTrace,
};

/// One recorder per process.
fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| telemetry::install_metrics().expect("the only recorder")).clone()
}

/// An upstream that answers with the path that it was asked for, and with the `traceparent` that it was sent.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let echo = Router::new().fallback(any(|uri: Uri, headers: HeaderMap| async move {
        let trace = headers.get("traceparent").cloned();
        (trace.map(|trace| [("x-traceparent", trace)]), uri.path().to_owned())
    }));
    tokio::spawn(axum::serve(listener, echo).into_future());
    address
}

fn document(upstream: SocketAddr, path: &str) -> String {
    format!(
        "
_format_version: '3.0'
services:
  - name: orders
    url: http://{upstream}/orders
    routes: [{{ name: orders, paths: ['{path}'] }}]
    plugins: [{{ name: key-auth }}]
consumers:
  - username: till
    keyauth_credentials: [{{ key: till-key }}]
"
    )
}

const TOKEN: &str = "a-token-of-tests-only";

fn settings(folder: &Path) -> Settings {
    std::fs::write(folder.join("token"), format!("{TOKEN}\n")).expect("written");
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        http: Listen::At(loopback),
        admin: loopback,
        data_dir: folder.join("data"),
        declarative: Some(folder.join("kong.yaml")),
        config_token_file: Some(folder.join("token")),
        ..Settings::default()
    }
}

async fn get(url: String, key: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let request = client.get(url);
    let request = match key {
        Some(key) => request.header("apikey", key),
        None => request,
    };
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

#[tokio::test]
async fn serves_a_file_takes_changes_and_drains() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().expect("temporary folder");
    let upstream = upstream().await;
    std::fs::write(folder.path().join("kong.yaml"), document(upstream, "/v1")).expect("written");
    let drain = CancellationToken::new();
    let gateway = Gateway::start(settings(folder.path()), metrics(), Seams::system(), drain.clone())
        .await
        .expect("starts");
    let gateway_admin = gateway.admin;
    let (http, admin) =
        (format!("http://{}", gateway.http.expect("bound")), format!("http://{gateway_admin}"));
    let running = tokio::spawn(gateway.run());

    assert_eq!(get(format!("{http}/v1/7"), None).await.0, 401);
    assert_eq!(get(format!("{http}/v1/7"), Some("till-key")).await, (200, "/orders/7".to_owned()));
    assert_eq!(get(format!("{admin}/status/ready"), None).await.0, 200);
    let status: Value = serde_json::from_str(&get(format!("{admin}/status"), None).await.1).expect("JSON");
    assert_eq!(
        (&status["source"]["mode"], &status["configuration"]["version"]),
        (&"declarative".into(), &1.into())
    );
    assert_eq!(status["configuration"]["counts"]["routes"], 1);

    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let post = client.post(format!("{admin}/config")).bearer_auth(TOKEN);
    let post = post.header("content-type", "application/yaml").body(document(upstream, "/v2"));
    let changed = post.send().await;
    assert_eq!(changed.expect("an answer").status(), 200);
    assert_eq!(get(format!("{http}/v1/7"), Some("till-key")).await.0, 404);
    assert_eq!(get(format!("{http}/v2/7"), Some("till-key")).await.0, 200);

    // The admin port is no upstream, not even by a route of the operator's own.
    let to_admin = document(gateway_admin, "/v3").replace("plugins: [{ name: key-auth }]", "");
    let post = client.post(format!("{admin}/config")).bearer_auth(TOKEN);
    let posted = post.header("content-type", "application/yaml").body(to_admin).send().await;
    assert_eq!(posted.expect("an answer").status(), 200);
    let (status, text) = get(format!("{http}/v3/status"), None).await;
    assert_eq!(status, 502, "{text}");
    assert!(text.contains("upstream-forbidden"), "{text}");

    // A second gateway on the same folder is refused.
    let second =
        Gateway::start(settings(folder.path()), metrics(), Seams::system(), CancellationToken::new()).await;
    let error = format!("{:#}", second.err().expect("refused"));
    assert!(error.contains("in use by another gateway"), "{error}");

    drain.cancel();
    let outcome = tokio::time::timeout(Duration::from_secs(30), running).await.expect("drains in time");
    outcome.expect("no panic").expect("a clean end");
    assert!(reqwest::get(format!("{http}/v2/7")).await.is_err(), "the listener is closed");
}

/// The `traceparent` that the upstream gets of a request with `given`, and the status.
async fn forwarded_trace(http: SocketAddr, given: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let request = client.get(format!("http://{http}/v1/7")).header("apikey", "till-key");
    let response = request.header("traceparent", given).send().await.expect("an answer");
    let got = response.headers()["x-traceparent"].to_str().expect("ASCII").to_owned();
    (response.status().as_u16(), got)
}

#[tokio::test]
async fn a_proxied_request_has_a_span_where_spans_are_exported_and_its_trace_is_sampled() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().expect("temporary folder");
    let upstream = upstream().await;
    std::fs::write(folder.path().join("kong.yaml"), document(upstream, "/v1")).expect("written");
    for exports in [true, false] {
        let mut settings = settings(folder.path());
        settings.telemetry.otlp = exports.then(|| "http://127.0.0.1:4317".parse().expect("an address"));
        let drain = CancellationToken::new();
        let gateway =
            Gateway::start(settings, metrics(), Seams::system(), drain.clone()).await.expect("starts");
        let http = gateway.http.expect("bound");
        let running = tokio::spawn(gateway.run());

        let trace = TestTrace::new(if exports { 2 } else { 3 });
        let unsampled = trace.traceparent(false);
        assert_eq!(forwarded_trace(http, &unsampled).await, (200, unsampled));
        assert_eq!(trace.spans().len(), 0, "an unsampled trace costs nothing");

        let given = trace.traceparent(true);
        let (status, got) = forwarded_trace(http, &given).await;
        assert_eq!(status, 200);
        if exports {
            let span = trace.span("GET orders").await;
            assert_eq!((&span.span_kind, span.parent_span_id), (&SpanKind::Server, trace.parent()));
            let way = trace.span("GET").await;
            assert_eq!(
                (&way.span_kind, way.parent_span_id),
                (&SpanKind::Client, span.span_context.span_id())
            );
            let (ids, own) = (way.span_context.trace_id(), way.span_context.span_id());
            assert_eq!(
                got,
                format!("00-{ids}-{own}-01"),
                "the upstream's parent is the span of the way to it"
            );
            let named = |name: &str| {
                let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
                found.map(|attribute| attribute.value.to_string())
            };
            assert_eq!(named("http.response.status_code").as_deref(), Some("200"));
            assert_eq!(named("url.path").as_deref(), Some("/v1/7"));
            assert!(named("landbridge.route").is_some());
        } else {
            assert_eq!((got, trace.spans().len()), (given, 0), "the client's trace passes unchanged");
        }
        drain.cancel();
        running.await.expect("no panic").expect("a clean end");
    }
}

/// Where nobody answers.
const NOBODY: &str = "127.0.0.1:1";

/// Opens the secrets of the control plane.
const KEY: [u8; 32] = [9; 32];

/// A node that is enrolled with `region`'s control plane at `endpoint`; its store is `owner`'s and has one service, and a certificate.
async fn enrolled(folder: &Path, region: &TestRegion, owner: Owner, endpoint: &str) -> Settings {
    let settings = Settings { declarative: None, config_token_file: None, ..settings(folder) };
    let store = Store::open(&settings.data_dir.join(STORE_FOLDER), StoreOptions::default()).expect("opens");
    assert_eq!(store.bind(owner).await.expect("bound"), Bound::Kept);
    let service = entity(Kind::Service, 1, 7, &json!({ "host": "upstream.test" }));
    let incarnation = Incarnation::new(3).expect("not 0");
    let mut entities = vec![service];
    entities.extend(certificate(&KEY, 7));
    let commit = Commit { incarnation, version: 7, entities, expected: None, settled: Settled::default() };
    store.commit(commit).await.expect("commits");

    let files = NodeFiles::new(settings.data_dir.join(NODE_FOLDER));
    let key = files.key().expect("key");
    let csr = rcgen::CertificateParams::default().serialize_request(&key).expect("request");
    let (age, life) = (time::Duration::ZERO, time::Duration::days(6));
    let certificate = region.sign(csr.der(), &region.identity, age, life);
    let endpoints = vec![endpoint.to_owned()];
    let kept =
        files.keep(region.identity.clone(), &certificate, &region.ca_pem, endpoints, Uuid::from_u128(1));
    kept.expect("enrolled");
    settings
}

#[tokio::test]
async fn an_enrolled_node_serves_its_own_control_planes_configuration_without_it_and_no_other() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let region = TestRegion::new();
    let own = Owner::ControlPlane(region.identity.control_plane);
    for (owner, has_key, ready) in [(own, true, 200), (own, false, 200), (Owner::Declarative, true, 503)] {
        let folder = tempfile::tempdir().expect("temporary folder");
        let settings = enrolled(folder.path(), &region, owner, NOBODY).await;
        if has_key {
            let files = NodeFiles::new(settings.data_dir.join(NODE_FOLDER));
            files.keep_secrets_key(&KEY).expect("kept");
        }
        let drain = CancellationToken::new();
        let gateway =
            Gateway::start(settings, metrics(), Seams::system(), drain.clone()).await.expect("starts");
        let admin = format!("http://{}", gateway.admin);
        let is_shown = gateway.applier.live().load().certificate(Some("a.test")).is_some();
        assert_eq!(
            is_shown,
            has_key && ready == 200,
            "with the key of before, and without the control plane"
        );
        let running = tokio::spawn(gateway.run());
        let (status, page) = get(format!("{admin}/readyz"), None).await;
        assert_eq!(status, ready, "{page}");
        let page: Value = serde_json::from_str(&get(format!("{admin}/status"), None).await.1).expect("JSON");
        assert_eq!(page["configuration"]["counts"]["services"], u64::from(ready == 200));
        assert_eq!(page["node"], json!(region.identity.node), "the node keeps its id");
        assert_eq!(page["conditions"]["stream"]["met"], false);
        drain.cancel();
        running.await.expect("no panic").expect("a clean end");
    }
}

#[tokio::test]
async fn two_processes_are_never_the_same_node_at_the_same_time() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let folder = tempfile::tempdir().expect("temporary folder");
    let owner = Owner::ControlPlane(region.identity.control_plane);
    let enrolled = enrolled(folder.path(), &region, owner, &plane.address.to_string()).await;
    let settings = Settings { take_over: true, ..enrolled };
    let start = || Gateway::start(settings.clone(), metrics(), Seams::system(), CancellationToken::new());
    let first = start().await.expect("nobody is there to take over from");
    let (ports, node, mut shown) =
        ((first.http, first.admin), first.status.borrow().node, first.status.subscribe());
    let mut connected = async || {
        let is_connected = |status: &Status| status.readiness().conditions["stream"].met;
        let shown = tokio::time::timeout(Duration::from_secs(30), shown.wait_for(is_connected)).await;
        assert!(shown.expect("connected in time").is_ok());
    };
    let first = tokio::spawn(first.run());
    let (stream, _) = plane.greeted().await;
    connected().await;

    // One that does not get ready: the first follows again, when that one is gone.
    let (data, store) = (&settings.data_dir, settings.data_dir.join(STORE_FOLDER));
    let mut inherited = Inherited::default();
    let asked = Predecessor::ask(data, store.clone(), &mut inherited);
    let (asked, ()) = tokio::join!(asked, stream.left());
    let mut asked = asked.expect("heard").expect("a gateway runs");
    assert_ne!(asked.store().await.expect("a copy"), store, "it is not to open the other's");
    drop(asked);
    let (stream, _) = plane.greeted().await;
    connected().await;

    let (next, ()) = tokio::join!(start(), stream.left());
    let next = next.expect("takes over");
    let (_stream, _) = plane.greeted().await;
    assert_eq!((next.http, next.admin), ports);
    assert_eq!(next.status.borrow().node, node);
    assert_eq!(next.applier.store().position().map(|position| position.version), Some(7));
    let ended = tokio::time::timeout(Duration::from_secs(30), first).await.expect("drains in time");
    ended.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_gateway_with_nothing_to_follow_does_not_start() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let nothing = Settings { declarative: None, config_token_file: None, ..settings(folder.path()) };
    let error = Gateway::start(nothing, metrics(), Seams::system(), CancellationToken::new())
        .await
        .err()
        .expect("refused");
    assert!(error.to_string().contains("enrolment token"), "{error}");

    std::fs::write(folder.path().join("kong.yaml"), "services: [{}]").expect("written");
    let wrong =
        Gateway::start(settings(folder.path()), metrics(), Seams::system(), CancellationToken::new()).await;
    let error = format!("{:#}", wrong.err().expect("refused"));
    assert!(error.contains("kong.yaml") && error.contains("_format_version"), "{error}");
}
