//! Targets that die, hang, fail and come back, as requests find out.

use std::time::Duration;

use clock::Stopwatch;
use dataplane::{
    balancing::{Groups, Names},
    proxy::ProxyOptions,
};

use super::{
    ask, configuration, counts, equal,
    target::{Does, Target},
    targets,
};
use crate::{
    client::Client,
    gateway::{Gateway, any_port},
};

const PASSIVE: &str =
    "healthchecks: {passive: {unhealthy: {tcp_failures: 1, http_failures: 3, timeouts: 2}}}";

#[tokio::test]
async fn no_request_is_lost_when_a_target_dies_and_none_goes_there_afterwards() {
    let mut all = targets(["a", "b", "c", "d"]).await;
    let gateway = Gateway::start(&configuration(PASSIVE, "", &equal(&all))).await;
    assert_eq!(ask(&gateway, 8).await.len(), 4);
    all[1].die().await;
    let answers = ask(&gateway, 90).await;
    assert_eq!(answers.values().sum::<usize>(), 90);
    assert!(answers.keys().all(|(status, name)| *status == 200 && name != "b"), "{answers:?}");
    // One connection was refused. The others are asked alone from then on.
    all[1].revive();
    let before = all[1].connections();
    let answers = ask(&gateway, 30).await;
    assert_eq!(answers, counts([(200, "a", 10), (200, "c", 10), (200, "d", 10)]));
    assert_eq!(all[1].connections(), before);
}

#[tokio::test]
async fn a_target_that_answers_500_is_left_out_after_its_threshold() {
    let all = targets(["a", "b"]).await;
    all[0].does(Does::Answers(500));
    let gateway = Gateway::start(&configuration(PASSIVE, "", &equal(&all))).await;
    // Errors of the target's own are passed on: nobody knows what it did.
    assert_eq!(ask(&gateway, 40).await, counts([(200, "b", 37), (500, "a", 3)]));
    assert_eq!(all[0].requests(), 3);
}

#[tokio::test]
async fn a_target_that_hangs_is_left_out_after_its_threshold() {
    let all = targets(["a", "b"]).await;
    all[0].does(Does::Hangs);
    let gateway = Gateway::start(&configuration(PASSIVE, "read_timeout: 200,", &equal(&all))).await;
    let answers = ask(&gateway, 40).await;
    assert_eq!(answers, counts([(200, "b", 38), (504, "upstream-timeout", 2)]));
}

#[tokio::test]
async fn with_all_targets_down_the_answer_is_503_at_once() {
    let all = targets(["a", "b"]).await;
    for target in &all {
        target.does(Does::Answers(500));
    }
    let gateway = Gateway::start(&configuration(PASSIVE, "", &equal(&all))).await;
    assert_eq!(ask(&gateway, 6).await, counts([(500, "a", 3), (500, "b", 3)]));
    let mut client = Client::connect(gateway.http()).await;
    let response = client.get("/").await;
    assert_eq!((response.status, response.json()["reason"].as_str()), (503, Some("no-healthy-target")));
    assert!(response.header("retry-after").is_some());
    assert_eq!(all.each_ref().map(Target::requests), [3, 3]);
    // So it is without any target, and with the weight 0 alone.
    gateway.apply(&configuration("", "", &[format!("target: '{}', weight: 0", all[0].address)])).await;
    assert_eq!(ask(&gateway, 2).await, counts([(503, "no-healthy-target", 2)]));
}

#[tokio::test]
async fn below_the_threshold_of_health_no_target_is_asked() {
    let all = targets(["a", "b", "c"]).await;
    all[0].does(Does::Answers(500));
    all[1].does(Does::Answers(500));
    let checks = "healthchecks: {threshold: 50, passive: {unhealthy: {http_failures: 1}}}";
    let gateway = Gateway::start(&configuration(checks, "", &equal(&all))).await;
    let answers = ask(&gateway, 20).await;
    // The third one was asked before both were down, or not at all.
    assert!(answers[&(503, "no-healthy-target".to_owned())] >= 17, "{answers:?}");
}

