//! What the gateway holds, on disk: LMDB, in the data folder.
//!
//! Entities are kept exactly as received, those that this build cannot serve included, so that one digest fits every
//! node of a control plane. Beside them lie an index from key hashes to credentials, the digest of each bucket, the
//! position in the control plane's history and the revoked credentials and consumers.
//!
//! Invariants:
//! * What is stored is a state that the control plane had: a commit whose digest differs from the plane's is not made.
//! * There are two generations of tables. Readers see the serving one; a snapshot is staged in the other over several
//!   transactions and takes over in the transaction of its last delta. A crash anywhere leaves the old one serving.
//! * One thread writes, in the order in which jobs are queued; readers never wait for it, except while the map grows.
//! * What is revoked is denied from memory first and stored afterwards.
//!
//! The request path calls [`Store::consumer_by_key`]; everything that writes is called by the applier and the sync
//! client. The store knows nothing of the view, the router or the stream.

mod commit;
mod databases;
mod denied;
mod environment;
mod error;
mod generation;
mod layout;
mod open;
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

use arc_swap::ArcSwap;
use gateway_model::{Consumer, Entity, Kind};
use ids::{ControlPlaneId, NodeId};
use sync::{Digest, Row};
use uuid::Uuid;

pub use self::error::StoreError;
use self::{
    databases::Databases, denied::Denied, environment::Environment, staging::Staging, writer::Writer,
};

/// A run of [`Store::scan`] ends with the bucket that reaches this many rows.
const SCAN_ROWS: usize = 4096;

/// How large the store may become. The map is address space, not memory; it grows by doubling.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Size of the memory map at first, in bytes; a multiple of the page size.
    pub map_bytes: usize,
    /// Where growth ends, in bytes.
    pub map_bytes_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { map_bytes: 1 << 30, map_bytes_max: 1 << 36 }
    }
}

/// Exactly which configuration is held. Epoch 0: none was ever verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub epoch: u64,
    pub version: u64,
    pub digest: Digest,
}

/// A change of the configuration that takes the store to `version`.
#[derive(Debug)]
pub struct Commit {
    pub epoch: u64,
    pub version: u64,
    pub rows: Vec<Row>,
    /// The digest that the result must have; `None` where this node is the author (declarative mode).
    pub expected: Option<Digest>,
}

/// A credential or consumer that is denied from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Counts a control plane's revocations, from 1.
    pub seq: u64,
    pub kind: String,
    pub id: Uuid,
}

/// Who owns the key that a request carried.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyOwner {
    pub credential_id: Uuid,
    pub consumer_id: Uuid,
    pub consumer: Consumer,
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
    position: ArcSwap<Position>,
    denied: Denied,
    /// Last revocation that is stored.
    revocation_seq: AtomicU64,
    /// Touched by the writer thread only, and by [`Store::buckets`].
    staging: Mutex<Option<Staging>>,
}

impl Store {
    /// Opens the store in `folder`, making both if need be. Blocks while it verifies what it finds.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        let shared = Arc::new(open::open(folder, options)?);
        let writer = Arc::new(Writer::start(Arc::clone(&shared))?);
        Ok(Store { shared, writer })
    }

    /// The id that this node took when its store was made.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    pub fn position(&self) -> Position {
        **self.shared.position.load()
    }

    /// The consumer that owns the credential with this key hash. `None` as well when the credential or its consumer
    /// is revoked, or cannot be read by this build. Takes about a microsecond; blocks only while the map grows.
    pub fn consumer_by_key(&self, key_hash: &[u8; 32]) -> Result<Option<KeyOwner>, StoreError> {
        let Shared { environment, databases, denied, .. } = &*self.shared;
        environment.read(|txn| {
            let generation = databases.serving(txn)?;
            let Some((credential_id, consumer_id)) = generation.owner(txn, key_hash)? else {
                return Ok(None);
            };
            if denied.contains(Kind::KeyAuth.name(), credential_id)
                || denied.contains(Kind::Consumer.name(), consumer_id)
            {
                return Ok(None);
            }
            let Some(held) = generation.get(txn, Kind::Consumer.name(), consumer_id)? else {
                return Ok(None);
            };
            Ok(match Entity::from_wire(Kind::Consumer, held.body) {
                Ok(Entity::Consumer(consumer)) => Some(KeyOwner { credential_id, consumer_id, consumer }),
                _ => None,
            })
        })
    }

    /// Hands every entity held to `take`, in runs of a few thousand; with `staged`, those of the generation being staged.
    /// Reads in several short transactions: what is read is one state only while nobody commits.
    pub fn scan(&self, staged: bool, mut take: impl FnMut(Vec<Row>)) -> Result<(), StoreError> {
        let Shared { environment, databases, .. } = &*self.shared;
        let mut run = Vec::new();
        for bucket in 0..=u8::MAX {
            run.extend(environment.read(|txn| {
                let generation = if staged { databases.spare(txn)? } else { databases.serving(txn)? };
                generation.bucket_rows(txn, bucket)
            })?);
            if run.len() >= SCAN_ROWS || bucket == u8::MAX {
                take(std::mem::take(&mut run));
            }
        }
        Ok(())
    }

    /// Applies `commit` to the serving generation, whole or not at all.
    pub async fn commit(&self, commit: Commit) -> Result<Position, StoreError> {
        self.writer.run(move |shared| shared.commit(&commit)).await
    }

    /// Denies at once, in memory. Follow it with [`Store::store_revocations`].
    pub fn deny(&self, revocation: &Revocation) {
        self.shared.denied.insert(&revocation.kind, revocation.id);
    }

    /// Makes revocations that are denied already survive a restart.
    pub async fn store_revocations(&self, revocations: Vec<Revocation>) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.store_revocations(&revocations)).await
    }

    /// The last revocation that a restart would remember.
    pub fn revocation_seq(&self) -> u64 {
        self.shared.revocation_seq.load(Ordering::Acquire)
    }

    /// Ties the store to a control plane. A store that held another one's configuration forgets it first: no gateway
    /// serves what it is no longer entitled to. Answers whether it did.
    pub async fn bind(&self, control_plane: ControlPlaneId) -> Result<bool, StoreError> {
        self.writer.run(move |shared| shared.bind(control_plane)).await
    }
}
