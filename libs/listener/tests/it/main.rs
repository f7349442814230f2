//! Ports over real sockets, and clients that say nothing, little, or too slowly.

mod port;

use std::time::Duration;

use futures::future::join_all;
use http_body_util::BodyExt as _;
use listener::{Balancers, Limits, Options, Protocols};
use port::{DEADLINE, LARGE, Port, SHORT, answer, answers, ask, closed, local};
use settings::AddressRanges;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const HTTP: Protocols = Protocols::Http { streams_max: 8 };
const STREAMS: Protocols = Protocols::Streams { streams_max: 8 };

#[tokio::test]
async fn silent_connections_shut_nobody_out() {
    let port = Port::open(Limits { connections_max: 32, ..Limits::default() }, HTTP).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(port.address).await.expect("connects"));
    }
    // Some have come further: TLS is open, and they say nothing, or half a head.
    for _ in 0..40 {
        let mut stream = port.connect("http/1.1").await.expect("a handshake");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.expect("half a head");
        silent.push(stream.into_inner().0);
    }
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(port.get("/").await.expect("an answer"), "http/1.1 200 ok hello");
    }
    assert!(begun.elapsed() < Limits::default().handshake_timeout / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn whoever_is_served_is_not_closed_for_another() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let port = Port::open(limits, HTTP).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = port.connect("http/1.1").await.expect("a handshake");
        stream
            .write_all(b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1")
            .await
            .expect("sent");
        busy.push(stream);
        sleep(SHORT).await;
    }
    assert!(port.get("/").await.is_err(), "refused: both are busy");
    for stream in &mut busy {
        stream.write_all(b"2").await.expect("sent");
        assert_eq!(answer(stream).await.expect("an answer"), "http/1.1 200 ok 2");
    }
    assert!(port.get("/").await.is_ok());
}

#[tokio::test]
async fn a_head_has_a_time_and_the_pause_before_it_another() {
    let limits = Limits { head_timeout: SHORT, idle_timeout: SHORT * 6, ..Limits::default() };
    let port = Port::open(limits, HTTP).await;
    let mut stream = port.connect("http/1.1").await.expect("a handshake");
    for _ in 0..2 {
        sleep(SHORT * 2).await;
        ask(&mut stream, "/").await.expect("sent");
        assert_eq!(answer(&mut stream).await.expect("an answer"), "http/1.1 200 ok hello");
    }
    stream.write_all(b"GET / HTT").await.expect("half a head");
    let begun = Instant::now();
    let drip = async {
        while stream.write_all(b"P").await.is_ok() && begun.elapsed() < DEADLINE {
            sleep(SHORT / 6).await;
        }
    };
    drip.await;
    assert!(begun.elapsed() < SHORT * 6, "a byte now and then is no excuse: {:?}", begun.elapsed());

    let mut silent = port.connect("http/1.1").await.expect("a handshake");
    closed(&mut silent).await;
}

#[tokio::test]
async fn a_handshake_has_a_time() {
    let port = Port::open(Limits { handshake_timeout: SHORT, ..Limits::default() }, HTTP).await;
    let mut tcp = TcpStream::connect(port.address).await.expect("connects");
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, tcp.read_to_end(&mut rest)).await.expect("closed in time");
}

#[tokio::test]
async fn a_body_keeps_a_pace_unless_it_is_a_stream() {
    let limits = Limits { stall_timeout: SHORT, rate_min: 100, ..Limits::default() };
    let head = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\n\r\n";
    let drip = async |port: &Port, pause: Duration| {
        let mut stream = port.connect("http/1.1").await.expect("a handshake");
        stream.write_all(head.as_bytes()).await.expect("sent");
        for _ in 0..40 {
            let _ = stream.write_all(b"x").await;
            sleep(pause).await;
        }
        answer(&mut stream).await.unwrap_or_default()
    };
    let port = Port::open(limits, HTTP).await;
    let (slow, steady) = tokio::join!(drip(&port, SHORT / 6), drip(&port, Duration::from_millis(2)));
    assert!(!slow.contains("200"), "20 bytes a second: {slow}");
    assert_eq!(steady, "http/1.1 200 ok 40");
    let streams = Port::open(limits, STREAMS).await;
    assert_eq!(drip(&streams, SHORT / 6).await, "http/1.1 200 ok 40");
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let limits = Limits { stall_timeout: SHORT, ..Limits::default() };
    for protocols in [HTTP, STREAMS] {
        let port = Port::open(limits, protocols).await;
        let mut sender = port.http2(0).await;
        let response =
            timeout(DEADLINE, answers(&mut sender, "/large")).await.expect("a head").expect("a head");
        let body = timeout(DEADLINE, response.into_body().collect()).await.expect("ends in time");
        assert!(body.is_err(), "the window was never opened");

        // HTTP/1: nothing is read at all.
        let mut stream = port.connect("http/1.1").await.expect("a handshake");
        for _ in 0..8 {
            ask(&mut stream, "/large").await.expect("sent");
        }
        sleep(SHORT * 4).await;
        assert!(closed(&mut stream).await.len() < 8 * LARGE, "the connection was cut off");
    }
}

