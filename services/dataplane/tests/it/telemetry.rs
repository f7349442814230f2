//! What operators see of requests: the access log and the metrics of routes and consumers.

use std::{fs, path::PathBuf, time::Duration};

use dataplane::proxy::{AccessLogOptions, MetricsOptions, ProxyOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    admin,
    client::Client,
    gateway::{Gateway, any_port},
    process::{self, Process, Signal},
    upstream::Upstream,
};

/// A gateway whose access log is in a folder of its own.
struct Logged {
    gateway: Gateway,
    upstream: Upstream,
    folder: TempDir,
}

impl Logged {
    /// `service`: how routes and service are called.
    async fn start(service: &str, log: AccessLogOptions) -> Self {
        admin::metrics();
        let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
        let yaml = format!(
            r#"
_format_version: "3.0"
services:
- name: {service}
  url: http://{}
  read_timeout: 300
  retries: 0
  routes:
  - {{ name: {service}-open, paths: [/open] }}
  - {{ name: {service}-keyed, paths: [/keyed], plugins: [{{ name: key-auth }}] }}
  - {{ paths: [/nameless] }}
consumers:
- username: till
  keyauth_credentials: [{{ key: the-key-of-the-till }}]
"#,
            upstream.address
        );
        let options = ProxyOptions {
            http: Some(any_port()),
            access_log: Some((folder.path().join("access.log"), log)),
            metrics: MetricsOptions { consumers: true, ..MetricsOptions::default() },
            ..ProxyOptions::default()
        };
        Self { gateway: Gateway::start_with(&yaml, options).await, upstream, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    /// Ends the gateway. Its lines, and the text that they are in.
    async fn end(mut self) -> (Vec<Value>, String) {
        let proxy = self.gateway.proxy.take().unwrap();
        proxy.ended(tokio::time::sleep(Duration::from_secs(5))).await;
        let text = fs::read_to_string(self.file()).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), text)
    }
}

