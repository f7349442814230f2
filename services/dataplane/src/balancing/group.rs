//! The endpoints of one upstream at run time: what its names resolve to, which of them are up, and which one gets a request.
//!
//! A group is shared by all threads and kept for as long as its upstream is: a change of the upstream, of its targets or of their addresses
//! makes the next [`Spread`], in which the endpoints that stay keep their requests in flight, latency and health. A request holds the spread
//! that it began with.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use balancer::{Draw, InFlight, Observed, Policy, RetryBudget, Shift, Source};
use clock::Stopwatch;
use http::StatusCode;
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    definition::Definition,
    names::Answer,
    spread::{Answers, Spread},
};

/// The endpoints of an upstream.
pub struct Group {
    /// Id of the upstream.
    pub id: Uuid,
    spread: ArcSwap<Spread>,
    /// Bounds how many of its requests are repeated.
    pub budget: RetryBudget,
    time: Stopwatch,
    /// Held while the next spread is made.
    answers: Mutex<Answers>,
    /// Tells the group's tasks that the definition, the addresses or the health has changed.
    changed: watch::Sender<()>,
    /// Tells whoever wants to know of all groups the same.
    news: watch::Sender<()>,
    /// How many definitions there were, and the last one whose names were all asked for.
    generation: AtomicU64,
    resolved: watch::Sender<u64>,
}

/// An endpoint that a request is sent to. The request counts as in flight until `in_flight` is dropped.
#[derive(Debug)]
pub struct Picked {
    /// Its place in the spread.
    pub index: usize,
    /// When it was picked.
    pub at: Duration,
    /// Whether it is down, and the request tries it.
    pub is_trial: bool,
    /// Counts the request.
    pub in_flight: InFlight,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Group {
    /// A group whose names were not resolved yet.
    pub fn new(definition: Arc<Definition>, time: Stopwatch, news: watch::Sender<()>) -> Self {
        let (id, now) = (definition.id, time.elapsed());
        let spread = Spread::new(definition, &Answers::new(), None, now);
        Self {
            id,
            spread: ArcSwap::from_pointee(spread),
            budget: RetryBudget::default(),
            time,
            answers: Mutex::default(),
            changed: watch::channel(()).0,
            news,
            generation: AtomicU64::new(1),
            resolved: watch::channel(0).0,
        }
    }

    /// How requests are spread now.
    pub fn spread(&self) -> Arc<Spread> {
        self.spread.load_full()
    }

    /// The time, as balancers count it.
    pub fn now(&self) -> Duration {
        self.time.elapsed()
    }

    /// Goes on with another definition. Returns whether that brings names which were not asked for yet.
    pub fn define(&self, definition: Arc<Definition>) -> bool {
        let answers = self.answers();
        let before = self.spread.load().definition.clone();
        let brings_names = definition.names().any(|name| before.names().all(|held| held != name));
        self.replace(definition, &answers);
        drop(answers);
        self.generation.fetch_add(1, Release);
        self.tell();
        brings_names
    }

    /// How many definitions there were.
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// All names of the definition with this number were asked for.
    pub fn note_resolved(&self, generation: u64) {
        self.resolved.send_replace(generation);
    }

    /// Waits until all names of its definition were asked for once.
    pub async fn resolved_once(&self) {
        let generation = self.generation();
        // It cannot fail: the sender is the group's own.
        let _ = self.resolved.subscribe().wait_for(|resolved| *resolved >= generation).await;
    }

    /// Goes on with what `name` resolved to. `is_same`: nothing but the time until which it counts has changed.
    pub fn resolved(&self, name: &str, answer: Arc<Answer>, is_same: bool) {
        let mut answers = self.answers();
        answers.insert(name.to_owned(), answer);
        if is_same {
            return;
        }
        let definition = self.spread.load().definition.clone();
        answers.retain(|name, _| definition.names().any(|other| other == name));
        self.replace(definition, &answers);
    }

    /// What `name` resolved to last.
    pub fn answer(&self, name: &str) -> Option<Arc<Answer>> {
        self.answers().get(name).cloned()
    }

    /// Sees each change of the definition, the addresses and the health.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// An endpoint for a request which has the hash `key`; not one of those in `tried`.
    pub fn pick(
        &self,
        spread: &Spread,
        key: Option<u64>,
        tried: &[usize],
        random: &dyn Fn() -> u64,
    ) -> Option<Picked> {
        let now = self.now();
        let picked = spread.balancer.pick(&Draw { now, key, tried, random })?;
        let endpoint = spread.endpoint(picked.member)?;
        Some(Picked { index: picked.member, at: now, is_trial: picked.is_trial, in_flight: endpoint.begin() })
    }

    /// Takes in how an attempt ended: with a status, or why without.
    pub fn attempted(&self, spread: &Spread, picked: &Picked, outcome: Result<StatusCode, Observed>) {
        let settings = spread.balancer.settings();
        let measures = settings.policy == Policy::Latency;
        let counts = picked.is_trial || settings.rules.passive.takes_down();
        if outcome.is_ok() && !measures && !counts {
            return;
        }
        let now = self.now();
        let took = now.saturating_sub(picked.at);
        match (outcome, spread.endpoint(picked.index)) {
            (Ok(_), Some(endpoint)) if measures => endpoint.answered(now, took),
            (Err(_), Some(endpoint)) => endpoint.failed(now, took),
            _ => {}
        }
        if counts {
            let judged = |status| spread.definition.passive.judge(status);
            let observed = outcome.map_or_else(|observed| observed, judged);
            let source = if picked.is_trial { Source::Trial } else { Source::Passive };
            self.observe(spread, picked.index, source, observed);
        }
    }

    /// Takes in what was found of an endpoint.
    pub fn observe(&self, spread: &Spread, index: usize, source: Source, observed: Observed) {
        let Some(endpoint) = spread.endpoint(index) else { return };
        let now = self.now();
        let shift = endpoint.health().observe(source, observed, &spread.balancer.settings().rules, now);
        match shift {
            Some(shift) => self.shifted(spread, index, shift, now),
            None if source == Source::Trial => self.settle(spread),
            None => {}
        }
    }

    fn shifted(&self, spread: &Spread, index: usize, shift: Shift, now: Duration) {
        if let (Shift::Up, Some(endpoint)) = (shift, spread.endpoint(index)) {
            endpoint.recovered(now);
        }
        self.settle(spread);
        self.tell();
        let (upstream, place) = (spread.definition.name.as_str(), spread.place(index));
        let (target, address) = place.map(|place| (place.target.to_string(), place.address)).unzip();
        match shift {
            Shift::Up => tracing::info!(upstream, target, ?address, "a target is up again"),
            Shift::Down => {
                tracing::warn!(upstream, target, ?address, "a target is down: it gets no requests")
            }
        }
    }

    /// Lets the choice of `spread`, and that of the present one, see what has become of an endpoint.
    fn settle(&self, spread: &Spread) {
        spread.balancer.settle();
        self.spread.load().balancer.settle();
    }

    fn replace(&self, definition: Arc<Definition>, answers: &Answers) {
        let (before, now) = (self.spread.load_full(), self.now());
        let next = Spread::new(definition, answers, Some(&before), now);
        for member in next.balancer.members() {
            let _ = member.endpoint.health().adopt(&next.balancer.settings().rules, now);
        }
        self.spread.store(Arc::new(next));
        // Whoever saw an endpoint change meanwhile may have told the spread before.
        self.spread.load().balancer.settle();
        before.balancer.settle();
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_replace(());
        self.news.send_replace(());
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        // It is whole after each change.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
