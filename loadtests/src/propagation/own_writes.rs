//! Read your write: a key is made, and used at once at one of the gateways, with the consistency token of the answer that made it.
//!
//! The same request is sent once more without the token, when the gateway has the key. By how much the first one took longer is what the token
//! has added: the wait for the version that has the key.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde_json::json;
use testbed::api::CONSISTENCY;
use uuid::Uuid;

use crate::{
    changes::Subject,
    documents::{consumer_name, route_path},
    http1::with_key,
    measured::Samples,
    openloop::{self, Arrival, Schedule},
    report::{COUNT, MILLISECONDS, Report, milliseconds},
};

/// Consumers, and routes, that take turns.
const TAKING_TURNS: usize = 1_000;

/// Measures one round. Whoever is refused is counted, and the scenario fails in the end.
pub async fn measure(subject: &Subject, schedule: Schedule, report: &mut Report) -> anyhow::Result<()> {
    let subject = subject.clone();
    let outcome = openloop::run(schedule, move |arrival| {
        let subject = subject.clone();
        async move { make_and_use(&subject, arrival).await }
    })
    .await?;
    let added: Vec<Duration> = outcome.values.iter().filter_map(|used| used.ok()).collect();
    let refused: Vec<StatusCode> = outcome.values.iter().filter_map(|used| used.err()).collect();
    if let Some(status) = refused.first() {
        let count = refused.len();
        report.fault(format!(
            "{count} new keys were refused, {status}, with the token of the answer that made them"
        ));
    }
    let added = Samples::new(added)?;
    report.record("read_your_write_false_refusals", COUNT, refused.len() as f64);
    report.record("read_your_write_added_p99_ms", MILLISECONDS, milliseconds(added.percentile(990)));
    report.record_times("read_your_write_added", &added);
    report.record("read_your_write.failed", COUNT, outcome.failed as f64);
    Ok(())
}

/// How much the token added to the key's first use; the status with which that was refused, if it was, although the key had been made.
async fn make_and_use(subject: &Subject, arrival: Arrival) -> anyhow::Result<Result<Duration, StatusCode>> {
    let (gateway, api, entities) = subject.turn(arrival.number)?;
    let at = arrival.number as usize % TAKING_TURNS;
    let (key, path) = (Uuid::new_v4().to_string(), route_path(at).parse()?);
    let keys = format!("{entities}/consumers/{}/key-auth", consumer_name(at));
    let made = api.post(&keys, &json!({ "key": key })).await?;
    made.expect(201)?;
    let token = HeaderValue::from_str(made.consistency().context("an answer without a consistency token")?)?;

    let plain = with_key(&key)?;
    let mut with_token: HeaderMap = plain.clone();
    with_token.insert(HeaderName::from_static(CONSISTENCY), token);
    let began = Instant::now();
    let first = gateway.get(&path, &with_token).await?;
    let took = began.elapsed();
    if first != StatusCode::OK {
        return Ok(Err(first));
    }
    let began = Instant::now();
    let again = gateway.get(&path, &plain).await?;
    ensure!(again == StatusCode::OK, "a key that was let in is answered {again}");
    Ok(Ok(took.saturating_sub(began.elapsed())))
}
