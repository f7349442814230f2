//! The configuration changes under traffic: swapped whole, without stopping a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{client::Client, gateway::Gateway, upstream::Upstream};

fn yaml(upstream: &Upstream, path: &str) -> String {
    format!(
        "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://{}\n  routes:\n  - {{name: r, paths: [{path}]}}\n",
        upstream.address
    )
}

#[tokio::test]
async fn a_change_is_served_by_the_next_request_on_the_same_connection() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream, "/old")).await;
    let mut client = Client::connect(gateway.http()).await;
    assert_eq!(client.get("/old").await.status, 200);
    assert_eq!(client.get("/new").await.status, 404);
    gateway.apply(&yaml(&upstream, "/new")).await;
    assert_eq!(client.get("/old").await.status, 404);
    assert_eq!(client.get("/new").await.status, 200);
}

#[tokio::test]
async fn a_request_keeps_the_configuration_that_it_started_with() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream, "/slow")).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET /slow/delay/300 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(1).await;
    gateway.apply(&yaml(&upstream, "/gone")).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.get("/slow/delay/0").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_configuration_changes() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::start(&yaml(&upstream, "/a")).await;
    let (stop, address) = (Arc::new(AtomicBool::new(false)), gateway.http());
    let traffic = tokio::spawn({
        let stop = stop.clone();
        async move {
            let (mut client, mut served) = (Client::connect(address).await, 0);
            while !stop.load(Ordering::Acquire) {
                assert_eq!(client.get("/a").await.status, 200);
                served += 1;
            }
            served
        }
    });
    for n in 0..50 {
        let extra = format!("  - {{name: x, paths: [/x{n}]}}\n");
        gateway.apply(&(yaml(&upstream, "/a") + &extra)).await;
    }
    stop.store(true, Ordering::Release);
    assert!(traffic.await.unwrap() > 0);
}
