//! WebSocket passes as a tunnel; nothing else does.

use std::time::Duration;

use crate::{client::Client, gateway::Gateway, upstream::Upstream};

async fn start(service: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', {service} routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    (Gateway::start(&yaml).await, upstream)
}

pub const OPEN: &str = "GET /upgrade/websocket HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-key: k\r\nsec-websocket-version: 13\r\n\r\n";

#[tokio::test]
async fn bytes_pass_both_ways_after_the_switch() {
    let (gateway, upstream) = start("").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send(OPEN).await;
    let response = client.head().await.unwrap();
    assert_eq!((response.status, response.header("upgrade")), (101, Some("websocket")));
    assert_eq!(response.header("connection"), Some("upgrade"));
    assert!(response.header("sec-websocket-accept").is_some());
    assert_eq!(upstream.last().header("sec-websocket-key"), Some("k"));
    for text in ["hello", "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\n\n"] {
        client.send(text).await;
        assert_eq!(client.take(text.len()).await.unwrap(), text.to_ascii_uppercase().as_bytes());
    }
    drop(client);
}

/// What the client sends right behind its request goes into the tunnel, not to the router.
#[tokio::test]
async fn early_bytes_belong_to_the_tunnel() {
    let (gateway, upstream) = start("").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send([OPEN, "get /early http/1.1\r\n\r\n"].concat()).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    assert_eq!(client.take(23).await.unwrap(), b"GET /EARLY HTTP/1.1\r\n\r\n");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_silent_tunnel_ends() {
    let (gateway, _upstream) = start("read_timeout: 300,").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send(OPEN).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    client.send("x").await;
    assert_eq!(client.take(1).await.unwrap(), b"X");
    tokio::time::timeout(Duration::from_secs(5), client.rest()).await.unwrap().ok();
}

#[tokio::test]
async fn an_upstream_that_refuses_answers_as_usual() {
    let (gateway, _upstream) = start("").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send(OPEN.replace("/upgrade/websocket", "/status/403")).await;
    assert_eq!(client.response().await.status, 403);
    client.send(OPEN.replace("/upgrade/websocket", "/upgrade/other")).await;
    assert_eq!(client.response().await.status, 502);
}
