//! Whether an endpoint is up: by what checks and requests found, or by hand.
//!
//! As in Kong: successes, failed connections, failed requests and timeouts are counted, each with its own threshold; 0 stands for never. A
//! success makes the failures forgotten, and a failure the successes. Two things differ. What active checks find and what requests meet is
//! counted apart, so that a health page that answers does not hide requests that fail. And an endpoint that requests have taken down comes
//! back without an active check: after a pause, which doubles each time that it fails, one request at a time tries it (a circuit breaker
//! that is half open). One that was taken down by hand comes back by hand, or by active checks.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::latency::nanoseconds;

/// How long an endpoint that requests have taken down gets none, at first.
pub const TRIAL_PAUSE_MIN: Duration = Duration::from_secs(10);
/// The same, at most.
pub const TRIAL_PAUSE_MAX: Duration = Duration::from_secs(300);
const NEVER: u64 = u64::MAX;

/// Who found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A check.
    Active,
    /// A request.
    Passive,
    /// A request that tried an endpoint which is down ([`Health::takes_trial`]).
    Trial,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// An answer that counts as a success.
    Success,
    /// An answer that counts as neither.
    Neutral,
    /// An answer that counts as a failure.
    HttpFailure,
    /// There was no connection, or it broke.
    TcpFailure,
    /// There was no answer in time.
    Timeout,
}

/// How many of each make an endpoint up or down; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes in turn that make it up.
    pub successes: u8,
    /// Failed connections that make it down.
    pub tcp_failures: u8,
    /// Failed requests that make it down.
    pub http_failures: u8,
    /// Timeouts that make it down.
    pub timeouts: u8,
}

impl Thresholds {
    /// Whether something makes an endpoint down.
    pub fn takes_down(&self) -> bool {
        self.tcp_failures > 0 || self.http_failures > 0 || self.timeouts > 0
    }
}

/// How endpoints go up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// By active checks.
    pub active: Thresholds,
    /// By requests.
    pub passive: Thresholds,
    /// Whether active checks bring back what is down. Then requests do not try it.
    pub active_brings_back: bool,
}

/// An endpoint has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// It takes requests from now on.
    Up,
    /// It takes none.
    Down,
}

/// The health of one endpoint.
#[derive(Debug)]
pub struct Health {
    is_up: AtomicBool,
    /// Whether requests have something counted against it. Most have not, and a success changes nothing then.
    is_noted: AtomicBool,
    /// When a request may try it, in nanoseconds.
    trial_at: AtomicU64,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    active: Counts,
    passive: Counts,
    /// Whether it was taken down by hand.
    by_hand: bool,
    /// How often in turn it failed when it was tried, and once for when it went down.
    failed_trials: u32,
}

#[derive(Debug, Default)]
struct Counts {
    successes: u8,
    tcp_failures: u8,
    http_failures: u8,
    timeouts: u8,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            is_up: AtomicBool::new(true),
            is_noted: AtomicBool::new(false),
            trial_at: AtomicU64::new(NEVER),
            counted: Mutex::default(),
        }
    }
}

