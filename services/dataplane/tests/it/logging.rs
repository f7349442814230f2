//! Plugins that tell others of requests, over real sockets and into real files.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, UdpSocket},
};

use crate::{
    admin,
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

/// Waits until `get` has something.
async fn until<T>(mut get: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            match get() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it did not come about in time")
}

/// A configuration with one service, and `plugins` for everything.
fn yaml(upstream: &Upstream, plugins: &str) -> String {
    format!(
        r#"
_format_version: "3.0"
services:
- name: s
  url: http://{}/base
  retries: 0
  routes:
  - {{ name: r, paths: [/r] }}
  - {{ name: keyed, paths: [/keyed], plugins: [{{ name: key-auth }}] }}
consumers:
- username: till
  custom_id: "7"
  keyauth_credentials: [{{ key: the-key-of-the-till }}]
plugins:
{plugins}
"#,
        upstream.address
    )
}

/// The entries that a receiver has got, whether alone or in lists.
fn entries(receiver: &Upstream) -> Vec<Value> {
    let bodies = receiver.seen().into_iter().map(|seen| serde_json::from_slice(&seen.body).unwrap());
    bodies.flat_map(|body| if let Value::Array(list) = body { list } else { vec![body] }).collect()
}

#[tokio::test]
async fn an_entry_has_kongs_format_and_no_password() {
    let (upstream, receiver) = (Upstream::echo().await, Upstream::echo().await);
    let plugins = format!(
        "- {{ name: http-log, config: {{ http_endpoint: 'http://u:p@{}/in?a=1', method: PUT, headers: {{ x-key: k }} }} }}",
        receiver.address
    );
    let gateway = Gateway::start(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(gateway.http()).await;
    client
        .send(
            "POST /keyed/x?a=1&a=2&b&apikey=the-key-of-the-till HTTP/1.1\r\nhost: shop.test\r\nx-request-id: i-1\r\n\
             authorization: Basic c2VjcmV0\r\nproxy-authorization: secret\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 5\r\n\r\nhello",
        )
        .await;
    assert_eq!(client.response().await.status, 200);
    receiver.wait_for_requests(1).await;
    let seen = until(|| receiver.seen().pop()).await;
    assert_eq!((seen.target.as_str(), seen.header("x-key")), ("/in?a=1", Some("k")));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("authorization"), Some("Basic dTpw"));
    let text = String::from_utf8(seen.body.clone()).unwrap();
    assert!(!text.contains("c2VjcmV0") && !text.contains("\"secret\""), "{text}");
    let entry: Value = serde_json::from_str(&text).unwrap();
    let request = &entry["request"];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["id"], "i-1");
    assert_eq!(request["uri"], "/keyed/x?a=1&a=2&b&apikey=the-key-of-the-till");
    assert_eq!(request["url"], "http://shop.test:80/keyed/x?a=1&a=2&b&apikey=the-key-of-the-till");
    assert_eq!(request["querystring"], json!({"a": ["1", "2"], "b": true, "apikey": "the-key-of-the-till"}));
    assert_eq!(request["headers"]["host"], "shop.test");
    assert_eq!(request["headers"]["authorization"], "REDACTED");
    assert_eq!(request["headers"]["x-a"], json!(["1", "2"]));
    assert_eq!(request["size"], 5);
    assert_eq!(entry["response"]["status"], 200);
    assert_eq!(entry["response"]["size"], 2);
    assert!(entry["response"]["headers"].is_object());
    assert_eq!((&entry["source"], &entry["upstream_status"]), (&json!("upstream"), &json!("200")));
    assert_eq!(entry["upstream_uri"], "/base/x?a=1&a=2&b&apikey=the-key-of-the-till");
    assert_eq!(entry["tries"], json!([{"ip": "127.0.0.1", "port": upstream.address.port()}]));
    assert_eq!(entry["route"]["name"], "keyed");
    assert_eq!(entry["service"]["name"], "s");
    assert_eq!(entry["service"]["id"], entry["route"]["service"]["id"]);
    assert_eq!(
        (&entry["consumer"]["username"], &entry["consumer"]["custom_id"]),
        (&json!("till"), &json!("7"))
    );
    assert!(entry["authenticated_entity"]["id"].is_string());
    assert_eq!(entry["client_ip"], "127.0.0.1");
    assert!(entry["started_at"].as_u64().unwrap() > 1_700_000_000_000);
    let latencies = &entry["latencies"];
    assert!(latencies["proxy"].as_i64().unwrap() >= 0 && latencies["request"].as_u64().is_some());
}

