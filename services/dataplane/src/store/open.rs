//! Opening the store: what the last process left is checked and, where that is possible, repaired.

use std::{path::Path, sync::atomic::AtomicU64};

use heed::RwTxn;
use ids::NodeId;
use sync::Digest;

use super::{
    Position, Shared, StoreError, StoreOptions, databases::Databases, denied::Denied,
    environment::Environment, layout, staged::Staged, staging::Staging,
};

/// Names the rules by which the index is built. A build with other rules builds the index again.
const INDEX_RULES: &[u8] = concat!(env!("CARGO_PKG_VERSION"), " 3").as_bytes();

pub(super) fn open(folder: &Path, options: StoreOptions) -> Result<Shared, StoreError> {
    let environment = Environment::open(folder, options)?;
    let databases = Databases::open(&environment, folder)?;
    let (node, position, staged) = environment.write(|txn| {
        let node = match databases.node(txn)? {
            Some(node) => node,
            None => NodeId::generate(),
        };
        databases.put_node(txn, node)?;
        let staged = left_staged(&databases, txn)?;
        let (position, staged) = examine(&databases, txn, staged)?;
        Ok((node, position, staged))
    })?;
    let denied = Denied::default();
    let revocation_seq = environment.read(|txn| {
        for entry in databases.denied.iter(txn)? {
            let (key, value) = entry?;
            let denial = layout::read_denied_key(key).zip(layout::read_denied_value(value));
            let ((kind, id), place) = denial.ok_or(StoreError::Damaged("denied"))?;
            denied.insert(kind, id, place);
        }
        databases.revocation_seq(txn)
    })?;
    let staging = staged.map(|staged| Staging::resumed(staged, None));
    Ok(Shared {
        environment,
        databases,
        node,
        position: arc_swap::ArcSwapOption::from_pointee(position),
        denied,
        owners_version: AtomicU64::new(0),
        revocation_seq: AtomicU64::new(revocation_seq),
        staging: std::sync::Mutex::new(staging),
    })
}

/// What an earlier process has staged of a snapshot, if it can be gone on with: it is whole, and indexed by this build's rules.
/// Otherwise it is dropped.
fn left_staged(databases: &Databases, txn: &mut RwTxn<'_>) -> Result<Option<Staged>, StoreError> {
    let spare = databases.spare(txn)?;
    if let Some(staged) = databases.staged(txn)?
        && databases.indexed_by(txn)?.as_deref() == Some(INDEX_RULES)
        && spare.recount(txn)? == spare.bucket_digests(txn)?
    {
        return Ok(Some(staged));
    }
    spare.clear(txn)?;
    databases.put_staged(txn, None)?;
    Ok(None)
}

/// What is served from now on, and what is `staged`. Compares the stored digests with the stored entities. Where they differ, what is there is no state that the control plane had: a plugin
/// may be gone that kept a route closed. So nothing of it is served, and it counts as staged: when buckets are compared, the control plane
/// sees which differ, and sends those again.
fn examine(
    databases: &Databases,
    txn: &mut RwTxn<'_>,
    staged: Option<Staged>,
) -> Result<(Option<Position>, Option<Staged>), StoreError> {
    let serving = databases.serving(txn)?;
    if databases.indexed_by(txn)?.as_deref() != Some(INDEX_RULES) {
        serving.reindex(txn)?;
        databases.put_indexed_by(txn, INDEX_RULES)?;
    }
    let Some(position) = databases.position(txn, &serving)? else {
        // Entities without a position were never verified: they are not served.
        serving.clear(txn)?;
        return Ok((None, staged));
    };
    let found = serving.recount(txn)?;
    let digest: Digest = found.iter().collect();
    if digest == position.digest && found == serving.bucket_digests(txn)? {
        return Ok((Some(position), staged));
    }
    tracing::error!(
        stored = %position.digest,
        found = %digest,
        "the entities in the store do not match its digest; nothing is served until the control plane has sent what differs"
    );
    serving.put_bucket_digests(txn, &found)?;
    serving.reindex(txn)?;
    let empty = databases.spare(txn)?;
    empty.clear(txn)?;
    databases.put_position(txn, &serving, None)?;
    databases.put_position(txn, &empty, None)?;
    databases.put_serving(txn, &empty)?;
    let staged = Staged::of_unknown_versions(position.incarnation);
    databases.put_staged(txn, Some(&staged))?;
    Ok((None, Some(staged)))
}
