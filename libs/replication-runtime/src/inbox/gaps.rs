//! What is missing, since when, and who is being asked for it. One fetch per log at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    time::Duration,
};

use ids::Region;
use replication::{Entry, Gap, Intake, Origin};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    fetch::{FAILED_MEMORY, Fetched, Holder, choose, fetch},
    metrics,
    peers::Unreachable,
    shared::Shared,
};

/// What is missing is left to the stream for so long, unless somebody waits for it.
const GRACE: Duration = Duration::from_millis(150);

/// One log's gap.
struct Waiting {
    after_seq: u64,
    since: Instant,
    /// The stream is known not to bring it: page follows page, as long as each brings something.
    catching_up: bool,
    /// After which entry the page that came last was asked for.
    came_after: Option<u64>,
}

/// All gaps of this database's logs, and the fetches that are under way for them.
#[derive(Default)]
pub struct Gaps {
    waiting: BTreeMap<Origin, Waiting>,
    fetching: BTreeSet<Origin>,
    fetches: JoinSet<Fetched>,
    failures: BTreeMap<(Origin, Region), Instant>,
}

impl Gaps {
    /// Begins to fetch what has been missing for long enough. Answers whether nothing is missing.
    pub fn look(&mut self, shared: &Shared, intake: &Intake, now: Instant) -> bool {
        let gaps = intake.gaps(&shared.known.tips());
        self.failures.retain(|_, at| now.saturating_duration_since(*at) < FAILED_MEMORY);
        self.waiting.retain(|origin, _| gaps.iter().any(|gap| gap.origin == *origin));
        let hurried = shared.is_hurried(now);
        let nothing_is_missing = gaps.is_empty();
        for gap in gaps {
            if !self.is_due(&gap, hurried, now) || self.fetching.contains(&gap.origin) {
                continue;
            }
            let holders = self.holders(shared, &gap.origin, now);
            let Some(region) = choose(&gap.origin, gap.after_seq, &holders) else { continue };
            ::metrics::counter!(metrics::FETCHES, "region" => region.to_string()).increment(1);
            self.fetching.insert(gap.origin.clone());
            self.fetches.spawn(fetch(shared.peers.clone(), region.clone(), gap));
        }
        nothing_is_missing
    }

    /// Whether the gap has lasted long enough. One that moves by itself is being filled by the stream.
    fn is_due(&mut self, gap: &Gap, hurried: bool, now: Instant) -> bool {
        let new = Waiting { after_seq: gap.after_seq, since: now, catching_up: false, came_after: None };
        let waiting = self.waiting.entry(gap.origin.clone()).or_insert(new);
        if let Some(after) = waiting.came_after.take() {
            waiting.catching_up = after != gap.after_seq;
            waiting.since = now;
        }
        if waiting.after_seq != gap.after_seq {
            waiting.after_seq = gap.after_seq;
            waiting.since = now;
        }
        hurried || waiting.catching_up || now.saturating_duration_since(waiting.since) >= GRACE
    }

    fn holders(&self, shared: &Shared, origin: &Origin, now: Instant) -> Vec<Holder> {
        let holders = shared.known.holders(origin, now).into_iter();
        let others = holders.filter(|(region, ..)| region != shared.region());
        let holder = |(region, seq, heard_ago): (Region, u64, Duration)| {
            let failed = self.failures.get(&(origin.clone(), region.clone()));
            let failed_ago = failed.map(|at| now.saturating_duration_since(*at));
            Holder { region, seq, heard_ago, failed_ago }
        };
        others.map(holder).collect()
    }

    /// Waits for the next fetch to end; for ever where none is under way.
    pub async fn next_fetched(&mut self) -> Fetched {
        match self.fetches.join_next().await {
            Some(Ok(fetched)) => fetched,
            Some(Err(error)) => {
                // A fetch has nothing that panics; if it does, its log must not wait for it.
                tracing::error!(%error, "a fetch ended without an answer");
                self.fetching.clear();
                pending().await
            }
            None => pending().await,
        }
    }

    /// The entries of a fetch that has ended.
    pub fn take(
        &mut self,
        fetched: Fetched,
        now: Instant,
    ) -> Result<Vec<Entry>, (Origin, Region, Unreachable)> {
        let Fetched { origin, region, page } = fetched;
        self.fetching.remove(&origin);
        match page {
            Ok(page) => {
                if let Some(waiting) = self.waiting.get_mut(&origin) {
                    waiting.came_after = Some(waiting.after_seq);
                }
                Ok(page)
            }
            Err(error) => {
                self.failures.insert((origin.clone(), region.clone()), now);
                Err((origin, region, error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{chain, origin};

    fn gap(after_seq: u64) -> Gap {
        Gap { origin: origin("authz.us"), after_seq, up_to: 100 }
    }

    fn fetched(page: Result<Vec<Entry>, Unreachable>) -> Fetched {
        Fetched { origin: origin("authz.us"), region: "ap".parse().expect("a region"), page }
    }

    #[test]
    fn the_stream_is_given_its_time_unless_somebody_waits() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        assert!(!gaps.is_due(&gap(3), false, start));
        assert!(gaps.is_due(&gap(3), true, start));
        assert!(!gaps.is_due(&gap(3), false, start + GRACE / 2));
        assert!(!gaps.is_due(&gap(4), false, start + GRACE), "the stream moves it");
        assert!(gaps.is_due(&gap(4), false, start + 2 * GRACE));
    }

    #[test]
    fn pages_follow_each_other_without_waiting() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        assert!(!gaps.is_due(&gap(0), false, start));
        let page = chain(&origin("authz.us"), 1, 5);
        assert_eq!(gaps.take(fetched(Ok(page)), start).map_err(|_| ()).expect("a page").len(), 5);
        assert!(gaps.is_due(&gap(5), false, start));
    }

    #[test]
    fn a_failure_is_remembered_and_frees_the_log() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        gaps.fetching.insert(origin("authz.us"));
        assert!(gaps.take(fetched(Err(Unreachable::TimedOut)), start).is_err());
        assert!(gaps.fetching.is_empty());
        assert_eq!(gaps.failures.len(), 1);
    }
}
