//! Leases: under one, another process of the region remembers what its callers were allowed (`access`, `remembered`), and need not ask
//! again.
//!
//! Whoever holds a lease is told of each organization whose decisions may have changed. A write is answered once every holder has said
//! that it has forgotten what it knew of that organization, or once the holder's lease is over. So a role that is taken back is in force
//! everywhere in the region when the answer comes, whatever others remembered. Example: config is stopped in the middle of its lease; the
//! next revocation is answered a second later, when config could not use what it remembers any more.
//!
//! A process that starts does not know the leases of the one before it, so it waits in the same way until those are over. Writes by way of
//! another replica reach this one's holders as they reach its index: by a hint, or within the poll interval.
//!
//! A lease lasts from when the holder *sent* its request, for the holder; from when the request *came*, for this side. So no two clocks
//! have to agree.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ids::OrganizationId;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use uuid::Uuid;

/// How long a lease lasts: the longest time that a write waits for a holder that is gone.
pub const LASTS: Duration = Duration::from_secs(1);
/// Longest time that an answer is held back: a holder asks again in time.
const HOLD_MAX: Duration = Duration::from_millis(500);
/// Processes that hold a lease at once.
const HOLDERS_MAX: usize = 256;
/// Changes that are kept to be told. Whoever has heard of none of them is told that everything may have changed.
const CHANGES_MAX: usize = 4096;

/// So many processes hold a lease that there is none for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{HOLDERS_MAX} processes hold a lease; ask for each decision")]
pub struct TooManyHolders;

/// What a holder has heard, and wants.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Which process it is.
    pub holder: Uuid,
    /// The instance and the last generation that it has heard of, if any.
    pub heard: Option<(u64, u64)>,
    /// How long the answer may be held back while nothing changes.
    pub hold: Duration,
}

/// What a holder has to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The newest generation.
    pub generation: u64,
    /// The organizations whose decisions may have changed; `None` if all may have.
    pub changed: Option<BTreeSet<OrganizationId>>,
}

/// The leases on one index. Cheap to clone.
#[derive(Clone)]
pub struct Leases(Arc<Inner>);

struct Inner {
    instance: u64,
    /// When the leases of an earlier process are over.
    earlier_until: Instant,
    state: Mutex<State>,
    generation: watch::Sender<u64>,
    /// Changes whenever a holder has heard more.
    heard: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    generation: u64,
    /// By which generation which organization changed, oldest first.
    changes: VecDeque<(u64, OrganizationId)>,
    /// What is older than this is not known any more.
    complete_after: u64,
    holders: HashMap<Uuid, Holder>,
}

struct Holder {
    heard: u64,
    until: Instant,
}

impl Leases {
    /// No leases yet. `instance` tells this index from others, and from the one of the same process before a restart; not 0.
    pub fn new(instance: u64) -> Self {
        let (generation, heard) = (watch::Sender::new(0), watch::Sender::new(()));
        let earlier_until = Instant::now() + LASTS;
        Self(Arc::new(Inner { instance, earlier_until, state: Mutex::default(), generation, heard }))
    }

    /// Which index it is about.
    pub fn instance(&self) -> u64 {
        self.0.instance
    }

    /// Decisions are made on `generation` from now on, in which these organizations changed; `None` if all may have.
    pub fn changed(&self, generation: u64, organizations: Option<BTreeSet<OrganizationId>>) {
        {
            let mut state = self.state();
            state.generation = generation;
            match organizations {
                None => {
                    state.changes.clear();
                    state.complete_after = generation;
                }
                Some(organizations) => {
                    state
                        .changes
                        .extend(organizations.into_iter().map(|organization| (generation, organization)));
                }
            }
            while state.changes.len() > CHANGES_MAX {
                if let Some((forgotten, _)) = state.changes.pop_front() {
                    state.complete_after = forgotten;
                }
            }
        }
        self.0.generation.send_replace(generation);
    }

    /// Grants a lease, or makes it longer. The answer comes when there is news, and at the latest after the time that the holder
    /// grants.
    pub async fn grant(&self, request: Request) -> Result<News, TooManyHolders> {
        let heard = request.heard.filter(|(instance, _)| *instance == self.0.instance);
        let heard = heard.map(|(_, generation)| generation);
        self.register(request.holder, heard)?;
        if let Some(heard) = heard {
            let mut generation = self.0.generation.subscribe();
            let news = generation.wait_for(|generation| *generation > heard);
            // Without news it is the lease alone that is answered.
            let _ = timeout(request.hold.min(HOLD_MAX), news).await;
        }
        Ok(self.news(request.holder, heard))
    }

    fn register(&self, holder: Uuid, heard: Option<u64>) -> Result<(), TooManyHolders> {
        {
            let mut state = self.state();
            let now = Instant::now();
            state.holders.retain(|_, holder| holder.until > now);
            if state.holders.len() >= HOLDERS_MAX && !state.holders.contains_key(&holder) {
                return Err(TooManyHolders);
            }
            // Whoever has heard nothing remembers nothing.
            let heard = heard.unwrap_or(state.generation);
            state.holders.insert(holder, Holder { heard, until: now + LASTS });
        }
        self.0.heard.send_replace(());
        Ok(())
    }

