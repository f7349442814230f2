use std::time::Duration;

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::advance;
use tower::ServiceExt as _;

use super::{Condition, MET_AFTER, Phase, Readiness, UNMET_AFTER, Weight, router};

/// How often the parts of these tests report.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

fn serving() -> (Readiness, Condition) {
    let readiness = Readiness::default();
    readiness.enter(Phase::Serving);
    let database = readiness.condition("database", Weight::Required);
    (readiness, database)
}

/// Reports the same for a while.
async fn report_for(condition: &Condition, time: Duration, outcome: Result<(), &str>) {
    let mut left = time;
    while !left.is_zero() {
        condition.report(outcome.map_err(str::to_owned));
        let step = left.min(REPORT_INTERVAL);
        advance(step).await;
        left -= step;
    }
}

#[tokio::test(start_paused = true)]
async fn is_not_ready_before_every_required_condition_was_met_once() {
    let (readiness, database) = serving();
    let index = readiness.condition("index", Weight::Required);
    readiness.condition("nats", Weight::Shown);
    assert!(!readiness.report().ready);
    database.is_well();
    assert!(!readiness.report().ready);
    index.is_well();
    assert!(readiness.report().ready, "the first report counts at once; nats is only shown");
}

#[tokio::test(start_paused = true)]
async fn fails_after_a_while_and_comes_back_after_a_while() {
    let (readiness, database) = serving();
    database.is_well();

    database.is_wrong("connection refused");
    advance(UNMET_AFTER - Duration::from_millis(1)).await;
    assert!(readiness.report().ready, "one failure is not an outage yet");
    advance(Duration::from_millis(1)).await;
    let report = readiness.report();
    assert!(!report.ready);
    assert_eq!(report.conditions["database"].reason.as_deref(), Some("connection refused"));

    database.is_well();
    advance(MET_AFTER - Duration::from_millis(1)).await;
    assert!(!readiness.report().ready, "one success is not the end of it yet");
    advance(Duration::from_millis(1)).await;
    assert!(readiness.report().ready);
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_changes_nothing() {
    let (readiness, database) = serving();
    database.is_well();
    for _ in 0..50 {
        report_for(&database, UNMET_AFTER - REPORT_INTERVAL, Err("slow")).await;
        assert!(readiness.report().ready);
        database.is_well();
    }

    report_for(&database, UNMET_AFTER * 2, Err("gone")).await;
    assert!(!readiness.report().ready);
    for _ in 0..50 {
        report_for(&database, MET_AFTER - REPORT_INTERVAL, Ok(())).await;
        database.is_wrong("gone again");
        assert!(!readiness.report().ready);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_nobody_looked_at_still_counts() {
    let (readiness, database) = serving();
    database.is_well();
    database.is_wrong("gone");
    advance(UNMET_AFTER).await;
    // The next report comes after the outage, and before anybody asked.
    database.is_well();
    assert!(!readiness.report().ready);
    advance(MET_AFTER).await;
    assert!(readiness.report().ready);
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_is_only_shown_takes_nothing_away() {
    let (readiness, database) = serving();
    database.is_well();
    let nats = readiness.condition("nats", Weight::Shown);
    nats.is_wrong("disconnected");
    advance(UNMET_AFTER).await;
    let report = readiness.report();
    assert!(report.ready);
    assert!(!report.conditions["nats"].met);
}

#[tokio::test(start_paused = true)]
async fn starting_and_draining_are_not_ready_at_once() {
    let readiness = Readiness::default();
    readiness.condition("database", Weight::Required).is_well();
    assert!(!readiness.report().ready);
    readiness.enter(Phase::Serving);
    assert!(readiness.report().ready);
    readiness.enter(Phase::Draining);
    assert!(!readiness.report().ready);
}

async fn ask(readiness: &Readiness) -> (u16, Value) {
    let request = Request::get("/readyz").body(Body::empty()).expect("request");
    let answer = router(readiness.clone()).oneshot(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("body").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test(start_paused = true)]
async fn readyz_names_every_condition() {
    let (readiness, database) = serving();
    readiness.condition("nats", Weight::Shown).is_wrong("disconnected");
    database.is_well();
    advance(Duration::from_secs(7)).await;
    let nats = json!({ "met": false, "required": false, "for_seconds": 7, "reason": "disconnected" });
    let database_met = json!({ "met": true, "required": true, "for_seconds": 7 });
    let expected = json!({ "ready": true, "phase": "serving", "conditions": { "database": database_met, "nats": nats } });
    assert_eq!(ask(&readiness).await, (200, expected));

    database.is_wrong("connection refused");
    advance(UNMET_AFTER).await;
    let (status, body) = ask(&readiness).await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(body["conditions"]["database"]["reason"], "connection refused");
}
