//! Answers that refuse: those of upstreams that do not read the request to its end, and the gateway's own.

use std::time::Duration;

use dataplane::proxy::{ErrorFormat, Limits, ProxyOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    client::Client,
    gateway::{Gateway, any_port},
};

const REFUSAL: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 7\r\nconnection: close\r\n\r\nrefused";

/// It answers each request after its first bytes, and closes at once. What has come since is unread, so the kernel resets the
/// connection.
async fn hasty_upstream() -> std::net::SocketAddr {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 100];
            let _ = stream.read(&mut some).await;
            let _ = stream.write_all(REFUSAL).await;
        }
    });
    address
}

#[tokio::test]
async fn an_upstream_that_answers_before_it_has_read_the_body_is_heard() {
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        hasty_upstream().await
    );
    let gateway = Gateway::start(&yaml).await;
    let body = vec![b'x'; 900_000];
    for round in 0..50 {
        let mut client = Client::connect(gateway.http()).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len())).await;
        // The gateway may stop reading, too.
        let _ = client.stream.write_all(&body).await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (401, "refused"), "round {round}");
    }
}

#[tokio::test]
async fn the_gateways_own_errors_can_be_problems() {
    let yaml = "_format_version: \"3.0\"\nservices:\n- {name: s, url: 'http://127.0.0.1:1', routes: [{name: r, paths: [/down]}]}\n";
    let options = |errors| ProxyOptions { http: Some(any_port()), errors, ..ProxyOptions::default() };
    let problems = Gateway::start_with(yaml, options(ErrorFormat::Problem)).await;
    for (path, status, name, retry_after) in [
        ("/nowhere", 404, "not-found", None),
        ("/down", 502, "unavailable", Some("1")),
        ("/down/..%2fx", 400, "malformed-request", None),
    ] {
        let response = Client::connect(problems.http()).await.get(path).await;
        assert_eq!((response.status, response.header("retry-after")), (status, retry_after), "{path}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{path}");
        let problem = response.json();
        assert_eq!(problem["type"], format!("urn:landbridge:problem:{name}"), "{path}");
        assert_eq!((&problem["status"], &problem["detail"]), (&status.into(), &problem["message"]));
        assert!(problem["title"].is_string() && problem["request_id"].is_string(), "{problem}");
    }
    let plain = Gateway::start_with(yaml, options(ErrorFormat::Message)).await;
    let response = Client::connect(plain.http()).await.get("/nowhere").await;
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(response.json().get("type").is_none());
}

#[tokio::test]
async fn what_is_no_request_gets_the_usual_body() {
    let yaml = "_format_version: \"3.0\"\nservices: []\n";
    let short = Duration::from_millis(100);
    let connections = listener::Limits { head_timeout: short, ..listener::Limits::default() };
    let limits = Limits { connections, ..Limits::default() };
    let gateway =
        Gateway::start_with(yaml, ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() })
            .await;
    for (text, status) in [
        ("GET  / HTTP/1.1\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost", 408),
        (&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(40_000)), 414),
        (&format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(40_000)), 431),
    ] {
        let mut client = Client::connect(gateway.http()).await;
        client.send(text).await;
        let response = client.response().await;
        let begin = text.get(..40).unwrap_or(text);
        assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{begin}");
        assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"), "{begin}");
        assert!(response.header("date").is_some_and(|date| date.ends_with(" GMT")), "{begin}");
        let body = response.json();
        assert_eq!(
            (&body["reason"], &body["source"]),
            (&"invalid-request".into(), &"client".into()),
            "{begin}"
        );
        assert_eq!(body["request_id"].as_str(), response.header("x-request-id"), "{begin}");
        client.assert_closed().await;
    }
}
