//! Targets that are asked whether they are up.

use dataplane::{
    admin,
    balancing::State,
    status::{ControlPlaneStatus, Source, Status},
};
use ids::NodeId;
use time::OffsetDateTime;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    ask, configuration, counts, equal, shown,
    target::{Does, Target},
    targets, until,
};
use crate::{
    client::{Client, DEADLINE},
    gateway::{Gateway, any_port},
    tls,
    upstream::Upstream,
};

/// Checks ten times a second, by the fields `how`.
fn checks(how: &str) -> String {
    format!(
        "healthchecks: {{active: {{{how}, healthy: {{interval: 0.1, successes: 2}}, \
         unhealthy: {{interval: 0.1, http_failures: 2, tcp_failures: 1, timeouts: 1}}}}}}"
    )
}

#[tokio::test]
async fn a_target_whose_health_page_fails_gets_no_request_until_it_is_well() {
    let all = targets(["a", "b"]).await;
    let how = "http_path: /health, headers: {x-check: [yes-1, yes-2]}";
    let gateway = Gateway::start(&configuration(&checks(how), "", &equal(&all))).await;
    assert_eq!(ask(&gateway, 4).await, counts([(200, "a", 2), (200, "b", 2)]));
    all[0].does(Does::Answers(503));
    // At most those that came before the second check have seen it.
    until(&gateway, 4, [(200, "b", 4)]).await;
    let heads = all[0].heads();
    let check = heads.iter().find(|head| head.starts_with("GET /health HTTP/1.1")).expect("a check");
    assert!(check.contains("x-check: yes-1") && check.contains("x-check: yes-2"), "{check}");
    assert!(check.contains(&format!("host: {}", all[0].address)), "{check}");
    all[0].does(Does::Answers(200));
    until(&gateway, 4, [(200, "a", 2), (200, "b", 2)]).await;
}

#[tokio::test]
async fn a_target_that_dies_or_hangs_is_found_without_a_request() {
    for how in ["type: tcp", "type: http, timeout: 0.2"] {
        let mut all = targets(["a", "b"]).await;
        let gateway = Gateway::start(&configuration(&checks(how), "", &equal(&all))).await;
        all[0].die().await;
        shown(&gateway, &all[0], State::Down).await;
        assert_eq!(ask(&gateway, 10).await, counts([(200, "b", 10)]));
        all[0].revive();
        until(&gateway, 4, [(200, "a", 2), (200, "b", 2)]).await;
        if how.contains("http") {
            all[0].does(Does::Hangs);
            shown(&gateway, &all[0], State::Down).await;
            assert_eq!(ask(&gateway, 10).await, counts([(200, "b", 10)]));
            all[0].does(Does::Answers(200));
            until(&gateway, 4, [(200, "a", 2), (200, "b", 2)]).await;
        }
    }
}

#[tokio::test]
async fn a_check_over_tls_verifies_the_certificate_unless_told_otherwise() {
    let certificate = tls::certificate(&["a.test"]);
    let upstream = Upstream::start(Some(tls::server_config(&certificate, &["http/1.1"]))).await;
    let target = [format!("target: '{}'", upstream.address)];
    let service = "protocol: https, tls_verify: false,";
    let how = |verify| checks(&format!("type: https, https_sni: a.test, https_verify_certificate: {verify}"));
    let gateway = Gateway::start(&configuration(&how(true), service, &target)).await;
    // Nobody has signed it.
    timeout(DEADLINE, async { while ask_one(&gateway).await != 503 {} }).await.expect("it is down");
    gateway.apply(&configuration(&how(false), service, &target)).await;
    timeout(DEADLINE, async { while ask_one(&gateway).await != 200 {} }).await.expect("it is up");
}

async fn ask_one(gateway: &Gateway) -> u16 {
    Client::connect(gateway.http()).await.get("/").await.status
}

#[tokio::test]
async fn what_no_upstream_may_have_is_not_checked_either() {
    let all = targets(["a"]).await;
    let mut both = equal(&all);
    both.push("target: '169.254.169.254:80'".to_owned());
    let gateway = Gateway::start(&configuration(&checks("type: tcp"), "", &both)).await;
    until(&gateway, 4, [(200, "a", 4)]).await;
    let shown = gateway.groups.shown();
    let states: Vec<_> =
        shown[0].targets.iter().map(|target| (target.target.as_str(), target.endpoints[0].state)).collect();
    assert!(states.contains(&("169.254.169.254:80", State::Down)), "{states:?}");
}

#[tokio::test]
async fn operators_see_upstreams_targets_and_states() {
    let all = targets(["a", "b"]).await;
    all[1].does(Does::Answers(500));
    let passive = "healthchecks: {passive: {unhealthy: {http_failures: 1}}}";
    let mut named = equal(&all);
    named.push("target: 'nowhere.invalid:80', weight: 0".to_owned());
    let gateway = Gateway::start(&configuration(passive, "", &named)).await;
    ask(&gateway, 4).await;
    // The client has its answer before the gateway has noted that it is over.
    let in_flight = || {
        let shown = gateway.groups.shown();
        let targets = shown.iter().flat_map(|upstream| &upstream.targets);
        targets.flat_map(|target| &target.endpoints).map(|endpoint| endpoint.in_flight).sum::<usize>()
    };
    let over = async {
        while in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, over).await.expect("all requests end");
    let status = Status::new(
        NodeId::generate(),
        OffsetDateTime::UNIX_EPOCH,
        Source::ControlPlane(ControlPlaneStatus::default()),
    );
    let bound =
        admin::bind(any_port(), listener::Limits::default(), &mut listener::Inherited::default()).unwrap();
    let pages = Some(admin::upstreams(gateway.groups.clone()));
    let (_status, watched) = watch::channel(status);
    let metrics = crate::admin::metrics();
    let admin = admin::serve(bound, &[], watched, metrics.clone(), pages, CancellationToken::new());
    let mut client = Client::connect(admin.address).await;
    client.host = "localhost";
    let shown = client.get("/upstreams").await.json();
    assert_eq!(shown[0]["name"], "orders.test");
    let targets: Vec<&serde_json::Value> = shown[0]["targets"].as_array().unwrap().iter().collect();
    assert_eq!(targets.len(), 3);
    let state = |target: &Target| {
        let found = targets.iter().find(|shown| shown["target"] == target.address.to_string()).unwrap();
        (found["endpoints"][0]["state"].clone(), found["endpoints"][0]["in_flight"].clone())
    };
    assert_eq!(state(&all[0]), ("up".into(), 0.into()));
    assert_eq!(state(&all[1]), ("down".into(), 0.into()));
    assert!(targets.iter().any(|shown| shown["endpoints"] == serde_json::json!([])), "{shown}");
    gateway.groups.publish();
    let text = client.get("/metrics").await.text().to_owned();
    let series = |name: &str, target: &Target, more: &str| {
        format!("{name}{{upstream=\"orders.test\",target=\"{}\"{more}}}", target.address)
    };
    for expected in [
        format!("{} 0", series("landbridge_target_endpoints", &all[1], ",state=\"up\"")),
        format!("{} 1", series("landbridge_target_endpoints", &all[1], ",state=\"down\"")),
        format!("{} 1", series("landbridge_target_endpoints", &all[0], ",state=\"up\"")),
        format!("{} 1", series("landbridge_target_requests_total", &all[1], "")),
        format!("{} 3", series("landbridge_target_requests_total", &all[0], "")),
    ] {
        assert!(text.contains(&expected), "{expected} in {text}");
    }
}
