//! A snapshot on its way: pages go into the spare generation, which takes over with the last delta.
//!
//! Staged buckets outlive a lost stream: their digests are reported when buckets are compared again, so the plane sends
//! only what still differs. They do not outlive the process.

use std::sync::{MutexGuard, PoisonError};

use heed::RwTxn;
use sync::{BUCKETS, Digest, Row, buckets_to_bytes, limits::PAGE_ROWS_MAX};
use uuid::Uuid;

use super::{Commit, Position, Shared, Store, StoreError, commit::verified, layout::denied_key};

/// State of the snapshot being staged.
pub(super) struct Staging {
    epoch: u64,
    /// Buckets whose content is in the spare generation, whether from pages or copied.
    staged: [bool; BUCKETS as usize],
    /// Denied when staging began. Whoever is among these and not in the finished snapshot is deleted.
    denied: Vec<(String, Uuid)>,
}

impl Store {
    /// Prepares for pages of `epoch`. Goes on with what an earlier stream has staged of the same epoch.
    pub async fn begin_staging(&self, epoch: u64) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.begin_staging(epoch)).await
    }

    /// The digest of each bucket, for the plane to compare: as staged, else as served if `epoch` is served. Empty when
    /// nothing of `epoch` is held.
    pub fn buckets(&self, epoch: u64) -> Result<Vec<u8>, StoreError> {
        let shared = &*self.shared;
        let staged = match &*shared.staging() {
            Some(staging) if staging.epoch == epoch => Some(staging.staged),
            _ => None,
        };
        shared.environment.read(|txn| {
            let serving = shared.databases.serving(txn)?;
            let same_epoch = shared.databases.position(txn, &serving)?.epoch == epoch;
            let staged = staged.filter(|staged| same_epoch || staged.contains(&true));
            let mut digests = match (same_epoch, staged) {
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

    /// Takes in one page. What was staged before of the buckets that it begins is dropped.
    pub async fn stage_page(&self, epoch: u64, begins: Vec<u8>, rows: Vec<Row>) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.stage_page(epoch, &begins, &rows)).await
    }

    /// Completes the spare generation with the buckets that did not travel, in several transactions.
    pub async fn copy_unchanged(&self, epoch: u64) -> Result<(), StoreError> {
        self.writer.run(move |shared| shared.copy_unchanged(epoch)).await
    }

    /// Applies the last delta to the staged generation and lets it take over, in one transaction. When the digest
    /// differs, nothing changes and what is staged stays staged.
    pub async fn promote(&self, commit: Commit) -> Result<Position, StoreError> {
        self.writer.run(move |shared| shared.promote(&commit)).await
    }
}

impl Shared {
    pub(super) fn staging(&self) -> MutexGuard<'_, Option<Staging>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_staging(&self, epoch: u64) -> Result<(), StoreError> {
        if self.staging().as_ref().is_some_and(|staging| staging.epoch == epoch) {
            return Ok(());
        }
        *self.staging() = None;
        self.environment.write(|txn| self.databases.spare(txn)?.clear(txn))?;
        *self.staging() =
            Some(Staging { epoch, staged: [false; BUCKETS as usize], denied: self.denied.all() });
        Ok(())
    }

    fn stage_page(&self, epoch: u64, begins: &[u8], rows: &[Row]) -> Result<(), StoreError> {
        let mut begun = self.staged_buckets(epoch)?;
        for bucket in begins {
            begun[usize::from(*bucket)] = true;
        }
        if let Some(row) = rows.iter().find(|row| row.deleted || !begun[usize::from(row.bucket())]) {
            return Err(StoreError::ForeignRow { bucket: row.bucket() });
        }
        self.environment.write(|txn| {
            let spare = self.databases.spare(txn)?;
            for bucket in begins {
                spare.clear_bucket(txn, *bucket)?;
            }
            spare.apply(txn, rows)
        })?;
        self.mark_staged(begins);
        Ok(())
    }

    fn copy_unchanged(&self, epoch: u64) -> Result<(), StoreError> {
        let staged = self.staged_buckets(epoch)?;
        if self.position.load().epoch != epoch {
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

    /// Copies the first of `buckets` into the spare generation, as many as make a transaction; answers how many.
    fn copy_some(&self, txn: &mut RwTxn<'_>, buckets: &[u8]) -> Result<usize, StoreError> {
        let (serving, spare) = (self.databases.serving(txn)?, self.databases.spare(txn)?);
        let (mut count, mut rows) = (0, 0);
        while rows < PAGE_ROWS_MAX
            && let Some(&number) = buckets.get(count)
        {
            let bucket = serving.bucket_rows(txn, number)?;
            spare.apply(txn, &bucket)?;
            rows += bucket.len();
            count += 1;
        }
        Ok(count)
    }

    fn promote(&self, commit: &Commit) -> Result<Position, StoreError> {
        self.staged_buckets(commit.epoch)?;
        let denied = self.staging().as_ref().map(|staging| staging.denied.clone()).unwrap_or_default();
        let other_incarnation = self.leaves_incarnation(commit);
        let (position, gone) = self.environment.write(|txn| {
            let spare = self.databases.spare(txn)?;
            spare.apply(txn, &commit.rows)?;
            let position = verified(commit, spare.digest(txn)?)?;
            self.databases.put_position(txn, &spare, &position)?;
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
        self.denied.remove_all(gone);
        *self.staging() = None;
        // The old generation's pages serve the next changes. Should this fail, the next start does it.
        if let Err(error) = self.environment.write(|txn| self.databases.spare(txn)?.clear(txn)) {
            tracing::warn!(%error, "the superseded generation could not be emptied");
        }
        Ok(position)
    }

    fn staged_buckets(&self, epoch: u64) -> Result<[bool; BUCKETS as usize], StoreError> {
        match &*self.staging() {
            Some(staging) if staging.epoch == epoch => Ok(staging.staged),
            _ => Err(StoreError::NotStaging(epoch)),
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
