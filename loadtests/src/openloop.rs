//! Open-loop load: calls start at times fixed in advance, whether or not earlier ones have ended.
//!
//! A latency runs from the *scheduled* time to the end of the call. So a server that stalls is charged for every call
//! that it delays, and so is a generator that is late: there is no coordinated omission. How late the generator was is
//! measured too; where that is not small against the latencies, the machine had no room for both.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use crate::measured::{Failures, Samples};

/// From the start of a run to its first call.
const LEAD: Duration = Duration::from_millis(20);
/// Calls of one run.
const CALLS_MAX: u64 = 5_000_000;

/// What to send, and when.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Calls per second, evenly spaced.
    pub per_second: f64,
    /// How long requests are sent.
    pub duration: Duration,
    /// Open calls. A call that would be one more counts as failed: it is not delayed.
    pub in_flight_max: usize,
    /// A call that takes longer counts as failed.
    pub deadline: Duration,
}

impl Schedule {
    /// How many calls there are.
    pub fn calls(&self) -> u64 {
        ((self.duration.as_secs_f64() * self.per_second) as u64).min(CALLS_MAX)
    }
}

/// One call of the schedule.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// From 0.
    pub number: u64,
    /// When it should start. It starts later by the generator's lateness.
    pub scheduled: Instant,
}

/// What became of a schedule.
#[derive(Debug)]
pub struct Outcome<T> {
    /// From the scheduled time to the end of the call, of calls that succeeded.
    pub latencies: Samples,
    /// From the scheduled time to the start of the call.
    pub lateness: Samples,
    /// What the calls returned.
    pub values: Vec<T>,
    /// Requests without the right answer.
    pub failed: u64,
}

struct Done<T> {
    latency: Duration,
    value: T,
}

type Calls<T> = Vec<JoinHandle<anyhow::Result<Done<T>>>>;

/// Carries a schedule out and waits for its last call. An error when more than one call in a hundred failed.
pub async fn run<T, W, F>(schedule: Schedule, work: W) -> anyhow::Result<Outcome<T>>
where
    T: Send + 'static,
    W: Fn(Arrival) -> F + Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    // A thread that does nothing else: the runtime's timers count in whole milliseconds.
    let runtime = Handle::current();
    let (calls, lateness, mut failures) = spawn_blocking(move || dispatch(schedule, &work, &runtime)).await?;
    let count = calls.len() as u64 + failures.count;
    let (mut latencies, mut values) = (Vec::with_capacity(calls.len()), Vec::with_capacity(calls.len()));
    for call in calls {
        match call.await.context("a call panicked")? {
            Ok(done) => {
                latencies.push(done.latency);
                values.push(done.value);
            }
            Err(error) => failures.add(&error),
        }
    }
    failures.require_few(count)?;
    let (latencies, lateness) = (Samples::new(latencies)?, Samples::new(lateness)?);
    Ok(Outcome { latencies, lateness, values, failed: failures.count })
}

fn dispatch<T, W, F>(schedule: Schedule, work: &W, runtime: &Handle) -> (Calls<T>, Vec<Duration>, Failures)
where
    T: Send + 'static,
    W: Fn(Arrival) -> F,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let Schedule { per_second, in_flight_max, deadline, .. } = schedule;
    let open = Arc::new(Semaphore::new(in_flight_max));
    let start = Instant::now() + LEAD;
    let (mut calls, mut lateness, mut failures) = (Calls::new(), Vec::new(), Failures::default());
    for number in 0..schedule.calls() {
        // From the start, so that errors do not add up.
        let scheduled = start + Duration::from_secs_f64(number as f64 / per_second);
        park_until(scheduled);
        let Ok(permit) = Arc::clone(&open).try_acquire_owned() else {
            failures.add(&anyhow::anyhow!("{in_flight_max} calls were open already"));
            continue;
        };
        lateness.push(scheduled.elapsed());
        let call = work(Arrival { number, scheduled });
        calls.push(runtime.spawn(async move {
            let _permit = permit;
            let value = timeout(deadline, call).await.context("the call took too long")??;
            Ok(Done { latency: scheduled.elapsed(), value })
        }));
    }
    (calls, lateness, failures)
}

fn park_until(time: Instant) {
    loop {
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    const CALLS: u64 = 100;

    fn schedule(in_flight_max: usize) -> Schedule {
        let duration = Duration::from_millis(100);
        Schedule {
            per_second: CALLS as f64 / 0.1,
            duration,
            in_flight_max,
            deadline: Duration::from_secs(30),
        }
    }

    /// A server that answers nothing until the last call has come, then everything at once.
    #[tokio::test]
    async fn a_stalled_server_is_charged_for_every_call_that_it_delays() {
        let (came, seen) = watch::channel(0);
        let came = Arc::new(came);
        let outcome = run(schedule(1000), move |arrival| {
            let (came, mut seen) = (Arc::clone(&came), seen.clone());
            async move {
                came.send_modify(|count| *count += 1);
                seen.wait_for(|count| *count == CALLS).await?;
                Ok(arrival)
            }
        });
        let outcome = outcome.await.expect("all calls succeed");
        assert_eq!((outcome.latencies.len(), outcome.failed), (100, 0));
        let numbers: Vec<u64> = outcome.values.iter().map(|arrival| arrival.number).collect();
        assert_eq!(numbers, (0..CALLS).collect::<Vec<_>>());
        // The first call waited for the whole run, the middle one for half of it: a closed loop would show one slow call.
        assert!(outcome.latencies.percentile(1000) >= Duration::from_millis(99));
        assert!(outcome.latencies.percentile(500) >= Duration::from_millis(49));
    }

    #[tokio::test]
    async fn calls_start_at_their_times_and_never_before() {
        let outcome = run(schedule(1000), |arrival| async move {
            anyhow::ensure!(Instant::now() >= arrival.scheduled, "started early");
            Ok(arrival.scheduled)
        });
        let times = outcome.await.expect("none is early").values;
        let (first, last) = (times.first().expect("a call"), times.last().expect("a call"));
        assert_eq!((*last - *first).as_millis(), 99, "evenly spaced");
    }

    #[tokio::test]
    async fn calls_over_the_limit_fail_and_are_not_delayed() {
        let (_never, gate) = watch::channel(false);
        let stuck = Schedule { deadline: Duration::from_millis(300), ..schedule(10) };
        let outcome = run(stuck, move |_| {
            let mut gate = gate.clone();
            async move { Ok(gate.wait_for(|open| *open).await.map(|_| ())?) }
        });
        let error = outcome.await.expect_err("no call succeeds").to_string();
        assert!(error.contains("100 of 100") && error.contains("10 calls were open"), "{error}");
    }
}