/// One that closes each connection without an answer, and many retries that are allowed: the load is not multiplied.
#[tokio::test]
async fn retries_cannot_multiply_the_load() {
    let all = targets(["a"]).await;
    all[0].does(Does::Closes);
    for host in [None, Some(all[0].address)] {
        let before = all[0].requests();
        let mut yaml = configuration("", "retries: 9,", &equal(&all));
        if let Some(host) = host {
            yaml = yaml.replace("host: orders.test", &format!("url: 'http://{host}'"));
        }
        let gateway = Gateway::start(&yaml).await;
        let answers = ask(&gateway, 700).await;
        assert_eq!(answers, counts([(502, "upstream-closed", 700)]));
        let attempts = all[0].requests() - before;
        // Another target is asked when there is one: there is none here. A plain service is asked again, up to its budget.
        match host {
            None => assert_eq!(attempts, 700),
            Some(_) => assert!((1_200..2_000).contains(&attempts), "{attempts} attempts for 700 requests"),
        }
    }
}

#[tokio::test]
async fn a_request_that_may_be_repeated_goes_to_another_target_each_time() {
    let all = targets(["a", "b", "c"]).await;
    all[0].does(Does::Closes);
    all[1].does(Does::Closes);
    let gateway = Gateway::start(&configuration("", "", &equal(&all))).await;
    assert_eq!(ask(&gateway, 9).await, counts([(200, "c", 9)]));
    // A POST was perhaps executed.
    let mut client = Client::connect(gateway.http()).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
        statuses.push(client.response().await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502, 502]);
}

/// Without active checks a target that requests have taken down is tried by one request: after ten seconds, then after twice as long, up to
/// five minutes.
#[tokio::test]
async fn a_broken_target_is_tried_by_one_request_at_a_time_less_and_less_often() {
    let all = targets(["a", "b"]).await;
    all[0].does(Does::Answers(500));
    let time = Stopwatch::manual();
    let options = ProxyOptions { http: Some(any_port()), ..ProxyOptions::default() };
    let groups = Groups::timed_by(time.clone(), Names::new(&[]));
    let checks = "healthchecks: {passive: {unhealthy: {http_failures: 1}}}";
    let gateway = Gateway::start_with_groups(&configuration(checks, "", &equal(&all)), options, groups).await;
    assert_eq!(ask(&gateway, 9).await, counts([(200, "b", 8), (500, "a", 1)]));
    for seconds in [10, 20, 40, 80, 160, 300, 300] {
        time.advance(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(ask(&gateway, 5).await, counts([(200, "b", 5)]), "before {seconds} s");
        time.advance(Duration::from_millis(1));
        assert_eq!(ask(&gateway, 5).await, counts([(200, "b", 4), (500, "a", 1)]), "after {seconds} s");
    }
    // While a request tries it, no other one does, until that has taken as long as the first pause.
    all[0].does(Does::Hangs);
    time.advance(Duration::from_secs(300));
    let mut first = Client::connect(gateway.http()).await;
    let before = all[0].requests();
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while all[0].requests() == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&gateway, 5).await, counts([(200, "b", 5)]));
    // One that succeeds brings it back, and its next pause is short.
    all[0].does(Does::Answers(200));
    assert_eq!(first.response().await.text(), "a");
    assert_eq!(ask(&gateway, 4).await, counts([(200, "a", 2), (200, "b", 2)]));
    all[0].does(Does::Answers(500));
    assert_eq!(ask(&gateway, 4).await, counts([(200, "b", 3), (500, "a", 1)]));
    time.advance(Duration::from_secs(10));
    all[0].does(Does::Answers(200));
    assert_eq!(ask(&gateway, 1).await, counts([(200, "a", 1)]));
    assert_eq!(ask(&gateway, 4).await, counts([(200, "a", 2), (200, "b", 2)]));
}

/// A request that tries a target which is still dead is answered by another one.
#[tokio::test]
async fn no_client_waits_for_a_target_that_is_tried() {
    let mut all = targets(["a", "b"]).await;
    let time = Stopwatch::manual();
    let options = ProxyOptions { http: Some(any_port()), ..ProxyOptions::default() };
    let groups = Groups::timed_by(time.clone(), Names::new(&[]));
    let gateway =
        Gateway::start_with_groups(&configuration(PASSIVE, "", &equal(&all)), options, groups).await;
    all[0].die().await;
    for seconds in [0, 10, 20, 40] {
        time.advance(Duration::from_secs(seconds));
        assert_eq!(ask(&gateway, 6).await, counts([(200, "b", 6)]));
    }
    all[0].revive();
    assert_eq!(ask(&gateway, 6).await, counts([(200, "b", 6)]));
    time.advance(Duration::from_secs(80));
    assert_eq!(ask(&gateway, 1).await, counts([(200, "a", 1)]));
    assert_eq!(ask(&gateway, 6).await, counts([(200, "a", 3), (200, "b", 3)]));
}
