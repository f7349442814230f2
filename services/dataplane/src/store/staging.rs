//! Receiving a snapshot: its pages are written to the spare generation, which is promoted together with the last delta.
//!
//! Staged buckets survive the loss of the stream. Their digests are reported when buckets are compared again, so the
//! control plane sends only what still differs. They do not survive a restart of the process.

use std::sync::{MutexGuard, PoisonError};

use heed::RwTxn;
use sync::{BUCKETS, Digest, EntityState, buckets_to_bytes, limits::PAGE_ENTITIES_MAX};
use uuid::Uuid;

use super::{Commit, Incarnation, Position, Shared, Store, StoreError, commit::verified, layout::denied_key};

/// The snapshot that is being staged.
pub(super) struct Staging {
    incarnation: Incarnation,
    /// Buckets whose content is in the spare generation: received in pages, or copied from the serving generation.
    staged: [bool; BUCKETS as usize],
    /// What was denied when staging began. Of these, an entity that is not in the finished snapshot was deleted.
    denied: Vec<(String, Uuid)>,
}

impl Store {
    /// Prepares for the pages of a snapshot. What an earlier stream has staged of the same incarnation is kept.
    pub async fn begin_staging(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.begin_staging(incarnation)).await
    }

    /// The digest of each bucket, encoded for the control plane to compare. A staged bucket counts as staged. Any other
    /// bucket counts as served, if a configuration of `incarnation` is served. Empty when nothing of `incarnation` is held.
    pub fn buckets(&self, incarnation: Incarnation) -> Result<Vec<u8>, StoreError> {
        let shared = &*self.shared;
        let staged = match &*shared.staging() {
            Some(staging) if staging.incarnation == incarnation => Some(staging.staged),
            Some(_) | None => None,
        };
        shared.environment.read(|txn| {
            let serving = shared.databases.serving(txn)?;
            let position = shared.databases.position(txn, &serving)?;
            let is_served = position.is_some_and(|position| position.incarnation == incarnation);
            let staged = staged.filter(|staged| is_served || staged.contains(&true));
            let mut digests = match (is_served, staged) {
                (true, _) => serving.bucket_digests(txn)?,
                (false, Some(_)) => Box::new([Digest::default(); BUCKETS as usize]),
                (false, None) => return Ok(Vec::new()),
            };
            if let Some(staged) = staged {
                let spare = shared.databases.spare(txn)?.bucket_digests(txn)?;
                for (number, _) in staged.iter().enumerate().filter(|(_, staged)| **staged) {
                    digests[number] = spare[number];
                }
            }
            Ok(buckets_to_bytes(&digests))
        })
    }

    /// Stages one page. Of the buckets that the page begins, what was staged before is dropped.
    ///
    /// [`StoreError::ForeignEntity`] if an entity is a tombstone or belongs to a bucket that no page has begun.
    pub async fn stage_page(
        &self,
        incarnation: Incarnation,
        begins: Vec<u8>,
        entities: Vec<EntityState>,
    ) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.stage_page(incarnation, &begins, &entities)).await
    }

    /// Copies the buckets that were not received from the serving generation to the spare one, in several transactions.
    pub async fn copy_unchanged(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.copy_unchanged(incarnation)).await
    }

    /// Applies the last delta to the staged generation and makes that generation the serving one, in one transaction.
    ///
    /// [`StoreError::DigestDiffers`] if the result is not what the control plane has. Then the old generation goes on
    /// serving, and what is staged stays staged.
    pub async fn promote(&self, commit: Commit) -> Result<Position, StoreError> {
        self.writer.run(move |shared| shared.promote(&commit)).await
    }
}

