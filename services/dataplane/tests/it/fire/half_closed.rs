//! Clients that end their side early. A request that was whole may be answered; nothing else is waited for.

use tokio::io::AsyncWriteExt as _;

use super::start;
use crate::{client::Client, upstream::Upstream};

#[tokio::test]
async fn whoever_ends_its_side_is_answered_or_let_go() {
    let upstream = Upstream::echo().await;
    let gateway = start(upstream.address, listener::Limits::default()).await;
    for sent in [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nhost: a\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
    ] {
        let mut client = Client::connect(gateway.http()).await;
        client.send(sent).await;
        client.stream.shutdown().await.unwrap();
        while let Some(response) = client.try_response().await {
            assert!(matches!(response.status, 200 | 400), "{sent:?}: {}", response.status);
        }
    }
}

/// The upstream learns that the body is not whole, at once: none of the limits of time has passed.
#[tokio::test]
async fn a_body_that_ends_early_is_broken_for_the_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = start(upstream.address, listener::Limits::default()).await;
    let bodies = ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"];
    for (number, body) in bodies.into_iter().enumerate() {
        let mut client = Client::connect(gateway.http()).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{body}")).await;
        upstream.wait_for_requests(number + 1).await;
        client.stream.shutdown().await.unwrap();
        if let Some(response) = client.try_response().await {
            assert_eq!(response.status, 400);
        }
        upstream.wait_for_cancelled(number + 1).await;
    }
    assert!(upstream.seen().iter().all(|seen| !seen.complete));
}
