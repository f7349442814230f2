//! A drain loses no request: what is under way is finished, what is on its way is answered, and nothing new is accepted. It ends in time.

use std::{
    future::pending,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use dataplane::proxy::{Limits, ProxyOptions};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    load::{Kind, Load, Target},
    tls,
    upstream::Upstream,
};

/// The time for a connection's last request, in tests that wait until it is over.
const SHORT: Duration = Duration::from_millis(300);

async fn start(last_request_timeout: Duration) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let limits = Limits { last_request_timeout, ..Limits::default() };
    let options = ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() };
    (Gateway::start_with(&document(&upstream), options).await, upstream)
}

fn document(upstream: &Upstream) -> String {
    format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    )
}

async fn ended(gateway: &mut Gateway) {
    timeout(DEADLINE, gateway.proxy.take().unwrap().ended(pending())).await.unwrap();
}

#[tokio::test]
async fn a_drain_under_load_loses_nothing() {
    let (upstream, folder) = (Upstream::echo().await, tempfile::tempdir().unwrap());
    let (own, files) = tls::own_certificate(folder.path());
    let options = ProxyOptions {
        http: Some(any_port()),
        https: Some(any_port()),
        tls: Some(files),
        threads: NonZeroUsize::new(2).unwrap(),
        ..ProxyOptions::default()
    };
    let mut gateway = Gateway::start_with(&document(&upstream), options).await;
    let plain = Target { address: gateway.http(), tls: None };
    let https =
        |protocol| Target { address: gateway.https(), tls: Some(tls::client_config(&own, &[protocol])) };
    let (mut requests, mut sockets) = (Load::new(), Load::new());
    for kind in [Kind::Kept, Kind::Pipelined, Kind::Fresh] {
        requests.start(kind, &plain, 8);
        requests.start(kind, &https("http/1.1"), 4);
    }
    requests.start(Kind::Http2, &plain, 4);
    requests.start(Kind::Http2, &https("h2"), 4);
    sockets.start(Kind::WebSocket, &plain, 4);
    sockets.start(Kind::WebSocket, &https("http/1.1"), 4);
    tokio::join!(requests.answers(1000), sockets.answers(100));

    gateway.drain.cancel();
    // Every client finds the port closed in the end, and tunnels still carry messages.
    let mut tally = requests.ended().await;
    sockets.answers(100).await;
    let sockets = sockets.stop().await;
    ended(&mut gateway).await;
    tally.answered.extend(sockets.answered);
    tally.lost.extend(sockets.lost);
    assert_eq!(tally.lost, Vec::<String>::new());
    let seen = upstream.seen().into_iter().map(|seen| seen.target);
    assert!(seen.clone().count() == tally.answered.len(), "none was sent twice");
    assert_eq!(seen.collect::<std::collections::BTreeSet<_>>(), tally.answered);
}

#[tokio::test]
async fn a_connection_without_a_request_gets_an_answer_to_one_more() {
    let (mut gateway, upstream) = start(DEADLINE).await;
    let address = gateway.http();
    let mut busy = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut fresh = Client::connect(address).await;
    let mut half = Client::connect(address).await;
    half.send("GET / HTT").await;
    busy.send("GET /delay/500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(2).await;
    gateway.drain.cancel();
    half.send("P/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(half.response().await.header("connection"), Some("close"));
    for waiting in [&mut idle, &mut fresh] {
        let answer = waiting.get("/").await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    let answer = busy.response().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    for client in [&mut idle, &mut fresh, &mut half, &mut busy] {
        assert_eq!(client.rest().await.expect("no reset"), b"");
    }
    drop((idle, fresh, half, busy));
    ended(&mut gateway).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_without_a_reset() {
    let (mut gateway, _upstream) = start(SHORT).await;
    let mut idle = Client::connect(gateway.http()).await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut fresh = Client::connect(gateway.http()).await;
    gateway.drain.cancel();
    for client in [&mut idle, &mut fresh] {
        assert_eq!(client.rest().await.expect("no reset"), b"");
        // The gateway still reads for a while, so this meets no reset either.
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.rest().await.expect("no reset"), b"");
    }
    drop((idle, fresh));
    ended(&mut gateway).await;
}

/// The time for last requests is over while a request is half there.
#[tokio::test]
async fn a_request_that_has_begun_is_answered() {
    let (mut gateway, _upstream) = start(SHORT).await;
    let mut idle = Client::connect(gateway.http()).await;
    let mut half = Client::connect(gateway.http()).await;
    for client in [&mut idle, &mut half] {
        assert_eq!(client.get("/").await.status, 200);
    }
    half.send("GET / HTT").await;
    gateway.drain.cancel();
    assert_eq!(idle.rest().await.expect("no reset"), b"");
    half.send("P/1.1\r\nhost: a\r\n\r\n").await;
    let answer = half.response().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    drop((idle, half));
    ended(&mut gateway).await;
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off() {
    let (mut gateway, upstream) = start(DEADLINE).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /delay/60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut tunnel = Client::connect(gateway.http()).await;
    tunnel
        .send(
            "GET /upgrade/websocket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
    assert_eq!(tunnel.head().await.unwrap().status, 101);
    upstream.wait_for_requests(2).await;
    let started = Instant::now();
    gateway.drain.cancel();
    timeout(DEADLINE, gateway.proxy.take().unwrap().ended(sleep(SHORT))).await.unwrap();
    assert!(started.elapsed() >= SHORT);
    assert!(client.try_response().await.is_none());
    tunnel.rest().await.ok();
}