#[tokio::test]
async fn what_is_not_taken_makes_room_for_what_is() {
    let limits = Limits { untaken_max: 8 * LARGE, ..Limits::default() };
    let port = Port::open(limits, HTTP).await;
    let begun = Instant::now();
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut sender = port.http2(0).await;
        for _ in 0..3 {
            held.push(answers(&mut sender, "/large").await.expect("a head"));
        }
        sleep(Duration::from_millis(1100)).await;
    }
    // The third connection went beyond the limit, and the first one made room.
    let ends = held.into_iter().map(|response| response.into_body().collect());
    let first: Vec<_> = timeout(DEADLINE, join_all(ends.take(3))).await.expect("ends in time");
    assert!(first.iter().all(Result::is_err));
    assert!(begun.elapsed() < limits.stall_timeout, "{:?}", begun.elapsed());
    assert_eq!(port.get("/large").await.expect("an answer").len(), "http/1.1 200 ok ".len() + LARGE);
}

#[tokio::test]
async fn answers_that_are_taken_are_whole() {
    let port = Port::open(Limits::default(), HTTP).await;
    let mut sender = port.http2(1 << 16).await;
    let response = answers(&mut sender, "/large").await.expect("an answer");
    assert_eq!(response.headers()["content-length"], LARGE.to_string().as_str());
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body.len(), LARGE);
    assert_eq!(port.get("/large").await.expect("an answer").len(), "http/1.1 200 ok ".len() + LARGE);
}

#[tokio::test]
async fn a_connection_of_http2_without_requests_ends_unless_it_is_for_streams() {
    let limits = Limits { idle_timeout: SHORT, ..Limits::default() };
    let (port, streams) = (Port::open(limits, HTTP).await, Port::open(limits, STREAMS).await);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut bare = port.connect("h2").await.expect("a handshake");
    bare.write_all(preface).await.expect("sent");
    closed(&mut bare).await;
    let mut kept = streams.http2(1 << 16).await;
    sleep(SHORT * 3).await;
    assert!(answers(&mut kept, "/").await.is_ok());
}

#[tokio::test]
async fn a_refusal_arrives_before_the_body_is_read() {
    let port = Port::open(Limits::default(), HTTP).await;
    let body = vec![b'x'; 900_000];
    let refused = (0..20).map(|_| async {
        let mut stream = port.connect("http/1.1").await?;
        let head = format!("POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        answer(&mut stream).await
    });
    for refused in join_all(refused).await {
        assert_eq!(refused.expect("an answer"), "http/1.1 401 unauthorized ");
    }
}

#[tokio::test]
async fn whoever_sends_for_nothing_is_told_that_the_connection_ends() {
    let port = Port::open(Limits::default(), HTTP).await;
    let mut stream = port.connect("http/1.1").await.expect("a handshake");
    // What has come already is dropped, and the connection goes on.
    for _ in 0..2 {
        stream
            .write_all(b"POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
            .await
            .expect("sent");
        assert_eq!(answer(&mut stream).await.expect("an answer"), "http/1.1 401 unauthorized ");
    }
    stream
        .write_all(b"POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhell")
        .await
        .expect("sent");
    let said = String::from_utf8(closed(&mut stream).await).expect("text").to_ascii_lowercase();
    assert!(said.contains("connection: close"), "{said}");
}

#[tokio::test]
async fn only_a_balancer_says_whose_connection_it_passes_on() {
    let limits = Limits { per_address_max: 2, ..Limits::default() };
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n";
    let get = async |port: &Port, header: &[u8]| {
        let mut tcp = TcpStream::connect(port.address).await?;
        tcp.write_all(header).await?;
        let mut stream = port.handshake(tcp, "http/1.1").await?;
        ask(&mut stream, "/address").await?;
        answer(&mut stream).await
    };
    let balancers = Balancers {
        addresses: AddressRanges::parse(["127.0.0.0/8"]).expect("a range"),
        proxy_protocol: true,
    };
    let port = Port::open_with(Options { limits, balancers, ..Options::default() }, HTTP).await;
    for _ in 0..4 {
        assert_eq!(get(&port, header).await.expect("an answer"), "http/1.1 200 ok 192.0.2.7");
    }
    assert_eq!(get(&port, b"PROXY UNKNOWN\r\n").await.expect("an answer"), "http/1.1 200 ok 127.0.0.1");
    assert!(get(&port, b"").await.is_err(), "no header, no connection");

    let open = Port::open(limits, HTTP).await;
    assert!(get(&open, header).await.is_err(), "nobody is believed");
    assert_eq!(get(&open, b"").await.expect("an answer"), format!("http/1.1 200 ok {}", local()));
}
