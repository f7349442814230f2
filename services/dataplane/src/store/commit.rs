//! Changes of what is served, each in one transaction. All of this runs on the writer thread.

use std::sync::{Arc, atomic::Ordering};

use heed::RwTxn;
use ids::ControlPlaneId;
use sync::{Digest, Row};
use uuid::Uuid;

use super::{Commit, Position, Revocation, Shared, StoreError, layout::denied_key};

impl Shared {
    pub(super) fn commit(&self, commit: &Commit) -> Result<Position, StoreError> {
        let other_incarnation = self.leaves_incarnation(commit);
        let position = self.environment.write(|txn| {
            let generation = self.databases.serving(txn)?;
            generation.apply(txn, &commit.rows)?;
            let position = verified(commit, generation.digest(txn)?)?;
            self.databases.put_position(txn, &generation, &position)?;
            self.forget_deleted(txn, &commit.rows)?;
            if other_incarnation {
                self.databases.put_revocation_seq(txn, 0)?;
            }
            Ok(position)
        })?;
        self.publish(position, other_incarnation);
        self.denied.remove_all(deleted(&commit.rows));
        Ok(position)
    }

    /// Whether `commit` leaves the history that is held. Another one counts its revocations anew, and sends again those
    /// that still matter.
    pub(super) fn leaves_incarnation(&self, commit: &Commit) -> bool {
        let held = self.position.load().epoch;
        held != 0 && held != commit.epoch
    }

    /// After a commit: readers see its position.
    pub(super) fn publish(&self, position: Position, other_incarnation: bool) {
        self.position.store(Arc::new(position));
        if other_incarnation {
            self.revocation_seq.store(0, Ordering::Release);
        }
    }

    /// What is deleted needs no denial: ids are never used again.
    fn forget_deleted(&self, txn: &mut RwTxn<'_>, rows: &[Row]) -> Result<(), StoreError> {
        for (kind, id) in deleted(rows) {
            self.databases.denied.delete(txn, &denied_key(kind, id))?;
        }
        Ok(())
    }

    pub(super) fn store_revocations(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let last = revocations.iter().map(|revocation| revocation.seq).max().unwrap_or(0);
        let seq = last.max(self.revocation_seq.load(Ordering::Acquire));
        self.environment.write(|txn| {
            for Revocation { seq, kind, id } in revocations {
                // The ordinary delete may have come first, and taken the denial with it.
                if self.denied.contains(kind, *id) {
                    self.databases.denied.put(txn, &denied_key(kind, *id), &seq.to_be_bytes())?;
                }
            }
            self.databases.put_revocation_seq(txn, seq)
        })?;
        self.revocation_seq.store(seq, Ordering::Release);
        Ok(())
    }

    pub(super) fn bind(&self, control_plane: ControlPlaneId) -> Result<bool, StoreError> {
        let other = self.environment.write(|txn| {
            let bound = self.databases.control_plane(txn)?;
            let other = bound.is_some_and(|bound| bound != control_plane);
            if other {
                for generation in &self.databases.generations {
                    generation.clear(txn)?;
                    self.databases.put_position(txn, generation, &Position::default())?;
                }
                self.databases.denied.clear(txn)?;
                self.databases.put_revocation_seq(txn, 0)?;
            }
            self.databases.put_control_plane(txn, control_plane)?;
            Ok(other)
        })?;
        if other {
            self.position.store(Arc::default());
            self.denied.clear();
            self.revocation_seq.store(0, Ordering::Release);
            *self.staging() = None;
        }
        Ok(other)
    }
}

fn deleted(rows: &[Row]) -> impl Iterator<Item = (&str, Uuid)> {
    rows.iter().filter(|row| row.deleted).map(|row| (row.kind.as_str(), row.id))
}

/// The position after `commit`, if the result is what the plane says it must be.
pub(super) fn verified(commit: &Commit, digest: Digest) -> Result<Position, StoreError> {
    match commit.expected {
        Some(expected) if expected != digest => Err(StoreError::DigestDiffers { expected, found: digest }),
        _ => Ok(Position { epoch: commit.epoch, version: commit.version, digest }),
    }
}
