//! A drain accepts nothing new, finishes what is under way, and ends in time.

use std::time::{Duration, Instant};

use dataplane::proxy::{Limits, ProxyOptions};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

async fn start(drain_timeout: Duration) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    let limits = Limits { drain_timeout, ..Limits::default() };
    let options = ProxyOptions { http: Some(any_port()), limits, ..ProxyOptions::default() };
    (Gateway::start_with(&yaml, options).await, upstream)
}

#[tokio::test]
async fn requests_under_way_are_finished_and_idle_connections_closed() {
    let (mut gateway, upstream) = start(Duration::from_secs(20)).await;
    let address = gateway.http();
    let mut busy = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut fresh = Client::connect(address).await;
    busy.send("GET /delay/500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(2).await;
    gateway.drain.cancel();
    let ended = tokio::spawn(gateway.proxy.take().unwrap().ended());
    idle.assert_closed().await;
    fresh.assert_closed().await;
    let response = busy.response().await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    busy.assert_closed().await;
    drop((idle, fresh, busy));
    timeout(DEADLINE, ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off() {
    let (mut gateway, upstream) = start(Duration::from_millis(300)).await;
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
    timeout(DEADLINE, gateway.proxy.take().unwrap().ended()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(client.try_response().await.is_none());
    tunnel.rest().await.ok();
}
