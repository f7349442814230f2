//! Control planes that were read a moment ago, for writes of entities: of many writes in a row, one reads the control plane.
//!
//! Another replica may have changed or deleted it meanwhile. A write to one that is gone finds that out when it is committed. One whose labels
//! have changed is judged by the earlier ones for [`LEASE`] at most, and is refused by the present ones only. What this replica changes is
//! forgotten at once.

use std::time::Duration;

use ids::{ControlPlaneId, OrganizationId};
use moka::sync::Cache;

use super::ControlPlane;

/// How long a control plane counts as it was read: as long as it takes at most to hear of other replicas' commits.
const LEASE: Duration = Duration::from_millis(250);
/// Most control planes that are remembered.
const REMEMBERED_MAX: u64 = 10_000;

/// What was read. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Remembered(Cache<(OrganizationId, ControlPlaneId), ControlPlane>);

impl Default for Remembered {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(LEASE).build())
    }
}

impl Remembered {
    /// The organization's control plane, if it was read a moment ago.
    pub fn get(&self, organization: OrganizationId, id: ControlPlaneId) -> Option<ControlPlane> {
        self.0.get(&(organization, id))
    }

    /// It was read just now.
    pub fn note(&self, organization: OrganizationId, read: &ControlPlane) {
        self.0.insert((organization, read.id), read.clone());
    }

    /// It has changed.
    pub fn forget(&self, organization: OrganizationId, id: ControlPlaneId) {
        self.0.invalidate(&(organization, id));
    }
}