#[tokio::test]
async fn each_request_gets_a_line_that_says_what_became_of_it_and_no_secret() {
    let logged = Logged::start("shop", AccessLogOptions::default()).await;
    let address = logged.gateway.http();
    let mut client = Client::connect(address).await;
    client.send("POST /open/echo HTTP/1.1\r\nhost: shop.test:80\r\nuser-agent: till/1\r\nx-request-id: first\r\ncontent-length: 5\r\n\r\nhello").await;
    assert_eq!(client.response().await.status, 200);
    client.send("GET /keyed/x?apikey=the-key-of-the-till&secret=1 HTTP/1.1\r\nhost: a\r\nauthorization: Basic c2VjcmV0\r\ncookie: secret=1\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    client.send("GET /keyed/x HTTP/1.1\r\nhost: a\r\napikey: wrong-key-of-the-till\r\n\r\n").await;
    assert_eq!(client.response().await.status, 401);
    assert_eq!(client.get("/nowhere").await.status, 404);
    assert_eq!(client.get("/nameless/").await.status, 200);
    assert_eq!(client.get("/open/delay/60000").await.status, 504);
    // Given up by the client.
    client.send("GET /nameless/delay/60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    logged.upstream.wait_for_requests(5).await;
    drop(client);
    logged.upstream.wait_for_cancelled(1).await;
    let (lines, text) = logged.end().await;
    for secret in ["the-key-of-the-till", "secret", "c2VjcmV0", "wrong-key"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let of = |field: &str| lines.iter().map(|line| line[field].clone()).collect::<Vec<_>>();
    assert_eq!(
        of("http.response.status_code"),
        [json!(200), json!(200), json!(401), json!(404), json!(200), json!(504), Value::Null]
    );
    assert_eq!(
        of("error.type"),
        [
            Value::Null,
            Value::Null,
            Value::Null,
            json!("no-route"),
            Value::Null,
            json!("upstream-timeout"),
            json!("aborted")
        ]
    );
    assert_eq!(
        of("landbridge.route")[..4],
        [json!("shop-open"), json!("shop-keyed"), json!("shop-keyed"), Value::Null]
    );
    assert_eq!(of("url.path")[1], "/keyed/x");
    let first = &lines[0];
    for (field, value) in [
        ("http.request.method", json!("POST")),
        ("url.scheme", json!("http")),
        ("url.path", json!("/open/echo")),
        ("server.address", json!("shop.test")),
        ("server.port", json!(80)),
        ("network.protocol.version", json!("1.1")),
        ("client.address", json!("127.0.0.1")),
        ("user_agent.original", json!("till/1")),
        ("http.request.body.size", json!(5)),
        ("landbridge.service", json!("shop")),
        ("request_id", json!("first")),
    ] {
        assert_eq!(first[field], value, "{field} in {first}");
    }
    assert!(first["http.response.body.size"].as_u64().unwrap() > 0, "{first}");
    assert!(
        lines[1]["landbridge.consumer.id"].is_string() && lines[2].get("landbridge.consumer.id").is_none()
    );
    let seconds = |line: &Value, of: &str| line[of].as_f64().unwrap();
    for line in &lines[..2] {
        let (gateway, upstream) =
            (seconds(line, "landbridge.gateway.duration"), seconds(line, "landbridge.upstream.duration"));
        assert!(
            upstream > 0.0 && gateway + upstream <= seconds(line, "http.server.request.duration") + 1e-6,
            "{line}"
        );
    }
    assert!(lines[3].get("landbridge.upstream.duration").is_none(), "it did not go there: {}", lines[3]);
    assert!(seconds(&lines[5], "landbridge.upstream.duration") >= 0.3, "{}", lines[5]);
}

#[tokio::test]
async fn a_share_of_the_requests_gets_a_line_and_every_failure() {
    let log = AccessLogOptions {
        sample: 0.1,
        always_from_status: 500,
        always_slower_than: Some(Duration::from_millis(200)),
    };
    let logged = Logged::start("sampled", log).await;
    let mut client = Client::connect(logged.gateway.http()).await;
    for _ in 0..100 {
        assert_eq!(client.get("/open/").await.status, 200);
    }
    assert_eq!(client.get("/open/delay/60000").await.status, 504);
    assert_eq!(client.get("/open/delay/250").await.status, 200);
    drop(client);
    let (lines, _) = logged.end().await;
    let with = |status: u16| lines.iter().filter(|line| line["http.response.status_code"] == status).count();
    assert_eq!((with(200), with(504)), (11, 1), "{lines:?}");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_opened_anew_and_one_that_cannot_be_written_stops_nothing() {
    let logged = Logged::start("rotated", AccessLogOptions::default()).await;
    let mut client = Client::connect(logged.gateway.http()).await;
    let old = logged.folder.path().join("access.log.1");
    assert_eq!(client.get("/open/one").await.status, 200);
    let is_written =
        |path: &PathBuf, what: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(what));
    let wait_for = async |path: &PathBuf, what: &str| {
        while !is_written(path, what) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait_for(&logged.file(), "/open/one")).await.unwrap();
    fs::rename(logged.file(), &old).unwrap();
    assert_eq!(client.get("/open/two").await.status, 200);
    tokio::time::timeout(Duration::from_secs(20), wait_for(&logged.file(), "/open/two")).await.unwrap();
    assert!(!is_written(&old, "/open/two"));
    // A folder in its place.
    fs::remove_file(logged.file()).unwrap();
    fs::create_dir(logged.file()).unwrap();
    for _ in 0..200 {
        assert_eq!(client.get("/open/three").await.status, 200);
    }
    let lost = async || {
        while counted("landbridge_access_log_dropped_total") < 200.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), lost()).await.unwrap();
}

/// The value of a series of this process.
fn counted(series: &str) -> f64 {
    let page = admin::metrics().render();
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

#[tokio::test]
async fn routes_and_consumers_are_counted_each_for_itself() {
    let logged = Logged::start("counted", AccessLogOptions::default()).await;
    let counters = logged.gateway.proxy.as_ref().unwrap().counters.clone();
    let mut client = Client::connect(logged.gateway.http()).await;
    for _ in 0..3 {
        client.send("POST /open/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello").await;
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(client.get("/keyed/?apikey=the-key-of-the-till").await.status, 200);
    assert_eq!(client.get("/keyed/").await.status, 401);
    assert_eq!(client.get("/open/delay/60000").await.status, 504);
    drop(client);
    logged.end().await;
    counters.publish();
    let of = |route: &str, class: &str| {
        counted(&format!(
            "landbridge_route_requests_total{{service=\"counted\",route=\"{route}\",class=\"{class}\"}}"
        ))
    };
    assert_eq!(
        (of("counted-open", "2xx"), of("counted-open", "5xx"), of("counted-open", "4xx")),
        (3.0, 1.0, 0.0)
    );
    assert_eq!((of("counted-keyed", "2xx"), of("counted-keyed", "4xx")), (1.0, 1.0));
    let bytes = |direction: &str| {
        counted(&format!(
            "landbridge_route_body_bytes_total{{service=\"counted\",route=\"counted-open\",direction=\"{direction}\"}}"
        ))
    };
    assert!(bytes("in") >= 15.0 && bytes("out") > 0.0);
    let time = |part: &str| {
        counted(&format!(
            "landbridge_route_microseconds_total{{service=\"counted\",route=\"counted-open\",part=\"{part}\"}}"
        ))
    };
    assert!(time("upstream") >= 300_000.0 && time("gateway") > 0.0 && time("gateway") < 300_000.0);
    let page = admin::metrics().render();
    let of_consumers = page.lines().filter(|line| {
        line.starts_with("landbridge_consumer_requests_total{") && line.contains("class=\"2xx\"")
    });
    assert!(of_consumers.filter(|line| !line.ends_with(" 0")).count() >= 1, "{page}");
    for histogram in [
        "landbridge_proxy_upstream_seconds_count",
        "landbridge_proxy_gateway_seconds_count",
        "landbridge_proxy_body_bytes_total{direction=\"in\"}",
    ] {
        assert!(counted(histogram) > 0.0, "{histogram}");
    }
}

#[tokio::test]
async fn routes_beyond_the_limit_are_counted_together() {
    admin::metrics();
    let upstream = Upstream::echo().await;
    let routes: String =
        (0..5).map(|number| format!("  - {{ name: limited-{number}, paths: [/{number}] }}\n")).collect();
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- name: limited\n  url: http://{}\n  routes:\n{routes}",
        upstream.address
    );
    let metrics = MetricsOptions { series_max: 2, ..MetricsOptions::default() };
    let options = ProxyOptions { http: Some(any_port()), metrics, ..ProxyOptions::default() };
    let mut gateway = Gateway::start_with(&yaml, options).await;
    let counters = gateway.proxy.as_ref().unwrap().counters.clone();
    let mut client = Client::connect(gateway.http()).await;
    for number in 0..5 {
        assert_eq!(client.get(&format!("/{number}/")).await.status, 200);
    }
    drop(client);
    gateway.proxy.take().unwrap().ended(std::future::pending()).await;
    counters.publish();
    let page = admin::metrics().render();
    let named = page.lines().filter(|line| {
        line.starts_with("landbridge_route_requests_total{service=\"limited\"") && line.contains("2xx")
    });
    assert_eq!(named.count(), 2);
    assert!(
        counted("landbridge_route_requests_total{service=\"other\",route=\"other\",class=\"2xx\"}") >= 3.0
    );
}

/// A process whose lines nobody reads: it serves, and it ends.
#[tokio::test]
async fn an_access_log_that_nobody_reads_does_not_hold_up_the_end() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let document = format!(
        "_format_version: \"3.0\"\nservices:\n- {{url: 'http://{}', routes: [{{paths: [/]}}]}}\n",
        upstream.address
    );
    let more = "access_log.file = '-'\ndrain = { delay_seconds = 0, last_request_seconds = 1 }";
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dataplane"));
    command.arg("serve").arg("--config").arg(process::settings(folder.path(), &document, more));
    let (unread, output) = std::io::pipe().unwrap();
    command.stdout(output);
    let mut gateway = Process::spawn(command);
    let mut client = Client::connect(gateway.listening().await.http).await;
    // More than a pipe holds.
    let path = format!("/{}", "x".repeat(4_000));
    for _ in 0..50 {
        assert_eq!(client.get(&path).await.status, 200);
    }
    gateway.signal(Signal::TERM);
    let (status, last) = gateway.ended().await;
    assert!(status.success(), "{last}");
    assert!(last.contains("the last lines of the access log are lost"), "{last}");
    drop(unread);
}
