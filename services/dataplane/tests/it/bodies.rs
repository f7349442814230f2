//! Bodies: streamed both ways, whole or visibly broken, and ended when either side gives up.

use std::time::Duration;

use crate::{
    client::{Client, DEADLINE},
    gateway::Gateway,
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

#[tokio::test]
async fn large_bodies_pass_unchanged() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    client.send([head.as_bytes(), &body].concat()).await;
    assert_eq!(client.response().await.status, 200);
    assert!(upstream.last().body == body && upstream.last().complete);
    let response = client.get("/big/3000000").await;
    assert_eq!((response.body.len(), response.header("content-length")), (3_000_000, Some("3000000")));
    let response = client.get("/unsized/3000000").await;
    assert_eq!((response.body.len(), response.header("transfer-encoding")), (3_000_000, Some("chunked")));
}

/// Each piece comes back before the next is sent: nothing waits for the whole.
#[tokio::test]
async fn bodies_are_streamed_both_ways_at_once() {
    let (gateway, _upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST /mirror HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.send("4\r\nping\r\n").await;
    assert_eq!(client.head().await.unwrap().status, 200);
    assert_eq!(client.take(9).await.unwrap(), b"4\r\nping\r\n");
    client.send("4\r\npong\r\n").await;
    assert_eq!(client.take(9).await.unwrap(), b"4\r\npong\r\n");
    client.send("0\r\n\r\n").await;
    assert_eq!(client.take(5).await.unwrap(), b"0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_waits_for_continue_gets_it() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 3\r\n\r\n").await;
    assert_eq!(client.head().await.unwrap().status, 100);
    client.send("abc").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(
        (upstream.last().body.as_slice(), upstream.last().header("expect")),
        (b"abc".as_slice(), Some("100-Continue"))
    );
    // Refused: no invitation to send the body.
    client
        .send("POST /early HTTP/1.1\r\nhost: b c\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await;
    assert_eq!(client.head().await.unwrap().status, 400);
}

/// An upstream that refuses a body by its head, before anybody has sent it.
#[tokio::test]
async fn a_refusal_comes_before_the_body() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
    let (address, heads) = crate::upstream::scripted(vec![refusal]).await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text(), response.header("connection")), (401, "no", Some("close")));
    assert!(heads.lock().unwrap()[0].contains("expect: 100-continue\r\n"));
}

/// An upstream that does not know the expectation waits for the body, and gets it.
#[tokio::test]
async fn whoever_does_not_ask_for_the_body_gets_it_after_a_moment() {
    let listener = tokio::net::TcpListener::bind(crate::gateway::any_port()).await.unwrap();
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        listener.local_addr().unwrap()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
    let (upstream, _) = tokio::time::timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    assert_eq!(client.head().await.unwrap().status, 100);
    client.send("abc").await;
    let mut upstream = Client::over(upstream);
    assert!(upstream.take_until("\r\n\r\nabc").await.starts_with("POST / HTTP/1.1\r\n"));
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.response().await.text(), "ok");
}

/// The upstream breaks off: the client must see that the body is not whole, whatever the framing.
#[tokio::test]
async fn a_broken_answer_never_looks_complete() {
    let (gateway, _upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /abort HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.try_response().await.is_none(), "chunked");

    let (address, _) =
        crate::upstream::scripted(vec!["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart"]).await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{address}', routes: [{{name: r, paths: [/]}}]}}\n"
    );
    let sized = Gateway::start(&yaml).await;
    let mut client = Client::connect(sized.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.try_response().await.is_none(), "with length");

    // Without any framing only a reset tells.
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /abort HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert!(client.rest().await.is_err(), "HTTP/1.0");
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /unsized/10 HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let whole = client.rest().await.unwrap();
    assert!(String::from_utf8(whole).unwrap().ends_with("\r\n\r\nxxxxxxxxxx"), "HTTP/1.0, unbroken");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /delay/60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(1).await;
    drop(client);
    upstream.wait_for_cancelled(1).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_its_body_breaks_it_for_the_upstream() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
    upstream.wait_for_requests(1).await;
    drop(client);
    upstream.wait_for_cancelled(1).await;
    assert!(upstream.seen().iter().all(|seen| !seen.complete));
}

/// The gateway answers while the client is still sending, and closes. The answer must not be lost to the reset that a kernel
/// sends for bytes that nobody reads.
#[tokio::test]
async fn an_early_answer_reaches_the_client_that_still_sends() {
    let (gateway, upstream) = start().await;
    let body = vec![b'x'; 3_000_000];
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST / HTTP/1.1\r\nhost: bad host\r\ncontent-length: 90000000\r\n\r\n").await;
    // All this is written before anything is read.
    for _ in 0..5 {
        client.send(&body).await;
    }
    assert_eq!(client.response().await.status, 400);
    assert_eq!(upstream.raw(), "");

    // An upstream's early answer is passed on as well.
    let mut client = Client::connect(gateway.http()).await;
    client.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 90000000\r\n\r\n").await;
    assert_eq!(client.response().await.status, 413);
}

#[tokio::test]
async fn trailers_pass_to_clients_that_take_them() {
    let (gateway, upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
    assert_eq!(upstream.last().header("te"), Some("trailers"));
    assert!(client.get("/trailers").await.trailers.is_empty());

    // The other way, without those that would change what was judged.
    client
        .send(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
             trailer: x-sum, x-consumer-id, content-length, authorization\r\n\r\n\
             1\r\nz\r\n0\r\nx-sum: 7\r\nx-consumer-id: root\r\ncontent-length: 5\r\nauthorization: x\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 200);
    let trailers = upstream.last().trailers.unwrap();
    assert_eq!((trailers.len(), trailers["x-sum"].to_str().unwrap()), (1, "7"));
}

/// A client that does not read holds back the upstream, and its memory stays the gateway's.
#[tokio::test]
async fn a_slow_reader_slows_the_upstream_down() {
    let (gateway, _upstream) = start().await;
    let mut client = Client::connect(gateway.http()).await;
    let size = 60_000_000;
    client.send(format!("GET /big/{size} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    let response = client.head().await.unwrap();
    assert_eq!(response.header("content-length"), Some("60000000"));
    tokio::time::timeout(Duration::from_secs(60), client.take(size)).await.unwrap().unwrap();
}
