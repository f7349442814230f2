//! Turns for snapshots: how many are sent at a time, in all, for one organization and for one control plane. Pages of a snapshot are read
//! and held in memory while a node stages them, so their number is limited; and nobody can take all turns by nodes that are slow.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ids::{ControlPlaneId, OrganizationId};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::settings::Snapshots;

/// The turns of this process. Cheap to clone.
#[derive(Clone)]
pub(super) struct SnapshotPermits {
    all: Arc<Semaphore>,
    by_organization: Shares<OrganizationId>,
    by_control_plane: Shares<ControlPlaneId>,
}

/// A turn, until it is dropped.
pub(super) struct SnapshotPermit {
    _all: [OwnedSemaphorePermit; 3],
}

/// How many snapshots this process is sending.
const SENDING: &str = "landbridge_snapshots_sending";

impl Drop for SnapshotPermit {
    fn drop(&mut self) {
        metrics::gauge!(SENDING).decrement(1.0);
    }
}

/// What each of many may have of the turns.
#[derive(Clone)]
struct Shares<T> {
    max: usize,
    /// Of those that have or want a turn: permits keep their semaphore.
    semaphores: Arc<Mutex<HashMap<T, Weak<Semaphore>>>>,
}

impl SnapshotPermits {
    /// All turns are free.
    pub fn new(limits: &Snapshots) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.max.get())),
            by_organization: Shares::new(limits.per_organization_max.get()),
            by_control_plane: Shares::new(limits.per_control_plane_max.get()),
        }
    }

    /// Waits for a turn. Nodes of one control plane come in the order in which they asked.
    pub async fn acquire(
        &self,
        organization: OrganizationId,
        control_plane: ControlPlaneId,
    ) -> Result<SnapshotPermit, AcquireError> {
        // The narrowest first: who waits for that one takes no turn from others.
        let of_control_plane = self.by_control_plane.of(control_plane).acquire_owned().await?;
        let of_organization = self.by_organization.of(organization).acquire_owned().await?;
        let of_all = self.all.clone().acquire_owned().await?;
        metrics::gauge!(SENDING).increment(1.0);
        Ok(SnapshotPermit { _all: [of_control_plane, of_organization, of_all] })
    }
}

impl<T: Eq + Hash> Shares<T> {
    fn new(max: usize) -> Self {
        Self { max, semaphores: Arc::default() }
    }

    fn of(&self, one: T) -> Arc<Semaphore> {
        let mut semaphores = self.semaphores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = semaphores.get(&one).and_then(Weak::upgrade) {
            return semaphore;
        }
        semaphores.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.max));
        semaphores.insert(one, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// As many turns as there are now.
    fn take(
        permits: &SnapshotPermits,
        organization: OrganizationId,
        planes: &[ControlPlaneId],
    ) -> Vec<SnapshotPermit> {
        let mut held = Vec::new();
        for plane in planes {
            while let Some(Ok(permit)) = permits.acquire(organization, *plane).now_or_never() {
                held.push(permit);
            }
        }
        held
    }

    #[test]
    fn nobody_can_take_every_turn() {
        let limits = Snapshots::default();
        let (max, of_organization, of_plane) =
            (limits.max.get(), limits.per_organization_max.get(), limits.per_control_plane_max.get());
        let permits = SnapshotPermits::new(&limits);
        let (greedy, other) = (OrganizationId::generate(), OrganizationId::generate());
        let planes = [ControlPlaneId::generate(), ControlPlaneId::generate(), ControlPlaneId::generate()];
        let one = take(&permits, greedy, &planes[..1]);
        assert_eq!(one.len(), of_plane, "another control plane of the organization has turns left");
        let mut held = take(&permits, greedy, &planes[1..2]);
        assert_eq!(one.len() + held.len(), of_organization);
        let of_other = take(&permits, other, &planes[2..]);
        assert_eq!(of_other.len(), max - of_organization);
        held.pop();
        assert!(permits.acquire(other, planes[2]).now_or_never().is_some());
        drop(of_other);
        assert!(permits.acquire(greedy, planes[1]).now_or_never().is_some());
        drop((one, held));
        let _one = permits.acquire(other, planes[2]).now_or_never().expect("free");
        permits.by_organization.of(OrganizationId::generate());
        let kept = permits.by_organization.semaphores.lock().expect("not poisoned").len();
        assert!(kept <= 2, "those without a turn are forgotten: {kept}");
    }
}
