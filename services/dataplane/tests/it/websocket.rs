//! WebSocket passes as a tunnel; nothing else does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use dataplane::proxy::ProxyOptions;
use futures::{SinkExt as _, StreamExt as _};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async, tungstenite::Message};

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    tls,
    upstream::Upstream,
};

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

/// A server of WebSockets that sends back what it hears, until it hears `bye`.
async fn echoing(tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(mut socket) = accept_async(stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            let is_last = message == Message::text("bye");
            if !message.is_close() && socket.send(message).await.is_err() {
                return;
            }
            if is_last {
                let _ = socket.close(None).await;
            }
        }
    }
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => echo(tcp).await,
                    Some(tls) => {
                        let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                        echo(stream).await;
                    }
                }
            });
        }
    });
    address
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let heard = timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(heard, message);
}

/// Small and large messages, text and bytes, and the end.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, gateway: &Gateway, text: &str) {
    let (mut socket, answer) = client_async("ws://shop.io/chat", stream).await.unwrap();
    assert_eq!(answer.status(), 101);
    exchange(&mut socket, Message::text("hello")).await;
    for n in 0..20 {
        gateway.apply(&format!("{text}- {{name: other, url: 'http://a{n}'}}\n")).await;
        exchange(&mut socket, Message::binary(vec![7; n * 10_000])).await;
    }
    exchange(&mut socket, Message::text("bye")).await;
    let end = timeout(DEADLINE, socket.next()).await.unwrap();
    assert!(matches!(end, Some(Ok(Message::Close(_))) | None), "{end:?}");
    gateway.apply(text).await;
}

#[tokio::test]
async fn a_client_and_a_server_talk_through_changes_over_tls_and_without() {
    let theirs = tls::certificate(&["localhost"]);
    let (plain, secured) = (echoing(None).await, echoing(Some(tls::server_config(&theirs, &[]))).await);
    for (url, route) in [
        (format!("ws://{plain}"), "protocols: [ws, wss]"),
        (format!("wss://localhost:{}", secured.port()), "protocols: [ws, wss]"),
        (format!("http://{plain}"), "protocols: [http, https]"),
        (format!("https://localhost:{}", secured.port()), "protocols: [ws, wss]"),
    ] {
        let text = format!(
            "_format_version: \"3.0\"\nservices:\n- {{name: s, url: '{url}', tls_verify: false, routes: [{{name: r, paths: [/], {route}}}]}}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let (own, files) = tls::own_certificate(folder.path());
        let options = ProxyOptions {
            http: Some(any_port()),
            https: Some(any_port()),
            tls: Some(files),
            ..ProxyOptions::default()
        };
        let gateway = Gateway::start_with(&text, options).await;
        talk(TcpStream::connect(gateway.http()).await.unwrap(), &gateway, &text).await;
        let over_tls = tls::connect(&gateway, "shop.io", tls::client_config(&own, &["http/1.1"])).await;
        talk(over_tls.unwrap(), &gateway, &text).await;
    }
}

#[tokio::test]
async fn a_route_for_websockets_takes_nothing_else() {
    let upstream = Upstream::echo().await;
    let yaml = |protocol: &str| {
        format!(
            "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'ws://{}', routes: [{{name: r, paths: [/], protocols: [{protocol}]}}]}}\n",
            upstream.address
        )
    };
    let gateway = Gateway::start(&yaml("ws")).await;
    let mut client = Client::connect(gateway.http()).await;
    let refused = client.get("/").await;
    assert_eq!((refused.status, refused.header("upgrade")), (426, Some("websocket")));
    assert_eq!(refused.header("connection"), Some("upgrade"));
    assert_eq!(refused.json()["reason"], "upgrade-required");
    client.send(OPEN).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    // Over TLS only, a plain one is told so.
    gateway.apply(&yaml("wss")).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send(OPEN).await;
    let refused = client.response().await;
    assert_eq!((refused.status, refused.header("upgrade")), (426, Some("TLS/1.2, HTTP/1.1")));
}
