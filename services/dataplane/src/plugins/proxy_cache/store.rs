//! Answers that are kept, for all plugins of a gateway, in a bounded memory. The least recently used ones go first.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, request::Parts};
use http_cache_semantics::{BeforeRequest, CachePolicy};
use moka::{Expiry, sync::Cache};
use uuid::Uuid;

use super::Generations;

/// Answers to the same request that differ by what `Vary` names, at most.
const VARIANTS_MAX: usize = 16;
/// What an answer takes besides its headers and body, in bytes; and each of its headers besides its name and value.
const ANSWER_BYTES: usize = 1024;
const HEADER_BYTES: usize = 64;

/// The name of an answer: a hash of what it depends on.
pub type Key = [u8; 32];

/// An answer that is kept.
pub struct Stored {
    /// The plugin that keeps it.
    pub plugin: Uuid,
    /// When the upstream gave it.
    pub at: SystemTime,
    /// Until when, and to which requests, it may be given.
    pub policy: CachePolicy,
    /// How long it is kept in all.
    pub kept_for: Duration,
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those of the connection.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What there is for a request.
pub enum Found {
    /// An answer that may be given.
    Fresh(Arc<Stored>),
    /// One that may not be given any more, or not to this request.
    Stale,
    /// Nothing.
    Nothing,
}

/// All answers that a gateway keeps. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    answers: Cache<Key, Arc<[Arc<Stored>]>>,
    generations: Generations,
}

impl Store {
    /// An empty one, for `bytes_max` bytes of answers.
    pub fn new(bytes_max: u64) -> Self {
        let weigh = |_: &Key, variants: &Arc<[Arc<Stored>]>| {
            let bytes: usize = variants.iter().map(|stored| stored.bytes()).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let answers = Cache::builder().max_capacity(bytes_max).weigher(weigh).expire_after(KeptFor).build();
        Self { answers, generations: Generations::default() }
    }

    /// How often paths have changed.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// What there is for `request` under `key`.
    pub fn find(&self, key: &Key, request: &Parts, now: SystemTime) -> Found {
        let Some(variants) = self.answers.get(key) else { return Found::Nothing };
        let mut found = Found::Nothing;
        for stored in variants.iter() {
            match stored.policy.before_request(request, now) {
                BeforeRequest::Fresh(_) => return Found::Fresh(stored.clone()),
                BeforeRequest::Stale { matches: true, .. } => found = Found::Stale,
                BeforeRequest::Stale { matches: false, .. } => {}
            }
        }
        found
    }

    /// Keeps an answer to `request`, in place of an earlier one.
    pub fn keep(&self, key: Key, request: &Parts, stored: Stored) {
        let (before, at) = (self.answers.get(&key), stored.at);
        let others = before.iter().flat_map(|variants| variants.iter()).filter(|other| {
            matches!(other.policy.before_request(request, at), BeforeRequest::Stale { matches: false, .. })
        });
        let variants = [Arc::new(stored)].into_iter().chain(others.cloned()).take(VARIANTS_MAX).collect();
        self.answers.insert(key, variants);
    }

    /// The answers under `key`.
    pub fn get(&self, key: &Key) -> Option<Arc<[Arc<Stored>]>> {
        self.answers.get(key)
    }

    /// Forgets the answers under `key`. Says whether there were some.
    pub fn purge(&self, key: &Key) -> bool {
        self.answers.remove(key).is_some()
    }

    /// How many bytes it holds, when all is done that was begun.
    #[cfg(test)]
    pub fn settled_bytes(&self) -> u64 {
        self.answers.run_pending_tasks();
        self.answers.weighted_size()
    }

    /// Forgets all answers.
    pub fn purge_all(&self) {
        self.answers.invalidate_all();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("bytes", &self.answers.weighted_size()).finish()
    }
}

impl Stored {
    fn bytes(&self) -> usize {
        let headers =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES);
        // Twice: the policy has them too.
        ANSWER_BYTES + self.body.len() + 2 * headers.sum::<usize>()
    }
}

/// How long what is kept stays.
struct KeptFor;

impl Expiry<Key, Arc<[Arc<Stored>]>> for KeptFor {
    fn expire_after_create(&self, _: &Key, variants: &Arc<[Arc<Stored>]>, _: Instant) -> Option<Duration> {
        variants.iter().map(|stored| stored.kept_for).max()
    }

    fn expire_after_update(
        &self,
        _: &Key,
        variants: &Arc<[Arc<Stored>]>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        variants.iter().map(|stored| stored.kept_for).max()
    }
}
