//! Waiting for a condition with a deadline. Used wherever something outside this process has to happen.

use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `probe` until it succeeds and returns its value. After `deadline`, the error names `what` and the reason that
/// the last look gave.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(reason) if started.elapsed() >= deadline => {
                anyhow::bail!("{what}: not within {} s: {reason}", deadline.as_secs_f32())
            }
            Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn returns_the_first_success() {
        let mut looks = 0;
        let value = until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("not yet".to_owned()) }
        });
        assert_eq!(value.await.expect("succeeds"), 3);
    }

    #[tokio::test]
    async fn the_error_says_what_was_waited_for_and_why_it_failed() {
        let never = until::<()>("a miracle", Duration::ZERO, async || Err("none seen".to_owned()));
        let error = never.await.expect_err("must fail").to_string();
        assert!(error.contains("a miracle") && error.contains("none seen"), "{error}");
    }
}
