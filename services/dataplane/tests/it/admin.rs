//! The admin port: ready only with a verified configuration, and what the proxy counts.

use std::sync::OnceLock;

use dataplane::{
    admin,
    status::{ControlPlaneStatus, Source, Status},
    store::Incarnation,
};
use ids::NodeId;
use telemetry::Metrics;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

/// The process's recorder: there can be one.
pub fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| telemetry::install_metrics().unwrap()).clone()
}

#[tokio::test]
async fn readiness_follows_the_configuration_and_the_drain() {
    let status = Status::new(
        NodeId::generate(),
        OffsetDateTime::UNIX_EPOCH,
        Source::ControlPlane(ControlPlaneStatus::default()),
    );
    let (status, watched) = watch::channel(status);
    let stop = CancellationToken::new();
    let bound =
        admin::bind(any_port(), listener::Limits::default(), &mut listener::Inherited::default()).unwrap();
    let admin = admin::serve(bound, &[], watched, metrics(), None, stop.clone());
    let mut client = Client::connect(admin.address).await;
    client.host = "localhost";
    assert_eq!(client.get("/livez").await.status, 200);
    for (number, draining, expected) in [(0, false, 503), (1, false, 200), (1, true, 503)] {
        status.send_modify(|status| {
            status.configuration.incarnation = Incarnation::new(number);
            status.draining = draining;
        });
        for path in ["/status/ready", "/readyz"] {
            assert_eq!(client.get(path).await.status, expected, "{path} {number} {draining}");
        }
    }
    let reason = client.get("/readyz").await.json();
    assert_eq!((&reason["ready"], &reason["phase"]), (&false.into(), &"draining".into()));
    assert_eq!(reason["conditions"]["stream"]["met"], false);
    let shown = client.get("/status").await;
    assert_eq!(shown.json()["conditions"], reason["conditions"]);
    assert_eq!((shown.status, shown.json()["configuration"]["epoch"].as_u64()), (200, Some(1)));
    assert_eq!(client.get("/config").await.status, 404);
    for path in ["/livez", "/readyz", "/status", "/status/ready", "/metrics", "/config", "/nothing"] {
        for headers in [
            "host: evil.example\r\n",
            "host: evil.example:8001\r\n",
            "host: 127.0.0.1\r\norigin: http://evil.example\r\n",
            "host: 127.0.0.1\r\norigin: null\r\n",
        ] {
            let mut client = Client::connect(admin.address).await;
            client.send(format!("GET {path} HTTP/1.1\r\n{headers}\r\n")).await;
            assert_eq!(client.response().await.status, 403, "{path} {headers}");
        }
    }
    stop.cancel();
    drop(client);
    admin.ended().await;
}

#[tokio::test]
async fn requests_failures_and_connections_are_counted() {
    let metrics = metrics();
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/a]}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/a").await.status, 200);
    assert_eq!(client.get("/b").await.status, 404);
    let counters = gateway.proxy.as_ref().unwrap().counters.clone();
    metrics.add_source(move || counters.publish());
    let page = metrics.render();
    // Other tests of this process count too: at least what was done here.
    for counted in [
        "landbridge_proxy_requests_total{class=\"2xx\"} ",
        "landbridge_proxy_requests_total{class=\"4xx\"} ",
        "landbridge_proxy_failures_total{reason=\"no-route\",source=\"client\"} ",
        "landbridge_proxy_request_seconds_count ",
        "landbridge_proxy_connections ",
    ] {
        let line = page
            .lines()
            .find(|line| line.starts_with(counted))
            .unwrap_or_else(|| panic!("{counted} not in\n{page}"));
        let value: f64 = line[counted.len()..].parse().unwrap();
        assert!(value >= 1.0, "{line}");
    }
}