#[tokio::test]
async fn what_the_gateway_answers_itself_is_an_entry_too() {
    let (upstream, receiver) = (Upstream::echo().await, Upstream::echo().await);
    let plugins =
        format!("- {{ name: http-log, config: {{ http_endpoint: 'http://{}/' }} }}", receiver.address);
    let gateway = Gateway::start(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/keyed").await.status, 401);
    let entry = until(|| entries(&receiver).pop()).await;
    assert_eq!((&entry["response"]["status"], &entry["source"]), (&json!(401), &json!("kong")));
    assert_eq!((&entry["latencies"]["proxy"], &entry["tries"]), (&json!(-1), &json!([])));
    assert_eq!(entry["upstream_uri"], "");
    assert!(entry.get("consumer").is_none() && entry.get("upstream_status").is_none());
}

#[tokio::test]
async fn a_file_gets_a_line_for_each_request() {
    let upstream = Upstream::echo().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("requests.log");
    let plugins = format!("- {{ name: file-log, config: {{ path: '{}', reopen: true }} }}", path.display());
    let gateway = Gateway::start(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(gateway.http()).await;
    for n in 0..20 {
        assert_eq!(client.get(&format!("/r/{n}")).await.status, 200);
    }
    let lines = until(|| {
        let text = fs::read_to_string(&path).ok()?;
        (text.lines().count() == 20 && text.ends_with('\n')).then_some(text)
    });
    for (n, line) in lines.await.lines().enumerate() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["request"]["uri"], format!("/r/{n}"));
    }
}

#[tokio::test]
async fn lines_and_datagrams_leave_too() {
    let upstream = Upstream::echo().await;
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    let [tcp, udp] = [listener.local_addr(), socket.local_addr()].map(|address| address.unwrap().port());
    let plugins = format!(
        "- {{ name: tcp-log, config: {{ host: localhost, port: {tcp} }} }}\n- {{ name: udp-log, config: {{ host: 127.0.0.1, port: {udp} }} }}"
    );
    let gateway = Gateway::start(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/r/1").await.status, 200);
    let received = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let mut datagram = vec![0; 65_536];
        let length = socket.recv(&mut datagram).await.unwrap();
        datagram.truncate(length);
        (line.into_bytes(), datagram)
    };
    let (line, datagram) = tokio::time::timeout(DEADLINE, received).await.unwrap();
    for entry in [line, datagram] {
        let entry: Value = serde_json::from_slice(&entry).unwrap();
        assert_eq!(entry["request"]["uri"], "/r/1");
    }
}

