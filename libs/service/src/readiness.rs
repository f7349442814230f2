//! Whether a process wants traffic, and why not: named conditions, each reported by the part that knows it.
//!
//! A part takes a [`Condition`] from [`Readiness`] and reports what it sees, as often as it likes. A condition does not change
//! with every report: it counts as not met once all reports of [`UNMET_AFTER`] said so, and as met again once all reports of
//! [`MET_AFTER`] did. Only the first report counts at once. So a load balancer that looks at `/readyz` sees no flapping.
//!
//! The process is ready while it serves and every *required* condition is met. The others are shown to the operator and
//! take nothing away. Example: while NATS is away, a region goes on with everything and is only slower, so `nats` is not
//! required; without its database a service can answer nothing, so `database` is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;
use tokio::time::Instant;

/// How long a condition has to fail, without a success in between, before it counts as not met.
pub const UNMET_AFTER: Duration = Duration::from_secs(3);
/// How long a condition that was not met has to succeed, without a failure in between, before it counts as met.
pub const MET_AFTER: Duration = Duration::from_secs(1);

/// What a condition that is not met takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The process is not ready.
    Required,
    /// Nothing: the operator sees it in the answer of `/readyz`.
    Shown,
}

/// What the process is doing as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is not yet listening.
    #[default]
    Starting,
    /// It takes requests.
    Serving,
    /// It finishes the requests that it has and takes no new ones.
    Draining,
}

/// All conditions of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    phase: Phase,
    conditions: BTreeMap<&'static str, State>,
}

/// Where one part of the process reports whether it is well. Cheap to clone.
#[derive(Clone)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

struct State {
    weight: Weight,
    /// What readiness goes by.
    met: bool,
    /// The last report; `None` before the first one.
    last: Option<Result<(), String>>,
    /// Since when reports have said the same.
    since: Instant,
    /// When `met` became what it is.
    changed: Instant,
    /// What was last logged of `met`.
    told: Option<bool>,
}

impl State {
    fn new(weight: Weight, now: Instant) -> Self {
        Self { weight, met: false, last: None, since: now, changed: now, told: None }
    }

    /// Lets the reports so far have their effect.
    fn settle(&mut self, now: Instant) {
        let (wanted, patience) = match &self.last {
            Some(Ok(())) => (true, MET_AFTER),
            Some(Err(_)) => (false, UNMET_AFTER),
            None => return,
        };
        if self.met != wanted && now.saturating_duration_since(self.since) >= patience {
            self.met = wanted;
            self.changed = now;
        }
    }

    fn report(&mut self, outcome: Result<(), String>, now: Instant) {
        self.settle(now);
        match &self.last {
            None => {
                self.met = outcome.is_ok();
                (self.since, self.changed) = (now, now);
            }
            Some(last) if last.is_ok() != outcome.is_ok() => self.since = now,
            Some(_) => {}
        }
        self.last = Some(outcome);
        self.settle(now);
    }
}

/// The answer of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process wants traffic: it serves, and every required condition is met.
    pub ready: bool,
    /// What the process is doing as a whole.
    pub phase: Phase,
    /// Every condition, by name.
    pub conditions: BTreeMap<&'static str, Shown>,
}

/// A condition in the answer of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Whether the condition counts as met; see [`UNMET_AFTER`] and [`MET_AFTER`].
    pub met: bool,
    /// Whether the process is not ready without it.
    pub required: bool,
    /// How long it has been met, or not met.
    pub for_seconds: u64,
    /// What the last report said was wrong; absent when it said that all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Readiness {
    /// Adds a condition, which is not met until its first report. A name that is there already names the same condition.
    pub fn condition(&self, name: &'static str, weight: Weight) -> Condition {
        self.inner().conditions.entry(name).or_insert_with(|| State::new(weight, Instant::now()));
        Condition { name, readiness: self.clone() }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.inner().phase = phase;
    }

    /// How everything is now.
    pub fn report(&self) -> Report {
        let now = Instant::now();
        let mut inner = self.inner();
        let mut conditions = BTreeMap::new();
        for (name, state) in &mut inner.conditions {
            state.settle(now);
            let reason = match &state.last {
                Some(Ok(())) => None,
                Some(Err(reason)) => Some(reason.clone()),
                None => Some("it has not been reported yet".to_owned()),
            };
            let shown = Shown {
                met: state.met,
                required: state.weight == Weight::Required,
                for_seconds: now.saturating_duration_since(state.changed).as_secs(),
                reason,
            };
            conditions.insert(*name, shown);
        }
        let phase = inner.phase;
        let all_met = conditions.values().all(|shown| shown.met || !shown.required);
        Report { ready: phase == Phase::Serving && all_met, phase, conditions }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// Reports that all is well.
    pub fn is_well(&self) {
        self.report(Ok(()));
    }

    /// Reports what is wrong, in a sentence for the operator.
    pub fn is_wrong(&self, reason: impl std::fmt::Display) {
        self.report(Err(reason.to_string()));
    }

    /// Reports the outcome of a check.
    pub fn report(&self, outcome: Result<(), String>) {
        let mut inner = self.readiness.inner();
        let Some(state) = inner.conditions.get_mut(self.name) else { return };
        state.report(outcome, Instant::now());
        let met = state.met;
        if state.told == Some(met) {
            return;
        }
        state.told = Some(met);
        let reason = state.last.as_ref().and_then(|last| last.as_ref().err().cloned());
        drop(inner);
        metrics::gauge!("landbridge_condition_met", "condition" => self.name).set(f64::from(u8::from(met)));
        match met {
            true => tracing::info!(condition = self.name, "a condition of readiness is met"),
            false => tracing::warn!(condition = self.name, reason, "a condition of readiness is not met"),
        }
    }
}

/// `/readyz`: 200 when ready and 503 when not, both with the report as JSON.
pub(crate) fn router(readiness: Readiness) -> Router {
    Router::new().route(
        "/readyz",
        get(move || async move {
            let report = readiness.report();
            let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(report)).into_response()
        }),
    )
}

#[cfg(test)]
mod tests;
