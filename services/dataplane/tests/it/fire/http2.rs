//! Frames of HTTP/2 that only cost the other side something. Each flood ends with the connection; what a stream or a frame may cost is
//! bounded by `h2` and by the limits that the gateway gives it.

use futures::future::join_all;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{Ended, FLOOD_DEADLINE, Reads, SHORT, TAKEN_MAX, assert_well, flood, start};
use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, frame, preface, request, stream,
    },
    gateway::Gateway,
    recorder::{client_address, connect_from},
    upstream::Upstream,
};

/// Requests of a flood that reach the upstream before it is noticed, at most.
const REQUESTS_MAX: usize = 1000;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

async fn gateway(limits: listener::Limits) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    (start(upstream.address, limits).await, upstream)
}

async fn pour(gateway: &Gateway, start: Vec<u8>, again: impl FnMut(u32) -> Vec<u8>, reads: Reads) -> Ended {
    let tcp = connect_from(client_address(1), gateway.http()).await;
    let ended = flood(tcp, &[preface(&[]), start].concat(), again, reads).await;
    assert_well(gateway).await;
    ended
}

/// Whether one of the frames in `said` ends the connection.
fn says_goaway(said: &[u8]) -> bool {
    let mut rest = said;
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        if head[3] == GOAWAY {
            return true;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        rest = behind.get(length..).unwrap_or_default();
    }
    false
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let (gateway, upstream) = gateway(Default::default()).await;
    let reset = |number: u32| {
        let (id, head) = (stream(number), request("GET", "/delay/60000"));
        [frame(HEADERS, END_HEADERS | END_STREAM, id, &head), frame(RST_STREAM, 0, id, &CANCEL)].concat()
    };
    let many = |count: u32| (count * 100..(count + 1) * 100).flat_map(reset).collect();
    let ended = pour(&gateway, Vec::new(), many, Reads::All).await;
    assert!(says_goaway(&ended.said) && ended.sent < TAKEN_MAX, "{} bytes", ended.sent);
    let reached = upstream.seen().len();
    assert!(reached < REQUESTS_MAX, "{reached} requests reached the upstream");
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let (gateway, upstream) = gateway(Default::default()).await;
    let field = crate::frames::hpack(&[("x", "y")]);
    for (name, piece) in [("large", field.repeat(3000)), ("small", field), ("empty", Vec::new())] {
        let begin = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
        let ended = pour(&gateway, begin, |_| frame(CONTINUATION, 0, 1, &piece), Reads::All).await;
        assert!(ended.sent < TAKEN_MAX, "{name}: {} bytes", ended.sent);
    }
    assert_eq!(upstream.seen().len(), 3, "those that show that the gateway is well");
}

/// One field of 4 KB, and then a byte for each time that it is meant again: 16 KB of frame are 60 MB of headers.
#[tokio::test]
async fn headers_that_are_small_on_the_wire_only_do_not_reach_the_upstream() {
    let (gateway, upstream) = gateway(Default::default()).await;
    // A literal that is indexed (RFC 7541, section 6.2.1), with a value of 4,000 bytes; then the first entry of the dynamic table.
    let mut block = request("GET", "/bomb");
    block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 12_000]);
    let bomb = |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block);
    let ended = pour(&gateway, Vec::new(), bomb, Reads::First).await;
    assert!(ended.sent < TAKEN_MAX, "{} bytes", ended.sent);
    assert!(upstream.seen().iter().all(|seen| seen.target != "/bomb"));
}

/// They do not count as requests: the connection ends as any that has none.
#[tokio::test]
async fn frames_that_ask_for_nothing_keep_no_connection() {
    let (gateway, _upstream) = gateway(listener::Limits { idle_timeout: SHORT, ..Default::default() }).await;
    let address = gateway.http();
    let dripping = [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 16, 0]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(0xbb, 0, 0, &[0; 100]),
    ]
    .map(|again| async move {
        let mut tcp = connect_from(client_address(1), address).await;
        let mut next = preface(&[]);
        while tcp.write_all(&next).await.is_ok() {
            next.clone_from(&again);
            tokio::time::sleep(SHORT / 6).await;
        }
    });
    timeout(FLOOD_DEADLINE, join_all(dripping)).await.expect("a connection stays open");
    assert_well(&gateway).await;
}

/// Who does not take the answers to such frames may send no more of them.
#[tokio::test]
async fn frames_whose_answers_nobody_takes_are_not_read() {
    let (gateway, _upstream) = gateway(listener::Limits { idle_timeout: SHORT, ..Default::default() }).await;
    let floods = [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])];
    let floods = floods.iter().map(|one| pour(&gateway, Vec::new(), |_| one.repeat(100), Reads::Nothing));
    for Ended { sent, .. } in join_all(floods).await {
        assert!(sent < TAKEN_MAX, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn windows_beyond_the_largest_end_the_connection() {
    let (gateway, _upstream) = gateway(Default::default()).await;
    let largest = frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
    let ended = pour(&gateway, Vec::new(), |_| largest.clone(), Reads::All).await;
    assert!(says_goaway(&ended.said));
}

#[tokio::test]
async fn data_that_is_none_ends_the_connection() {
    let (gateway, upstream) = gateway(Default::default()).await;
    for (name, flags, payload) in [("empty", 0, &[][..]), ("padding alone", 8, &[100; 101])] {
        let head = frame(HEADERS, END_HEADERS, 1, &request("POST", "/"));
        let ended = pour(&gateway, head, |_| frame(DATA, flags, 1, payload), Reads::All).await;
        assert!(ended.sent < TAKEN_MAX, "{name}: {} bytes", ended.sent);
    }
    assert!(upstream.seen().iter().filter(|seen| !seen.complete).count() <= 2);
}

/// More streams than may be open are refused, and do not reach the upstream.
#[tokio::test]
async fn streams_beyond_the_limit_do_not_reach_the_upstream() {
    let (gateway, upstream) = gateway(Default::default()).await;
    let many = |count: u32| {
        let one = |number| frame(HEADERS, END_HEADERS, stream(number), &request("POST", "/"));
        (count * 100..(count + 1) * 100).flat_map(one).collect()
    };
    let ended = pour(&gateway, Vec::new(), many, Reads::All).await;
    assert!(ended.sent < TAKEN_MAX, "{} bytes", ended.sent);
    assert!(upstream.seen().len() <= 201, "{} requests", upstream.seen().len());
}

/// A client that opens no window holds an answer only until the time for taking it is over.
#[tokio::test]
async fn answers_that_no_window_is_opened_for_are_given_up() {
    let (gateway, upstream) = gateway(listener::Limits { stall_timeout: SHORT, ..Default::default() }).await;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let ask =
        |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &request("GET", "/big/10000000"));
    let tcp = connect_from(client_address(1), gateway.http()).await;
    let start = [preface(&[(INITIAL_WINDOW_SIZE, 0)]), (0..20).flat_map(ask).collect()].concat();
    let mut client = crate::client::Client::over(tcp);
    client.send(start).await;
    upstream.wait_for_requests(20).await;
    // Every stream is reset, or the connection ends.
    let mut resets = 0;
    while resets < 20 {
        let Some(head) = client.take(9).await else { break };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        client.take(length).await;
        resets += usize::from(head[3] == RST_STREAM);
    }
    assert_well(&gateway).await;
}
