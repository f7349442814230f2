//! Changes of the configuration while requests are spread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::time::timeout;

use super::{
    ask, configuration, counts, equal,
    target::{Does, Target},
    targets,
};
use crate::{
    client::{Client, DEADLINE},
    gateway::Gateway,
};

#[tokio::test]
async fn health_is_kept_when_the_upstream_changes() {
    let [a, b, c] = targets(["a", "b", "c"]).await;
    a.does(Does::Answers(500));
    let checks = "healthchecks: {passive: {unhealthy: {http_failures: 1}}}";
    let two = [&a, &b].map(|target| format!("target: '{}'", target.address));
    let gateway = Gateway::start(&configuration(checks, "", &two)).await;
    assert_eq!(ask(&gateway, 9).await, counts([(200, "b", 8), (500, "a", 1)]));
    // Another target, another algorithm, another weight: what is down stays down.
    let three = [&a, &b, &c].map(|target| format!("target: '{}', weight: 7", target.address));
    gateway.apply(&configuration(&format!("algorithm: least-connections\n  {checks}"), "", &three)).await;
    assert_eq!(ask(&gateway, 10).await, counts([(200, "b", 5), (200, "c", 5)]));
    // A target that is removed gets no request, and an upstream that is removed makes its name a host.
    gateway.apply(&configuration(checks, "", &three[1..2])).await;
    assert_eq!(ask(&gateway, 4).await, counts([(200, "b", 4)]));
    assert_eq!(gateway.groups.all().len(), 1);
    let plain = configuration("", "", &[]).replace("name: orders.test", "name: other.test");
    gateway.apply(&plain.replace("host: orders.test", &format!("url: 'http://{}'", c.address))).await;
    assert_eq!(ask(&gateway, 2).await, counts([(200, "c", 2)]));
}

#[tokio::test]
async fn a_request_under_way_stays_at_a_target_that_is_removed() {
    let all = targets(["a", "b"]).await;
    all[0].does(Does::Hangs);
    let gateway = Gateway::start(&configuration("", "", &equal(&all[..1]))).await;
    let mut client = Client::connect(gateway.http()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while all[0].requests() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.apply(&configuration("", "", &equal(&all[1..]))).await;
    assert_eq!(ask(&gateway, 3).await, counts([(200, "b", 3)]));
    all[0].does(Does::Answers(200));
    assert_eq!(client.response().await.text(), "a");
}

/// Targets come and go a hundred times while clients send. Not one request is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_changes_lose_no_request() {
    let all = targets(["a", "b", "c", "d"]).await;
    let gateway = Gateway::start(&configuration("", "", &equal(&all))).await;
    let clients = (0..4).map(|_| async {
        let mut client = Client::connect(gateway.http()).await;
        for _ in 0..250 {
            assert_eq!(client.get("/").await.status, 200);
        }
    });
    let changes = async {
        for change in 0..100 {
            let some = all.iter().enumerate().filter(|(n, _)| *n != change % 4);
            let some: Vec<String> = some.map(|(_, target)| format!("target: '{}'", target.address)).collect();
            let algorithm = ["round-robin", "least-connections", "latency"][change % 3];
            gateway.apply(&configuration(&format!("algorithm: {algorithm}"), "", &some)).await;
        }
    };
    futures::join!(futures::future::join_all(clients), changes);
    assert_eq!(all.iter().map(Target::requests).sum::<usize>(), 1_000);
}

/// Upstreams come and go under load, each with a name of its own. No request is lost, and nothing of those that are gone stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_that_are_gone_leave_nothing_behind() {
    let all = targets(["a", "b"]).await;
    let checks = "healthchecks: {active: {type: tcp, healthy: {interval: 0.1}}}";
    let yaml = |n: usize| {
        let named = [equal(&all), vec!["target: 'nowhere.invalid:80', weight: 0".to_owned()]].concat();
        configuration(checks, "", &named).replace("orders.test", &format!("upstream-{n}.test"))
    };
    let (gateway, over) = (Gateway::start(&yaml(0)).await, AtomicBool::new(false));
    let clients = (0..4).map(|_| async {
        let mut client = Client::connect(gateway.http()).await;
        while !over.load(Relaxed) {
            assert_eq!(client.get("/").await.status, 200);
        }
    });
    let changes = async {
        let mut gone = Vec::new();
        for n in 1..=30 {
            gone.extend(gateway.groups.all().iter().map(Arc::downgrade));
            gateway.apply(&yaml(n)).await;
        }
        over.store(true, Relaxed);
        gone
    };
    let (_, gone) = futures::join!(futures::future::join_all(clients), changes);
    assert_eq!((gone.len(), gateway.groups.all().len()), (30, 1));
    // A thread that serves requests holds the view of its last one.
    let dropped = async {
        while gone.iter().any(|group| group.strong_count() > 0) {
            ask(&gateway, 1).await;
        }
    };
    timeout(DEADLINE, dropped).await.expect("nobody holds a group that is gone");
}
