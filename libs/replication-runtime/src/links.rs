//! Where the exchange with each region can be woken, and waited for.

use std::{collections::BTreeMap, time::Duration};

use ids::Region;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use crate::known::Told;

/// Longest wait for a fresh answer: a round under way and the next.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Longest wait, after the start of this process, for the first round with every region.
const FIRST_ROUND_MAX: Duration = Duration::from_secs(1);

/// What came of one round with a region.
#[derive(Clone)]
struct Round {
    began: Instant,
    /// What it told, if it answered and was asked for what it holds now.
    answered: Option<Told>,
}

/// The exchange with one region.
pub struct Link {
    wanted: Notify,
    rounds: watch::Sender<Option<Round>>,
}

impl Link {
    /// Until somebody asks.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// What the region answered to a question that was put at `began`: what it held then, or nothing.
    pub fn answered(&self, began: Instant, told: Option<Told>) {
        self.rounds.send_replace(Some(Round { began, answered: told }));
    }
}

/// One link per other region.
pub struct Links(BTreeMap<Region, Link>);

impl Links {
    /// One link per region of `regions`; no round has run on any of them.
    pub fn new(regions: impl Iterator<Item = Region>) -> Self {
        let link = |region| (region, Link { wanted: Notify::new(), rounds: watch::Sender::new(None) });
        Self(regions.map(link).collect())
    }

    /// Every other region with its link, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Region, &Link)> {
        self.0.iter()
    }

    /// Asks `region` soon.
    pub fn ask(&self, region: &Region) {
        if let Some(link) = self.0.get(region) {
            link.wanted.notify_one();
        }
    }

    /// Asks every region soon.
    pub fn ask_all(&self) {
        for link in self.0.values() {
            link.wanted.notify_one();
        }
    }

    /// Waits until every region was asked once since this process started, whether it has answered or not; at most a second.
    pub async fn all_asked(&self) {
        let unasked = || self.0.values().filter(|link| link.rounds.borrow().is_none());
        if unasked().next().is_none() {
            return;
        }
        let all = async {
            for link in unasked() {
                // The sender is in `self`: the only end of this wait is a round.
                let _ = link.rounds.subscribe().wait_for(Option::is_some).await;
            }
        };
        let _ = timeout(FIRST_ROUND_MAX, all).await;
    }

    /// Asks `region` and waits for its answer to a question that was put after this call began. All callers share rounds.
    pub async fn answer(&self, region: &Region) -> Option<Told> {
        let link = self.0.get(region)?;
        let began = Instant::now();
        let mut rounds = link.rounds.subscribe();
        link.wanted.notify_one();
        let is_later = |round: &Option<Round>| round.as_ref().is_some_and(|round| round.began >= began);
        let round = timeout(ASK_TIMEOUT, rounds.wait_for(is_later)).await.ok()?.ok()?;
        round.as_ref()?.answered.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn links() -> (Arc<Links>, Region) {
        let eu: Region = "eu".parse().expect("a region");
        (Arc::new(Links::new(std::iter::once(eu.clone()))), eu)
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_to_a_later_question_counts() {
        let (links, eu) = links();
        let before = Instant::now();
        tokio::time::advance(Duration::from_millis(10)).await;
        let asked = tokio::spawn({
            let (links, eu) = (links.clone(), eu.clone());
            async move { links.answer(&eu).await }
        });
        let link = &links.0[&eu];
        link.wanted().await;
        link.answered(before, Some(Told::default()));
        tokio::task::yield_now().await;
        assert!(!asked.is_finished(), "that question was put before");
        link.answered(Instant::now(), Some(Told::default()));
        assert_eq!(asked.await.expect("ends"), Some(Told::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_round_is_waited_for_whatever_comes_of_it_and_not_for_ever() {
        let (links, eu) = links();
        let began = Instant::now();
        links.all_asked().await;
        assert_eq!(began.elapsed(), FIRST_ROUND_MAX);
        let asked = tokio::spawn({
            let links = links.clone();
            async move { links.all_asked().await }
        });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        links.0[&eu].answered(Instant::now(), None);
        let began = Instant::now();
        asked.await.expect("ends");
        links.all_asked().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_does_not_answer_costs_a_bounded_wait() {
        let (links, eu) = links();
        let began = Instant::now();
        assert_eq!(links.answer(&eu).await, None, "nobody answers");
        assert_eq!(began.elapsed(), ASK_TIMEOUT);
        assert_eq!(links.answer(&"ap".parse().expect("a region")).await, None, "not configured");
        let asked = tokio::spawn(async move { links.answer(&eu).await });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
    }
}