impl Shared {
    pub(super) fn staging(&self) -> MutexGuard<'_, Option<Staging>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_staging(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        if self.staging().as_ref().is_some_and(|staging| staging.incarnation == incarnation) {
            return Ok(());
        }
        *self.staging() = None;
        self.environment.write(|txn| self.databases.spare(txn)?.clear(txn))?;
        *self.staging() =
            Some(Staging { incarnation, staged: [false; BUCKETS as usize], denied: self.denied.all() });
        Ok(())
    }

    fn stage_page(
        &self,
        incarnation: Incarnation,
        begins: &[u8],
        entities: &[EntityState],
    ) -> Result<(), StoreError> {
        let mut begun = self.staged_buckets(incarnation)?;
        for bucket in begins {
            begun[usize::from(*bucket)] = true;
        }
        if let Some(entity) =
            entities.iter().find(|entity| entity.deleted || !begun[usize::from(entity.bucket())])
        {
            return Err(StoreError::ForeignEntity { bucket: entity.bucket() });
        }
        self.environment.write(|txn| {
            let spare = self.databases.spare(txn)?;
            for bucket in begins {
                spare.clear_bucket(txn, *bucket)?;
            }
            spare.apply(txn, entities)
        })?;
        self.mark_staged(begins);
        Ok(())
    }

    fn copy_unchanged(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let staged = self.staged_buckets(incarnation)?;
        if self.position().is_none_or(|held| held.incarnation != incarnation) {
            return Ok(());
        }
        let missing: Vec<u8> =
            (0..=u8::MAX).zip(staged).filter(|(_, staged)| !staged).map(|(number, _)| number).collect();
        let mut rest = &missing[..];
        while !rest.is_empty() {
            let count = self.environment.write(|txn| self.copy_some(txn, rest))?;
            let (copied, left) = rest.split_at(count.min(rest.len()));
            self.mark_staged(copied);
            rest = left;
        }
        Ok(())
    }

    /// Copies the first of `buckets` into the spare generation, as many as fit one transaction, and says how many.
    fn copy_some(&self, txn: &mut RwTxn<'_>, buckets: &[u8]) -> Result<usize, StoreError> {
        let (serving, spare) = (self.databases.serving(txn)?, self.databases.spare(txn)?);
        let (mut count, mut entities) = (0, 0);
        while entities < PAGE_ENTITIES_MAX
            && let Some(&number) = buckets.get(count)
        {
            let bucket = serving.bucket_entities(txn, number)?;
            spare.apply(txn, &bucket)?;
            entities += bucket.len();
            count += 1;
        }
        Ok(count)
    }

    fn promote(&self, commit: &Commit) -> Result<Position, StoreError> {
        self.staged_buckets(commit.incarnation)?;
        let denied = self.staging().as_ref().map(|staging| staging.denied.clone()).unwrap_or_default();
        let _span = tracing::info_span!("commit to LMDB", version = commit.version).entered();
        let other_incarnation = self.leaves_incarnation(commit);
        let (position, gone) = self.environment.write(|txn| {
            let spare = self.databases.spare(txn)?;
            spare.apply(txn, &commit.entities)?;
            let position = verified(commit, spare.digest(txn)?)?;
            self.databases.put_position(txn, &spare, Some(&position))?;
            self.databases.put_serving(txn, &spare)?;
            if other_incarnation {
                self.databases.put_revocation_seq(txn, 0)?;
            }
            let mut gone = Vec::new();
            for (kind, id) in &denied {
                if spare.get(txn, kind, *id)?.is_none() {
                    self.databases.denied.delete(txn, &denied_key(kind, *id))?;
                    gone.push((kind.as_str(), *id));
                }
            }
            Ok((position, gone))
        })?;
        self.publish(position, other_incarnation);
        self.owners_changed();
        self.denied.remove_all(gone);
        *self.staging() = None;
        // Frees the old generation's space. If this fails, the next start of the process does it.
        if let Err(error) = self.environment.write(|txn| self.databases.spare(txn)?.clear(txn)) {
            tracing::warn!(%error, "the generation that was served before could not be emptied; the next start empties it");
        }
        Ok(position)
    }

    /// Which buckets are staged; [`StoreError::NotStaging`] if no snapshot of `incarnation` is.
    fn staged_buckets(&self, incarnation: Incarnation) -> Result<[bool; BUCKETS as usize], StoreError> {
        match &*self.staging() {
            Some(staging) if staging.incarnation == incarnation => Ok(staging.staged),
            Some(_) | None => Err(StoreError::NotStaging(incarnation)),
        }
    }

    fn mark_staged(&self, numbers: &[u8]) {
        if let Some(staging) = &mut *self.staging() {
            for number in numbers {
                staging.staged[usize::from(*number)] = true;
            }
        }
    }
}
