//! Turns for snapshots: how many are sent at a time, in all and for one organization. Pages of a snapshot are read and held in memory
//! while a node stages them, so their number is limited; and no organization can take all turns by nodes that are slow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ids::OrganizationId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Most snapshots that are sent at the same time. Further nodes wait.
pub(super) const SNAPSHOTS_MAX: usize = 16;
/// Of these, most for one organization.
pub(super) const SNAPSHOTS_PER_ORGANIZATION_MAX: usize = 12;

/// The turns of this process. Cheap to clone.
#[derive(Clone)]
pub(super) struct SnapshotPermits {
    all: Arc<Semaphore>,
    /// Of organizations that have or want a turn: permits keep their semaphore.
    by_organization: Arc<Mutex<HashMap<OrganizationId, Weak<Semaphore>>>>,
}

/// A turn, until it is dropped.
pub(super) struct SnapshotPermit {
    _of_organization: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl SnapshotPermits {
    /// All turns are free.
    pub fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(SNAPSHOTS_MAX)), by_organization: Arc::default() }
    }

    /// Waits for a turn of `organization`. Nodes of one organization come in the order in which they asked.
    pub async fn acquire(&self, organization: OrganizationId) -> Result<SnapshotPermit, AcquireError> {
        // The organization's own first: who waits for that one takes no turn from others.
        let of_organization = self.of(organization).acquire_owned().await?;
        let of_all = self.all.clone().acquire_owned().await?;
        Ok(SnapshotPermit { _of_organization: of_organization, _of_all: of_all })
    }

    fn of(&self, organization: OrganizationId) -> Arc<Semaphore> {
        let mut by_organization = self.by_organization.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = by_organization.get(&organization).and_then(Weak::upgrade) {
            return semaphore;
        }
        by_organization.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(SNAPSHOTS_PER_ORGANIZATION_MAX));
        by_organization.insert(organization, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn one_organization_cannot_take_every_turn() {
        let permits = SnapshotPermits::new();
        let (greedy, other) = (OrganizationId::generate(), OrganizationId::generate());
        let mut held = Vec::new();
        while let Some(Ok(permit)) = permits.acquire(greedy).now_or_never() {
            held.push(permit);
        }
        assert_eq!(held.len(), SNAPSHOTS_PER_ORGANIZATION_MAX);
        let mut of_other = Vec::new();
        while let Some(Ok(permit)) = permits.acquire(other).now_or_never() {
            of_other.push(permit);
        }
        assert_eq!(of_other.len(), SNAPSHOTS_MAX - SNAPSHOTS_PER_ORGANIZATION_MAX);
        held.pop();
        assert!(permits.acquire(other).now_or_never().is_some());
        drop(of_other);
        assert!(permits.acquire(greedy).now_or_never().is_some());
        drop(held);
        let _one = permits.acquire(other).now_or_never().expect("free");
        permits.of(OrganizationId::generate());
        let kept = permits.by_organization.lock().expect("not poisoned").len();
        assert!(kept <= 2, "those without a turn are forgotten: {kept}");
    }
}
