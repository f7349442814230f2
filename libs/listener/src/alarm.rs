//! A timer that is set far more often than it rings.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at the time that was set last. One lasts for a whole connection: to set a later time is a store, and the timer behind it is only
/// moved when it wakes up too early. (A timer for each request would be made, put into the runtime's wheel, taken out and freed each time.)
#[derive(Debug, Default)]
pub struct Alarm {
    rings: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Rings at `at`, and not at the time that was set before.
    pub fn set(&mut self, at: Instant) {
        self.rings = Some(at);
    }

    /// Rings when `limit` has passed since this was asked first. Ready, once, then.
    pub fn poll_after(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.rings.is_none() {
            self.set(Instant::now() + limit);
        }
        self.poll(cx)
    }

    /// Does not ring.
    pub fn clear(&mut self) {
        self.rings = None;
    }

    /// Whether a time is set.
    pub fn is_set(&self) -> bool {
        self.rings.is_some()
    }

    /// Ready, once, when the time that is set has come. While none is set it is pending, and wakes nobody.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rings) = self.rings else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(rings)));
        if rings < timer.deadline() {
            timer.as_mut().reset(rings);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= rings {
                self.rings = None;
                return Poll::Ready(());
            }
            timer.as_mut().reset(rings);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn rings(alarm: &mut Alarm) {
        poll_fn(|cx| alarm.poll(cx)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_was_set_last_counts() {
        let (mut alarm, begun) = (Alarm::default(), Instant::now());
        alarm.set(begun + SECOND);
        assert!(timeout(SECOND / 2, rings(&mut alarm)).await.is_err());
        alarm.set(begun + 3 * SECOND);
        rings(&mut alarm).await;
        assert_eq!(begun.elapsed().as_secs(), 3, "a later time");
        alarm.set(begun + 9 * SECOND);
        assert!(timeout(SECOND / 2, rings(&mut alarm)).await.is_err());
        alarm.set(begun + 4 * SECOND);
        rings(&mut alarm).await;
        assert_eq!(begun.elapsed().as_secs(), 4, "an earlier time");
        alarm.set(begun);
        rings(&mut alarm).await;
        assert_eq!(begun.elapsed().as_secs(), 4, "a time that is over");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_it_does_not_ring() {
        let mut alarm = Alarm::default();
        assert!(timeout(SECOND, rings(&mut alarm)).await.is_err());
        alarm.set(Instant::now());
        rings(&mut alarm).await;
        assert!(timeout(SECOND, rings(&mut alarm)).await.is_err(), "it has rung");
        alarm.set(Instant::now());
        alarm.clear();
        assert!(timeout(SECOND, rings(&mut alarm)).await.is_err());
    }
}
