//! Thousands of requests that are sent at once: one is worked on at a time, and answers that nobody takes stop the work.

use tokio::io::AsyncWriteExt as _;

use super::{Ended, Reads, SHORT, assert_well, flood, start};
use crate::{
    client::Client,
    recorder::{self, Recorder, client_address, connect_from},
    upstream::Upstream,
};

/// Requests that are sent at once.
const PIPELINED: usize = 5000;
/// The size of an answer that nobody takes, and how many of them fit into the kernel's buffers, generously.
const ANSWER_BYTES: usize = 200_000;
const UNTAKEN_ANSWERS_MAX: usize = 200;

#[tokio::test]
async fn thousands_of_requests_are_answered_in_order() {
    let upstream = Recorder::start().await;
    let gateway = start(upstream.address, listener::Limits::default()).await;
    let own = client_address(1);
    let (reader, mut writer) = connect_from(own, gateway.http()).await.into_split();
    let sending = tokio::spawn(async move {
        let requests: String = (0..PIPELINED)
            .map(|number| match number % 2 {
                0 => format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"),
                _ => format!("POST /{number} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
            })
            .collect();
        writer.write_all(requests.as_bytes()).await.unwrap();
        writer
    });
    let mut client = Client::over(tokio::io::join(reader, tokio::io::sink()));
    for number in 0..PIPELINED {
        let response = client.response().await;
        let answer = response.header(recorder::ANSWER).map(|answer| answer.parse::<usize>().unwrap());
        assert_eq!((response.status, answer), (200, Some(number)));
    }
    drop(sending.await.unwrap());
    let targets =
        upstream.take(own).into_iter().map(|seen| String::from_utf8(seen.request.head.target).unwrap());
    assert!(targets.eq((0..PIPELINED).map(|number| format!("/{number}"))));
}

#[tokio::test]
async fn requests_whose_answers_nobody_takes_are_not_worked_on() {
    let upstream = Upstream::echo().await;
    let limits = listener::Limits { stall_timeout: SHORT, ..Default::default() };
    let gateway = start(upstream.address, limits).await;
    let tcp = connect_from(client_address(1), gateway.http()).await;
    let request = format!("GET /big/{ANSWER_BYTES} HTTP/1.1\r\nhost: a\r\n\r\n");
    let Ended { said, .. } = flood(tcp, b"", |_| request.clone().into_bytes(), Reads::Nothing).await;
    let worked_on = upstream.seen().len();
    assert!(worked_on < UNTAKEN_ANSWERS_MAX, "{worked_on} requests, {} bytes came", said.len());
    assert_well(&gateway).await;
}
