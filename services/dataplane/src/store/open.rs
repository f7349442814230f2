//! Opening: what was left behind by the last process is checked, completed and, where that is possible, repaired.

use std::{path::Path, sync::atomic::AtomicU64};

use heed::RwTxn;
use ids::NodeId;
use sync::Digest;

use super::{
    Position, Shared, StoreError, StoreOptions, databases::Databases, denied::Denied,
    environment::Environment, layout,
};

/// Names the rules by which the key index is made. A build with other rules makes it anew.
const INDEX_RULES: &[u8] = concat!(env!("CARGO_PKG_VERSION"), " 1").as_bytes();

pub(super) fn open(folder: &Path, options: StoreOptions) -> Result<Shared, StoreError> {
    let environment = Environment::open(folder, options)?;
    let databases = Databases::open(&environment, folder)?;
    let (node, position) = environment.write(|txn| {
        let node = match databases.node(txn)? {
            Some(node) => node,
            None => NodeId::generate(),
        };
        databases.put_node(txn, node)?;
        // A snapshot that was being staged is of no use: its buckets are compared again.
        databases.spare(txn)?.clear(txn)?;
        Ok((node, examine(&databases, txn)?))
    })?;
    let denied = Denied::default();
    let revocation_seq = environment.read(|txn| {
        for entry in databases.denied.iter(txn)? {
            let (kind, id) = layout::read_denied_key(entry?.0).ok_or(StoreError::Damaged("denied"))?;
            denied.insert(kind, id);
        }
        databases.revocation_seq(txn)
    })?;
    Ok(Shared {
        environment,
        databases,
        node,
        position: arc_swap::ArcSwap::from_pointee(position),
        denied,
        revocation_seq: AtomicU64::new(revocation_seq),
        staging: std::sync::Mutex::new(None),
    })
}

/// Compares the kept digests with what is really stored. Where they differ, the true ones are kept: the control plane
/// then sees the difference and sends what is damaged.
fn examine(databases: &Databases, txn: &mut RwTxn<'_>) -> Result<Position, StoreError> {
    let serving = databases.serving(txn)?;
    if databases.indexed_by(txn)?.as_deref() != Some(INDEX_RULES) {
        serving.reindex(txn)?;
        databases.put_indexed_by(txn, INDEX_RULES)?;
    }
    let mut position = databases.position(txn, &serving)?;
    let found = serving.recount(txn)?;
    let digest: Digest = found.iter().collect();
    if digest != position.digest || found != serving.bucket_digests(txn)? {
        tracing::error!(kept = %position.digest, found = %digest, "the store's content is not what was written");
        serving.put_bucket_digests(txn, &found)?;
        serving.reindex(txn)?;
        position.digest = digest;
        databases.put_position(txn, &serving, &position)?;
    }
    Ok(position)
}
