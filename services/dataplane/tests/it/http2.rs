//! HTTP/2 on both sides, and frames that only an attacker would send.

use std::time::Duration;

use bytes::Bytes;
use dataplane::proxy::{Limits, ProxyOptions};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::DEADLINE,
    frames::{frame, hpack, preface},
    gateway::{Gateway, any_port},
    tls,
    upstream::Upstream,
};

async fn start() -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    (Gateway::start(&yaml).await, upstream)
}

async fn handshake<B>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a{path}")).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn plain_http2_with_prior_knowledge_many_at_once() {
    let (gateway, upstream) = start().await;
    let sender = handshake(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let mut asked: Vec<_> = (0..50)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { sender.send_request(get("/delay/50")).await })
        })
        .collect();
    for asked in asked.drain(..) {
        let response = asked.await.unwrap().unwrap();
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    }
    assert_eq!(upstream.last().header("via"), Some("2 landbridge"));
    assert_eq!(upstream.last().header("host"), Some(upstream.address.to_string().as_str()));
}

#[tokio::test]
async fn cookies_in_several_fields_reach_the_upstream_in_one() {
    let (gateway, upstream) = start().await;
    let mut sender = handshake(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let mut request = get("/");
    for crumb in ["a=1", "b=2", "c=3; d=4"] {
        request.headers_mut().append("cookie", crumb.parse().unwrap());
    }
    assert_eq!(sender.send_request(request).await.unwrap().status(), StatusCode::OK);
    let seen = upstream.last();
    assert_eq!(seen.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3; d=4"]);
}

#[tokio::test]
async fn http2_over_tls_to_an_upstream_that_speaks_it() {
    let theirs = tls::certificate(&["localhost"]);
    let upstream = Upstream::start(Some(tls::server_config(&theirs, &["h2", "http/1.1"]))).await;
    let url = format!("https://localhost:{}", upstream.address.port());
    let (gateway, own, _folder) = tls::start(&url, "", Some(&theirs)).await;
    let stream = tls::connect(&gateway, "shop.io", tls::client_config(&own, &["h2"])).await.unwrap();
    let mut sender = handshake(stream).await;
    let request = Request::post("https://shop.io/trailers").header("te", "trailers");
    let response = sender.send_request(request.body(Full::new(Bytes::from("abc"))).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!trailers.contains_key("set-cookie"));
    let seen = upstream.last();
    assert_eq!((seen.version, seen.body.as_slice()), (Version::HTTP_2, b"abc".as_slice()));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.io"));
    assert_eq!(seen.header("te"), Some("trailers"));
}

/// gRPC's shape: both bodies open at once, piece by piece.
#[tokio::test]
async fn both_bodies_stream_at_once_over_http2() {
    let (gateway, _upstream) = start().await;
    let (pieces, stream) = tokio::sync::mpsc::channel::<Bytes>(1);
    let stream = futures::stream::unfold(stream, |mut stream| async {
        stream
            .recv()
            .await
            .map(|piece| (Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(piece)), stream))
    });
    let body = http_body_util::StreamBody::new(Box::pin(stream));
    let mut sender = handshake(TcpStream::connect(gateway.http()).await.unwrap()).await;
    pieces.send(Bytes::from_static(b"one")).await.unwrap();
    let response = sender.send_request(Request::post("http://a/mirror").body(body).unwrap()).await.unwrap();
    let mut answer = response.into_body();
    for next in ["two", "three"] {
        let frame = timeout(DEADLINE, answer.frame()).await.unwrap().unwrap().unwrap();
        assert!(!frame.into_data().unwrap().is_empty());
        pieces.send(Bytes::from(next)).await.unwrap();
    }
    drop(pieces);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "three");
}