/// The plugin's settings change a hundred times a second while requests are logged, and its receiver refuses some deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_entry_is_lost_or_doubled_while_the_configuration_changes() {
    let (upstream, receiver) = (Upstream::echo().await, Upstream::echo().await);
    let settings = |n: usize| {
        let (batch, keepalive) = (1 + n % 7, 1_000 + n);
        format!(
            "- {{ name: http-log, config: {{ http_endpoint: 'http://{}/{n}', keepalive: {keepalive}, \
             queue: {{ max_batch_size: {batch}, max_coalescing_delay: 0.01 }} }} }}",
            receiver.address
        )
    };
    let gateway = Gateway::start(&yaml(&upstream, &settings(0))).await;
    let (stop, address) = (Arc::new(AtomicBool::new(false)), gateway.http());
    let traffic = tokio::spawn({
        let stop = stop.clone();
        async move {
            let (mut client, mut sent) = (Client::connect(address).await, 0);
            while !stop.load(Ordering::Acquire) {
                assert_eq!(client.get(&format!("/r/{sent}")).await.status, 200);
                sent += 1;
            }
            sent
        }
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for n in 1..=100 {
        ticks.tick().await;
        gateway.apply(&yaml(&upstream, &settings(n))).await;
    }
    stop.store(true, Ordering::Release);
    let sent: usize = traffic.await.unwrap();
    assert!(sent > 10, "{sent}");
    let all = until(|| {
        let all = entries(&receiver);
        (all.len() >= sent).then_some(all)
    });
    let all = all.await;
    let uris: BTreeSet<String> = all.iter().map(|entry| entry["request"]["uri"].to_string()).collect();
    assert_eq!((uris.len(), all.len()), (sent, sent));
}

#[tokio::test]
async fn a_receiver_cannot_be_the_gateway_itself() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream, "")).await;
    let own = gateway.http();
    let plugins = format!(
        "- {{ name: http-log, config: {{ http_endpoint: 'http://{own}/r/loop', queue: {{ max_retry_time: -1 }} }} }}"
    );
    gateway.apply(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(own).await;
    assert_eq!(client.get("/r/one").await.status, 200);
    gateway.tools.deliveries().ended().await;
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn spans_are_sent_and_upstreams_are_told_of_them() {
    let (upstream, collector) = (Upstream::echo().await, Upstream::echo().await);
    let plugins = format!(
        "- {{ name: opentelemetry, config: {{ traces_endpoint: 'http://{}/v1/traces', headers: {{ x-key: k }}, \
         resource_attributes: {{ service.name: edge }}, http_response_header_for_traceid: X-Trace-Id, \
         queue: {{ max_coalescing_delay: 0.05 }} }} }}",
        collector.address
    );
    let gateway = Gateway::start(&yaml(&upstream, &plugins)).await;
    let mut client = Client::connect(gateway.http()).await;
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    client
        .send(&format!("GET /r/1 HTTP/1.1\r\nhost: a\r\ntraceparent: 00-{trace}-{parent}-00\r\n\r\n"))
        .await;
    assert_eq!(client.response().await.header("x-trace-id"), Some(trace));
    assert!(
        upstream.last().header("traceparent").unwrap().ends_with("-00"),
        "a trace that is not sampled stays so"
    );
    client
        .send(&format!(
            "GET /r/status/503?secret=1 HTTP/1.1\r\nhost: a\r\ntraceparent: 00-{trace}-{parent}-01\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 503);
    let told = upstream.last().header("traceparent").unwrap().to_owned();
    collector.wait_for_requests(1).await;
    let seen = until(|| collector.seen().pop()).await;
    assert_eq!((seen.target.as_str(), seen.header("x-key")), ("/v1/traces", Some("k")));
    assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
    let request = ExportTraceServiceRequest::decode(seen.body.as_slice()).unwrap();
    let [resource_spans] = request.resource_spans.as_slice() else { panic!("{request:?}") };
    let resource = format!("{:?}", resource_spans.resource);
    assert!(resource.contains("service.name") && resource.contains("edge"), "{resource}");
    let [span] = resource_spans.scope_spans[0].spans.as_slice() else { panic!("{request:?}") };
    assert_eq!(
        (hex::encode(&span.trace_id).as_str(), hex::encode(&span.parent_span_id).as_str()),
        (trace, parent)
    );
    assert_eq!(told, format!("00-{trace}-{}-01", hex::encode(&span.span_id)));
    assert_eq!((span.name.as_str(), span.kind, span.status.as_ref().unwrap().code), ("GET r", 2, 2));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    let attributes = format!("{:?}", span.attributes);
    assert!(attributes.contains("/r/status/503") && !attributes.contains("secret"), "{attributes}");
}

#[tokio::test]
async fn metrics_have_kongs_names_beside_the_gateways_own() {
    let metrics = admin::metrics();
    let upstream = Upstream::echo().await;
    let plugins = "- { name: prometheus, config: { status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true, \
                   per_consumer: true } }";
    let text = yaml(&upstream, plugins).replace("name: s\n", "name: kong-counted\n");
    let gateway = Gateway::start(&text).await;
    let mut client = Client::connect(gateway.http()).await;
    for target in ["/r/status/404", "/keyed?apikey=the-key-of-the-till", "/keyed"] {
        client.get(target).await;
    }
    let kong = gateway.tools.kong_metrics().clone();
    let node = dataplane::plugins::Node { requests: 3, accepted: 1, open: 1 };
    let expected = [
        r#"kong_http_requests_total{service="kong-counted",route="r",code="404",source="service",workspace="default",consumer=""} 1"#,
        r#"kong_http_requests_total{service="kong-counted",route="keyed",code="200",source="service",workspace="default",consumer="till"} 1"#,
        r#"kong_http_requests_total{service="kong-counted",route="keyed",code="401",source="kong",workspace="default",consumer=""} 1"#,
        r#"kong_bandwidth_bytes{service="kong-counted",route="keyed",direction="egress",workspace="default",consumer="till"} 2"#,
        r#"kong_request_latency_ms_count{service="kong-counted",route="r",workspace="default"} 1"#,
        r#"kong_upstream_latency_ms_bucket{service="kong-counted",route="r",workspace="default",le="60000"} 1"#,
    ];
    // The record of a request ends when its answer has been sent.
    let page = until(|| {
        kong.publish(node, Vec::new);
        let page = metrics.render();
        expected.iter().all(|line| page.contains(line)).then_some(page)
    });
    assert!(page.await.contains("kong_datastore_reachable 1"));
}
