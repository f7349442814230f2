//! How far an import has come, in memory: written by whoever does the work, read by whoever tells of it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use uuid::Uuid;

/// What happens to an import at the moment, or how it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for its turn: to be read, and later for the writes before it.
    Queued,
    /// Its text is read.
    Reading,
    /// Each of its entities is checked by itself, and passwords are hashed.
    Checking,
    /// It is compared with what is there.
    Planning,
    /// It is compared with what is there, and what differs is written. Nobody sees it yet.
    Writing,
    /// Ended: all of it is there.
    Committed,
    /// Ended, as a dry run does: nothing was written.
    Planned,
    /// Ended: nothing was written, and `problem` says why.
    Failed,
    /// Its process was not heard of for 15 seconds. What it had not committed was not written.
    Abandoned,
}

impl Phase {
    const ALL: [Self; 9] = [
        Self::Queued,
        Self::Reading,
        Self::Checking,
        Self::Planning,
        Self::Writing,
        Self::Committed,
        Self::Planned,
        Self::Failed,
        Self::Abandoned,
    ];

    /// The word of the API and of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reading => "reading",
            Self::Checking => "checking",
            Self::Planning => "planning",
            Self::Writing => "writing",
            Self::Committed => "committed",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// The phase that this word means.
    pub fn of(word: &str) -> Option<Self> {
        // A phase of its own until 0.3.
        if word == "hashing" {
            return Some(Self::Checking);
        }
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// What happens now.
    pub phase: Phase,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do; `None`: not known yet.
    pub total: Option<u64>,
}

/// How far one import has come, now and later. Clones share it.
#[derive(Clone, Debug)]
pub struct Progress {
    import: Uuid,
    at: Arc<watch::Sender<At>>,
}

impl Progress {
    /// Of an import that waits.
    pub fn new(import: Uuid) -> Self {
        let at = At { phase: Phase::Queued, done: 0, total: None };
        Self { import, at: Arc::new(watch::Sender::new(at)) }
    }

    /// The import's id.
    pub fn import(&self) -> Uuid {
        self.import
    }

    /// The next phase begins, with so much to do.
    pub fn enter(&self, phase: Phase, total: Option<usize>) {
        let total = total.map(|total| total as u64);
        let before = self.at.send_replace(At { phase, done: 0, total });
        metrics::counter!("landbridge_import_entities_total", "phase" => before.phase.as_str())
            .increment(before.done);
    }

    /// So much more of the phase is done. Those who watch are not woken: they look from time to time.
    pub fn add(&self, more: usize) {
        self.at.send_if_modified(|at| {
            at.done += more as u64;
            false
        });
    }

    /// How far it has come; a change is a new phase.
    pub fn watch(&self) -> watch::Receiver<At> {
        self.at.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_word_that_the_api_shows() {
        for phase in Phase::ALL {
            assert_eq!(Phase::of(phase.as_str()), Some(phase));
            assert_eq!(serde_json::json!(phase), phase.as_str());
        }
        assert_eq!(Phase::of("running"), None);
    }

    #[test]
    fn only_a_new_phase_wakes_and_each_counts_from_zero() {
        let progress = Progress::new(Uuid::nil());
        let mut seen = progress.watch();
        progress.add(2);
        assert!(!seen.has_changed().expect("open"));
        assert_eq!(*seen.borrow_and_update(), At { phase: Phase::Queued, done: 2, total: None });
        progress.enter(Phase::Checking, Some(7));
        assert!(seen.has_changed().expect("open"));
        progress.add(3);
        assert_eq!(*seen.borrow_and_update(), At { phase: Phase::Checking, done: 3, total: Some(7) });
    }
}
