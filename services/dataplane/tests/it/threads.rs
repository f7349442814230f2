//! Several threads serve one port, as one gateway.

use std::num::NonZeroUsize;

use dataplane::proxy::ProxyOptions;
use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    upstream::Upstream,
};

async fn start(threads: usize) -> (Gateway, Upstream) {
    let upstream = Upstream::echo().await;
    let yaml = format!(
        "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [/]}}]}}\n",
        upstream.address
    );
    let threads = NonZeroUsize::new(threads).unwrap();
    let options = ProxyOptions { threads, http: Some(any_port()), ..ProxyOptions::default() };
    (Gateway::start_with(&yaml, options).await, upstream)
}

#[tokio::test]
async fn every_connection_is_served_and_every_thread_drains() {
    let (mut gateway, upstream) = start(4).await;
    let address = gateway.http();
    let mut clients = join_all((0..32).map(|_| Client::connect(address))).await;
    for _ in 0..3 {
        for answer in join_all(clients.iter_mut().map(|client| client.get("/"))).await {
            assert_eq!(answer.status, 200);
        }
    }
    assert_eq!(upstream.seen().len(), 96);
    assert!(upstream.connections() <= 32, "{} connections", upstream.connections());
    gateway.drain.cancel();
    for answer in join_all(clients.iter_mut().map(|client| client.get("/"))).await {
        assert_eq!(answer.header("connection"), Some("close"));
    }
    for client in &mut clients {
        client.assert_closed().await;
    }
    drop(clients);
    timeout(DEADLINE, gateway.proxy.take().unwrap().ended(std::future::pending())).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_change_is_served_by_every_thread_at_once() {
    let (gateway, upstream) = start(4).await;
    let mut clients = join_all((0..16).map(|_| Client::connect(gateway.http()))).await;
    for (path, other) in [("/a", "/b"), ("/b", "/a")] {
        let yaml = format!(
            "_format_version: \"3.0\"\nservices:\n- {{name: s, url: 'http://{}', routes: [{{name: r, paths: [{path}]}}]}}\n",
            upstream.address
        );
        gateway.apply(&yaml).await;
        for client in &mut clients {
            assert_eq!(client.get(path).await.status, 200);
            assert_eq!(client.get(other).await.status, 404);
        }
    }
}
