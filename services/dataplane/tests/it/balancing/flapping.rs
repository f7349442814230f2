//! A target that goes down and comes up again and again, in the ways in which targets do, under load.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dataplane::balancing::State;
use futures::future::join_all;
use tokio::time::timeout;

use super::{
    configuration, equal, shown,
    target::{Does, Target},
    targets,
};
use crate::{
    client::{Client, DEADLINE},
    gateway::Gateway,
};

const CHECKS: &str = "healthchecks: {\
    active: {http_path: /health, timeout: 0.5, healthy: {interval: 0.1, successes: 1}, \
             unhealthy: {interval: 0.1, http_failures: 1, tcp_failures: 1, timeouts: 1}}, \
    passive: {unhealthy: {http_failures: 2, tcp_failures: 1, timeouts: 1}}}";
/// How many requests are under way at a time: reads, which may be repeated, and writes, which may not once they were sent.
const READERS: usize = 4;
const WRITERS: usize = 2;
const CLIENTS: usize = READERS + WRITERS;
/// Errors of its own that a target may answer before it is down, as `CHECKS` say.
const ERRORS: usize = 2;

/// How a target goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    Answers500,
    ClosesConnections,
    Hangs,
    Dies,
}

/// The requests of a client, one after the other, until `over`: how many there were, and how many were not answered with 200.
async fn client(gateway: &Gateway, request: &str, over: &AtomicBool) -> (usize, usize) {
    let (mut client, mut sent, mut lost) = (Client::connect(gateway.http()).await, 0, 0);
    while !over.load(Relaxed) {
        client.send(request).await;
        let answer = client.response().await;
        sent += 1;
        lost += usize::from(answer.status != 200);
        if answer.header("connection") == Some("close") {
            client = Client::connect(gateway.http()).await;
        }
    }
    (sent, lost)
}

/// Requests of clients that a target has got, without those of checks.
fn asked(target: &Target) -> usize {
    target.heads().iter().filter(|head| !head.contains(" /health ")).count()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let becomes = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, becomes).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Goes down and up once. No request goes there in between.
async fn flap(gateway: &Gateway, all: &mut [Target; 4], fails: Fails) {
    let (flapping, others) = all.split_first_mut().unwrap();
    let others_asked = || others.iter().map(Target::requests).sum::<usize>();
    match fails {
        Fails::Answers500 => flapping.does(Does::Answers(500)),
        Fails::ClosesConnections => flapping.does(Does::Closes),
        Fails::Hangs => flapping.does(Does::Hangs),
        Fails::Dies => flapping.die().await,
    }
    shown(gateway, flapping, State::Down).await;
    // Those that were on their way have come when the others have got many more.
    let before = others_asked();
    until("the others are asked", || others_asked() > before + 20 * CLIENTS).await;
    let (asked_before, before) = (asked(flapping), others_asked());
    until("the others are asked", || others_asked() > before + 50 * CLIENTS).await;
    assert_eq!(asked(flapping), asked_before, "{fails:?}: it is down");
    match fails {
        Fails::Dies => flapping.revive(),
        _ => flapping.does(Does::Answers(200)),
    }
    shown(gateway, flapping, State::Up).await;
    until("it is asked again", || asked(flapping) > asked_before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_flaps_loses_few_requests_and_gets_none_while_it_is_down() {
    let mut all = targets(["a", "b", "c", "d"]).await;
    let yaml = configuration(CHECKS, "read_timeout: 1000,", &equal(&all));
    let gateway = Gateway::start(&yaml).await;
    for (fails, rounds, (lost_reads, lost_writes)) in [
        // Its errors are passed on: nobody knows what it did. Those that were on their way are more.
        (Fails::Answers500, 4, (ERRORS + READERS, ERRORS + WRITERS)),
        // A read is sent to another one. A write may have been executed.
        (Fails::ClosesConnections, 4, (0, CLIENTS)),
        (Fails::Dies, 4, (0, CLIENTS)),
        // Whoever waits for it waits in vain.
        (Fails::Hangs, 2, (CLIENTS, CLIENTS)),
    ] {
        let over = AtomicBool::new(false);
        let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        let readers = join_all((0..READERS).map(|_| client(&gateway, get, &over)));
        let writers = join_all((0..WRITERS).map(|_| client(&gateway, post, &over)));
        let flaps = async {
            for _ in 0..rounds {
                flap(&gateway, &mut all, fails).await;
            }
            over.store(true, Relaxed);
        };
        let (reads, writes, ()) = futures::join!(readers, writers, flaps);
        let sum = |of: Vec<(usize, usize)>| {
            of.into_iter().fold((0, 0), |(sent, lost), (more, less)| (sent + more, lost + less))
        };
        let ((sent, lost), (written, not_written)) = (sum(reads), sum(writes));
        let told = format!("{fails:?}: {lost} of {sent} reads, {not_written} of {written} writes were lost");
        println!("{told}");
        assert!(lost <= rounds * lost_reads && not_written <= rounds * lost_writes, "{told}");
        assert!(sent + written > rounds * 50 * CLIENTS, "{told}");
    }
}
