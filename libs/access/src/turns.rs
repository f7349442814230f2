//! Turns at work of which only so much is done at once. Each organization gets half of the turns at most; what it asks for beyond that
//! waits for its own work only, and beyond a limit is refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ids::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fewest turns: two organizations can have one at the same time.
const TURNS_MIN: usize = 2;

/// So much of an organization waits already that more is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this organization wait; send fewer at a time, and try again")]
pub struct TooMany;

/// A number of turns that organizations share. Cheap to clone.
#[derive(Clone)]
pub struct Turns(Arc<Inner>);

struct Inner {
    turns: Arc<Semaphore>,
    /// Turns that one organization may have.
    share: usize,
    waiting_max: usize,
    shares: Mutex<HashMap<OrganizationId, Weak<Share>>>,
}

/// What one organization has, as long as it has anything.
struct Share {
    turns: Arc<Semaphore>,
    /// One permit for whoever waits or has a turn.
    places: Arc<Semaphore>,
}

/// A turn, given back on drop.
pub struct Turn {
    _share: Arc<Share>,
    _permits: [OwnedSemaphorePermit; 3],
}

impl Turns {
    /// So many turns, two at least. `waiting_max` is how much of one organization may wait.
    pub fn new(turns: usize, waiting_max: usize) -> Self {
        let turns = turns.max(TURNS_MIN);
        Self(Arc::new(Inner {
            turns: Arc::new(Semaphore::new(turns)),
            share: turns / 2,
            waiting_max,
            shares: Mutex::default(),
        }))
    }

    /// Waits for a turn of `organization`. Refused at once where too much of it waits.
    pub async fn take(&self, organization: OrganizationId) -> Result<Turn, TooMany> {
        let share = self.share(organization);
        let place = share.places.clone().try_acquire_owned().map_err(|_| TooMany)?;
        let own = permit(&share.turns).await?;
        let turn = permit(&self.0.turns).await?;
        Ok(Turn { _share: share, _permits: [place, own, turn] })
    }

    fn share(&self, organization: OrganizationId) -> Arc<Share> {
        let Inner { share, waiting_max, shares, .. } = &*self.0;
        let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = shares.get(&organization).and_then(Weak::upgrade) {
            return held;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(*share));
        let new = Arc::new(Share { turns, places: Arc::new(Semaphore::new(share + waiting_max)) });
        shares.insert(organization, Arc::downgrade(&new));
        new
    }
}

/// The semaphores here are never closed.
async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, TooMany> {
    semaphore.clone().acquire_owned().await.map_err(|_| TooMany)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_organization_has_half_of_the_turns_and_no_more() {
        let turns = Turns::new(2, 1);
        let (one, other) = (OrganizationId::generate(), OrganizationId::generate());
        let first = turns.take(one).await.expect("a turn");
        let mut waiting = Box::pin(turns.take(one));
        assert!(waiting.as_mut().now_or_never().is_none(), "it waits for its own");
        assert_eq!(turns.take(one).await.err(), Some(TooMany));
        drop(turns.take(other).await.expect("another organization has one at once"));
        drop(first);
        drop(waiting.await.expect("its turn"));
        drop(turns.take(other).await);
        assert_eq!(turns.0.shares.lock().expect("lock").len(), 1, "who has nothing is forgotten");
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_its_place() {
        let turns = Turns::new(2, 1);
        let one = OrganizationId::generate();
        let _first = turns.take(one).await.expect("a turn");
        for _ in 0..3 {
            assert!(Box::pin(turns.take(one)).now_or_never().is_none());
        }
    }
}