#[tokio::test]
async fn a_broken_answer_resets_the_stream_only() {
    let (gateway, _upstream) = start().await;
    let mut sender = handshake(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let broken = sender.send_request(get("/abort")).await.unwrap();
    assert!(broken.into_body().collect().await.is_err());
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_cancelled_stream_cancels_the_upstream() {
    let (gateway, upstream) = start().await;
    let mut sender = handshake(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let asked = timeout(Duration::from_millis(300), sender.send_request(get("/delay/60000"))).await;
    assert!(asked.is_err());
    upstream.wait_for_cancelled(1).await;
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_drain_says_goaway_and_lets_streams_finish() {
    let (gateway, upstream) = start().await;
    let mut sender = handshake(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let mut asking = sender.clone();
    let asked = tokio::spawn(async move { asking.send_request(get("/delay/500")).await });
    upstream.wait_for_requests(1).await;
    gateway.drain.cancel();
    let response = asked.await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    let refused = async { while sender.send_request(get("/")).await.is_ok() {} };
    timeout(DEADLINE, refused).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let connections =
        listener::Limits { idle_timeout: Duration::from_millis(300), ..listener::Limits::default() };
    let limits = Limits { connections, ..Limits::default() };
    let options = ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() };
    let gateway = Gateway::start_with("_format_version: \"3.0\"\n", options).await;
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 404);
    timeout(DEADLINE, ended).await.unwrap().unwrap().unwrap();
}

/// What the gateway does about one stream: its answer's head was sent, or it was reset, or the connection was ended.
async fn outcome(gateway: &Gateway, frames: Vec<u8>) -> &'static str {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(&[preface(&[]), frames].concat()).await.unwrap();
    loop {
        let mut head = [0; 9];
        if timeout(DEADLINE, stream.read_exact(&mut head)).await.expect("no answer in time").is_err() {
            return "closed";
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match head[3] {
            // Static table: 0x88 is `:status: 200`, 0x8c `:status: 400`.
            HEADERS if payload.first() == Some(&0x88) => return "200",
            HEADERS => return "refused",
            RST_STREAM => return "reset",
            GOAWAY => return "closed",
            _ => {}
        }
    }
}

#[tokio::test]
async fn malformed_http2_requests_do_not_reach_the_upstream() {
    const END_HEADERS: u8 = 4;
    const END_BOTH: u8 = 5;
    let (gateway, upstream) = start().await;
    let base = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    let with = |extra: &[(&str, &str)]| frame(1, END_BOTH, 1, &hpack(&[&base[..], extra].concat()));
    let only = |headers: &[(&str, &str)]| frame(1, END_BOTH, 1, &hpack(headers));
    assert_eq!(outcome(&gateway, with(&[("x", "y")])).await, "200");
    assert_eq!(upstream.seen().len(), 1);
    for (name, frames) in [
        ("connection", with(&[("connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te other than trailers", with(&[("te", "gzip")])),
        ("upper-case name", with(&[("X-Upper", "1")])),
        ("CRLF in a value", with(&[("x", "a\r\nevil: 1")])),
        ("LF in a value", with(&[("x", "a\nevil: 1")])),
        ("NUL in a value", with(&[("x", "a\0b")])),
        ("CRLF in a name", with(&[("x: 1\r\nevil", "1")])),
        ("colon in a name", with(&[("x:y", "1")])),
        ("quotation mark in a name", with(&[("x\"y", "1")])),
        ("space in a name", with(&[("x y", "1")])),
        ("Host that differs", with(&[("host", "b")])),
        ("two paths", with(&[(":path", "/two")])),
        ("pseudo-header behind others", with(&[("x", "1"), (":authority", "b")])),
        ("unknown pseudo-header", with(&[(":evil", "1")])),
        ("no path", only(&[(":method", "GET"), (":scheme", "http"), (":authority", "a")])),
        ("no method", only(&[(":scheme", "http"), (":authority", "a"), (":path", "/")])),
        ("no authority", only(&[(":method", "GET"), (":scheme", "http"), (":path", "/")])),
        (
            "CRLF in the path",
            only(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/ HTTP/1.1\r\nevil: 1"),
            ]),
        ),
        (
            "space in the path",
            only(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a b")]),
        ),
        (
            "path without slash",
            only(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "evil")]),
        ),
        (
            "request line as a method",
            only(&[
                (":method", "GET /evil HTTP/1.1\r\n"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]),
        ),
        (
            "user in the authority",
            only(&[(":method", "GET"), (":scheme", "http"), (":authority", "u@a"), (":path", "/")]),
        ),
        ("CONNECT", only(&[(":method", "CONNECT"), (":authority", "a:1")])),
        ("TRACE", only(&[(":method", "TRACE"), (":scheme", "http"), (":authority", "a"), (":path", "/")])),
        ("bad length", with(&[("content-length", "+0")])),
        ("lengths that differ", with(&[("content-length", "0"), ("content-length", "1")])),
    ] {
        println!("{name}");
        assert_ne!(outcome(&gateway, frames).await, "200", "{name}");
    }
    assert_eq!(upstream.seen().len(), 1);
    assert!(!upstream.raw().contains("evil"));

    // A body that is not as long as it says, in either direction.
    for (declared, data) in [("10", "short"), ("3", "longer")] {
        let head = hpack(&[&base[1..], &[(":method", "POST"), ("content-length", declared)]].concat());
        let frames = [frame(1, END_HEADERS, 1, &head), frame(0, 1, 1, data.as_bytes())].concat();
        assert_ne!(outcome(&gateway, frames).await, "200", "{declared} {data}");
    }
    assert!(upstream.seen().iter().skip(1).all(|seen| !seen.complete));
}
