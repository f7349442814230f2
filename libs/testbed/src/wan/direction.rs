//! One direction of a link: how long bytes are under way, and whether they arrive at all.

use std::{
    num::NonZeroU64,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use random::Random;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

const DELAY_DEFAULT: Duration = Duration::from_millis(40);
const JITTER_DEFAULT: Duration = Duration::from_millis(2);

/// How one direction behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// How long a byte is under way.
    pub delay: Duration,
    /// What chance adds to the delay at most. Order is kept.
    pub jitter: Duration,
    /// Bytes per second of all connections together; unlimited when `None`.
    pub bandwidth: Option<NonZeroU64>,
    /// Nothing arrives.
    pub is_cut: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { delay: DELAY_DEFAULT, jitter: JITTER_DEFAULT, bandwidth: None, is_cut: false }
    }
}

/// What passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// Connections that are open.
    pub connections: usize,
    /// Bytes that are under way: sent, and not yet delivered.
    pub held_bytes: usize,
    /// Bytes that have been delivered since the start.
    pub delivered_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Direction {
    conditions: watch::Sender<Conditions>,
    /// When the line has sent what it was given so far; counts with a bandwidth only.
    free_at: Mutex<Option<Instant>>,
    connections: AtomicUsize,
    held_bytes: AtomicUsize,
    delivered_bytes: AtomicU64,
}

impl Direction {
    /// A direction on which nothing has been sent yet.
    pub fn new(conditions: Conditions) -> Self {
        Self {
            conditions: watch::Sender::new(conditions),
            free_at: Mutex::default(),
            connections: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            delivered_bytes: AtomicU64::new(0),
        }
    }

    /// How it is now.
    pub fn conditions(&self) -> Conditions {
        *self.conditions.borrow()
    }

    /// Changes how it is, for what is sent from now on and for what is under way.
    pub fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }

    /// What is under way, and what has been delivered.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.connections.load(Ordering::Relaxed),
            held_bytes: self.held_bytes.load(Ordering::Relaxed),
            delivered_bytes: self.delivered_bytes.load(Ordering::Relaxed),
        }
    }

    /// When `bytes` that are sent now arrive, unless a cut holds them.
    pub fn arrival(&self, bytes: usize) -> Instant {
        let Conditions { delay, jitter, bandwidth, .. } = self.conditions();
        let sent = match bandwidth {
            Some(bandwidth) => self.sent_at(bytes, bandwidth),
            None => Instant::now(),
        };
        sent + delay + jitter.mul_f64(Random::system().number() as f64 / u64::MAX as f64)
    }

    fn sent_at(&self, bytes: usize, bandwidth: NonZeroU64) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / bandwidth.get() as f64);
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = free_at.map_or(now, |free_at| free_at.max(now)) + takes;
        *free_at = Some(sent);
        sent
    }

    /// Returns at `arrival`, or as much later as a cut makes it.
    pub async fn until(&self, arrival: Instant) {
        sleep_until(arrival).await;
        let mut conditions = self.conditions.subscribe();
        while conditions.borrow_and_update().is_cut {
            if conditions.wait_for(|conditions| !conditions.is_cut).await.is_err() {
                return;
            }
            // What the cut swallowed is sent again, and takes its time.
            sleep(self.conditions().delay).await;
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub fn connection(&self) -> ConnectionGuard<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        ConnectionGuard(self)
    }

    /// Counts bytes as held for as long as the guard lives.
    pub fn hold(&self, bytes: usize) -> HeldGuard<'_> {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        HeldGuard(self, bytes)
    }

    /// Counts bytes that have arrived.
    pub fn delivered(&self, bytes: usize) {
        self.delivered_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct ConnectionGuard<'a>(&'a Direction);

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct HeldGuard<'a>(&'a Direction, usize);

impl Drop for HeldGuard<'_> {
    fn drop(&mut self) {
        self.0.held_bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}
