//! Closed-loop load: a fixed number of callers, each of which sends its next call when the last one has ended.
//!
//! Finds what a server carries at that concurrency. Its latencies say nothing about users, who do not wait for each
//! other: for those see [`crate::openloop`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{task::JoinSet, time::timeout};

use crate::measured::{Failures, Samples};

/// A call that takes longer counts as failed.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// A caller gives up after this many failures.
const FAILURES_PER_CALLER_MAX: u64 = 100;

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// From 0.
    pub caller: usize,
    /// Differs between all calls of a run.
    pub number: u64,
}

/// What the callers saw.
#[derive(Debug)]
pub struct Outcome {
    /// Time from sending each request to its answer.
    pub latencies: Samples,
    /// Successful calls per second of all callers together.
    pub per_second: f64,
    /// Requests without the right answer.
    pub failed: u64,
}

/// Lets `callers` call for `duration`. An error when more than one call in a hundred failed.
pub async fn run<W, F>(callers: usize, duration: Duration, work: W) -> anyhow::Result<Outcome>
where
    W: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (work, started) = (Arc::new(work), Instant::now());
    let mut running = JoinSet::new();
    for caller in 0..callers {
        let work = Arc::clone(&work);
        running.spawn(async move { call_until(started + duration, caller, callers, &*work).await });
    }
    let (mut latencies, mut failures) = (Vec::new(), Failures::default());
    while let Some(done) = running.join_next().await {
        let (times, failed) = done.context("a caller panicked")?;
        latencies.extend(times);
        failures.merge(failed);
    }
    let elapsed = started.elapsed();
    failures.require_few(latencies.len() as u64 + failures.count)?;
    let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
    Ok(Outcome { latencies: Samples::new(latencies)?, per_second, failed: failures.count })
}

async fn call_until<W, F>(end: Instant, caller: usize, callers: usize, work: &W) -> (Vec<Duration>, Failures)
where
    W: Fn(Call) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let (mut times, mut failures) = (Vec::new(), Failures::default());
    let mut number = caller as u64;
    loop {
        let started = Instant::now();
        if started >= end || failures.count >= FAILURES_PER_CALLER_MAX {
            return (times, failures);
        }
        match timeout(CALL_DEADLINE, work(Call { caller, number })).await.context("the call took too long") {
            Ok(Ok(())) => times.push(started.elapsed()),
            Ok(Err(error)) | Err(error) => failures.add(&error),
        }
        number += callers as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Mutex, PoisonError},
    };

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_are_concurrent_up_to_their_number_and_calls_differ() {
        let (open, numbers) = (Arc::new(Semaphore::new(4)), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&numbers);
        let outcome = run(4, Duration::from_millis(50), move |call| {
            let (open, numbers) = (Arc::clone(&open), Arc::clone(&numbers));
            async move {
                let _permit = open.try_acquire().context("a fifth call at once")?;
                tokio::task::yield_now().await;
                numbers.lock().unwrap_or_else(PoisonError::into_inner).push(call.number);
                Ok(())
            }
        });
        let outcome = outcome.await.expect("no call fails");
        let numbers = seen.lock().expect("whole").clone();
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
        assert_eq!(outcome.latencies.len(), numbers.len());
        assert!(outcome.per_second > 0.0 && outcome.failed == 0);
    }

    #[tokio::test]
    async fn callers_that_only_fail_give_up() {
        let outcome = run(2, Duration::from_secs(3600), |_| async { anyhow::bail!("refused") });
        let error = outcome.await.expect_err("every call fails").to_string();
        assert!(error.contains("200 of 200") && error.contains("refused"), "{error}");
    }
}
