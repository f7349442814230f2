//! Targets that die, hang, fail and come back, as requests find out.

use super::{
    ask, configuration, counts, equal,
    target::{Does, Target},
    targets,
};
use crate::{client::Client, gateway::Gateway};

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
