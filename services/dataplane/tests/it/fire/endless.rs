//! Parts of a message that have no end. Each has a limit in bytes: no time has to pass, and no more is read.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{Ended, Reads, SHORT, TAKEN_MAX, assert_well, flood, start};
use crate::{
    client::Client,
    gateway::any_port,
    recorder::{Recorder, client_address, connect_from},
    reference::answer,
    upstream::Upstream,
};

/// Without these limits of time, only the sizes count.
fn patient() -> listener::Limits {
    let long = super::FLOOD_DEADLINE * 10;
    listener::Limits { head_timeout: long, idle_timeout: long, stall_timeout: long, ..Default::default() }
}

#[tokio::test]
async fn no_head_of_a_request_is_endless() {
    let upstream = Recorder::start().await;
    let gateway = start(upstream.address, patient()).await;
    let own = client_address(1);
    for (name, start, again) in [
        ("method", "", "A"),
        ("target", "GET /", "a"),
        ("query", "GET /?", "a"),
        ("version", "GET / HTTP/1.", "1"),
        ("name", "GET / HTTP/1.1\r\nhost: a\r\n", "x"),
        ("value", "GET / HTTP/1.1\r\nhost: a\r\nx: ", "x"),
        ("space before a value", "GET / HTTP/1.1\r\nhost: a\r\nx: ", " "),
        ("fields", "GET / HTTP/1.1\r\nhost: a\r\n", "x: 1\r\n"),
        ("empty fields", "GET / HTTP/1.1\r\nhost: a\r\n", "x:\r\n"),
        (
            "cookies",
            "GET / HTTP/1.1\r\nhost: a\r\n",
            "cookie: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        ),
    ] {
        println!("{name}");
        let tcp = connect_from(own, gateway.http()).await;
        let Ended { sent, said } =
            flood(tcp, start.as_bytes(), |_| again.repeat(1024).into_bytes(), Reads::First).await;
        assert!(sent < TAKEN_MAX, "{name}: {sent} bytes were taken");
        let said = answer::read(&mut said.as_slice(), "GET", true, false).ok().map(|answer| answer.status);
        assert!(said.is_none_or(|status| matches!(status, 400 | 414 | 431)), "{name}: {said:?}");
    }
    assert!(upstream.take(own).is_empty());
    assert_well(&gateway).await;
}

#[tokio::test]
async fn no_framing_of_a_body_is_endless() {
    let upstream = Recorder::start().await;
    let gateway = start(upstream.address, patient()).await;
    let own = client_address(1);
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (name, start, again) in [
        ("chunk size", "0", "0"),
        ("space behind a size", "3", " "),
        ("chunk extension", "3;x=", "x"),
        ("extension of the last chunk", "0;x=", "x"),
        ("trailer", "0\r\nx: ", "x"),
        ("trailers", "0\r\n", "x: 1\r\n"),
        ("empty trailers", "0\r\n", "x:\r\n"),
    ] {
        println!("{name}");
        let tcp = connect_from(own, gateway.http()).await;
        let start = [head, start].concat();
        let Ended { sent, said } =
            flood(tcp, start.as_bytes(), |_| again.repeat(1024).into_bytes(), Reads::First).await;
        assert!(sent < TAKEN_MAX, "{name}: {sent} bytes were taken");
        let said = answer::read(&mut said.as_slice(), "POST", true, false).ok().map(|answer| answer.status);
        assert!(said.is_none_or(|status| matches!(status, 400 | 413 | 431)), "{name}: {said:?}");
    }
    // Whatever arrived, none of it was a whole request.
    assert!(upstream.take(own).is_empty());
    assert_eq!(upstream.faults(), Vec::<String>::new());
    assert_well(&gateway).await;
}

/// What is announced takes no memory: the body is passed on as it comes.
#[tokio::test]
async fn a_body_of_many_gigabytes_is_passed_on_as_it_comes() {
    let upstream = Upstream::echo().await;
    let gateway = start(upstream.address, patient()).await;
    for framing in [
        "content-length: 1000000000000000000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nd00000000000000\r\n",
    ] {
        let mut client = Client::connect(gateway.http()).await;
        client.send(format!("POST /mirror HTTP/1.1\r\nhost: a\r\n{framing}")).await;
        client.send("first").await;
        assert_eq!(client.head().await.unwrap().status, 200);
        client.take_until("first").await;
        client.send("second").await;
        client.take_until("second").await;
    }
}

/// An upstream that never ends what it began. It does not close either.
#[tokio::test]
async fn no_part_of_an_answer_is_endless() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n";
    let of = |rest: &str| format!("{chunked}{rest}");
    for (name, start, again, status) in [
        ("reason", "HTTP/1.1 200 ".to_owned(), "x", Some(502)),
        ("name", "HTTP/1.1 200 OK\r\n".to_owned(), "x", Some(502)),
        ("value", "HTTP/1.1 200 OK\r\nx: ".to_owned(), "x", Some(502)),
        ("fields", "HTTP/1.1 200 OK\r\n".to_owned(), "x: 1\r\n", Some(502)),
        ("interim answers", String::new(), "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", Some(502)),
        ("chunk size", of("0"), "0", None),
        ("chunk extension", of("4;x="), "x", None),
        ("trailer", of("0\r\nx: "), "x", None),
        ("trailers", of("0\r\n"), "x: 1\r\n", None),
    ] {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let gateway = super::start(listener.local_addr().unwrap(), patient()).await;
        let pouring = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 1024]).await;
            let mut sent = 0;
            let mut next = start.into_bytes();
            while let Ok(()) = tcp.write_all(&next).await {
                sent += next.len();
                next = again.repeat(1024).into_bytes();
            }
            sent
        });
        let mut client = Client::connect(gateway.http()).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let response = client.try_response().await;
        assert_eq!(response.map(|response| response.status), status, "{name}");
        let sent =
            tokio::time::timeout(super::FLOOD_DEADLINE, pouring).await.expect("it is cut off").unwrap();
        assert!(sent < TAKEN_MAX, "{name}: {sent} bytes were taken");
    }
}

/// Empty lines before a request are skipped, but not for ever: they begin a head, which has a time.
#[tokio::test]
async fn empty_lines_are_not_endless() {
    let upstream = Recorder::start().await;
    let limits = listener::Limits { head_timeout: SHORT, idle_timeout: SHORT, ..Default::default() };
    let gateway = start(upstream.address, limits).await;
    let tcp = connect_from(client_address(1), gateway.http()).await;
    flood(tcp, b"", |_| b"\r\n".to_vec(), Reads::First).await;
    assert_well(&gateway).await;
}