    fn news(&self, holder: Uuid, heard: Option<u64>) -> News {
        let mut state = self.state();
        let generation = state.generation;
        let Some(heard) = heard else {
            if let Some(holder) = state.holders.get_mut(&holder) {
                holder.heard = generation;
            }
            return News { generation, changed: None };
        };
        if heard < state.complete_after {
            return News { generation, changed: None };
        }
        let newer = state.changes.iter().rev().take_while(|(changed_by, _)| *changed_by > heard);
        News { generation, changed: Some(newer.map(|(_, organization)| *organization).collect()) }
    }

    /// Takes a lease back.
    pub fn end(&self, holder: Uuid) {
        self.state().holders.remove(&holder);
        self.0.heard.send_replace(());
    }

    /// Waits until every holder has heard of the newest generation, or its lease is over.
    pub async fn until_heard(&self) {
        let goal = self.state().generation;
        let mut heard = self.0.heard.subscribe();
        while let Some(until) = self.behind(goal) {
            // The sender is part of `self`, so this ends with news or with the lease.
            let _ = timeout_at(until, heard.changed()).await;
        }
    }

    /// When the last lease of those who have not heard of `goal` is over; `None` if there are none.
    fn behind(&self, goal: u64) -> Option<Instant> {
        let now = Instant::now();
        let state = self.state();
        let behind = state.holders.values().filter(|holder| holder.heard < goal).map(|holder| holder.until);
        behind.chain([self.0.earlier_until]).filter(|until| *until > now).max()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const INSTANCE: u64 = 7;

    /// The leases of a process that has run for a while.
    async fn leases() -> Leases {
        let leases = Leases::new(INSTANCE);
        assert!(leases.until_heard().now_or_never().is_none(), "an earlier process may have granted some");
        leases.until_heard().await;
        leases
    }

    fn asked(holder: Uuid, heard: Option<u64>) -> Request {
        Request { holder, heard: heard.map(|heard| (INSTANCE, heard)), hold: HOLD_MAX }
    }

    fn changed(leases: &Leases, generation: u64) -> OrganizationId {
        let organization = OrganizationId::generate();
        leases.changed(generation, Some([organization].into()));
        organization
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_for_a_holder_until_it_has_heard_or_its_lease_is_over() {
        let (leases, holder) = (leases().await, Uuid::new_v4());
        let first = leases.grant(asked(holder, None)).await.expect("room");
        assert_eq!(first, News { generation: 0, changed: None });

        let organization = changed(&leases, 1);
        assert!(leases.until_heard().now_or_never().is_none(), "the holder has not heard");
        let news = leases.grant(asked(holder, Some(0))).await.expect("room");
        assert_eq!(news, News { generation: 1, changed: Some([organization].into()) });
        assert!(leases.until_heard().now_or_never().is_none(), "it was told, and has not said that it heard");
        let waiting = leases.until_heard();
        let (held, ()) = tokio::join!(leases.grant(asked(holder, Some(1))), waiting);
        assert_eq!(held.expect("room").changed, Some(BTreeSet::new()));

        changed(&leases, 2);
        let started = Instant::now();
        leases.until_heard().await;
        assert!(started.elapsed() <= LASTS, "who is gone is waited for until its lease is over");
        assert!(leases.until_heard().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_given_back_is_not_waited_for() {
        let (leases, holder) = (leases().await, Uuid::new_v4());
        leases.grant(asked(holder, None)).await.expect("room");
        changed(&leases, 1);
        leases.end(holder);
        assert!(leases.until_heard().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn news_wake_whoever_is_held_and_name_all_since_it_heard() {
        let (leases, holder) = (leases().await, Uuid::new_v4());
        leases.grant(asked(holder, None)).await.expect("room");
        let mut held = Box::pin(leases.grant(asked(holder, Some(0))));
        assert!(held.as_mut().now_or_never().is_none());
        let (one, two) = (changed(&leases, 1), changed(&leases, 2));
        let news = held.await.expect("room");
        assert_eq!(news, News { generation: 2, changed: Some([one, two].into()) });

        leases.changed(3, None);
        let news = leases.grant(asked(holder, Some(2))).await.expect("room");
        assert_eq!(news, News { generation: 3, changed: None }, "all may have changed");
        let other = Request { heard: Some((INSTANCE + 1, 3)), ..asked(holder, None) };
        let news = leases.grant(other).await.expect("room");
        assert_eq!(news.changed, None, "of another index it has heard nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_missed_more_than_is_kept_forgets_everything() {
        let (leases, holder) = (leases().await, Uuid::new_v4());
        for generation in 1..=CHANGES_MAX as u64 + 2 {
            changed(&leases, generation);
        }
        let news = async |heard| leases.grant(asked(holder, Some(heard))).await.expect("room").changed;
        assert_eq!(news(1).await, None);
        assert_eq!(news(2).await.map(|changed| changed.len()), Some(CHANGES_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_so_many_holders() {
        let leases = leases().await;
        for _ in 0..HOLDERS_MAX {
            leases.grant(asked(Uuid::new_v4(), None)).await.expect("room");
        }
        assert_eq!(leases.grant(asked(Uuid::new_v4(), None)).await, Err(TooManyHolders));
        tokio::time::advance(LASTS).await;
        leases.grant(asked(Uuid::new_v4(), None)).await.expect("those are over");
    }
}
