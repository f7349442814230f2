//! More connections than there are seats: the port holds as many as it may, and no more.

use futures::future::join_all;

use super::start;
use crate::{
    admin,
    client::Client,
    gateway::Gateway,
    recorder::{client_address, connect_from},
    upstream::Upstream,
};

/// Seats of the port, and a fifth more connections.
const SEATS: usize = 50;
const BEYOND: usize = SEATS / 5;

async fn full() -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let limits = listener::Limits { connections_max: SEATS, per_address_max: SEATS, ..Default::default() };
    (start(upstream.address, limits).await, upstream)
}

/// How many connections the gateway counts.
fn counted(gateway: &Gateway) -> usize {
    gateway.proxy.as_ref().unwrap().counters.connections() as usize
}

/// How many connections were refused at ports of this name, by all gateways of this process.
fn refused() -> usize {
    let page = admin::metrics().render();
    page.lines()
        .find_map(|line| {
            line.strip_prefix("landbridge_listener_refused_connections_total{listener=\"http\"} ")
        })
        .map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn those_that_say_nothing_make_room_for_a_fifth_more() {
    let (gateway, _upstream) = full().await;
    let mut clients = Vec::new();
    for _ in 0..SEATS + BEYOND {
        let mut client = Client::connect(gateway.http()).await;
        assert_eq!(client.get("/").await.status, 200, "each new one is served");
        clients.push(client);
    }
    let served = clients.split_off(BEYOND);
    // The oldest ones were closed for them, and no others.
    for mut client in clients {
        client.assert_closed().await;
    }
    assert_eq!(counted(&gateway), SEATS);
    let again = served.into_iter().map(|mut client| async move { client.get("/").await.status });
    assert!(join_all(again).await.iter().all(|status| *status == 200));
}

/// Half of a head is no request: who never sends the rest is closed for the next one, long before the head's time is over.
#[tokio::test]
async fn halves_of_heads_shut_nobody_out() {
    let (gateway, _upstream) = full().await;
    let mut halves = Vec::new();
    for _ in 0..SEATS + BEYOND {
        let mut client = Client::connect(gateway.http()).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
        halves.push(client);
    }
    for _ in 0..BEYOND {
        assert_eq!(Client::connect(gateway.http()).await.get("/").await.status, 200);
    }
}

/// The port keeps seats for others: one address has fewer of its own than there are.
#[tokio::test]
async fn one_address_takes_its_own_seats_only() {
    let upstream = Upstream::echo().await;
    let limits =
        listener::Limits { connections_max: SEATS, per_address_max: SEATS - BEYOND, ..Default::default() };
    let gateway = start(upstream.address, limits).await;
    let from = async |number| Client::over(connect_from(client_address(number), gateway.http()).await);
    let mut busy = Vec::new();
    for _ in 0..SEATS - BEYOND {
        let mut client = from(1).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1").await;
        busy.push(client);
    }
    upstream.wait_for_requests(SEATS - BEYOND).await;
    for _ in 0..BEYOND {
        assert!(from(1).await.try_response().await.is_none(), "the address has no seat left");
    }
    let mut others = Vec::new();
    for number in 0..BEYOND {
        let mut client = from(2 + number).await;
        assert_eq!(client.get("/").await.status, 200);
        others.push(client);
    }
    for client in &mut busy {
        client.send("2").await;
        assert_eq!(client.response().await.status, 200);
    }
}

#[tokio::test]
async fn where_all_are_busy_a_fifth_more_are_refused() {
    let before = refused();
    let (gateway, upstream) = full().await;
    let mut busy = Vec::new();
    for _ in 0..SEATS {
        let mut client = Client::connect(gateway.http()).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1").await;
        busy.push(client);
    }
    upstream.wait_for_requests(SEATS).await;
    for _ in 0..BEYOND {
        let mut refused = Client::connect(gateway.http()).await;
        assert!(refused.try_response().await.is_none(), "there is no seat");
    }
    assert_eq!(counted(&gateway), SEATS);
    // Other tests of this process count too: at least what was done here.
    assert!(refused() - before >= BEYOND, "{} are counted", refused() - before);
    // Those that were there first notice nothing.
    for client in &mut busy {
        client.send("2").await;
        assert_eq!(client.response().await.status, 200);
    }
}
