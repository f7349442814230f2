//! Every side may take its time, and no more. Real but short times.

use std::time::{Duration, Instant};

use dataplane::proxy::{Limits, ProxyOptions};
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

const SHORT: Duration = Duration::from_millis(300);

fn options() -> ProxyOptions {
    let limits = Limits {
        connections: listener::Limits {
            head_timeout: SHORT,
            idle_timeout: SHORT,
            stall_timeout: SHORT,
            ..listener::Limits::default()
        },
        ..Limits::default()
    };
    ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() }
}

async fn start(service: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', {service} routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    (Gateway::start_with(&yaml, options()).await, upstream)
}

/// Runs `what`, from before the time in question starts, and checks that it took at least `SHORT`. Reading has a deadline.
async fn timed<T>(what: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = what.await;
    let took = started.elapsed();
    assert!(took >= SHORT, "took {took:?}");
    result
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_given_up() {
    let (gateway, upstream) = start("read_timeout: 300,").await;
    let mut client = Client::connect(gateway.http()).await;
    let response = timed(client.get("/delay/60000")).await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (504, Some("upstream-timeout")));
    upstream.wait_for_cancelled(1).await;
    // It was sent: it is not tried again.
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_stalls_within_its_answer_breaks_the_answer() {
    let (gateway, _upstream) = start("read_timeout: 300,").await;
    let mut client = Client::connect(gateway.http()).await;
    let broken = timed(async {
        client.send("GET /stall HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.try_response().await
    });
    assert!(broken.await.is_none());
}

/// The time counts from the last bytes, not from the start.
#[tokio::test]
async fn an_upstream_that_keeps_going_is_not_given_up() {
    let limit = Duration::from_millis(1500);
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', read_timeout: 1500, routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST /mirror HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let started = Instant::now();
    client.send("1\r\na\r\n").await;
    assert_eq!(client.head().await.unwrap().status, 200);
    assert!(client.take(6).await.is_some());
    while started.elapsed() < limit * 2 {
        tokio::time::sleep(limit / 6).await;
        client.send("1\r\na\r\n").await;
        assert_eq!(client.take(6).await.unwrap(), b"1\r\na\r\n");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_take_the_body_is_given_up() {
    // Accepts, and never reads.
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let held = tokio::spawn(async move { listener.accept().await });
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', write_timeout: 300, routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let gateway = Gateway::start_with(&yaml, options()).await;
    let size = 50_000_000;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
    let bytes = [head.into_bytes(), vec![b'x'; size]].concat();
    // Not before there is something to say: a silent connection is closed.
    let (mut reader, mut writer) = tokio::net::TcpStream::connect(gateway.http()).await.unwrap().into_split();
    let sending = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await });
    let mut answer = [0; 12];
    timed(tokio::time::timeout(DEADLINE, reader.read_exact(&mut answer))).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 504");
    sending.abort();
    drop(held);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_given_up() {
    // A listener whose queue is full does not complete handshakes; the sockets are kept so that it stays full.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(any_port()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', connect_timeout: 300, retries: 0, routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let gateway = Gateway::start_with(&yaml, options()).await;
    let mut client = Client::connect(gateway.http()).await;
    let response = timed(client.get("/")).await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (504, Some("upstream-timeout")));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_dropped() {
    let (gateway, upstream) = start("").await;
    for sent in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        timed(async {
            let mut client = Client::connect(gateway.http()).await;
            client.send(sent).await;
            client.rest().await.ok();
        })
        .await;
    }
    // Drop by drop does not help.
    let mut client = Client::connect(gateway.http()).await;
    let started = Instant::now();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n").await;
    while tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"x: 1\r\n").await.is_ok() {
        tokio::time::sleep(SHORT / 6).await;
        assert!(started.elapsed() < SHORT * 20);
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (gateway, _upstream) = start("").await;
    let mut client = Client::connect(gateway.http()).await;
    timed(async {
        assert_eq!(client.get("/").await.status, 200);
        client.assert_closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_stalls_within_its_body_is_answered_408() {
    let (gateway, upstream) = start("").await;
    let mut client = Client::connect(gateway.http()).await;
    let response = timed(async {
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
        client.response().await
    })
    .await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (408, Some("client-timeout")));
    client.assert_closed().await;
    upstream.wait_for_cancelled(1).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let (gateway, upstream) = start("").await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /big/80000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(1).await;
    tokio::time::sleep(SHORT * 3).await;
    assert!(client.try_response().await.is_none(), "what is left of the answer must not be whole");
}

#[tokio::test]
async fn connections_that_say_nothing_make_room() {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    let connections = listener::Limits { connections_max: 1, ..listener::Limits::default() };
    let limits = Limits { connections, ..Limits::default() };
    let gateway = Gateway::start_with(
        &yaml,
        ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() },
    )
    .await;
    let mut first = Client::connect(gateway.http()).await;
    assert_eq!(first.get("/").await.status, 200);
    let mut second = Client::connect(gateway.http()).await;
    assert_eq!(second.get("/").await.status, 200);
    assert!(first.try_response().await.is_none(), "the first one is closed");
    second.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1").await;
    upstream.wait_for_requests(3).await;
    let mut third = Client::connect(gateway.http()).await;
    assert!(third.try_response().await.is_none(), "the second one is busy");
    second.send("2").await;
    assert_eq!(second.response().await.status, 200);
}
