//! Answers of upstreams that are odd, endless or cut off: passed on in one reading, or refused; never taken for whole when they are not.

use std::net::SocketAddr;

use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::timeout};

use crate::{
    client::{Client, DEADLINE, Response},
    gateway::{Gateway, any_port},
    upstream::scripted,
};

async fn before(address: SocketAddr) -> Gateway {
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', retries: 0, routes: [{{name: r, paths: [/]}}]}}\n"
    );
    Gateway::start(&yaml).await
}

async fn get(answer: &str) -> Option<Response> {
    let (address, _) = scripted(vec![answer.to_owned()]).await;
    let gateway = before(address).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.try_response().await
}

#[tokio::test]
async fn headers_are_limited_by_their_size_and_not_by_their_number() {
    let many: String = (0..1000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let response = get(&format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\nok")).await.unwrap();
    assert_eq!((response.status, response.text(), response.header("x-999")), (200, "ok", Some("999")));
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\nok", "x".repeat(300_000));
    assert_eq!(get(&large).await.unwrap().status, 502);
}

#[tokio::test]
async fn a_space_before_the_colon_is_removed() {
    let response = get("HTTP/1.1 200 OK\r\nX-Odd : 1\r\nContent-Length\t: 2\r\n\r\nok").await.unwrap();
    assert_eq!((response.status, response.text(), response.header("x-odd")), (200, "ok", Some("1")));
}

#[tokio::test]
async fn an_answer_that_resets_a_form_has_no_content() {
    for framing in
        ["content-length: 2\r\n\r\nno", "transfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "\r\nno"]
    {
        let response = get(&format!("HTTP/1.1 205 Reset Content\r\n{framing}")).await.unwrap();
        assert_eq!((response.status, response.text()), (205, ""), "{framing}");
        assert_eq!(response.header("content-length"), Some("0"), "{framing}");
    }
}

#[tokio::test]
async fn interim_answers_reach_the_client() {
    let hints =
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
    let ok = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let response = get(&(hints.repeat(8) + ok)).await.unwrap();
    assert_eq!((response.status, response.text(), response.interim.len()), (200, "ok", 8));
    for interim in response.interim {
        assert_eq!((interim.status, interim.header("link")), (103, Some("</a.css>; rel=preload")));
        assert!(interim.header("x-hop").is_none() && interim.header("connection").is_none());
    }
    // An HTTP/1.0 client knows none.
    let (address, _) = scripted(vec![hints.repeat(8) + ok]).await;
    let mut old = Client::connect(before(address).await.http()).await;
    old.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(old.head().await.unwrap().status, 200);
}

#[tokio::test]
async fn interim_answers_come_to_an_end() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(get(&(hints.repeat(1000) + ok)).await.unwrap().status, 502);
}

#[tokio::test]
async fn whoever_speaks_another_protocol_is_refused_at_once() {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let gateway = before(listener.local_addr().unwrap()).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (mut other, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    other.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let response = client.response().await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (502, Some("upstream-invalid")));
}

/// What follows an answer on its connection is nobody's: not the answer to the next request, whoever sends it.
#[tokio::test]
async fn nothing_that_follows_an_answer_is_another_answer() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for more in ["HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen", "\r\n", "x"] {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let gateway = before(listener.local_addr().unwrap()).await;
        let mut client = Client::connect(gateway.http()).await;
        // Not closed: the gateway has to see for itself.
        let mut held = Vec::new();
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let (mut upstream, _) =
                timeout(DEADLINE, listener.accept()).await.expect("a new connection").unwrap();
            upstream.write_all([first, more].concat().as_bytes()).await.unwrap();
            assert_eq!(client.response().await.text(), "ok", "{more:?}");
            held.push(upstream);
        }
    }
}

/// Upstreams that die at every byte of their answer.
#[tokio::test]
async fn an_answer_that_is_cut_off_never_looks_whole() {
    for (whole, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", "body"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nbo\r\n2\r\ndy\r\n0\r\nt: 1\r\n\r\n",
            "body",
        ),
    ] {
        let cuts: Vec<String> = (0..=whole.len()).map(|length| whole[..length].to_owned()).collect();
        let (address, _) = scripted(cuts.clone()).await;
        let gateway = before(address).await;
        for cut in cuts {
            let mut client = Client::connect(gateway.http()).await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            match client.try_response().await {
                Some(response) if cut.len() == whole.len() => {
                    assert_eq!((response.status, response.text()), (200, body));
                }
                Some(response) => assert_eq!(response.status, 502, "{cut:?}"),
                None => assert!(cut.contains("\r\n\r\n") && cut.len() < whole.len(), "{cut:?}"),
            }
        }
    }
}