impl Health {
    /// Whether it takes requests.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Relaxed)
    }

    /// Whether it is down and a request may try it. Says so to one caller, and to the next after a pause or when the request is over.
    pub fn takes_trial(&self, now: Duration) -> bool {
        let (due, now) = (self.trial_at.load(Relaxed), nanoseconds(now));
        let next = now.saturating_add(nanoseconds(TRIAL_PAUSE_MIN));
        due <= now && !self.is_up() && self.trial_at.compare_exchange(due, next, Relaxed, Relaxed).is_ok()
    }

    /// When a request may try it, in nanoseconds; [`NEVER`] if none may.
    pub(crate) fn trial_at(&self) -> u64 {
        self.trial_at.load(Relaxed)
    }

    /// Takes in what was found. Returns how that changed the endpoint.
    pub fn observe(&self, source: Source, observed: Observed, rules: &Rules, now: Duration) -> Option<Shift> {
        let is_good = matches!(observed, Observed::Success | Observed::Neutral);
        if source == Source::Passive && (!self.is_up() || is_good && !self.is_noted.load(Relaxed)) {
            return None;
        }
        let mut counted = self.counted();
        let is_up = self.is_up();
        match source {
            Source::Active => {
                let reached = counted.active.count(observed, &rules.active);
                match (is_up, is_good) {
                    (true, false) if reached => Some(self.go_down(&mut counted, rules, now)),
                    (false, true) if reached => Some(self.go_up(&mut counted)),
                    _ => None,
                }
            }
            Source::Passive => {
                let reached = counted.passive.count(observed, &rules.passive);
                self.is_noted.store(counted.passive.has_failures(), Relaxed);
                (is_up && reached && !is_good).then(|| self.go_down(&mut counted, rules, now))
            }
            // It was decided otherwise meanwhile.
            Source::Trial if is_up || counted.by_hand => None,
            Source::Trial if !is_good => {
                self.plan_trial(&mut counted, now);
                None
            }
            Source::Trial => {
                counted.passive.count(Observed::Success, &rules.passive);
                if counted.passive.successes >= rules.passive.successes {
                    return Some(self.go_up(&mut counted));
                }
                self.trial_at.store(nanoseconds(now), Relaxed);
                None
            }
        }
    }

    /// Makes it up or down by hand, and forgets what was counted. Returns how that changed it.
    pub fn set(&self, up: bool) -> Option<Shift> {
        let mut counted = self.counted();
        let was_up = self.is_up();
        if up {
            let _ = self.go_up(&mut counted);
        } else {
            *counted = Counted { by_hand: true, ..Counted::default() };
            self.is_noted.store(false, Relaxed);
            self.trial_at.store(NEVER, Relaxed);
            self.is_up.store(false, Relaxed);
        }
        match (was_up, up) {
            (true, false) => Some(Shift::Down),
            (false, true) => Some(Shift::Up),
            _ => None,
        }
    }

    /// Goes on under other rules. What is down, not by hand, and could never have gone down under these comes up.
    pub fn adopt(&self, rules: &Rules, now: Duration) -> Option<Shift> {
        let mut counted = self.counted();
        if self.is_up() || counted.by_hand {
            return None;
        }
        if !rules.active.takes_down() && !rules.passive.takes_down() {
            return Some(self.go_up(&mut counted));
        }
        let is_planned = self.trial_at.load(Relaxed) != NEVER;
        match (rules.active_brings_back, is_planned) {
            (true, true) => self.trial_at.store(NEVER, Relaxed),
            (false, false) => self.trial_at.store(nanoseconds(now), Relaxed),
            _ => {}
        }
        None
    }

    fn go_up(&self, counted: &mut Counted) -> Shift {
        *counted = Counted::default();
        self.is_noted.store(false, Relaxed);
        self.trial_at.store(NEVER, Relaxed);
        self.is_up.store(true, Relaxed);
        Shift::Up
    }

    fn go_down(&self, counted: &mut Counted, rules: &Rules, now: Duration) -> Shift {
        *counted = Counted::default();
        self.is_noted.store(false, Relaxed);
        if !rules.active_brings_back {
            self.plan_trial(counted, now);
        }
        self.is_up.store(false, Relaxed);
        Shift::Down
    }

    fn plan_trial(&self, counted: &mut Counted, now: Duration) {
        let pause = TRIAL_PAUSE_MIN.saturating_mul(1 << counted.failed_trials.min(16)).min(TRIAL_PAUSE_MAX);
        counted.failed_trials = counted.failed_trials.saturating_add(1);
        self.trial_at.store(nanoseconds(now.saturating_add(pause)), Relaxed);
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Its counts are whole after each change.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts what was found. Whether a threshold is reached.
    fn count(&mut self, observed: Observed, thresholds: &Thresholds) -> bool {
        let (count, threshold) = match observed {
            Observed::Neutral => return false,
            Observed::Success => (&mut self.successes, thresholds.successes),
            Observed::HttpFailure => (&mut self.http_failures, thresholds.http_failures),
            Observed::TcpFailure => (&mut self.tcp_failures, thresholds.tcp_failures),
            Observed::Timeout => (&mut self.timeouts, thresholds.timeouts),
        };
        *count = count.saturating_add(1);
        let reached = threshold > 0 && *count >= threshold;
        match observed {
            Observed::Success => *self = Self { successes: self.successes, ..Self::default() },
            _ => self.successes = 0,
        }
        reached
    }

    fn has_failures(&self) -> bool {
        self.http_failures > 0 || self.tcp_failures > 0 || self.timeouts > 0
    }
}

#[cfg(test)]
mod tests;
