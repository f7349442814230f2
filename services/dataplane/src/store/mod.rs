//! The gateway's configuration on disk: an LMDB environment in the data folder.
//!
//! Entities are stored exactly as received, also those that this build cannot serve, so that every node of a control plane
//! has the same digest. Beside them the store holds what requests find consumers by ([`Lookup`]), the digest of each bucket, the
//! [`Position`], and the revoked credentials and consumers.
//!
//! Invariants:
//! * What is stored is a state that the control plane had. A commit whose digest differs from the control plane's is not
//!   made.
//! * There are two generations of tables. Requests are served from one. A snapshot is staged in the other, over several
//!   transactions, and the transaction of its last delta makes that one the serving generation. After a crash at any
//!   moment the old generation is served, and the snapshot goes on with what is staged.
//! * One thread writes, in the order in which jobs are queued. Readers never wait for it, except while the map grows.
//! * A revocation is denied in memory first and stored afterwards.
//!
//! The request path calls [`Store::identify`], [`Store::consumer`] and [`Store::groups`]. The applier and the stream call everything that writes. The store
//! knows nothing of the view, the router or the stream.

mod commit;
mod databases;
mod denied;
mod environment;
mod error;
mod generation;
mod identify;
mod index;
mod layout;
mod open;
mod position;
pub mod soundness;
mod staged;
mod staging;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use ids::{ControlPlaneId, NodeId};
use sync::{Digest, EntityState};
use uuid::Uuid;

use self::{
    databases::Databases, denied::Denied, environment::Environment, staging::Staging, writer::Writer,
};
pub use self::{
    denied::{Place, Settled},
    environment::is_open,
    error::StoreError,
    identify::Identified,
    index::{Groups, Lookup},
    position::{Incarnation, Position},
    staging::HeldBuckets,
};

/// [`Store::scan`] hands over its entities with the bucket that reaches this number.
const SCAN_ENTITIES: usize = 4096;

/// How large the store may become. The memory map is address space, not memory. It grows by doubling.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Size of the memory map at first, in bytes; a multiple of the page size.
    pub map_bytes: usize,
    /// Size of the memory map at most, in bytes.
    pub map_bytes_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { map_bytes: 1 << 30, map_bytes_max: 1 << 36 }
    }
}

/// A change of the configuration that takes the store to `version`.
#[derive(Debug)]
pub struct Commit {
    /// The incarnation in which `version` counts.
    pub incarnation: Incarnation,
    /// Version of the configuration after the change.
    pub version: u64,
    /// Entities and tombstones that differ from the version before.
    pub entities: Vec<EntityState>,
    /// The digest that the result must have; `None` where this gateway is the author (declarative mode).
    pub expected: Option<Digest>,
    /// The revocations whose deletes are part of `version`.
    pub settled: Settled,
}

/// Whose configuration a store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The control plane that this node is enrolled with.
    ControlPlane(ControlPlaneId),
    /// Nobody else: the gateway is in declarative mode.
    Declarative,
}

/// What [`Store::bind`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Bound {
    /// The store was for this owner already, or for none yet. Its content stays.
    Kept,
    /// The store was for another owner. Its content is gone: serve an empty view.
    Dropped,
}

/// An entity that is denied from now on, such as a credential or a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Where it stands among the revocations of its control plane.
    pub place: Place,
    /// Wire name of the kind, possibly unknown to this build.
    pub kind: String,
    /// Id of the entity.
    pub id: Uuid,
}

/// Which generation [`Store::scan`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The configuration that is served.
    Serving,
    /// The snapshot that is being staged.
    Staged,
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
}

/// What readers and the writer thread share.
struct Shared {
    environment: Environment,
    databases: Databases,
    node: NodeId,
    position: ArcSwapOption<Position>,
    denied: Denied,
    /// Counts the changes after which a credential may have another owner, or none, or a consumer another group.
    owners_version: AtomicU64,
    /// Sequence number of the last revocation that is stored.
    revocation_seq: AtomicU64,
    /// Used by the writer thread and by [`Store::buckets`].
    staging: Mutex<Option<Staging>>,
}

impl Shared {
    fn position(&self) -> Option<Position> {
        self.position.load().as_deref().copied()
    }

    /// Called when a credential may have another owner, or none, or a consumer another group, for whoever reads from now on.
    fn owners_changed(&self) {
        self.owners_version.fetch_add(1, Ordering::Release);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("node", &self.node()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `folder`; creates folder and store if they do not exist. Blocks while it verifies the content.
    ///
    /// [`StoreError::InUse`] if another process has it open, [`StoreError::Format`] if another release wrote it.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        let shared = Arc::new(open::open(folder, options)?);
        let writer = Arc::new(Writer::start(Arc::clone(&shared))?);
        Ok(Store { shared, writer })
    }

    /// Copies the store as it is now to `folder`, in place of what is there. The copy is on disk when this returns. Blocks.
    pub fn copy(&self, folder: &Path) -> Result<(), StoreError> {
        self.shared.environment.copy(folder)
    }

    /// The id that this node chose when its store was created.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// The position of the configuration that is held; `None` until one was committed.
    pub fn position(&self) -> Option<Position> {
        self.shared.position()
    }

    /// Calls `take` with all entities of a generation, a few thousand at a time. Reads in several short transactions, so
    /// what is read is one state only if nobody commits meanwhile.
    pub fn scan(&self, which: Scan, mut take: impl FnMut(Vec<EntityState>)) -> Result<(), StoreError> {
        let Shared { environment, databases, .. } = &*self.shared;
        let mut entities = Vec::new();
        for bucket in 0..=u8::MAX {
            entities.extend(environment.read(|txn| {
                let generation = match which {
                    Scan::Serving => databases.serving(txn)?,
                    Scan::Staged => databases.spare(txn)?,
                };
                generation.bucket_entities(txn, bucket)
            })?);
            if entities.len() >= SCAN_ENTITIES || bucket == u8::MAX {
                take(std::mem::take(&mut entities));
            }
        }
        Ok(())
    }

    /// Applies `commit` to the serving generation, in one transaction.
    ///
    /// [`StoreError::DigestDiffers`] if the result is not what the control plane has; then nothing changes.
    pub async fn commit(&self, commit: Commit) -> Result<Position, StoreError> {
        self.writer.run(move |shared| shared.commit(&commit)).await
    }

    /// Denies an entity at once, in memory. Call [`Store::store_revocations`] afterwards, so that it survives a restart.
    pub fn deny(&self, revocation: &Revocation) {
        self.shared.denied.insert(&revocation.kind, revocation.id, revocation.place);
        self.shared.owners_changed();
    }

    /// Changes whenever [`Store::identify`], [`Store::consumer`] or [`Store::groups`] may answer something else than before. What was answered
    /// after this was read holds for as long as it stays the same, but for a credential's end.
    pub fn owners_version(&self) -> u64 {
        self.shared.owners_version.load(Ordering::Acquire)
    }

    /// Stores revocations that were denied before.
    pub async fn store_revocations(&self, revocations: Vec<Revocation>) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.store_revocations(&revocations)).await
    }

    /// Sequence number of the last revocation that is stored; 0 for none.
    pub fn revocation_seq(&self) -> u64 {
        self.shared.revocation_seq.load(Ordering::Acquire)
    }

    /// Ties the store to `owner`. If it was tied to another owner, its content is dropped first: a gateway must not serve a
    /// configuration that it is no longer entitled to.
    pub async fn bind(&self, owner: Owner) -> Result<Bound, StoreError> {
        self.writer.run(move |shared| shared.bind(owner)).await
    }
}
