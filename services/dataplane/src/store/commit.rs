//! Changes of the configuration that is served, each in one LMDB transaction. Everything here runs on the writer thread.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use gateway_model::Kind;
use heed::RwTxn;
use sync::{Digest, EntityState};
use uuid::Uuid;

use super::{
    Bound, Commit, Owner, Position, Revocation, Shared, StoreError,
    denied::{Name, Place},
    layout::{denied_key, denied_value},
};

impl Shared {
    pub(super) fn commit(&self, commit: &Commit) -> Result<Position, StoreError> {
        let _span = tracing::info_span!("commit to LMDB", version = commit.version).entered();
        let other_incarnation = self.leaves_incarnation(commit);
        let deleted: HashSet<(&str, Uuid)> = deleted(&commit.entities).collect();
        let (position, ended) = self.environment.write(|txn| {
            let generation = self.databases.serving(txn)?;
            let mut digest = self.position().map(|held| held.digest).unwrap_or_default();
            digest.add(&generation.apply(txn, &commit.entities)?);
            let position = verified(commit, digest)?;
            self.databases.put_position(txn, &generation, Some(&position))?;
            let ended = self.end_denials(txn, commit, |_, kind, id| Ok(deleted.contains(&(kind, id))))?;
            if other_incarnation {
                self.databases.put_revocation_seq(txn, 0)?;
            }
            Ok((position, ended))
        })?;
        self.publish(position, other_incarnation);
        let any_ended = self.denied.settle((commit.incarnation, commit.settled.clone()), ended);
        let mut kinds = commit.entities.iter().filter_map(|entity| Kind::from_name(&entity.kind));
        if any_ended || kinds.any(Kind::identifies) {
            self.owners_changed();
        }
        let is_staging = self.staging().is_some();
        if is_staging && let Err(error) = self.drop_staged() {
            tracing::warn!(%error, "a snapshot that is no longer needed could not be removed; the next start removes it");
        }
        Ok(position)
    }

    /// Whether `commit` is of another incarnation than what is held. The control plane's next incarnation counts its
    /// revocations from 1 again, and sends again those whose entities still exist.
    pub(super) fn leaves_incarnation(&self, commit: &Commit) -> bool {
        self.position().is_some_and(|held| held.incarnation != commit.incarnation)
    }

    /// Called after a transaction: readers see its position from now on.
    pub(super) fn publish(&self, position: Position, other_incarnation: bool) {
        self.position.store(Some(Arc::new(position)));
        if other_incarnation {
            self.revocation_seq.store(0, Ordering::Release);
        }
    }

    /// Removes from the disk the denials that `commit` ends: of revocations that it settles, and of another incarnation those of what
    /// `is_gone` with it. In memory they end when the transaction is committed.
    pub(super) fn end_denials(
        &self,
        txn: &mut RwTxn<'_>,
        commit: &Commit,
        is_gone: impl Fn(&RwTxn<'_>, &str, Uuid) -> Result<bool, StoreError>,
    ) -> Result<Vec<(Name, Place)>, StoreError> {
        let version = (commit.incarnation, &commit.settled);
        let ended = self.denied.settled_by(version, |kind, id| is_gone(txn, kind, id))?;
        for ((kind, id), _) in &ended {
            self.databases.denied.delete(txn, &denied_key(kind, *id))?;
        }
        Ok(ended)
    }

    pub(super) fn store_revocations(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        // Another incarnation counts anew, and sends what still matters when it is followed.
        let held = self.position().map(|held| held.incarnation.get());
        let counted = revocations
            .iter()
            .filter(|revocation| held.is_none_or(|held| held == revocation.place.incarnation));
        let last = counted.map(|revocation| revocation.place.seq).max().unwrap_or(0);
        let seq = last.max(self.revocation_seq.load(Ordering::Acquire));
        self.environment.write(|txn| {
            for Revocation { kind, id, .. } in revocations {
                // The delta that deletes the entity may have come first. Then nothing is denied any more.
                if let Some(place) = self.denied.place(kind, *id) {
                    self.databases.denied.put(txn, &denied_key(kind, *id), &denied_value(place))?;
                }
            }
            self.databases.put_revocation_seq(txn, seq)
        })?;
        self.revocation_seq.store(seq, Ordering::Release);
        Ok(())
    }

    pub(super) fn bind(&self, owner: Owner) -> Result<Bound, StoreError> {
        let bound = self.environment.write(|txn| {
            let before = self.databases.owner(txn)?;
            self.databases.put_owner(txn, owner)?;
            if before.is_none_or(|before| before == owner) {
                return Ok(Bound::Kept);
            }
            for generation in &self.databases.generations {
                generation.clear(txn)?;
                self.databases.put_position(txn, generation, None)?;
            }
            self.databases.denied.clear(txn)?;
            self.databases.put_revocation_seq(txn, 0)?;
            self.databases.put_staged(txn, None)?;
            Ok(Bound::Dropped)
        })?;
        if bound == Bound::Dropped {
            self.owners_changed();
            self.position.store(None);
            self.denied.clear();
            self.revocation_seq.store(0, Ordering::Release);
            *self.staging() = None;
        }
        Ok(bound)
    }
}

fn deleted(entities: &[EntityState]) -> impl Iterator<Item = (&str, Uuid)> {
    entities.iter().filter(|entity| entity.deleted).map(|entity| (entity.kind.as_str(), entity.id))
}

/// The position after `commit`; an error if `digest` is not the one that the control plane announced.
pub(super) fn verified(commit: &Commit, digest: Digest) -> Result<Position, StoreError> {
    match commit.expected {
        Some(expected) if expected != digest => Err(StoreError::DigestDiffers { expected, found: digest }),
        Some(_) | None => Ok(Position { incarnation: commit.incarnation, version: commit.version, digest }),
    }
}
