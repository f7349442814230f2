//! Caches: what was read for one node is kept for a while, for other nodes that need the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ids::ControlPlaneId;
use moka::future::Cache;
use sync::Batch;

use super::{
    Head,
    delta::Step,
    snapshot::{After, Buckets, Page},
};
use crate::rows::RowError;

/// How long something is kept for further nodes.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// Most bytes of encoded deltas kept, and as many of encoded pages.
const SHARED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Control planes whose bucket digests are kept.
const BUCKETS_KEPT_MAX: u64 = 1000;

/// A delta of this control plane, from this version to this head.
pub type DeltaKey = (ControlPlaneId, u64, Head);
/// A page of these buckets, after this entity, as they were at this head or later.
pub type PageKey = (ControlPlaneId, Head, Arc<[u8]>, Option<After>);

/// Caches of what several nodes need. A value is read once, however many nodes ask for it meanwhile.
pub struct Shared {
    /// Deltas, and the answer that there is none.
    pub deltas: Cache<DeltaKey, Step>,
    /// Pages of snapshots.
    pub pages: Cache<PageKey, Page>,
    /// Bucket digests in an incarnation, as of some head of the last [`SHARED_FOR`].
    pub buckets: Cache<(ControlPlaneId, u64), Arc<Buckets>>,
}

/// A batch of this size is packed at once: that takes less time than to have somebody else do it.
const PACKED_AT_ONCE_BYTES: usize = 4096;

/// Packs an encoded batch. A large one is packed beside the threads that serve streams.
pub async fn pack(encoded: Bytes) -> Result<Batch, RowError> {
    if encoded.len() <= PACKED_AT_ONCE_BYTES {
        return Ok(Batch::pack(encoded));
    }
    let packing = tokio::task::spawn_blocking(move || Batch::pack(encoded)).await;
    packing.map_err(|error| RowError::unreadable("regional.entity", error))
}

impl Shared {
    /// Empty caches. Each value is kept for [`SHARED_FOR`], and the deltas and pages within [`SHARED_BYTES_MAX`] each.
    pub fn new() -> Self {
        let deltas = Cache::builder()
            .time_to_live(SHARED_FOR)
            .max_capacity(SHARED_BYTES_MAX)
            .weigher(|_, step: &Step| match step {
                Step::Delta(delta) => u32::try_from(delta.entities.len()).unwrap_or(u32::MAX),
                Step::TooFar(_) => 1,
            })
            .build();
        let pages = Cache::builder()
            .time_to_live(SHARED_FOR)
            .max_capacity(SHARED_BYTES_MAX)
            .weigher(|_, page: &Page| u32::try_from(page.entities.len()).unwrap_or(u32::MAX))
            .build();
        let buckets = Cache::builder().time_to_live(SHARED_FOR).max_capacity(BUCKETS_KEPT_MAX).build();
        Self { deltas, pages, buckets }
    }
}
